"""What has killed a program that a signal ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from emu.kernel import signals
from emu.live.process import LiveProcess

if TYPE_CHECKING:
    from emu.live.run import LiveRun


class Killed(NamedTuple):
    """The signal by name; the thread that it came to, and its PC if it was on the CPU, as a number and in words;
    the address that a fault touched; what else there is to say."""

    signal: str
    thread: int
    pc: int | None
    at: str
    address: int | None
    why: str


def killed(live: LiveRun) -> Killed | None:
    """Of a run that is over; None if its first process was not killed."""
    task = live.kernel.main.task
    death = task.signals.death
    if death is None:
        return None
    process = cast(LiveProcess, task.process)
    there = process.machine.live.thread
    pc = process.role("pc") if there and there.contents.tid == death.tid else None
    at = "" if pc is None else live.guests[process].binary.functions.describe(pc)
    return Killed(signals.name(death.signal), death.tid, pc, at, death.address, death.why)
