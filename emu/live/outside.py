"""Signals that the command gets while its guests run: the first process gets them, as if it had been run itself.

SIGINT is for its whole group, as a terminal sends it. A second Ctrl-C ends the run, as one does while the guest waits
for the command's own input.
"""

from __future__ import annotations

import os
import signal as host
from collections.abc import Iterator
from contextlib import contextmanager

from arch.signals import Code, Signal
from emu.interrupt import INTERRUPT
from emu.kernel import files, signals
from emu.kernel.pending import Info
from emu.live.run import LiveRun

HANDED = (Signal.SIGINT, Signal.SIGTERM, Signal.SIGQUIT, Signal.SIGHUP)


@contextmanager
def handed(live: LiveRun) -> Iterator[None]:
    """Hand them over until the end of this context. To be used in the main thread."""
    arrived: list[int] = []
    interrupts = 0

    def arrive(number: int, frame: object) -> None:
        nonlocal interrupts
        interrupts += number == Signal.SIGINT
        if number == Signal.SIGINT and (interrupts > 1 or files.WAITING):
            INTERRUPT.handle(number, frame)
        elif files.WAITING:
            host.signal(number, host.SIG_DFL)
            os.kill(os.getpid(), number)
        else:
            arrived.append(number)

    def between() -> None:
        while arrived:
            number, first = arrived.pop(0), live.kernel.main.task
            others = [t for t in live.kernel.tasks.values() if t is not first and t.group == first.group]
            for task in (first, *(others if number == Signal.SIGINT else ())):
                signals.send_task(task, Info(number, Code.KERNEL))

    live.loop.between = between
    before = {number: host.signal(number, arrive) for number in HANDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            host.signal(number, handler)
