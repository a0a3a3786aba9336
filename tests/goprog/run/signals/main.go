// Signals that the program sends to itself: caught, ignored, counted; with the argument `die` one ends it, with
// `kill` one that nobody can catch.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func raise(number syscall.Signal) {
	if err := syscall.Kill(syscall.Getpid(), number); err != nil {
		fmt.Println("wrong:", err)
		os.Exit(1)
	}
}

func main() {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1, os.Interrupt)
	raise(syscall.SIGUSR1)
	fmt.Println("caught", <-caught)
	raise(syscall.SIGINT)
	fmt.Println("caught", <-caught)
	for i := 0; i < 100; i++ {
		raise(syscall.SIGUSR1)
		<-caught
	}
	fmt.Println("caught 100 more")

	signal.Ignore(syscall.SIGUSR2)
	raise(syscall.SIGUSR2)
	fmt.Println("ignored", signal.Ignored(syscall.SIGUSR2))
	signal.Stop(caught)

	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	raise(syscall.SIGTERM)
	<-stopped.Done()
	fmt.Println(stopped.Err())
	stop()

	reader, writer, _ := os.Pipe()
	reader.Close()
	_, err := writer.Write([]byte("to nobody"))
	fmt.Println("broken pipe", errors.Is(err, syscall.EPIPE))

	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "die":
			signal.Reset(syscall.SIGTERM)
			raise(syscall.SIGTERM)
		case "kill":
			raise(syscall.SIGKILL)
		}
		select {}
	}
	os.Exit(5)
}
