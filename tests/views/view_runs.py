"""Recordings for the tests of the views: runs as they are, and the same with something added or left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from assembled import target

from emu import freerun
from emu import target as targets
from emu.trace.collector import Collector
from emu.trace.model import ACCESS, Event, Outside, Recording
from emu.trace.recording import InMemory

# A loop in a loop: 3 turns of 20, and then one instruction that touches memory.
_X86 = "f:\nmov ebx, 3\nouter:\nmov ecx, 20\ninner:\ndec ecx\njnz inner\ndec ebx\njnz outer\n"
LOOPS = {
    "386": f"{_X86}push ebx\npop ecx\nret\n", "amd64": f"{_X86}push rbx\npop rcx\nret\n",
    "arm": (
        "f:\nmov r2, #3\nouter:\nmov r1, #20\ninner:\nsubs r1, r1, #1\nbne inner\nsubs r2, r2, #1\nbne outer\n"
        "str r2, [sp, #-4]!\nldr r1, [sp], #4\nmov pc, lr\n"
    ),
}
COUNTERS = {"386": "ecx", "amd64": "rcx", "arm": "r1"}  # the inner loop's


def recorded(arch: str, routine: str = "mcall", scene: str | None = None, era: str = "modern") -> Recording:
    found = freerun.trace(targets.of_era(era, arch), routine, scene, 10_000, None, ("trace", routine)).recording
    assert found is not None
    return found


def called(arch: str, text: str, steps: int = 10_000) -> Recording:
    """A call of ``f``."""
    found = freerun.trace(target("modern", arch, text), "f", None, steps).recording
    assert found is not None
    return found


def edited(
    recording: Recording, events: Iterable[Event] = (), outside: Iterable[Outside] = (),
    writes: Iterable[tuple[int, int, int]] = (), left_out: Sequence[tuple[int, int]] = (), times: int = 1,
) -> Recording:
    """The same run with more events, writes of others, writes of the guest (step, address, value), without the rows
    of some ranges, several times over."""
    header, count = recording.header, recording.steps
    found = InMemory(header)
    sink = Collector(header, found.add, recording.code)
    for write in recording.outside(-1, 0):
        sink.add_memory(*write)
    edges = sorted({0, count, *(edge for pair in left_out for edge in pair)})
    more = np.array([(step, at, value, header.arch.word, 1) for step, at, value in writes], ACCESS)
    accesses = np.concatenate([recording.accesses(0, count), more])
    accesses = accesses[np.argsort(accesses["step"], kind="stable")]
    told = sorted([*recording.events(0, count), *events], key=lambda event: event.step)
    cuts, states = recording.cuts(0, count)
    for turn in range(times):
        start = turn * count
        for low, high in pairwise(edges):
            if (low, high) not in left_out:
                sink.add_rows(start + low, 0, recording.rows(low, high).tobytes())
        moved = accesses.copy()
        moved["step"] += np.uint64(start)
        sink.add_accesses(moved.tobytes())
        for cut, state in zip(cuts.tolist(), states.tolist(), strict=True):
            sink.add_cut(start + cut, state)
        for event in told:
            if event.kind not in ("end", "check") or turn == times - 1:
                sink.add_event(start + event.step, event.kind, event.thread, event.data)
        for step, address, data in outside:
            sink.add_memory(start + step, address, data)
    sink.close(times * count)
    return found


def check(name: str, ok: bool, step: int) -> dict[str, Any]:
    """What a verdict says."""
    return {"name": name, "ok": ok, "expected": "one", "found": "one" if ok else "two", "role": "SP", "step": step}


def guard_address(recording: Recording, label: str) -> int:
    """Where the guard word of a g stands."""
    stack = next(stack for stack in recording.header.stacks if stack.label == label)
    return stack.g + recording.header.guard_offset
