"""Runs a kernel's threads in turns until all have ended, none can go on, or the budget is spent."""

from __future__ import annotations

from typing import Literal, NamedTuple

from emu.kernel import signals
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.machine import Stop

TURN = 1000  # instructions that a thread may run while others could


class Outcome(NamedTuple):
    """How a run came to its end.

    ``ended``: no thread is left. ``deadlock``: all that are left are blocked. ``budget``: the steps are spent;
    ``thread`` was running. ``stop``: ``thread`` stopped in a way that is no system call (``stop`` says how: a
    gate, a fault or a breakpoint that it does not handle as a signal). ``waiting``: who is blocked, and in what.
    """

    kind: Literal["ended", "deadlock", "budget", "stop"]
    waiting: tuple[str, ...]
    thread: Thread | None = None
    stop: Stop | None = None


def run(kernel: Kernel, steps: int, turn: int = TURN, thread: Thread | None = None) -> Outcome:
    """Run for at most ``steps`` instructions, all threads together.

    A thread goes on until it blocks, ends, yields or has had its ``turn``; then it is the next one's, by tid, round
    and round. ``thread`` begins if it can. May be called again after ``budget`` or ``stop``.
    """
    left = turn if thread is not None else 0
    while True:
        ready = kernel.runnable()
        if not ready:
            return Outcome("deadlock" if kernel.threads else "ended", _waiting(kernel))
        if thread not in ready or not left:
            thread, left = _next(ready, thread), turn
        if steps <= 0:
            return Outcome("budget", _waiting(kernel), thread)
        if signals.deliver(thread):
            continue
        used, stop = _step(kernel, thread, min(left, steps))
        steps, left = steps - used, left - used
        if stop.kind == "syscall":
            kernel.trap(thread)
            if thread.yields:
                thread.yields, left = False, 0
        elif signals.catches(thread, stop):
            signals.fault(thread, stop)
        elif stop.kind != "budget":
            return Outcome("stop", _waiting(kernel), thread, stop)


def _next(ready: list[Thread], after: Thread | None) -> Thread:
    last = after.tid if after is not None else 0
    return next((thread for thread in ready if thread.tid > last), ready[0])


def _step(kernel: Kernel, thread: Thread, most: int) -> tuple[int, Stop]:
    kernel.load(thread)
    recorder = thread.process.machine.recorder
    before = recorder.steps
    stop = thread.process.run(most)
    for witness in kernel.witnesses:
        witness.ran(thread)
    return max(recorder.steps - before, 1), stop


def _waiting(kernel: Kernel) -> tuple[str, ...]:
    blocked = (thread for thread in kernel.threads if thread.state == "blocked")
    return tuple(f"thread {thread.tid} waits for {thread.waits_for}" for thread in blocked)
