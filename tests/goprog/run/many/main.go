// Ten thousand goroutines (or as many as the argument says), blocked at once and released at once: memory is bounded.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
)

func main() {
	count := 10000
	if len(os.Args) > 1 {
		count, _ = strconv.Atoi(os.Args[1])
	}
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	var lock sync.Mutex
	sum := 0
	for i := 0; i < count; i++ {
		ready.Add(1)
		done.Add(1)
		go func(i int) {
			ready.Done()
			<-gate
			lock.Lock()
			sum += i % 100
			lock.Unlock()
			done.Done()
		}(i)
	}
	ready.Wait()
	fmt.Println("blocked", runtime.NumGoroutine()-1)
	close(gate)
	done.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	fmt.Println("sum", sum, "under 64 MiB", stats.Sys < 64<<20)
	os.Exit(0)
}
