"""One program in a process of its own, and everything that watches it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from arch import golang, releases
from asm.goelf import GoBinary
from emu.contracts.judge import Check
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.live.process import LiveProcess
from emu.live.rare import Rare
from emu.live.stackwalk import Frame, walk
from emu.live.watch.routines import find
from emu.live.watching import Broken, Crossed, Watching
from emu.machine import Stop


class Guest:
    """``watching`` and ``rare`` are None for a program whose crossings are not checked; ``unchecked`` says why not,
    where they should be. ``name``: of the process, none for the first.

    ``broke``: is told what does not hold.
    """

    def __init__(
        self, kernel: Kernel, process: LiveProcess, binary: GoBinary, checked: bool,
        broke: Callable[[Broken], None], name: str,
    ) -> None:
        self.binary, self.process, self.name, self._broke = binary, process, name, broke
        self.watching: Watching | None = None
        self.rare: Rare | None = None
        self.unchecked = _unknown(binary) if checked else ""
        if checked and not self.unchecked:
            self.watching = Watching(process, binary)
            self.rare = Rare(kernel, process, binary, self._judged)
        ticks = find(binary, "cputicks")
        if ticks is not None and process.arch.isa == "x86":  # the virtual clock, or no two runs were alike
            process.machine.answer_ticks(ticks.address)

    # what the loop tells

    def broken(self, thread: Thread) -> None:
        """A crossing that native code has judged does not hold."""
        assert self.watching is not None
        self._broke(self.watching.broken(thread.tid))

    def faulted(self, thread: Thread, stop: Stop) -> None:
        """A fault: in the midst of a crossing it breaks that."""
        if self.watching is None:
            return
        touched = "an illegal instruction" if stop.address is None else f"a fault touching {stop.address:#x}"
        broken = self.watching.fault(thread.tid, stop.pc, touched)
        if broken is not None:
            self._broke(broken)

    def stopped(self, thread: Thread) -> None:
        """A stop of any kind."""
        if self.rare is not None:
            self.rare.stopped(thread)

    def at_trap(self, thread: Thread) -> None:
        """A system call that is about to be handled."""
        if self.rare is not None:
            self.rare.at_trap(thread)

    def _judged(self, thread: Thread, routine: str, check: Check) -> None:
        if not check.ok:
            assert self.watching is not None
            goroutine = self.watching.goroutine()
            what = f"{check.role} ({check.source}) → {check.target}" if check.target else check.name
            self._broke(Broken(routine, check.moment, what, check.expected, check.found, goroutine, thread.tid))

    # what is told of it

    def frames(self) -> Iterator[Frame]:
        """The call stack of who is on the CPU, the innermost call first, and of the goroutine whose stack was left."""
        return walk(self.process, self.binary, self.watching.left() if self.watching else 0)

    def crossed(self, count: int) -> list[Crossed]:
        """The last crossings, the newest first."""
        return self.watching.last(count) if self.watching else []

    def close(self) -> None:
        """Give back what the process has used."""
        if self.rare is not None:
            self.rare.borrowed.close()
        self.process.close()


def _unknown(binary: GoBinary) -> str:
    """Why a program's crossings cannot be checked; empty if they can."""
    try:
        golang.era(binary.go)
    except KeyError:
        first, *_, last = releases.known()
        return f"built by {binary.go}; what the routines of {first} to {last} carry is known"
    return binary.unknown
