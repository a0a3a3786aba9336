"""Watches one process: its crossings are judged as they happen, a broken one is told with what is known of it."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from arch import golang
from asm.goelf import GoBinary
from emu.live import native
from emu.live.process import LiveProcess
from emu.live.watch import routines
from emu.live.watch.plan import encode

_OWN = 1 << 63  # in a key of depths: a thread's own stacks, by its id


class Broken(NamedTuple):
    """A check that does not hold. ``what``: the value, where from, where to; ``goroutine`` 0 is the thread's own."""

    routine: str
    moment: str
    what: str
    expected: str
    found: str
    goroutine: int
    thread: int

    @property
    def who(self) -> str:
        return who(self.goroutine, self.thread)


class Crossed(NamedTuple):
    """A crossing that has ended: SP at entry and now, and where control is."""

    number: int
    routine: str
    goroutine: int
    thread: int
    sp_from: int
    sp: int
    at: str

    @property
    def who(self) -> str:
        return who(self.goroutine, self.thread)


def who(goroutine: int, thread: int) -> str:
    """``goroutine 7 on thread 1001``; a thread that runs its own stack has no goroutine."""
    return f"goroutine {goroutine} on thread {thread}" if goroutine else f"thread {thread}"


class Watching:
    """The tables of a process's crossings."""

    def __init__(self, process: LiveProcess, binary: GoBinary) -> None:
        self._process, self._binary = process, binary
        self.plans = routines.plans(binary, process.arch)
        self._table, self._known = encode(self.plans)
        live, layout, guards = process.machine.live, binary.layout, golang.era(binary.go).guards
        assert layout is not None
        self._layout = layout
        live.table, _ = self._table.buffer_info()
        live.low = min(start for plan in self.plans for start, _ in plan.inside)
        live.span = max(end for plan in self.plans for _, end in plan.inside) - live.low
        live.plans, live.standing = len(self.plans), len(self.plans) - 1
        live.goid, live.lo, live.guard = layout["g.goid"], layout["g.stack.lo"], guards.guard
        live.guard_word, live.preempt = layout[layout.guard], guards.special["StackPreempt"] & process.arch.mask
        names = [plan.name for plan in self.plans]
        self.hooked = "mayMoreStackPreempt" in names
        live.hook = names.index("mayMoreStackPreempt") if self.hooked else -1
        live.growing = sum(1 << number for number, name in enumerate(names) if name.startswith("morestack"))
        for number, plan in enumerate(self.plans[:-1]):
            process.machine.watch(plan.entry, number)

    def counts(self) -> dict[str, int]:
        """Crossings so far, by routine."""
        live = self._process.machine.live
        return {plan.name: int(live.crossings[number]) for number, plan in enumerate(self.plans[:-1])}

    def hook(self) -> tuple[int, int]:
        """Preemptions that a maymorestack hook asked for, and those of them that never happened."""
        live = self._process.machine.live
        return int(live.asked), int(live.lost)

    def broken(self, thread: int) -> Broken:
        """What the machine has just stopped for, on ``thread``; afterwards it may go on."""
        live = self._process.machine.live
        _, stage, check = self._known[live.failed]
        live.failed = -1
        now = live.thread.contents.now
        routine = self.plans[now.plan].name
        what = f"{check.role} ({check.source}) → {check.place}" if check else f"control goes on where {routine} leads"
        if now.active:  # what held no more when the routine was entered
            what = f"on entry: {what}"
        goroutine = self._goid(now.g) or self.goroutine()
        expected, found = self._named(live.expected), self._named(live.found)
        return Broken(routine, stage.name, what, expected, found, goroutine, thread)

    def fault(self, thread: int, pc: int, what: str) -> Broken | None:
        """A fault in the midst of a crossing, or where a wild jump out of it led: it may end in neither way."""
        now = self._process.machine.live.thread.contents.now
        if not now.active:
            return None
        routine, goroutine = self.plans[now.plan].name, self._goid(now.g) or self.goroutine()
        found = f"{what} at {self._named(pc)}"
        return Broken(routine, "", f"control leaves {routine}", "no fault", found, goroutine, thread)

    def _named(self, value: int) -> str:
        """A value, and the code that is there if it is an address of such."""
        function = self._binary.functions.at(value)
        return f"{value:#x} ({self._binary.functions.describe(value)})" if function else hex(value)

    def left(self) -> int:
        """The g that entered the crossing of now, if it does not run any more."""
        entered = int(self._process.machine.live.thread.contents.now.g)
        return entered if self._goid(entered) and not self.goroutine() else 0

    def goroutine(self) -> int:
        """The id of the goroutine on the CPU; 0 for a thread's own stacks, or when no g can be found."""
        machine, arch = self._process.machine, self._process.arch
        own, word = machine.live.thread.contents.tls, arch.word
        if arch.tls.g_register:
            return self._goid(machine.register(arch.tls.g_register))
        try:
            return self._goid(machine.word(own - word))
        except ValueError:
            return 0

    def _goid(self, g: int) -> int:
        try:
            return int.from_bytes(self._process.machine.read(g + self._layout["g.goid"], 8), "little")
        except ValueError:
            return 0

    def depths(self) -> dict[str, int]:
        """``goroutine N`` or ``thread N`` -> the smallest distance of SP to its guard at a crossing, in bytes."""
        live = self._process.machine.live
        found = [live.depths[n] for n in range(live.room) if live.depths[n].key and live.depths[n].crossings]
        return {
            f"thread {d.key & _OWN - 1}" if d.key & _OWN else f"goroutine {d.key}": int(d.least)
            for d in sorted(found, key=lambda d: d.key)
        }

    def last(self, count: int) -> list[Crossed]:
        """The last crossings that have ended, the newest first."""
        live = self._process.machine.live
        first = max(0, live.rows - min(count, native.RING))
        rows = [live.ring[n % native.RING] for n in reversed(range(first, live.rows))]
        return [
            Crossed(
                row.number, self.plans[row.plan].name, row.goid, row.tid, row.sp_from, row.sp,
                self._binary.functions.describe(row.pc),
            )
            for row in rows
        ]


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
