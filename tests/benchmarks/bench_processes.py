"""What the processes of one run cost: memory of each while it lives, what is left of them, CPU of each.

Run it from the project's folder: ``python tests/benchmarks/bench_processes.py [ARCH]…``, all arches if nothing is
said. Each figure is of an interpreter of its own, on Linux: resident memory and address space as the kernel tells them
(/proc/self/status), CPU time of the process, user and system.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import toolchain

from emu.live.run import LiveRun, Settings, open_program
from emu.process import Process

AT_ONCE, FIRST, LAST = 20, 20, 200
_TARGET = 100_000_000  # bytes of one process beyond its own


def main(words: Sequence[str]) -> None:
    if words[:1] == ["of"]:
        {"together": _together, "series": _series}[words[1]](words[2])
        return
    for goarch in words or toolchain.GOARCHES:
        print(f"{goarch}:", flush=True)
        for figure in ("together", "series"):
            subprocess.run([sys.executable, __file__, "of", figure, goarch], check=True)


def _run(goarch: str, *args: str) -> tuple[LiveRun, Callable[[Callable[[int], None]], None]]:
    """A run, and what starts it with someone who is told of each process that ends, by how many did before."""
    path = toolchain.build("newest", goarch, toolchain.PROGRAM / "run" / "reexec")
    live = LiveRun(open_program(str(path)), args, Settings())
    close, ended = live.kernel.vacated, 0

    def start(told: Callable[[int], None]) -> None:
        def vacated(process: Process) -> None:
            nonlocal ended
            told(ended)
            close(process)
            ended += 1

        live.kernel.vacated = vacated
        assert live.run().status == 0, bytes(live.kernel.output[1])

    return live, start


def _together(goarch: str) -> None:
    """Memory of each of many that live at once."""
    live, start = _run(goarch, "many", str(AT_ONCE))
    before, found = _memory("VmRSS"), []

    def told(ended: int) -> None:
        if not ended:
            guests = sum(guest.process.space.used for guest in live.guests.values())
            found.extend((_memory("VmRSS") - before, guests, _memory("VmSize")))

    start(told)
    resident, guests, size = found
    each = resident / AT_ONCE
    met = "met" if each < _TARGET else "MISSED"
    _line(f"resident memory of each of {AT_ONCE}, its own included", f"{each / 1e6:.1f} MB", f"target 100 MB: {met}")
    _line("  accessible memory of the guest's own in that", f"{guests / (AT_ONCE + 1) / 1e6:.1f} MB at most")
    _line("  address space of all", f"{size / 1e6:.0f} MB")


def _series(goarch: str) -> None:
    """Growth and CPU of many after one another."""
    _, start = _run(goarch, "series", str(LAST))
    seen: dict[int, tuple[int, int, float]] = {}
    start(lambda ended: seen.update({ended + 1: (_memory("VmRSS"), _memory("VmSize"), time.process_time())}))
    (rss, size, cpu), (last_rss, last_size, last_cpu) = seen[FIRST], seen[LAST]
    _line(f"resident memory after {FIRST} processes, and after {LAST}", f"{rss / 1e6:.1f} MB, {last_rss / 1e6:.1f} MB")
    _line("  address space", f"{size / 1e6:.1f} MB, {last_size / 1e6:.1f} MB")
    _line("CPU of one process, its start by another included", f"{(last_cpu - cpu) / (LAST - FIRST):.3f} s")


def _memory(what: str) -> int:
    """Bytes of this process now."""
    found = re.search(rf"^{what}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _line(title: str, found: str, more: str = "") -> None:
    print(f"  {title:56}{found}  {more}".rstrip(), flush=True)


if __name__ == "__main__":
    os.environ.pop("STACKCARRY_LIVE", None)
    main(sys.argv[1:])
