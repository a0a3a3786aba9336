// Functions for prologues with a hook in front of the stack check: with a closure context and without, with arguments
// of all kinds, with frames of every form. Only their prologues matter; the program just has to keep them.
package main

import "os"

var calls int

// hook may stand in front of stack checks: it has none itself.
//
//go:nosplit
func hook() { calls++ }

// splittable may not: its own check has the call of the hook as well.
//
//go:noinline
func splittable() { println(calls) }

//go:noinline
func adder(n int) func(int) int {
	return func(k int) int {
		n += deep(k)
		return n
	}
}

//go:noinline
func deep(n int) int {
	var room [200]byte
	room[n&63] = byte(n)
	if n <= 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n&63])
}

//go:noinline
func mixed(a float64, b float32, c byte, d bool, text string, list []int) float64 {
	println(text, list, d)
	return a*float64(b) + float64(int(c)+len(text)+len(list))
}

//go:noinline
func huge(n int) int {
	var room [9000]byte
	room[n] = byte(deep(n))
	return int(room[n/2])
}

// leaf has no stack check.
//
//go:nosplit
//go:noinline
func leaf(n int) int { return n + 1 }

var more = func() int { return 0 }

func main() {
	f := adder(3)
	f(2)
	if huge(f(4)+leaf(more())) > 500 || mixed(1, 2, 3, true, "a", nil) > 40 {
		os.Exit(1)
	}
}
