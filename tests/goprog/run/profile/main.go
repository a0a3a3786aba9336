// A CPU profile of itself, into memory: it has samples, and names the functions that burned the time.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"
)

var sink uint32

//go:noinline
func burn(n uint32) uint32 {
	x := n
	for i := uint32(0); i < 20000; i++ {
		x = x*1664525 + i
	}
	return x
}

//go:noinline
func outer(until time.Time) {
	for time.Now().Before(until) {
		sink += burn(sink)
	}
}

// fields counts how often a field of a message in the format of protocol buffers occurs.
func fields(message []byte, number uint64) int {
	found := 0
	for len(message) > 0 {
		key, n := binary.Uvarint(message)
		value, m := binary.Uvarint(message[n:])
		message = message[n+m:]
		if key&7 == 2 {
			message = message[value:]
		}
		if key>>3 == number {
			found++
		}
	}
	return found
}

func main() {
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		fmt.Println("wrong:", err)
		os.Exit(1)
	}
	outer(time.Now().Add(100 * time.Millisecond))
	pprof.StopCPUProfile()
	unpacked, err := gzip.NewReader(&profile)
	if err != nil {
		fmt.Println("wrong:", err)
		os.Exit(1)
	}
	message, err := io.ReadAll(unpacked)
	fmt.Println("read", err)
	fmt.Println("samples", fields(message, 2) > 0)
	for _, name := range []string{"main.burn", "main.outer", "main.main"} {
		fmt.Println(name, bytes.Contains(message, []byte(name)))
	}
	os.Exit(0)
}
