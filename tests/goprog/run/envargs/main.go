// Prints its arguments and its environment.
package main

import (
	"fmt"
	"os"
	"sort"
)

func main() {
	for i, word := range os.Args[1:] {
		fmt.Printf("argument %d %q\n", i+1, word)
	}
	environment := os.Environ()
	sort.Strings(environment)
	for _, word := range environment {
		fmt.Printf("environment %q\n", word)
	}
	os.Exit(10)
}
