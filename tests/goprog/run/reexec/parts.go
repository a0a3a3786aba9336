package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What a child may be asked to play; its exit code.
var parts = map[string]func([]string) int{
	"exit":     func(args []string) int { return number(args[0]) },
	"tell":     tell,
	"upper":    upper,
	"holds":    holds,
	"sleep":    func([]string) int { fmt.Println("ready"); time.Sleep(24 * time.Hour); return 0 },
	"catch":    catch,
	"stubborn": func([]string) int { signal.Ignore(syscall.SIGTERM); fmt.Println("ready"); return holds(nil) },
	"session":  ownSession,
	"middle":   middle,
	"leaves":   leaves,
	"orphan":   orphaned,
	"turn":     turn,
	"turned":   turned,
	"count":    func([]string) int { return counted() },
	"yes":      yes,
	"stuck":    func([]string) int { select {} },
	"panic":    func([]string) int { panic("in a child") },
	"ignored": func([]string) int {
		fmt.Println(signal.Ignored(syscall.SIGHUP), signal.Ignored(syscall.SIGUSR1))
		return 0
	},
	"waits":     waits,
	"arguments": func(args []string) int { fmt.Println(len(args), len(args[len(args)-1])); return 0 },
	"bomb":      func([]string) int { bomb(nil); return 0 },
	"grows":     grows,
}

func number(text string) int { return value(strconv.Atoi(text)) }

// tell prints what it was given.
func tell(args []string) int {
	folder := value(os.Getwd())
	fmt.Printf("args %q env %q folder %q\n", args, os.Environ(), folder)
	fmt.Printf("parent %v umask %#o\n", strconv.Itoa(os.Getppid()) == os.Getenv("PARENT"), syscall.Umask(0))
	fmt.Fprintln(os.Stderr, "on the other stream")
	return 0
}

func upper([]string) int {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Println(strings.ToUpper(lines.Text()))
	}
	return 0
}

// holds tells of each descriptor whether it is open here, and writes into those that are.
func holds(args []string) int {
	for _, arg := range args {
		file := os.NewFile(uintptr(number(arg)), "given")
		_, err := file.Stat()
		if err == nil {
			_, err = io.WriteString(file, "from the child\n")
		}
		fmt.Println("descriptor", err == nil)
	}
	io.Copy(io.Discard, os.Stdin)
	return 0
}

func catch([]string) int {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGTERM)
	fmt.Println("ready")
	fmt.Fprintln(os.Stderr, "caught", <-caught)
	return 9
}

func ownSession([]string) int {
	id, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	_, err := syscall.Setsid()
	fmt.Println(int(id) == os.Getpid(), syscall.Getpgrp() == os.Getpid(), err)
	return 0
}

// middle starts another generation, as many as it is told.
func middle(args []string) int {
	left := number(args[0])
	fmt.Println("generation", left)
	if left == 0 {
		return 3
	}
	next := child("middle", strconv.Itoa(left-1))
	next.Stdout = os.Stdout
	err := next.Run()
	fmt.Println("back in", left, ended(err))
	return next.ProcessState.ExitCode() + 1
}

// leaves ends before its own child, which goes on.
func leaves([]string) int {
	next := child("orphan", strconv.Itoa(os.Getpid()))
	next.Stdin, next.Stdout = os.Stdin, os.Stdout
	must(next.Start())
	return 0
}

func orphaned(args []string) int {
	for strconv.Itoa(os.Getppid()) == args[0] {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("orphan", os.Getppid() == 1)
	return 0
}

func counted() int {
	count := 0
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		count++
	}
	fmt.Println(count, "lines")
	return 0
}

func yes([]string) int {
	for {
		fmt.Println("yes")
	}
}

// waits says that it is there, and is until its input ends.
func waits(args []string) int {
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return number(args[0])
}
