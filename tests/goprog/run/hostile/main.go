// Asks for more than there is, in the way that its argument says, until it is refused or never.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

func refused(what string, done int, err error) {
	fmt.Println(what, "refused:", err, done > 0)
	os.Exit(12)
}

func main() {
	switch os.Args[1] {
	case "spin":
		for {
		}
	case "calls":
		for {
			syscall.Getppid()
		}
	case "sleep":
		for {
			time.Sleep(time.Hour)
		}
	case "output":
		for {
			fmt.Println("and so on")
		}
	case "children":
		for {
			if err := exec.Command("true").Run(); err != nil {
				fmt.Println("wrong:", err)
				os.Exit(1)
			}
		}
	case "fork":
		ends := make([]int, 2)
		_ = syscall.Pipe(ends)
		attributes := &syscall.ProcAttr{Files: []uintptr{uintptr(ends[0]), 1, 2}}
		for done := 0; ; done++ {
			if _, err := syscall.ForkExec("/bin/cat", []string{"cat"}, attributes); err != nil {
				refused("fork", done, err)
			}
		}
	case "threads":
		ends := make([]int, 2)
		_ = syscall.Pipe(ends)
		for {
			go func() {
				runtime.LockOSThread()
				_, _ = syscall.Read(ends[0], make([]byte, 1))
			}()
			runtime.Gosched()
		}
	case "map":
		for done := 0; ; done++ {
			room, err := syscall.Mmap(-1, 0, 16<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
			if err != nil {
				refused("map", done, err)
			}
			for i := 0; i < len(room); i += 4096 {
				room[i] = 1
			}
		}
	case "heap":
		var kept [][]byte
		for {
			room := make([]byte, 8<<20)
			room[0], room[len(room)-1] = 1, 1
			kept = append(kept, room)
		}
	case "files":
		for done := 0; ; done++ {
			if _, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0); err != nil {
				refused("open", done, err)
			}
		}
	case "stuck":
		// os/signal keeps the runtime from seeing the deadlock itself.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
		select {}
	case "read":
		ends := make([]int, 2)
		_ = syscall.Pipe(ends)
		_, _ = syscall.Read(ends[0], make([]byte, 1))
	}
}
