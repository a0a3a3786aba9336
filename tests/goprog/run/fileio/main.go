// Files in a folder of its own: written, read, appended to, cut, renamed, listed and removed.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

func must(err error) {
	if err != nil {
		fmt.Println("wrong:", err)
		os.Exit(1)
	}
}

func main() {
	folder, err := os.MkdirTemp("", "run-")
	must(err)
	path := filepath.Join(folder, "a file")
	must(os.WriteFile(path, []byte("first line\n"), 0o644))
	file, err := os.OpenFile(path, os.O_APPEND|os.O_RDWR, 0)
	must(err)
	out := bufio.NewWriter(file)
	for i := 0; i < 1000; i++ {
		fmt.Fprintln(out, "line", i)
	}
	must(out.Flush())
	_, err = file.Seek(-9, io.SeekEnd)
	must(err)
	tail, err := io.ReadAll(file)
	must(err)
	fmt.Printf("tail %q\n", tail)
	head := make([]byte, 5)
	_, err = file.ReadAt(head, 0)
	must(err)
	fmt.Printf("head %q\n", head)
	must(file.Truncate(20))
	info, err := file.Stat()
	must(err)
	fmt.Println("size", info.Size(), info.Mode(), info.IsDir())
	must(file.Close())

	must(os.MkdirAll(filepath.Join(folder, "b", "c"), 0o755))
	must(os.Rename(path, filepath.Join(folder, "b", "moved")))
	must(os.Symlink("b/moved", filepath.Join(folder, "link")))
	text, err := os.ReadFile(filepath.Join(folder, "link"))
	must(err)
	fmt.Printf("through a link %q\n", text)
	must(filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(folder, path)
		fmt.Println("found", name, entry.Type())
		return err
	}))
	_, err = os.Open(path)
	fmt.Println("gone", errors.Is(err, os.ErrNotExist))
	_, err = os.OpenFile(filepath.Join(folder, "b", "moved"), os.O_CREATE|os.O_EXCL, 0o600)
	fmt.Println("there", errors.Is(err, os.ErrExist))
	fmt.Println("full", os.Remove(filepath.Join(folder, "b")) != nil)
	must(os.RemoveAll(folder))
	_, err = os.Stat(folder)
	fmt.Println("removed", errors.Is(err, os.ErrNotExist))
	os.Exit(0)
}
