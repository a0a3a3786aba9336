package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// start: exit codes, arguments, environment, folder, the three streams, by both names of the program.
func start([]string) {
	for _, path := range []string{value(os.Executable()), "/proc/self/exe"} {
		for _, code := range []string{"0", "1", "7", "255"} {
			fmt.Println(code, ended(exec.Command(path, "child", "exit", code).Run()))
		}
		folder := value(filepath.EvalSymlinks(value(os.MkdirTemp("", ""))))
		var out, err bytes.Buffer
		cmd := exec.Command(path, "child", "tell", "two words", "", "é\n")
		cmd.Env = []string{"ONLY=this", "PARENT=" + strconv.Itoa(os.Getpid()), "EMPTY="}
		cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &out, &err
		syscall.Umask(0o027)
		must(cmd.Run())
		text := strings.ReplaceAll(out.String(), folder, "FOLDER")
		fmt.Print(strings.ReplaceAll(text, strconv.Itoa(os.Getpid()), "PID"), err.String())
		must(os.Remove(folder))
	}
	cmd := child("upper")
	cmd.Stdin = strings.NewReader("a line\nanother\n" + strings.Repeat("x", 100_000))
	var err error
	var longest bytes.Buffer
	cmd.Stdout = &longest
	err = cmd.Run()
	fmt.Println(longest.Len(), err, longest.String()[:15] == "A LINE\nANOTHER\n")
	argv := &exec.Cmd{Path: value(os.Executable()), Args: []string{"another name", "child", "exit", "4"}}
	fmt.Println(ended(argv.Run()))
	_, err = os.StartProcess(value(os.Executable()), nil, &os.ProcAttr{Dir: "/no/such/folder"})
	fmt.Println(errors.Is(err, os.ErrNotExist))
}

// descriptors: those that are passed on, and those that close when a program begins.
func descriptors([]string) {
	from, to, err := os.Pipe()
	must(err)
	kept := value(syscall.Dup(int(to.Fd())))
	closes := value(syscall.Dup(int(to.Fd())))
	syscall.CloseOnExec(closes)
	cmd := child("holds", "3", "4", strconv.Itoa(kept), strconv.Itoa(closes))
	file := value(os.CreateTemp("", ""))
	cmd.ExtraFiles = []*os.File{to, file}
	fmt.Print(string(value(cmd.Output())))
	must(to.Close())
	must(syscall.Close(kept))
	must(syscall.Close(closes))
	fmt.Printf("%q\n", value(io.ReadAll(from)))
	fmt.Printf("%q offset %d\n", value(os.ReadFile(file.Name())), value(file.Seek(0, io.SeekCurrent)))
	must(os.Remove(file.Name()))
}

// pipeline: three processes in a row; then one whose reader has seen enough.
func pipeline([]string) {
	first, second, third := child("upper"), child("upper"), child("count")
	first.Stdin = strings.NewReader(strings.Repeat("a line that is not too short\n", 20_000))
	second.Stdin = value(first.StdoutPipe())
	third.Stdin = value(second.StdoutPipe())
	third.Stdout = os.Stdout
	for _, cmd := range []*exec.Cmd{first, second, third} {
		must(cmd.Start())
	}
	fmt.Println(third.Wait(), second.Wait(), first.Wait())
	cmd := child("yes")
	from := value(cmd.StdoutPipe())
	must(cmd.Start())
	line := make([]byte, 4)
	value(io.ReadFull(from, line))
	must(from.Close())
	fmt.Printf("%q %s\n", line, ended(cmd.Wait()))
}

// many: all at once, and the same number again in another order.
func many(args []string) {
	count := number(args[0])
	cmds := make([]*exec.Cmd, count)
	ends := make([]io.Closer, count)
	for i := range cmds {
		cmds[i] = child("waits", strconv.Itoa(i))
		ends[i] = value(cmds[i].StdinPipe())
		ready(cmds[i])
	}
	fmt.Println(count, "at once")
	if len(args) > 1 {
		io.Copy(io.Discard, os.Stdin) // so that all can be looked at
	}
	sum := 0
	for i := range cmds {
		last := count - 1 - i
		must(ends[last].Close())
		cmds[last].Wait()
		sum += cmds[last].ProcessState.ExitCode()
	}
	fmt.Println("sum", sum)
}

// series: one after the other.
func series(args []string) {
	for i := 0; i < number(args[0]); i++ {
		must(child("exit", "0").Run())
	}
	fmt.Println(args[0], "children")
}

// stuck: children whose runtime ends them.
func stuck([]string) {
	for _, part := range []string{"stuck", "panic"} {
		cmd := child(part)
		var err bytes.Buffer
		cmd.Stderr = &err
		how := ended(cmd.Run())
		line, _, _ := strings.Cut(err.String(), "\n")
		fmt.Println(how, line)
	}
}
