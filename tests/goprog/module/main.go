// Says where it runs.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	text, err := os.ReadFile("testdata/far")
	fmt.Printf("%s %q %v %q\n", runtime.GOARCH, text, err, os.Args[1:])
	os.Exit(len(os.Args))
}
