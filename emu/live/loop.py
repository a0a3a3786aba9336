"""Runs a whole program's threads in turns until its process has ended."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal, cast
from weakref import WeakKeyDictionary

from emu.interrupt import INTERRUPT
from emu.kernel import signals, timers
from emu.kernel.frames import Pushed
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.live import native, watching
from emu.live.cpu import BLOCK_TIME, CALL_TIME
from emu.live.process import LiveProcess
from emu.machine import Stop

SLICE = 20_000  # blocks that a thread may run while others could
TIME = 7 * 24 * 3600 * 10**9  # virtual nanoseconds: the monitor of a program that is stuck wakes for ever


@dataclass
class Limits:
    """``blocks``: most of all threads together, ``time``: virtual nanoseconds. ``slice``: of one turn, in blocks.

    ``seed``: of the order of turns and of their lengths, up to the slice: with turns of one length threads that wait
    for each other may miss each other for ever. None keeps them in order of tid, and as long as the slice.
    """

    blocks: int
    slice: int = SLICE
    time: int = TIME
    seed: int | None = None


@dataclass
class Ending:
    """How a run ended. ``status``: wait4's word of the first process."""

    kind: Literal["ended", "deadlock", "budget", "time", "broken"]
    status: int = 0
    waiting: tuple[str, ...] = ()


