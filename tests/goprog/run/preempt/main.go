// Loops without a call, on one processor: the others run only if a signal takes it away from the loop.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// spin runs until somebody writes to stop. It holds no stack check and no call; the store to count makes the
// compiler read stop again each time.
//
//go:noinline
func spin(stop, count *uint32) uint32 {
	a, b, c, d := uint32(1), uint32(2), uint32(3), uint32(4)
	for *stop == 0 {
		*count++
		a, b, c, d = b, c, d, a+1
	}
	return a + b + c + d - *count
}

//go:noinline
func spinFloats(stop *uint32, count *float64) float64 {
	a, b := 0.5, 1.5
	for *stop == 0 {
		*count++
		a, b = b, a
	}
	return a + b
}

func main() {
	runtime.GOMAXPROCS(1)
	var stop, count uint32
	left := make(chan uint32)
	go func() { left <- spin(&stop, &count) }()
	for count == 0 {
		time.Sleep(time.Millisecond)
	}
	stop = 1
	fmt.Println("integers", <-left)

	var again uint32
	var times float64
	kept := make(chan float64)
	go func() { kept <- spinFloats(&again, &times) }()
	for times == 0 {
		time.Sleep(time.Millisecond)
	}
	runtime.GC()
	again = 1
	fmt.Println("floats", <-kept)
	os.Exit(6)
}
