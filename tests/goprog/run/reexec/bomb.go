package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
)

// bomb starts itself twice, and so do they, for ever; `once`: until the first of all is refused.
func bomb(args []string) {
	for {
		for i := 0; i < 2; i++ {
			err := child("bomb").Start()
			if err != nil && len(args) == 1 {
				fmt.Println(errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM))
				os.Exit(12)
			}
		}
	}
}

// memory: children that each take so many MiB, until there is no more; whoever has none ends by itself.
func memory(args []string) {
	started, refused := 0, 0
	ends := []io.Closer{}
	for i := 0; i < number(args[0]); i++ {
		cmd := child("grows", args[1])
		end := value(cmd.StdinPipe())
		from := value(cmd.StdoutPipe())
		if cmd.Start() != nil {
			refused++
			continue
		}
		line := make([]byte, len("ready\n"))
		if _, err := io.ReadFull(from, line); err == nil {
			started++
			ends = append(ends, end)
			continue
		}
		cmd.Wait()
		refused++
	}
	for _, end := range ends {
		end.Close()
	}
	for range ends {
		syscall.Wait4(-1, nil, 0, nil)
	}
	fmt.Println("started", started, "refused", refused)
	err := child("exit", "0").Run()
	fmt.Println("afterwards", err)
}

func grows(args []string) int {
	data := make([]byte, number(args[0])<<20)
	for i := 0; i < len(data); i += 4096 {
		data[i] = 1
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	return len(strconv.Itoa(int(data[0]))) - 1
}
