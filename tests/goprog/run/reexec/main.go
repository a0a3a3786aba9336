// A program that executes itself: the first argument is a scene, which prints what it saw of its children, or `child`,
// with the part that a child is to play and its arguments.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

var scenes = map[string]func([]string){
	"start": start, "descriptors": descriptors, "wait": wait, "kill": kill, "group": group,
	"session": session, "family": family, "orphan": orphan, "exec": execInPlace, "threads": execFromThreads,
	"files": files, "scripts": scripts, "texts": texts, "deadline": deadline, "many": many, "pipeline": pipeline,
	"stuck": stuck, "ignored": ignored, "series": series, "bomb": bomb, "memory": memory, "other": other,
}

func main() {
	if os.Getenv("INTERPRETED") != "" {
		fmt.Printf("%q\n", os.Args)
		return
	}
	if os.Args[1] == "child" {
		os.Exit(parts[os.Args[2]](os.Args[3:]))
	}
	scenes[os.Args[1]](os.Args[2:])
}

func must(err error) {
	if err != nil {
		fmt.Println("wrong:", err)
		os.Exit(1)
	}
}

func value[T any](found T, err error) T {
	must(err)
	return found
}

// child is this program in another part.
func child(part string, args ...string) *exec.Cmd {
	cmd := exec.Command(value(os.Executable()), append([]string{"child", part}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// other runs another program.
func other(args []string) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fmt.Println("other", ended(cmd.Run()))
}

// ready starts a child and waits until it has said that it is.
func ready(cmd *exec.Cmd) *exec.Cmd {
	from := value(cmd.StdoutPipe())
	must(cmd.Start())
	line := make([]byte, len("ready\n"))
	for got := 0; got < len(line); {
		n, err := from.Read(line[got:])
		must(err)
		got += n
	}
	return cmd
}

// ended is how a child ended, in words without numbers of processes.
func ended(err error) string {
	if failed, ok := err.(*exec.ExitError); ok {
		return told(failed.Sys().(syscall.WaitStatus))
	}
	return fmt.Sprint(err)
}

func told(status syscall.WaitStatus) string {
	switch {
	case status.Exited():
		return fmt.Sprint("exit ", status.ExitStatus())
	case status.Signaled():
		return fmt.Sprint("killed by ", status.Signal())
	case status.Stopped():
		return fmt.Sprint("stopped by ", status.StopSignal())
	case status.Continued():
		return "continued"
	}
	return fmt.Sprint("status ", int(status))
}

// without leaves out what differs from host to host.
func without(err error, path string) string {
	return strings.ReplaceAll(fmt.Sprint(err), path, "PATH")
}
