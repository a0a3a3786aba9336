// A program that uses every way a goroutine's stack is left and entered again: growth by deep recursion,
// parking on channels, and a child process. It prints the same on every architecture and exits with 0.
package main

import (
	"fmt"
	"os"
	"os/exec"
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

// pingpong sends a ball to another goroutine and back, so that each time one parks and the other is resumed.
func pingpong(rounds int) int {
	there, back := make(chan int), make(chan int)
	go func() {
		for ball := range there {
			back <- ball + 1
		}
		close(back)
	}()
	ball := 0
	for i := 0; i < rounds; i++ {
		there <- ball
		ball = <-back
	}
	close(there)
	<-back
	return ball
}

func main() {
	sum := make(chan int)
	go func() { sum <- deep(5000) }()
	fmt.Println("deep", <-sum)
	fmt.Println("pingpong", pingpong(200))
	err := exec.Command("/bin/true").Run()
	fmt.Println("exec", err)
	if err != nil {
		os.Exit(1)
	}
}
