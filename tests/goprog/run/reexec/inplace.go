package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// execInPlace: the same process, several programs after one another.
func execInPlace([]string) {
	os.Setenv("FIRST", strconv.Itoa(os.Getpid()))
	become("turn", "4")
}

func become(part string, args ...string) {
	path := value(os.Executable())
	must(syscall.Exec(path, append([]string{path, "child", part}, args...), os.Environ()))
}

func turn(args []string) int {
	left := number(args[0])
	fmt.Println("turn", left, strconv.Itoa(os.Getpid()) == os.Getenv("FIRST"))
	if left > 0 {
		become("turn", strconv.Itoa(left-1))
	}
	return 5
}

// execFromThreads: a thread that is not the first executes, while others run, sleep and wait.
func execFromThreads([]string) {
	os.Setenv("FIRST", strconv.Itoa(os.Getpid()))
	for i := 0; i < 3; i++ {
		go func() {
			runtime.LockOSThread()
			for n := 0; ; n++ {
				_ = strings.Repeat("busy", n%100)
			}
		}()
		go func() {
			runtime.LockOSThread()
			time.Sleep(time.Hour)
		}()
	}
	time.Sleep(5 * time.Millisecond)
	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		if syscall.Gettid() == os.Getpid() { // the first thread: another one it is, then
			go func() { runtime.LockOSThread(); become("turned") }()
			select {}
		}
		become("turned")
	}()
	<-done
}

func init() {
	if len(os.Args) > 2 && os.Args[2] == "turned" {
		runtime.LockOSThread() // so that it runs on the first thread
	}
}

func turned([]string) int {
	found := value(os.ReadDir("/proc/self/fd"))
	fmt.Println(strconv.Itoa(os.Getpid()) == os.Getenv("FIRST"), len(found) < 10, syscall.Gettid() == os.Getpid())
	return 6
}
