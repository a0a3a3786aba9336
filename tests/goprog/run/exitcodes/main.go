// Ends with the code that its argument says, from a goroutine on a thread of its own, after a deferred call is skipped.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

func main() {
	code, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	defer fmt.Println("wrong: os.Exit runs no deferred call")
	go func() {
		runtime.LockOSThread()
		fmt.Println("code", code)
		os.Exit(code)
	}()
	select {}
}
