// Channel ping-pong (100 000 rounds, or as many as the argument says) on two processors, with a mutex and a collection.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
)

func main() {
	rounds := 100000
	if len(os.Args) > 1 {
		rounds, _ = strconv.Atoi(os.Args[1])
	}
	runtime.GOMAXPROCS(2)
	there, back := make(chan int), make(chan int)
	var lock sync.Mutex
	held := 0
	go func() {
		for ball := range there {
			lock.Lock()
			held++
			lock.Unlock()
			back <- ball + 1
		}
		close(back)
	}()
	ball := 0
	for i := 0; i < rounds; i++ {
		there <- ball
		lock.Lock()
		held++
		lock.Unlock()
		ball = <-back
		if i == rounds/2 {
			runtime.GC()
		}
	}
	close(there)
	<-back
	fmt.Println("ball", ball, "held", held)
	os.Exit(0)
}
