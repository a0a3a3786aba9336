package broken

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"testing"
)

var (
	spoil    = flag.Bool("spoil", false, "break a contract here")
	children = flag.Int("children", 0, "how many processes break one")
)

func TestSound(t *testing.T) {
	runtime.Gosched()
}

func TestGuard(t *testing.T) {
	if *spoil {
		SpoilGuard()
		runtime.Callers(0, make([]uintptr, 8)) // to the system's stack and back
	}
}

func TestChildren(t *testing.T) {
	for i := 0; i < *children; i++ {
		out, err := exec.Command(os.Args[0], "-test.run=TestGuard", "-spoil").CombinedOutput()
		t.Logf("child %d: %s, %v", i, out, err)
	}
}
