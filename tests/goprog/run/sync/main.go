// The locks and friends of packages sync and sync/atomic, under contention on three processors.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

const workers, rounds = 4, 200

// together runs a function in several goroutines and waits for all.
func together(f func(worker int)) {
	var all sync.WaitGroup
	for i := 0; i < workers; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for k := 0; k < rounds; k++ {
				f(i)
			}
		}(i)
	}
	all.Wait()
}

func main() {
	runtime.GOMAXPROCS(3)
	var lock sync.Mutex
	count := 0
	together(func(int) {
		lock.Lock()
		defer lock.Unlock()
		seen := count
		runtime.Gosched()
		count = seen + 1
	})
	fmt.Println("Mutex", count)

	var both sync.RWMutex
	a, b, torn := 0, 0, atomic.Int32{}
	together(func(worker int) {
		if worker == 0 {
			both.Lock()
			a++
			runtime.Gosched()
			b++
			both.Unlock()
			return
		}
		both.RLock()
		if a != b {
			torn.Add(1)
		}
		both.RUnlock()
	})
	fmt.Println("RWMutex", a, b, torn.Load())

	var once sync.Once
	ran := 0
	together(func(int) { once.Do(func() { ran++ }) })
	fmt.Println("Once", ran)

	waiting, opened := 0, false
	door := sync.NewCond(&lock)
	var inside sync.WaitGroup
	for i := 0; i < 10; i++ {
		inside.Add(1)
		go func() {
			defer inside.Done()
			lock.Lock()
			defer lock.Unlock()
			waiting++
			for !opened {
				door.Wait()
			}
			waiting--
		}()
	}
	for all := false; !all; runtime.Gosched() {
		lock.Lock()
		if all = waiting == 10; all {
			opened = true
			door.Broadcast()
		}
		lock.Unlock()
	}
	inside.Wait()
	fmt.Println("Cond", waiting)

	pool := sync.Pool{New: func() any { return new([64]int) }}
	dirty := atomic.Int32{}
	together(func(worker int) {
		room := pool.Get().(*[64]int)
		if room[7] != 0 {
			dirty.Add(1)
		}
		room[7] = worker + 1
		runtime.Gosched()
		if room[7] != worker+1 {
			dirty.Add(1)
		}
		room[7] = 0
		pool.Put(room)
	})
	fmt.Println("Pool", dirty.Load())

	var wide atomic.Int64
	var swapped atomic.Uint32
	together(func(worker int) {
		wide.Add(1 << 33)
		for {
			old := swapped.Load()
			if swapped.CompareAndSwap(old, old+uint32(worker)) {
				return
			}
		}
	})
	fmt.Println("atomic", wide.Load()>>33, swapped.Load())

	var table sync.Map
	together(func(worker int) { table.LoadOrStore(worker, worker*worker) })
	total := 0
	table.Range(func(_, value any) bool { total += value.(int); return true })
	fmt.Println("Map", total)
	os.Exit(0)
}
