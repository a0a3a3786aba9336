package broken

import (
	"flag"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

var (
	spoil    = flag.Bool("spoil", false, "break a contract here")
	leave    = flag.String("leave", "", "how the stack is left then")
	children = flag.Int("children", 0, "how many processes break one")
)

func TestSound(t *testing.T) {
	runtime.Gosched()
}

func TestGuard(t *testing.T) {
	if !*spoil {
		return
	}
	SpoilGuard()
	switch *leave {
	case "yield":
		runtime.Gosched()
	case "sleep":
		time.Sleep(1)
	default:
		runtime.Callers(0, make([]uintptr, 8)) // to the system's stack and back
	}
}

func TestChildren(t *testing.T) {
	for i := 0; i < *children; i++ {
		out, err := exec.Command(os.Args[0], "-test.run=TestGuard", "-spoil").CombinedOutput()
		t.Logf("child %d: %s, %v", i, out, err)
	}
}
