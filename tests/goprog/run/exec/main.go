// Child processes: exit codes, pipes both ways, a megabyte through cat, several at once, one that is missing.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

func must(err error) {
	if err != nil {
		fmt.Println("wrong:", err)
		os.Exit(1)
	}
}

func main() {
	var failed *exec.ExitError
	err := exec.Command("false").Run()
	fmt.Println("false", errors.As(err, &failed) && failed.ExitCode() == 1)

	// A conversation: each line comes back before the next is sent.
	cat := exec.Command("cat")
	to, err := cat.StdinPipe()
	must(err)
	from, err := cat.StdoutPipe()
	must(err)
	must(cat.Start())
	for i := 0; i < 5; i++ {
		line := fmt.Sprintf("line %d\n", i)
		_, err = io.WriteString(to, line)
		must(err)
		back := make([]byte, len(line))
		_, err = io.ReadFull(from, back)
		must(err)
		fmt.Printf("%s", back)
	}
	must(to.Close())
	rest, err := io.ReadAll(from)
	must(err)
	fmt.Println("rest", len(rest), cat.Wait())

	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = byte(i * i >> 8)
	}
	whole := exec.Command("cat")
	whole.Stdin = bytes.NewReader(big)
	back, err := whole.Output()
	must(err)
	fmt.Println("a megabyte", len(back), sha256.Sum256(back) == sha256.Sum256(big))

	alone := exec.Command("/bin/echo", "-n", "an environment of its own")
	alone.Env = []string{"ONLY=this"}
	alone.Stdout = os.Stdout
	must(alone.Run())
	fmt.Println()

	var all sync.WaitGroup
	right := make([]bool, 4)
	for i := range right {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			text, err := exec.Command("echo", fmt.Sprint(i)).Output()
			right[i] = err == nil && string(text) == fmt.Sprintln(i)
		}(i)
	}
	all.Wait()
	fmt.Println("at once", right)

	_, err = exec.LookPath("no-such-program")
	fmt.Println(errors.Is(err, exec.ErrNotFound))
	err = exec.Command("/no/such/program").Run()
	fmt.Println(errors.Is(err, os.ErrNotExist))
	os.Exit(8)
}
