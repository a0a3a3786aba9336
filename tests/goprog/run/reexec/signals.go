package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func status(pid int, options int) string {
	var status syscall.WaitStatus
	found, err := syscall.Wait4(pid, &status, options, nil)
	if err != nil || found == 0 {
		return fmt.Sprint(found, " ", err)
	}
	return told(status)
}

// wait: for this one, for any, without waiting, when there are none.
func wait([]string) {
	pids := []int{}
	for i := 0; i < 3; i++ {
		cmd := child("exit", strconv.Itoa(10+i))
		must(cmd.Start())
		pids = append(pids, cmd.Process.Pid)
	}
	fmt.Println(status(pids[2], 0), status(pids[0], 0), status(-1, 0))
	fmt.Println(status(-1, 0), status(pids[0], 0))
	cmd := child("waits", "6")
	end := value(cmd.StdinPipe())
	ready(cmd)
	fmt.Println(status(cmd.Process.Pid, syscall.WNOHANG))
	must(end.Close())
	fmt.Println(status(0, 0))
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage))
	fmt.Println("took time", usage.Utime.Nano()+usage.Stime.Nano() > 0)
}

// kill: by default, handled, ignored, and what nobody can handle.
func kill([]string) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGHUP} {
		cmd := ready(child("sleep"))
		must(cmd.Process.Signal(sig))
		fmt.Println(ended(cmd.Wait()))
		fmt.Println(cmd.Process.Signal(sig), syscall.Kill(cmd.Process.Pid, 0))
	}
	cmd := ready(child("catch"))
	must(cmd.Process.Signal(syscall.SIGTERM))
	fmt.Println(ended(cmd.Wait()))
	stubborn := child("stubborn")
	end := value(stubborn.StdinPipe())
	ready(stubborn)
	must(stubborn.Process.Signal(syscall.SIGTERM))
	must(end.Close())
	fmt.Println(ended(stubborn.Wait()))
}

// group: children in a group of their own, that are killed together.
func group([]string) {
	first := child("sleep")
	first.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ready(first)
	id := first.Process.Pid
	others := []*exec.Cmd{first}
	for i := 0; i < 2; i++ {
		cmd := child("sleep")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: id}
		others = append(others, ready(cmd))
	}
	alone := ready(child("catch"))
	fmt.Println(value(syscall.Getpgid(others[2].Process.Pid)) == id, value(syscall.Getpgid(alone.Process.Pid)) == syscall.Getpgrp())
	must(syscall.Kill(-id, syscall.SIGTERM))
	for range others {
		fmt.Println(status(-id, 0))
	}
	fmt.Println(status(-id, 0), syscall.Kill(-id, syscall.SIGTERM))
	must(alone.Process.Signal(syscall.SIGTERM))
	fmt.Println(ended(alone.Wait()))
}

func session([]string) {
	cmd := child("session")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout = os.Stdout
	fmt.Println(ended(cmd.Run()))
	bound := child("sleep")
	bound.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	ready(bound)
	must(bound.Process.Kill())
	fmt.Println(ended(bound.Wait()))
}

// family: generations, each of which waits for the next.
func family([]string) {
	cmd := child("middle", "3")
	cmd.Stdout = os.Stdout
	fmt.Println(ended(cmd.Run()))
}

// orphan: whose parent ended before it.
func orphan([]string) {
	cmd := child("leaves")
	fmt.Println(string(value(cmd.Output())))
}

// deadline: a child that sleeps is killed when its time is over.
func deadline(args []string) {
	given := value(time.ParseDuration(args[0]))
	ctx, cancel := context.WithTimeout(context.Background(), given)
	defer cancel()
	cmd := exec.CommandContext(ctx, value(os.Executable()), "child", "sleep")
	began := time.Now()
	err := cmd.Run()
	took := time.Since(began)
	fmt.Println(ended(err), ctx.Err(), took >= given, took < given+10*time.Second)
	ctx, cancel = context.WithTimeout(context.Background(), given)
	defer cancel()
	cmd = exec.CommandContext(ctx, value(os.Executable()), "child", "catch")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	fmt.Println(ended(cmd.Run()), errors.Is(ctx.Err(), context.DeadlineExceeded))
}

// ignored: what is ignored stays so in another program, what has a handler does not.
func ignored([]string) {
	signal.Ignore(syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	fmt.Print(string(value(child("ignored").Output())))
}
