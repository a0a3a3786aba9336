// Every trampoline in as little time as possible: stacks that grow, goroutines that wait and are woken, a loop without
// a call that the collector's signal takes away, a child on its parent's stack. It imports next to nothing.
package main

import (
	"runtime"
	"syscall"
	"unsafe"
)

// deep is right only if its frames survive each move of the stack, pointers into them included.
//
//go:noinline
func deep(n int, up *int) int {
	var room [32]int
	room[n%32] = n
	if n == 0 {
		return *up
	}
	return deep(n-1, &room[n%32]) + room[n%32]
}

// closure is a function with a closure context whose stack check fails.
//
//go:noinline
func closure(n int) func() int {
	return func() int {
		var room [600]int
		room[n%600] = n
		return room[n%600] + deep(n, &n)
	}
}

// spin runs until somebody writes to stop: it holds no stack check and no call, and it uses registers of both kinds.
//
//go:noinline
func spin(stop, count *uint32, x float64) (uint32, float64) {
	a, b, c, d, y := uint32(1), uint32(2), uint32(3), uint32(4), 1.5
	for *stop == 0 {
		*count++
		a, b, c, d = b, c, d, a+1
		x, y = y, x
	}
	return a + b + c + d - *count, x + y
}

func child(path string) {
	pid, err := syscall.ForkExec(path, []string{path}, nil)
	if err != nil {
		println(path, err.(syscall.Errno))
		return
	}
	var status syscall.WaitStatus
	syscall.Wait4(pid, &status, 0, nil)
	println(path, status.ExitStatus())
}

func main() {
	runtime.GOMAXPROCS(2)
	to, from := make(chan int), make(chan int)
	go func() {
		for n := range to {
			from <- n + closure(n)()
		}
	}()
	for _, n := range []int{1, 60} {
		to <- n
		println("deep", <-from)
	}

	var stop, count uint32
	left := make(chan uint32)
	go func() {
		n, x := spin(&stop, &count, 0.5)
		left <- n + uint32(x)
	}()
	for count == 0 {
		runtime.Gosched()
	}
	runtime.GC()
	stop = 1
	println("spun", <-left)

	child("/bin/true")
	child("/no/such/program")
	println("words of", unsafe.Sizeof(uintptr(0)))
	syscall.Exit(3)
}
