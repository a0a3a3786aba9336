"""Watches one process: its crossings are judged as they happen, a broken one is told with what is known of it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from arch import golang
from asm.goelf import GoBinary
from emu.live import native
from emu.live.process import LiveProcess
from emu.live.watch import routines
from emu.live.watch.plan import encode


@dataclass(frozen=True)
class Broken:
    """A check of a crossing that does not hold."""

    routine: str
    moment: str
    what: str
    expected: str
    found: str
    row: int


class Watching:
    """The tables of a process's crossings."""

    def __init__(self, process: LiveProcess, binary: GoBinary) -> None:
        self._process = process
        self.plans = routines.plans(binary, process.arch)
        self._table, self._known = encode(self.plans)
        live, layout = process.machine.live, binary.layout
        assert layout is not None
        live.table, _ = self._table.buffer_info()
        live.plans, live.standing = len(self.plans), len(self.plans) - 1
        live.goid, live.lo, live.guard = layout["g.goid"], layout["g.stack.lo"], golang.era(binary.go).guards.guard
        for number, plan in enumerate(self.plans[:-1]):
            process.machine.watch(plan.entry, number)

    def counts(self) -> dict[str, int]:
        """Crossings so far, by routine."""
        live = self._process.machine.live
        return {plan.name: int(live.crossings[number]) for number, plan in enumerate(self.plans[:-1])}

    def broken(self) -> Broken:
        """What the machine has just stopped for; afterwards it may go on."""
        live = self._process.machine.live
        plan, stage, check = self._known[live.failed]
        what = f"{check.role} ({check.source}) → {check.place}" if check else f"control arrives at {stage.name}"
        found = Broken(plan.name, stage.name, what, hex(live.expected), hex(live.found), int(live.rows))
        live.failed = -1
        return found

    def depths(self) -> dict[int, int]:
        """goid (or, for threads' own stacks, minus their tid) -> the smallest distance of SP to its guard, in bytes."""
        live, found = self._process.machine.live, {}
        for number in range(live.room):
            depth = live.depths[number]
            if depth.key:
                key = depth.key if not depth.key >> 63 else -(depth.key & (1 << 63) - 1)
                found[int(key)] = int(depth.least)
        return found

    def last(self, count: int) -> list[native.Row]:
        """The last crossings that have ended, the newest first."""
        live = self._process.machine.live
        first = max(0, live.rows - min(count, native.RING))
        return [native.Row.from_buffer_copy(live.ring[n % native.RING]) for n in reversed(range(first, live.rows))]


def new_thread(tid: int, tls: int = 0) -> native.Thread:
    """A thread of which nothing has been seen."""
    thread = native.Thread()
    thread.tid, thread.tls = tid, tls
    return thread


def twin(thread: native.Thread, tid: int) -> native.Thread:
    """A thread that goes on where another is, in the midst of a crossing perhaps."""
    copied = native.Thread()
    ctypes.memmove(ctypes.addressof(copied), ctypes.addressof(thread), ctypes.sizeof(native.Thread))
    copied.tid = tid
    return copied
