// select in all its forms: many senders and receivers, a default, nil and closed channels, a way out.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

func main() {
	runtime.GOMAXPROCS(2)
	channels := []chan int{make(chan int), make(chan int, 3), make(chan int)}
	var senders sync.WaitGroup
	for s := 0; s < 6; s++ {
		senders.Add(1)
		go func(s int) {
			defer senders.Done()
			for i := 1; i <= 100; i++ {
				select {
				case channels[0] <- i:
				case channels[1] <- i:
				case channels[2] <- i:
				}
			}
		}(s)
	}
	ended := make(chan struct{})
	go func() {
		senders.Wait()
		close(ended)
	}()
	sum, count := 0, 0
	for open := true; open; {
		select {
		case n := <-channels[0]:
			sum, count = sum+n, count+1
		case n := <-channels[1]:
			sum, count = sum+n, count+1
		case n := <-channels[2]:
			sum, count = sum+n, count+1
		case <-ended:
			open = false
		}
	}
	for left := true; left; {
		select {
		case n := <-channels[1]:
			sum, count = sum+n, count+1
		default:
			left = false
		}
	}
	fmt.Println("received", count, sum)

	var never chan int
	select {
	case <-never:
		fmt.Println("wrong: from nil")
	case never <- 1:
		fmt.Println("wrong: to nil")
	case _, open := <-ended:
		fmt.Println("closed", !open)
	}
	numbers, quit := make(chan int), make(chan int)
	go func() {
		for i := 0; i < 10; i++ {
			<-numbers
		}
		quit <- 0
	}()
	x, y := 0, 1
	for running := true; running; {
		select {
		case numbers <- x:
			x, y = y, x+y
		case <-quit:
			running = false
		}
	}
	fmt.Println("fibonacci", x, y)
	os.Exit(11)
}
