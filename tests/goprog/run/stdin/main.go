// Copies its input to its output, and says to its error output how much that was.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	copied, err := io.Copy(os.Stdout, os.Stdin)
	fmt.Fprintln(os.Stderr, "copied", copied, err)
	os.Exit(9)
}
