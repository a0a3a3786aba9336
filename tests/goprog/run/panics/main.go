// The ways a program can fail, one for each argument; without one, those that it gets over.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"
)

var unmapped = uintptr(0x12345678)

type node struct {
	room [100]byte
	next *node
}

//go:noinline
func follow(at *node) *node { return at.next }

//go:noinline
func divide(a, b int) int { return a / b }

//go:noinline
func endless(n int) int { return endless(n+1) + 1 }

//go:noinline
func fail() { panic(errors.New("on purpose")) }

// recovered says what a function panicked with.
func recovered(f func()) (what any) {
	defer func() { what = recover() }()
	f()
	return nil
}

func gotOver() {
	fmt.Println(recovered(fail))
	fmt.Println(recovered(func() { follow(nil) }))
	fmt.Println(recovered(func() { divide(1, 0) }))
	fmt.Println(recovered(func() { _ = make([]int, 3)[divide(9, 2):] }))
	fmt.Println(recovered(func() { var table map[string]int; table["a"] = 1 }))
	fmt.Println(recovered(func() { close((chan int)(nil)) }))
	for i := 0; i < 50; i++ {
		if recovered(func() { follow(nil) }) == nil {
			fmt.Println("wrong: nil has a next")
			os.Exit(1)
		}
	}
	done := make(chan string, 2)
	go func() {
		defer func() { done <- "deferred" }()
		runtime.Goexit()
	}()
	fmt.Println("Goexit", <-done)
}

func main() {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch mode {
	case "":
		gotOver()
		os.Exit(7)
	case "panic":
		fail()
	case "again":
		defer func() { panic(fmt.Sprint("again after ", recover())) }()
		fail()
	case "goroutine":
		go fail()
		select {}
	case "nil":
		follow(nil)
	case "address":
		*(*int)(unsafe.Pointer(unmapped)) = 1
	case "divide":
		divide(1, 0)
	case "overflow":
		debug.SetMaxStack(1 << 18)
		endless(0)
	case "deadlock":
		<-make(chan int)
	case "goexit":
		runtime.Goexit()
	}
}
