// Goroutines bound to threads of their own: each finds itself on one thread all its life, no two on the same.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

const bound = 6

func main() {
	runtime.GOMAXPROCS(2)
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	threads := make([]int, bound)
	strayed := make([]bool, bound)
	ready.Add(bound)
	done.Add(bound)
	for i := 0; i < bound; i++ {
		go func(i int) {
			defer done.Done()
			runtime.LockOSThread()
			threads[i] = syscall.Gettid()
			ready.Done()
			<-release
			for k := 0; k < 20; k++ {
				runtime.Gosched()
				strayed[i] = strayed[i] || syscall.Gettid() != threads[i]
			}
			// Half of the threads end with their goroutine, the others go back to the pool.
			if i%2 == 0 {
				runtime.UnlockOSThread()
			}
		}(i)
	}
	ready.Wait()
	close(release)
	done.Wait()
	different := map[int]bool{}
	for i, thread := range threads {
		different[thread] = true
		if strayed[i] {
			fmt.Println("wrong: goroutine", i, "strayed")
			os.Exit(1)
		}
	}
	fmt.Println("bound to", len(different), "threads")
	total := make(chan int)
	for i := 0; i < 8; i++ {
		go func(i int) {
			sum := 0
			for k := 0; k <= 1000; k++ {
				sum += k * i
			}
			total <- sum
		}(i)
	}
	sum := 0
	for i := 0; i < 8; i++ {
		sum += <-total
	}
	fmt.Println("sum", sum)
	os.Exit(3)
}
