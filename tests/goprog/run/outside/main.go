// Waits for signals from outside in the way that its argument says.
package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	came := make(chan os.Signal, 1)
	switch os.Args[1] {
	case "handle":
		signal.Notify(came, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		fmt.Println("ready")
		for {
			select {
			case which := <-came:
				fmt.Println("got", which)
				os.Exit(9)
			case <-time.After(time.Millisecond):
			}
		}
	case "ignore":
		signal.Ignore(os.Interrupt)
		fmt.Println("ready")
		for {
		}
	case "spin":
		fmt.Println("ready")
		for {
		}
	case "read":
		fmt.Println("ready")
		io.ReadAll(os.Stdin)
	}
}
