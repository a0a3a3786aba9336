"""Runs a whole program's threads in turns until its process has ended."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal, cast

from emu.interrupt import INTERRUPT
from emu.kernel import signals, timers
from emu.kernel.frames import Pushed
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.live import native, watching
from emu.live.cpu import BLOCK_TIME
from emu.live.process import LiveProcess
from emu.machine import Stop

SLICE = 20_000  # blocks that a thread may run while others could
TIME = 7 * 24 * 3600 * 10**9  # virtual nanoseconds: the monitor of a program that is stuck wakes for ever


@dataclass
class Limits:
    """``blocks``: most of all threads together, ``time``: virtual nanoseconds. ``slice``: of one turn, in blocks.

    ``seed``: of the order of turns; None keeps them in order of tid.
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
    """``at``: what is to happen at breakpoints, by address. ``broken``: is told of a crossing that does not hold; True
    goes on. ``faulted``: of a fault; True ends the run. ``at_trap``: of a system call before it is handled,
    ``trapped`` afterwards, ``stopped`` of every stop, before anything else. ``seen``: the crossings of threads."""

    kernel: Kernel
    limits: Limits
    at: dict[int, Callable[[Thread], None]] = field(default_factory=dict)
    broken: Callable[[Thread], bool] = lambda _thread: False
    at_trap: Callable[[Thread], None] = lambda _thread: None
    faulted: Callable[[Thread, Stop], bool] = lambda _thread, _stop: False
    stopped: Callable[[Thread], None] = lambda _thread: None
    trapped: Callable[[Thread], None] = lambda _thread: None
    over: bool = False
    seen: dict[Thread, native.Thread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = Random(self.limits.seed) if self.limits.seed is not None else None
        self._ran, self._since, self._accounted = 0, 0, 0
        self._cpu = cast(LiveProcess, self.kernel.main.process).machine
        self.kernel.clock.ran = self._time
        self.kernel.on_signal, self.kernel.on_sigreturn = self._interrupted, self._resumed
        self._set_aside: dict[tuple[Thread, int], native.Crossing] = {}

    def _time(self) -> int:
        """Nanoseconds that all CPUs together have run."""
        return self._ran + (self._cpu.blocks - self._since) * BLOCK_TIME

    def run(self) -> Ending:
        """Run until the first process ends, all wait for ever, the budget is spent, or a broken crossing ends it."""
        kernel, main, left = self.kernel, self.kernel.main.task, self.limits.blocks
        thread: Thread | None = None
        while main.status is None:
            self._check_interrupt()
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
            used, ended = self._turn(thread, min(left, self.limits.slice))
            left -= used
            if ended:
                return Ending("broken")
        return Ending("ended", main.status)

    def _interrupted(self, thread: Thread, frame: Pushed) -> None:
        """A handler begins: the crossing that the thread is in goes on when it has come back, and so does the
        instruction there, which has not run: a breakpoint at it counts again."""
        cast(LiveProcess, thread.process).machine.live.skip = 0
        now = self.seen[thread].now
        if now.active:
            self._set_aside[thread, frame.address] = native.Crossing.from_buffer_copy(now)
            now.active = 0

    def _resumed(self, thread: Thread, frame: Pushed | None) -> None:
        crossing = self._set_aside.pop((thread, frame.address), None) if frame else None
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

    def _turn(self, thread: Thread, blocks: int) -> tuple[int, bool]:
        """Let a thread run until its turn is over or it cannot go on: blocks used, and whether the run is to end."""
        cpu = cast(LiveProcess, thread.process).machine
        self._ran, self._cpu, self._since = self._time(), cpu, cpu.blocks
        self._accounted = self._ran
        self._load(thread)
        first = cpu.blocks
        last = first + blocks
        while thread.state == "runnable" and cpu.blocks < last:
            if signals.deliver(thread):
                continue
            stop = cpu.go(min(last - cpu.blocks, self._until_timer(thread)))
            if self._happened(thread, stop) or self.over:
                return cpu.blocks - first, True
            self._account(thread)
            if thread.yields:
                thread.yields = False
                break
        return max(cpu.blocks - first, 1), False

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

    def _happened(self, thread: Thread, stop: Stop) -> bool:
        self.stopped(thread)
        if stop.kind == "syscall":
            self.at_trap(thread)
            self.kernel.trap(thread)
            self.trapped(thread)
            self.seen[thread].tls = thread.tls  # it may have moved
        elif stop.kind == "check":
            return not self.broken(thread)
        elif stop.kind == "exit":
            self.at[stop.pc](thread)
            cpu = cast(LiveProcess, thread.process).machine
            cpu.live.skip = stop.pc if cpu.register(cpu.arch.roles["pc"]) == stop.pc else 0
        elif stop.kind != "budget":
            if self._gives_way(stop):
                thread.yields = True
            elif self.faulted(thread, stop):
                return True
            else:
                signals.fault(thread, stop)
        return False

    def _gives_way(self, stop: Stop) -> bool:
        """Whether a stop is no fault but an instruction to wait a little, which PC has passed."""
        known = self._cpu.arch.gives_way
        if known is None or stop.kind != "fault" or stop.address is not None:
            return False
        code = int.from_bytes(self._cpu.read(stop.pc - 4, 4), "little")
        return code & known[0] == known[1]
