"""How long views of a long trace take, and how much memory: what they leave out, they must not read.

The run goes to g0's stack and back over and over (see bench_ledger); `--only switches` prints one step in twelve.
Run it: python tests/benchmarks/bench_views.py [millions of steps]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from bench_ledger import write

VIEWS = (
    ("--summary",), ("--only", "sys"), ("--only", "guard"), ("--only", "switches"), ("--fold",), ("--around", "100000"),
    ("--summary", "--json"),
)


def measured(command: list[str]) -> tuple[float, int, int]:
    """Seconds of CPU, MiB at most, and lines."""
    script = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss, done.stdout.count(b'\\n'))"
    )
    found = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=True)
    seconds, memory, lines = found.stdout.split()
    return float(seconds), int(memory) // 1024, int(lines)


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    print(f"{'view':22} {'CPU s':>7} {'wall s':>7} {'peak MiB':>9} {'lines':>8}")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "run.trace")
        write(path, "amd64", int(millions * 1e6))
        for options in VIEWS:
            start = time.monotonic()
            seconds, memory, lines = measured([sys.executable, "-m", "emu.cli", "view", path, *options])
            wall = time.monotonic() - start
            print(f"{' '.join(options):22} {seconds:7.1f} {wall:7.1f} {memory:9} {lines:8}")


if __name__ == "__main__":
    main()
