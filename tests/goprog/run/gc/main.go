// Collections under load, on two processors: what is reachable stays as it was, what is not gets its finalizer.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type tree struct {
	left, right *tree
	value       int
}

func plant(depth, value int) *tree {
	if depth == 0 {
		return &tree{value: value}
	}
	return &tree{plant(depth-1, 2*value), plant(depth-1, 2*value+1), value}
}

func (t *tree) sum() int {
	if t == nil {
		return 0
	}
	return t.value + t.left.sum() + t.right.sum()
}

var finalized atomic.Int32

//go:noinline
func abandon(n int) {
	for i := 0; i < n; i++ {
		object := &tree{value: i}
		runtime.SetFinalizer(object, func(*tree) { finalized.Add(1) })
	}
}

func main() {
	runtime.GOMAXPROCS(2)
	before := debug.SetGCPercent(5)
	kept := plant(8, 1)
	table := map[string][]byte{}
	for i := 0; i < 300; i++ {
		table[strconv.Itoa(i)] = []byte(strconv.Itoa(i * i))
	}
	var workers sync.WaitGroup
	sums := make([]int, 3)
	for w := range sums {
		workers.Add(1)
		go func(w int) {
			defer workers.Done()
			for i := 0; i < 8; i++ {
				sums[w] += plant(9, 1).sum()
			}
		}(w)
	}
	workers.Wait()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	abandon(100)
	for i := 0; finalized.Load() < 90 && i < 100; i++ {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	sound := 0
	for key, value := range table {
		n, _ := strconv.Atoi(key)
		if string(value) == strconv.Itoa(n*n) {
			sound++
		}
	}
	fmt.Println("tree", kept.sum(), "table", sound, "workers", sums)
	fmt.Println("percent", before, "finalized", finalized.Load() >= 90, "collections", stats.NumGC > 0)
	os.Exit(0)
}