@dataclass
class Loop:
    """``broken``: is told of a crossing that does not hold, ``faulted`` of a fault, ``at_trap`` of a system call before
    it is handled, ``trapped`` afterwards, ``stopped`` of every stop, before anything else. ``between`` is called before
    each turn. Who is told may set
    ``over``, which ends the run. ``thread``: the one that ran last. ``seen``: the crossings of threads."""

    kernel: Kernel
    limits: Limits
    broken: Callable[[Thread], None] = lambda _thread: None
    at_trap: Callable[[Thread], None] = lambda _thread: None
    faulted: Callable[[Thread, Stop], None] = lambda _thread, _stop: None
    stopped: Callable[[Thread], None] = lambda _thread: None
    trapped: Callable[[Thread], None] = lambda _thread: None
    between: Callable[[], None] = lambda: None
    over: bool = False
    seen: WeakKeyDictionary[Thread, native.Thread] = field(default_factory=WeakKeyDictionary)

    def __post_init__(self) -> None:
        self._random = Random(self.limits.seed) if self.limits.seed is not None else None
        self._ran, self._since, self._accounted = 0, 0, 0
        self.thread = self.kernel.main
        self._cpu = cast(LiveProcess, self.thread.process).machine
        self.kernel.clock.ran = self._time
        self.kernel.on_signal, self.kernel.on_sigreturn = self._interrupted, self._resumed
        self._set_aside: dict[tuple[int, int], native.Crossing] = {}

    def _time(self) -> int:
        """Nanoseconds that all CPUs together have run."""
        return self._ran + self._cpu.ran - self._since

    def forget(self, thread: Thread) -> None:
        """A thread begins anew, in the midst of nothing."""
        self.seen.pop(thread, None)

    def run(self) -> Ending:
        """Run until the first process ends, all wait for ever, the budget is spent, or a broken crossing ends it."""
        kernel, main, left = self.kernel, self.kernel.main.task, self.limits.blocks
        thread: Thread | None = None
        while main.status is None:
            self._check_interrupt()
            self.between()
            kernel.clock.fire(kernel)
            thread = self._choose(kernel.runnable(), thread)
            if thread is None:
                if not self._skip():
                    return Ending("deadlock", waiting=self._waiting())
                continue
            if left <= 0:
                return Ending("budget", waiting=self._waiting())
            if kernel.clock.now > self.limits.time:
                return Ending("time", waiting=self._waiting())
            left -= self._turn(thread, min(left, self.limits.slice))
            if self.over:
                return Ending("broken")
        return Ending("ended", main.status)

    def _interrupted(self, thread: Thread, frame: Pushed) -> None:
        """A handler begins: the crossing that the thread is in goes on when it has come back, and so does the
        instruction there, which has not run: a breakpoint at it counts again."""
        cast(LiveProcess, thread.process).machine.live.skip = 0
        now = self.seen[thread].now
        if now.active:
            self._set_aside[thread.tid, frame.address] = native.Crossing.from_buffer_copy(now)
            now.active = 0

    def _resumed(self, thread: Thread, frame: Pushed | None) -> None:
        crossing = self._set_aside.pop((thread.tid, frame.address), None) if frame else None
        if crossing is not None:
            self.seen[thread].now = crossing

    def _waiting(self) -> tuple[str, ...]:
        """What every thread is at."""
        return tuple(
            f"thread {t.tid} waits for {t.waits_for}" if t.state == "blocked" else f"thread {t.tid} runs"
            for t in self.kernel.threads
        )

    def _check_interrupt(self) -> None:
        if INTERRUPT.asked:
            INTERRUPT.asked = False
            raise KeyboardInterrupt

    def _choose(self, ready: list[Thread], after: Thread | None) -> Thread | None:
        if not ready:
            return None
        if self._random is not None:
            return self._random.choice(ready)
        last = after.tid if after is not None else 0
        return next((thread for thread in ready if thread.tid > last), ready[0])

    def _skip(self) -> bool:
        """Everyone waits: time jumps to what comes first."""
        due = [t.deadline for t in self.kernel.threads if t.deadline is not None]
        timer = self.kernel.clock.due()
        if timer is not None:
            due.append(timer)
        if not due:
            return False
        self.kernel.clock.advance(min(due))
        return True

    def _turn(self, thread: Thread, blocks: int) -> int:
        """Let a thread run until its turn is over or it cannot go on: blocks used."""
        cpu = cast(LiveProcess, thread.process).machine
        self._ran, self._cpu, self._since, self.thread = self._time(), cpu, cpu.ran, thread
        self._accounted = self._ran
        self._load(thread)
        first = cpu.blocks
        last = first + (blocks if self._random is None else self._random.randint(1, blocks))
        while thread.state == "runnable" and cpu.blocks < last:
            if signals.deliver(thread):
                continue
            stop = cpu.go(min(last - cpu.blocks, self._until_timer(thread)))
            self._happened(thread, stop)
            self._account(thread)
            if thread.yields or self.over or thread.process.machine is not cpu:
                thread.yields = False
                break
        return max(cpu.blocks - first, 1)

    def _until_timer(self, thread: Thread) -> int:
        """Blocks until a timer is due that the thread's own running brings nearer."""
        due = timers.due(thread)
        return due // BLOCK_TIME + 1 if due is not None else self.limits.slice

    def _account(self, thread: Thread) -> None:
        """Add what has run to the thread's time."""
        now = self._time()
        thread.ran += now - self._accounted
        self._accounted = now
        timers.ran(thread)

    def _load(self, thread: Thread) -> None:
        self.kernel.load(thread)
        live = cast(LiveProcess, thread.process).machine.live
        if thread not in self.seen:
            lender = self.seen.get(thread.lender) if thread.lender else None
            self.seen[thread] = watching.twin(lender, thread.tid) if lender else watching.new_thread(thread.tid)
        self.seen[thread].tls = thread.tls
        live.thread = ctypes.pointer(self.seen[thread])
        live.skip = 0
        live.clock = self.kernel.clock.now - live.blocks * live.block_time

    def _happened(self, thread: Thread, stop: Stop) -> None:
        self.stopped(thread)
        if stop.kind == "syscall":
            self.at_trap(thread)
            self._ran += CALL_TIME
            cast(LiveProcess, thread.process).machine.live.clock += CALL_TIME
            self.kernel.trap(thread)
            self.trapped(thread)
            if thread in self.seen:
                self.seen[thread].tls = thread.tls  # it may have moved
        elif stop.kind == "check":
            self.broken(thread)
        elif stop.kind == "exit":
            process = cast(LiveProcess, thread.process)
            process.at[stop.pc](thread)
            process.machine.live.skip = stop.pc if process.role("pc") == stop.pc else 0
        elif stop.kind != "budget":
            if self._gives_way(stop):
                thread.yields = True
                return
            self.faulted(thread, stop)
            if not self.over:
                signals.fault(thread, stop)

    def _gives_way(self, stop: Stop) -> bool:
        """Whether a stop is no fault but an instruction to wait a little, which PC has passed."""
        known = self._cpu.arch.gives_way
        if known is None or stop.kind != "fault" or stop.address is not None:
            return False
        code = int.from_bytes(self._cpu.read(stop.pc - 4, 4), "little")
        return code & known[0] == known[1]
