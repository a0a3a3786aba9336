package part

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

var wrong = flag.Bool("wrong", false, "fail")

func TestFiles(t *testing.T) {
	for path, want := range map[string]string{"testdata/near": "near\n", "../testdata/far": "far\n"} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	here, err := os.Getwd()
	if err != nil || filepath.Base(here) != "part" || os.Getenv("PWD") != here {
		t.Error(here, os.Getenv("PWD"), err)
	}
	if _, file, _, _ := runtime.Caller(0); filepath.IsAbs(file) {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat("../../outside"); err == nil {
		t.Error("what is outside of the module is seen")
	}
}

func TestWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, path := range []string{path, "testdata/near", "made"} {
		if err := os.WriteFile(path, []byte(t.Name()), 0o600); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != t.Name() {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
}

func TestDouble(t *testing.T) {
	for _, n := range []int{0, 1, 21} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			if Double(n) != 2*n || *wrong {
				t.Errorf("%d doubled is not %d", n, Double(n))
			}
		})
	}
	t.Log("on", runtime.GOARCH)
}

func TestOthers(t *testing.T) {
	out, err := exec.Command("echo", "from", "a", "child").Output()
	if err != nil || !strings.HasPrefix(string(out), "from a child") {
		t.Errorf("%q, %v", out, err)
	}
}

func TestEnvironment(t *testing.T) {
	if other := os.Getenv("OTHER"); other != "" {
		t.Errorf("OTHER is %q", other)
	}
	t.Log("GOSETTING is", os.Getenv("GOSETTING"))
}

func BenchmarkDouble(b *testing.B) {
	for i := 0; i < b.N; i++ {
		Double(i)
	}
}
