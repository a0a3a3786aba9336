// A deep recursion in a goroutine, so that its stack grows from two kilobytes to a megabyte, and four children; with an argument one.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// deep needs about 200 bytes of stack a level, and gets its sum right only if all of them survive each move.
//
//go:noinline
func deep(n int) int {
	var room [16]int
	room[n%16] = n
	if n == 0 {
		return 0
	}
	return deep(n-1) + room[n%16]
}

func main() {
	sum := make(chan int)
	go func() { sum <- deep(3000) }()
	fmt.Println("deep", <-sum)
	fmt.Println("true", exec.Command("true").Run())
	if len(os.Args) > 1 {
		os.Exit(0)
	}
	text, err := exec.Command("echo", "from", "a child").Output()
	fmt.Printf("echo %q %v\n", text, err)
	cat := exec.Command("cat")
	cat.Stdin = strings.NewReader("through a child")
	text, err = cat.Output()
	fmt.Printf("cat %q %v\n", text, err)
	fmt.Println("false", exec.Command("false").Run())
	os.Exit(0)
}
