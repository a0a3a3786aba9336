package clock

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

// Waiting by asking for the time again and again.
func TestSpin(t *testing.T) {
	for start := time.Now(); time.Since(start) < 500*time.Millisecond; {
	}
}

// The same, with others that want the CPU.
func TestSpinPolitely(t *testing.T) {
	start, asked := time.Now(), 0
	for ; time.Since(start) < 500*time.Millisecond; asked++ {
		runtime.Gosched()
	}
	if asked == 0 {
		t.Fatal("never asked")
	}
}

// Spinning until a timer has fired, without asking for the time.
func TestSpinOnTimer(t *testing.T) {
	fired := make(chan bool)
	time.AfterFunc(20*time.Millisecond, func() { close(fired) })
	for {
		select {
		case <-fired:
			return
		default:
		}
	}
}

func TestTicker(t *testing.T) {
	ticker, start := time.NewTicker(time.Minute), time.Now()
	defer ticker.Stop()
	for n := 0; n < 90; n++ {
		<-ticker.C
	}
	if took := time.Since(start); took < 90*time.Minute || took > 91*time.Minute {
		t.Fatalf("90 ticks of a minute took %v", took)
	}
}

func TestDeadline(t *testing.T) {
	limited, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	<-limited.Done()
	if limited.Err() != context.DeadlineExceeded {
		t.Fatal(limited.Err())
	}
}

// A child that sleeps for a day is ended after an hour.
func TestSleepingChild(t *testing.T) {
	if os.Getenv("SLEEP") != "" {
		time.Sleep(24 * time.Hour)
		return
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	child := exec.CommandContext(limited, os.Args[0], "-test.run=TestSleepingChild", "-test.timeout=0")
	child.Env = append(os.Environ(), "SLEEP=1")
	start := time.Now()
	if err := child.Run(); err == nil || err.Error() != "signal: killed" {
		t.Fatal(err)
	}
	if took := time.Since(start); took < time.Hour || took > 61*time.Minute {
		t.Fatalf("an hour took %v", took)
	}
}

// Only for -test.timeout to end.
func TestStuck(t *testing.T) {
	if os.Getenv("GOSTUCK") == "" {
		t.Skip("nobody wants to see it")
	}
	<-make(chan bool)
}
