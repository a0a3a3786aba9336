"""Recordings for the page's tests: a routine's run as it is, and runs made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from asm.program import Symbol
from emu import freerun
from emu.select import traced
from emu.trace.collector import Collector
from emu.trace.model import Header, Recording, Stack
from emu.trace.recording import InMemory
from emu.trace.watcher import Watcher

Open = Callable[..., Any]  # the fixture `opened`: a recording -> a context with its page
MADE_AGAIN = ("gate", "stop", "end")  # kinds of events that a repeated run keeps; the watcher finds the others


def recorded(routine: str, arch: str, era: str | None = None) -> Recording:
    """The first scene of a routine."""
    target, name = traced(routine, arch, era, None)
    found = freerun.trace(target, name, None, 10_000, None, ("trace", routine)).recording
    assert found is not None
    return found


def repeated(
    recording: Recording, times: int, outside: Mapping[int, tuple[int, bytes]] | None = None,
    header: Header | None = None,
) -> Recording:
    """The same run several times over; ``outside``: after a step, bytes that come to stand at an address."""
    header = header or recording.header
    found = InMemory(header)
    sink = Collector(header, found.add, recording.code, Watcher(header).events)
    count, others = recording.steps, dict(outside or {})
    rows, accesses, (cuts, states) = (
        recording.rows(0, count), recording.accesses(0, count), recording.cuts(0, count)
    )
    for write in recording.outside(-1, 0):
        sink.add_memory(*write)
    for turn in range(times):
        start = turn * count
        sink.add_rows(start, 0, rows.tobytes())
        moved = accesses.copy()
        moved["step"] += np.uint64(start)
        sink.add_accesses(moved.tobytes())
        for cut, state in zip(cuts.tolist(), states.tolist(), strict=True):
            sink.add_cut(start + cut, state)
        for event in recording.events(0, count):
            if event.kind in MADE_AGAIN and (event.kind != "end" or turn == times - 1):
                sink.add_event(start + event.step, event.kind, event.thread, event.data)
        for step in sorted(step for step in others if start <= step < start + count):
            sink.add_memory(step, *others[step])
    sink.close(times * count)
    return found


def preempted() -> tuple[Recording, int]:
    """A run in which somebody asks the goroutine to stop after step 3, and takes it back after 5; its g."""
    plain = recorded("mcall", "amd64")
    stack = next(stack for stack in plain.header.stacks if stack.label == "g")
    word, at = plain.header.arch.word, stack.g + plain.header.guard_offset
    special = next(value for value, name in plain.header.special.items() if name == "StackPreempt")
    writes = {3: (at, special.to_bytes(word, "little")), 5: (at, stack.guard.to_bytes(word, "little"))}
    return repeated(plain, 1, writes), stack.g


def renamed(recording: Recording, old: str, new: str) -> Recording:
    """The same run of a routine by another name."""
    symbols = {
        new if name == old else name: Symbol(new, symbol.address, symbol.size) if name == old else symbol
        for name, symbol in recording.header.program.symbols.items()
    }
    header = replace(
        recording.header, program=replace(recording.header.program, symbols=symbols), entered=f"{new}, switch",
        stacks=[stack._replace(name=stack.name.replace("g0", new)) for stack in recording.header.stacks],
    )
    return repeated(recording, 1, header=header)


def gapped(first: int, end: int) -> Recording:
    """A run of which the steps ``first`` up to ``end`` have no rows."""
    plain = recorded("mcall", "arm")
    found = InMemory(plain.header)
    sink = Collector(plain.header, found.add, plain.code)
    for write in plain.outside(-1, 0):
        sink.add_memory(*write)
    for low, high in ((0, first), (end, plain.steps)):
        sink.add_rows(low, 0, plain.rows(low, high).tobytes())
        sink.add_accesses(plain.accesses(low, high).tobytes())
    sink.close(plain.steps)
    return found


def on_many_stacks(count: int) -> Recording:
    """A run on one stack after the other, without memory."""
    plain = recorded("mcall", "amd64")
    own = next(stack for stack in plain.header.stacks if stack.label == "g")
    size = own.hi - own.lo
    stacks = [
        Stack(f"g{k} stack", f"g{k}", 0, own.lo + 16 * k * size, own.hi + 16 * k * size, own.guard + 16 * k * size)
        for k in range(1, count + 1)
    ]
    header = replace(plain.header, stacks=[*plain.header.stacks, *stacks])
    found = InMemory(header)
    sink, sp = Collector(header, found.add, plain.code), header.column("sp")
    rows = plain.rows(0, 8)
    for k in range(1, count + 1):
        moved = rows.copy()
        moved[:, sp] += np.uint64(16 * k * size)
        sink.add_rows((k - 1) * len(rows), 0, moved.tobytes())
    sink.close(count * len(rows))
    return found
