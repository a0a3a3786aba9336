// Work for one thread: `loop`, `sha256` or `sort`, as often as the second argument says.
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"sort"
	"strconv"
)

func loop(times int) uint32 {
	x := uint32(1)
	for t := 0; t < times; t++ {
		for i := uint32(0); i < 1000000; i++ {
			x = x*1664525 + 1013904223 ^ x>>7
		}
	}
	return x
}

func hash(times int) []byte {
	data := make([]byte, 64<<10)
	for t := 0; t < times; t++ {
		sum := sha256.Sum256(data)
		copy(data[t%1000:], sum[:])
	}
	return data[:8]
}

func sorted(times int) int {
	x := uint32(7)
	numbers := make([]int, 20000)
	for t := 0; t < times; t++ {
		for i := range numbers {
			x = x*1664525 + 1013904223
			numbers[i] = int(x >> 4)
		}
		sort.Ints(numbers)
	}
	return numbers[len(numbers)/2]
}

func main() {
	times := 1
	if len(os.Args) > 2 {
		times, _ = strconv.Atoi(os.Args[2])
	}
	switch os.Args[1] {
	case "loop":
		fmt.Println(loop(times))
	case "sha256":
		fmt.Println(hash(times))
	case "sort":
		fmt.Println(sorted(times))
	default:
		os.Exit(2)
	}
}
