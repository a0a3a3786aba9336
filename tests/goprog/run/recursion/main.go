// Stacks that grow and shrink: pointers into the stack, closures, defers and results must survive each move.
package main

import (
	"fmt"
	"os"
	"runtime"
)

type link struct {
	up    *link
	depth int
}

// walk leaves a chain of pointers through all frames of the stack, and follows it at the bottom.
//
//go:noinline
func walk(n int, up *link) int {
	here := link{up, n}
	if n > 0 {
		return walk(n-1, &here) + here.depth&1
	}
	sum := 0
	for at := &here; at != nil; at = at.up {
		sum += at.depth
	}
	return sum
}

//go:noinline
func deferred(n int, total *int) {
	var room [40]byte
	room[n%40] = byte(n)
	defer func() { *total += int(room[n%40]) }()
	if n > 0 {
		deferred(n-1, total)
	}
}

//go:noinline
func floats(n int, a, b float64) float64 {
	if n == 0 {
		return a
	}
	return floats(n-1, b, a) + b
}

//go:noinline
func huge(n int) byte {
	var room [20000]byte
	for i := range room {
		room[i] = byte(i + n)
	}
	if n > 0 {
		return huge(n-1) + room[n]
	}
	return room[n]
}

func main() {
	results := make(chan string)
	go func() { results <- fmt.Sprint("walk ", walk(4000, nil)) }()
	fmt.Println(<-results)
	go func() {
		total := 0
		deferred(1000, &total)
		results <- fmt.Sprint("deferred ", total)
	}()
	fmt.Println(<-results)
	go func() { results <- fmt.Sprint("floats ", floats(2001, 0.5, 0.25)) }()
	fmt.Println(<-results)
	go func() { results <- fmt.Sprint("huge ", huge(20)) }()
	fmt.Println(<-results)

	// A goroutine that stays while its stack is large and empty: the collector halves it, twice.
	step := make(chan int)
	go func() {
		for n := range step {
			step <- walk(n, nil)
		}
	}()
	for i := 0; i < 3; i++ {
		step <- 3000
		sum := <-step
		runtime.GC()
		runtime.GC()
		step <- 100
		fmt.Println("grown and shrunk", sum, <-step)
	}
	os.Exit(0)
}
