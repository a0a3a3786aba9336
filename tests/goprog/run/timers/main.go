// Timers of all kinds, and a sleep as long as the argument says (a millisecond without one).
package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

func main() {
	long := time.Millisecond
	if len(os.Args) > 1 {
		var err error
		if long, err = time.ParseDuration(os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	start := time.Now()
	time.Sleep(long)
	fmt.Println("slept", long, time.Since(start) >= long)

	// A quick timer overtakes slow ones, and those that are stopped never fire.
	order := make(chan string, 3)
	slow := time.AfterFunc(30*time.Millisecond, func() { order <- "slow" })
	never := time.AfterFunc(long+time.Hour, func() { order <- "never" })
	time.AfterFunc(time.Millisecond, func() { order <- "quick" })
	fmt.Println(<-order, <-order, never.Stop(), slow.Stop())

	select {
	case <-time.After(2 * time.Millisecond):
		fmt.Println("after")
	case <-time.After(time.Hour):
		fmt.Println("wrong: an hour was shorter")
	}

	ticker := time.NewTicker(time.Millisecond)
	ticks := 0
	for range ticker.C {
		if ticks++; ticks == 5 {
			break
		}
	}
	ticker.Stop()
	fmt.Println("ticks", ticks)

	timer := time.NewTimer(time.Hour)
	timer.Reset(time.Millisecond)
	<-timer.C
	fmt.Println("reset", timer.Stop())

	limited, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	<-limited.Done()
	cancel()
	fmt.Println(limited.Err())

	// Many sleepers, woken in the order of their times.
	woken := make(chan int, 20)
	for i := 20; i > 0; i-- {
		go func(i int) {
			time.Sleep(time.Duration(i) * 10 * time.Millisecond)
			woken <- i
		}(i)
	}
	sorted := true
	for last, i := 0, 0; i < 20; i++ {
		now := <-woken
		sorted = sorted && now > last
		last = now
	}
	fmt.Println("in order", sorted)
	os.Exit(4)
}
