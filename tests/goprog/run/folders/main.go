// A folder that was given: walked, read, changed and taken apart; and every way out of it that the arguments name.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func must(err error) {
	if err != nil {
		fmt.Println("wrong:", err)
		os.Exit(1)
	}
}

func read(path string) string {
	text, err := os.ReadFile(path)
	must(err)
	return string(text)
}

func walk() {
	must(filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		must(err)
		info, err := entry.Info()
		must(err)
		size := info.Size()
		if entry.IsDir() {
			size = 0
		}
		fmt.Println("found", path, info.Mode(), size)
		return nil
	}))
}

// escape tries a path in the ways that programs have: nothing of the host may come back, or be there.
func escape(path string) {
	if text, err := os.ReadFile(path); err == nil {
		fmt.Printf("REACHED %s: %.40q\n", path, text)
	}
	if file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
		fmt.Println("WRITABLE", path)
		file.Close()
	}
	if _, err := os.Stat(path); err == nil {
		fmt.Println("SEEN", path)
	}
	if _, err := os.ReadDir(path); err == nil {
		fmt.Println("LISTED", path)
	}
	folder, err := syscall.Open("in", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	must(err)
	if file, err := syscall.Openat(folder, "../"+strings.TrimPrefix(path, "/"), syscall.O_RDONLY, 0); err == nil {
		fmt.Println("OPENED", path)
		syscall.Close(file)
	}
	syscall.Close(folder)
	if err := os.Symlink(path, "way"); err == nil {
		if _, err := os.Stat("way"); err == nil {
			fmt.Println("LED TO", path)
		}
		must(os.Remove("way"))
	}
	if err := os.Link(path, "way"); err == nil { // a link may be linked to: what counts is where it leads
		if _, err := os.ReadFile("way"); err == nil {
			fmt.Println("LINKED", path)
		}
		must(os.Remove("way"))
	}
	if err := syscall.Exec(path, []string{path}, nil); err == nil {
		fmt.Println("RAN", path)
	}
	if err := os.Chdir(path); err == nil {
		fmt.Println("WENT TO", path)
	}
}

func main() {
	here, err := os.Getwd()
	must(err)
	fmt.Println("in", here)
	walk()
	fmt.Println(read("a"), read("in/b"), read("link"), read("in/../a"))
	for _, path := range os.Args[1:] {
		escape(path)
	}

	must(os.WriteFile("a", []byte("changed"), 0o600))
	file, err := os.OpenFile("in/b", os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = file.WriteString(" and more")
	must(err)
	must(file.Close())
	fmt.Println(read("a"), read("in/b"), read("link"))
	must(os.Truncate("in/b", 3))
	must(os.Chmod("in/b", 0o751))
	must(os.Rename("in", "out"))
	must(os.MkdirAll("in/new/folder", 0o755))
	must(os.WriteFile("in/new/file", []byte("new"), 0o644))
	must(os.Link("out/b", "in/hard"))
	walk()
	must(os.RemoveAll(here + "/out"))
	must(os.Remove("a"))
	must(os.WriteFile("result", []byte("the result\n"), 0o644))
	walk()
}
