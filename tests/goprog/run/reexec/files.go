package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

func errno(err error) string {
	var found syscall.Errno
	if !errors.As(err, &found) {
		return fmt.Sprint(err)
	}
	names := map[syscall.Errno]string{
		syscall.ENOEXEC: "ENOEXEC", syscall.EACCES: "EACCES", syscall.ENOENT: "ENOENT", syscall.E2BIG: "E2BIG",
		syscall.ENOTDIR: "ENOTDIR", syscall.ELOOP: "ELOOP", syscall.EINVAL: "EINVAL",
	}
	return names[found]
}

func run(path string, args ...string) string {
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState != nil {
		return ended(err)
	}
	return errno(err)
}

// files: a copy of this program, and what is no program.
func files([]string) {
	folder := value(os.MkdirTemp("", ""))
	defer os.RemoveAll(folder)
	own := value(os.ReadFile("/proc/self/exe"))
	write := func(name string, data []byte, mode os.FileMode) string {
		path := filepath.Join(folder, name)
		must(os.WriteFile(path, data, mode))
		return path
	}
	good := write("copy", own, 0o755)
	fmt.Println("copy", run(good, "child", "exit", "3"))
	must(os.Symlink("copy", filepath.Join(folder, "link")))
	fmt.Println("link", run(filepath.Join(folder, "link"), "child", "exit", "4"))
	must(os.Rename(good, good+"2"))
	fmt.Println("renamed", run(good+"2", "child", "exit", "5"), run(good))
	must(os.Remove(good + "2"))
	other := append([]byte{}, own...)
	other[18], other[19] = 0xFE, 0xFE
	for _, wrong := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"another arch", other, 0o755}, {"no magic", other[1:], 0o755}, {"a header", own[:40], 0o755},
		{"no segments", own[:100], 0o755}, {"a text", []byte("echo hello\n"), 0o755}, {"empty", nil, 0o755},
		{"not executable", own, 0o644}, {"a text, not executable", []byte("#!/bin/echo\n"), 0o644},
		{"no interpreter", []byte("#!/no/such/file\n"), 0o755}, {"no line", []byte("#!   \n"), 0o755},
	} {
		fmt.Println(wrong.name, run(write(wrong.name, wrong.data, wrong.mode)))
	}
	fmt.Println("a folder", run(folder))
	fmt.Println("below a file", run(filepath.Join(folder, "empty", "x")))
	must(os.Symlink("loop", filepath.Join(folder, "loop")))
	fmt.Println("a loop", run(filepath.Join(folder, "loop")))
	again := write("copy", own, 0o755)
	fmt.Println("after all", run(again, "child", "exit", "0"))
}

// scripts: files that name who reads them.
func scripts([]string) {
	folder := value(os.MkdirTemp("", ""))
	defer os.RemoveAll(folder)
	own := filepath.Join(folder, "own")
	must(os.WriteFile(own, value(os.ReadFile("/proc/self/exe")), 0o755))
	must(os.Setenv("INTERPRETED", "yes"))
	script := func(name, line string) string {
		path := filepath.Join(folder, name)
		must(os.WriteFile(path, []byte(line), 0o755))
		return path
	}
	for _, line := range []string{"#!" + own + "\n", "#! \t" + own + " one  two \t\nmore\n", "#!" + own} {
		path := script("script", line)
		out := string(value(exec.Command(path, "an argument", "another").Output()))
		fmt.Print(strings.ReplaceAll(out, folder, "FOLDER"))
	}
	outer := script("outer", "#!"+script("script", "#!"+own+" inner\n")+" of the outer\n")
	fmt.Print(strings.ReplaceAll(string(value(exec.Command(outer, "x").Output())), folder, "FOLDER"))
	fmt.Println(run(script("itself", "#!"+filepath.Join(folder, "itself")+"\n")))
	fmt.Println(run(script("a folder", "#!"+folder+"\n")))
}

// texts: as many and as long arguments as there may be, and more.
func texts([]string) {
	own := value(os.Executable())
	long := func(size int) string { return strings.Repeat("x", size) }
	fmt.Println(run(own, "child", "arguments", long(128<<10-1)))
	fmt.Println(run(own, "child", "arguments", long(128<<10)))
	several := func(count int, text string) []string {
		args := []string{"child", "arguments"}
		for i := 0; i < count; i++ {
			args = append(args, text)
		}
		return args
	}
	fmt.Println(run(own, several(5000, "y")...))
	fmt.Println(run(own, several(10, long(100_000))...))
	fmt.Println(run(own, several(70, long(100_000))...))
	fmt.Println(run(own, several(3_000_000, "")...))
}
