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

	// A quick timer overtakes a slow one, and one that is stopped never fires.
	order := make(chan string, 3)
	slow := time.AfterFunc(time.Hour, func() { order <- "slow" })
	never := time.AfterFunc(long+time.Hour, func() { order <- "never" })
	time.AfterFunc(time.Millisecond, func() { order <- "quick" })
	fmt.Println(<-order, never.Stop(), slow.Reset(time.Millisecond), <-order, slow.Stop())

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

	// Many sleepers at once: none wakes too early.
	woken := make(chan bool)
	for i := 20; i > 0; i-- {
		go func(i int) {
			start, room := time.Now(), time.Duration(i)*time.Millisecond
			time.Sleep(room)
			woken <- time.Since(start) >= room
		}(i)
	}
	slept := true
	for i := 0; i < 20; i++ {
		slept = <-woken && slept
	}
	fmt.Println("all slept", slept)
	os.Exit(4)
}
