"""How fast a long run is written into a file, and its ledger judged from there; and how much memory that takes.

The run is a real one, to g0's stack and back by systemstack, over and over.
Run it: python tests/benchmarks/bench_ledger.py [millions of steps]
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from emu import freerun
from emu import target as targets
from emu.trace.collector import Collector
from emu.trace.findings import findings
from emu.trace.ledger import accounts
from emu.trace.model import Recording
from emu.trace.reader import open_trace
from emu.trace.writer import Writer

BATCH = 1 << 13  # repetitions that are handed over at once


def recorded(arch: str) -> Recording:
    """One run to g0 and back."""
    found = freerun.trace(targets.of_era("modern", arch), "systemstack", None, 1000).recording
    assert found is not None
    return found


def write(path: str, arch: str, steps: int) -> float:
    """A file with the run repeated, at least so many steps; seconds of CPU."""
    once = recorded(arch)
    count, rows, accesses = once.steps, once.rows(0, once.steps), once.accesses(0, once.steps)
    start = time.process_time()
    sink: Collector = Writer(path, once.header, once.code)
    for outside in once.outside(-1, 0):
        sink.add_memory(outside.step, outside.address, outside.data)
    repeated, block = np.tile(rows, (BATCH, 1)), np.tile(accesses, BATCH)
    offsets = np.repeat(np.arange(BATCH, dtype=np.uint64) * np.uint64(count), len(accesses))
    at = 0
    while at < steps:
        moved = block.copy()
        moved["step"] += offsets + np.uint64(at)
        sink.add_rows(at, 0, repeated.tobytes())
        sink.add_accesses(moved.tobytes())
        at += count * BATCH
    sink.close(at)
    return time.process_time() - start


def judge(path: str, queue: multiprocessing.Queue[tuple[int, int, int, float, int]]) -> None:
    """Steps, switches, findings, seconds of CPU, and peak memory in MiB beyond what the imports take."""
    before = peak()
    start = time.process_time()
    with open_trace(path) as recording:
        found = len(list(findings(recording)))
        spent = time.process_time() - start
        switches = sum(int(np.count_nonzero(np.diff(account.g))) for account in accounts(recording, 0, 1 << 16))
        queue.put((recording.steps, switches, found, spent, peak() - before))


def peak() -> int:
    """The most memory that this process has had, in MiB."""
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) >> 10


def main() -> None:
    millions = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    context = multiprocessing.get_context("spawn")
    print(f"{'arch':6} {'steps':>10} {'write s':>8} {'file MiB':>9} {'judge s':>8} {'peak MiB':>9} {'findings':>9}")
    for arch in ("386", "amd64", "arm"):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.trace")
            written = write(path, arch, int(millions * 1e6))
            queue: multiprocessing.Queue[tuple[int, int, int, float, int]] = context.Queue()
            child = context.Process(target=judge, args=(path, queue))
            child.start()
            steps, switches, found, spent, peak = queue.get()
            child.join()
            assert switches, "the run changes from one g to another"
            size = os.path.getsize(path) / 2**20
        print(f"{arch:6} {steps:>10} {written:>8.1f} {size:>9.1f} {spent:>8.2f} {peak:>9} {found:>9}")


if __name__ == "__main__":
    main()
