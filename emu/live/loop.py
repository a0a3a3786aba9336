"""Runs a whole program's threads in turns until its process has ended."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal, cast

from emu.interrupt import INTERRUPT
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.live import native, watching
from emu.live.process import LiveProcess
from emu.machine import Stop

SLICE = 20_000  # blocks that a thread may run while others could


@dataclass
class Limits:
    """``blocks``: most of all threads together. ``slice``: of one turn. ``seed``: None keeps turns in order of tid."""

    blocks: int
    slice: int = SLICE
    seed: int | None = None


@dataclass
class Ending:
    """How a run ended. ``status``: wait4's word of the first process."""

    kind: Literal["ended", "deadlock", "budget", "broken"]
    status: int = 0
    waiting: tuple[str, ...] = ()


@dataclass
class Loop:
    """``at``: what is to happen at breakpoints, by address. ``broken``: is told of a crossing that does not hold; True
    goes on."""

    kernel: Kernel
    limits: Limits
    at: dict[int, Callable[[Thread], None]] = field(default_factory=dict)
    broken: Callable[[Thread], bool] = lambda _thread: False
    seen: dict[Thread, native.Thread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = Random(self.limits.seed) if self.limits.seed is not None else None
        self._ran, self._since = 0, 0
        self._cpu = cast(LiveProcess, self.kernel.main.process).machine
        self.kernel.clock.ran = self._time

    def _time(self) -> int:
        """Nanoseconds that all CPUs together have run."""
        return self._ran + (self._cpu.blocks - self._since) * self._cpu.live.block_time

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
                    return Ending("deadlock", waiting=tuple(f"{t.tid}: {t.waits_for}" for t in kernel.threads))
                continue
            if left <= 0:
                return Ending("budget", waiting=(f"thread {thread.tid}",))
            used, ended = self._turn(thread, min(left, self.limits.slice))
            left -= used
            if ended:
                return Ending("broken")
        return Ending("ended", main.status)

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
        kernel, cpu = self.kernel, cast(LiveProcess, thread.process).machine
        self._ran, self._cpu, self._since = self._time(), cpu, cpu.blocks
        self._load(thread)
        first = cpu.blocks
        last = first + blocks
        while thread.state == "runnable" and cpu.blocks < last:
            if kernel.deliver(thread):
                continue
            stop = cpu.go(last - cpu.blocks)
            if self._happened(thread, stop):
                return cpu.blocks - first, True
            if thread.yields:
                thread.yields = False
                break
        used = cpu.blocks - first
        thread.ran += used * cpu.live.block_time
        return max(used, 1), False

    def _load(self, thread: Thread) -> None:
        self.kernel.load(thread)
        live = cast(LiveProcess, thread.process).machine.live
        if thread not in self.seen:
            self.seen[thread] = watching.new_thread(thread.tid)
        self.seen[thread].tls = thread.tls
        live.thread = ctypes.pointer(self.seen[thread])
        live.clock = self.kernel.clock.now - live.blocks * live.block_time

    def _happened(self, thread: Thread, stop: Stop) -> bool:
        if stop.kind == "syscall":
            self.kernel.trap(thread)
            self.seen[thread].tls = thread.tls  # it may have moved
        elif stop.kind == "check":
            return not self.broken(thread)
        elif stop.kind == "exit":
            self.at[stop.pc](thread)
        elif stop.kind != "budget":
            self.kernel.fault(thread, stop)
        return False
