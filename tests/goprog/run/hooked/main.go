// A program for a build in which every stack check yields its goroutine first (maymorestack): calls that carry values
// of all kinds in registers, on the stack and in the closure's context must not lose one.
package main

import (
	"fmt"
	"os"
)

type shape interface{ area(scale int) int }

type square struct{ side int }

func (s square) area(scale int) int { return s.side * s.side * scale }

//go:noinline
func mixed(a int, b float64, c string, d []int, e shape) (int, float64, string) {
	if a == 0 {
		return len(d) + e.area(2), b, c
	}
	n, f, s := mixed(a-1, b+0.5, c, d, e)
	return n + a, f, s
}

//go:noinline
func adder(n int) func(int) int {
	return func(k int) int {
		if k > 0 {
			return adder(n)(k-1) + n
		}
		return n
	}
}

func main() {
	results := make(chan string)
	for i := 1; i <= 3; i++ {
		go func(i int) {
			n, f, s := mixed(10*i, 0.25, "text", make([]int, i), square{i})
			results <- fmt.Sprint(n, " ", f, " ", s, " ", adder(i)(20))
		}(i)
	}
	seen := map[string]int{}
	for i := 0; i < 3; i++ {
		seen[<-results]++
	}
	for _, line := range []string{"58 5.25 text 21", "220 10.25 text 42", "486 15.25 text 63"} {
		fmt.Println(line, seen[line])
	}
	os.Exit(0)
}
