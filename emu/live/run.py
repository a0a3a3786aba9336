"""A whole program, from its file to its exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import arch as arches
from arch import golang, releases
from asm import goelf
from asm.goelf import GoBinary
from emu.contracts.judge import Check
from emu.kernel import mapping, rootfs, segments, waits
from emu.kernel.files import Empty, Host
from emu.kernel.kernel import Kernel
from emu.kernel.table import Image, Thread
from emu.live import boot
from emu.live.files import Files, give
from emu.live.loop import Ending, Limits, Loop
from emu.live.process import MOST_MEMORY, LiveProcess
from emu.live.rare import Rare
from emu.live.stackwalk import Frame, walk
from emu.live.watch.routines import find
from emu.live.watching import Broken, Crossed, Watching
from emu.machine import Stop

BLOCKS = 2_000_000_000
"""Blocks that a program may run unless it is told otherwise."""


@dataclass
class Settings:
    """What a user may choose. ``environment`` is added to the default one; ``keep_going``: past broken checks.

    ``host``: the guest's input and outputs are this process's; otherwise its input is empty and its outputs are kept.
    ``memory``: bytes. ``files``: what is seen of the host's, beside the program.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=lambda: Limits(BLOCKS))
    ncpu: int = 2
    checked: bool = True
    keep_going: bool = False
    memory: int = MOST_MEMORY
    host: bool = False
    files: Files = field(default_factory=Files)


class LiveRun:
    """One program in a kernel of its own. ``watching`` is None for a run without checks; ``unchecked`` says why there
    can be none.

    ``found``: what broke; ``told`` is called for each, while the guest stands there.
    """

    def __init__(self, binary: GoBinary, arguments: Sequence[str], settings: Settings) -> None:
        self.binary = binary
        self.process = LiveProcess(arches.get(binary.arch), binary.program, settings.memory)
        self.kernel = Kernel(self.process)
        for module in (mapping, segments, waits):
            self.kernel.add(module.CALLS)
        self.kernel.random, self.kernel.cpus = Random(settings.limits.seed or 0), settings.ncpu
        path, environment = str(binary.path), {**boot.ENVIRONMENT, **settings.environment}
        boot.start(self.process, binary.entry, path, (path, *arguments), environment, self.kernel.random)
        self._open(path, arguments, settings)
        self.loop = Loop(self.kernel, settings.limits, broken=self._broken)
        self.found: list[Broken] = []
        self.told: Callable[[Broken], None] = lambda _broken: None
        self._keep_going = settings.keep_going
        self.watching: Watching | None = None
        self.rare: Rare | None = None
        self.unchecked = _unknown(binary)
        if settings.checked and not self.unchecked:
            self.watching = Watching(self.process, binary)
            self.rare = Rare(self.loop, self.process, binary, self._judged)
            self.loop.faulted = self._faulted
            self.loop.at_trap, self.loop.stopped = self.rare.at_trap, self.rare.stopped
        self._answer_ticks()

    def _open(self, path: str, arguments: Sequence[str], settings: Settings) -> None:
        """The first process's descriptors and name."""
        task = self.kernel.main.task
        task.image = Image(path, (path, *arguments))
        give(task, settings.files)
        rootfs.place(task, path, self.binary.path.read_bytes())
        if not settings.host:
            return
        own = ((sys.stdin, 0), (sys.stdout, 1), (sys.stderr, 1))
        for number in range(len(own)):
            task.files.close(number)
        for stream, mode in own:
            task.files.open(Host(stream.buffer, mode) if stream is not None else Empty())
        for number, (stream, _) in enumerate(own):
            if stream is None:  # closed here, closed there
                task.files.close(number)

    def _answer_ticks(self) -> None:
        """The cycle counter is the virtual clock, or no two runs were alike."""
        ticks = find(self.binary, "cputicks")
        if ticks is not None and self.process.arch.isa == "x86":
            self.process.machine.answer_ticks(ticks.address)

    def _broken(self, thread: Thread) -> bool:
        assert self.watching is not None
        self._note(self.watching.broken(thread.tid))
        return self._keep_going

    def _faulted(self, thread: Thread, stop: Stop) -> bool:
        assert self.watching is not None
        touched = "an illegal instruction" if stop.address is None else f"a fault touching {stop.address:#x}"
        broken = self.watching.fault(thread.tid, stop.pc, touched)
        if broken is None:
            return False
        self._note(broken)
        return not self._keep_going

    def _judged(self, thread: Thread, routine: str, check: Check) -> None:
        if not check.ok:
            assert self.watching is not None
            goroutine = self.watching.goroutine()
            what = f"{check.role} ({check.source}) → {check.target}" if check.target else check.name
            self._note(Broken(routine, check.moment, what, check.expected, check.found, goroutine, thread.tid))
            self.loop.over = not self._keep_going

    def _note(self, broken: Broken) -> None:
        self.found.append(broken)
        self.told(broken)

    def run(self) -> Ending:
        """Run it to its end."""
        return self.loop.run()

    # what is told of it

    @property
    def blocks(self) -> int:
        """Blocks that ran so far."""
        return self.process.machine.blocks

    def frames(self) -> Iterator[Frame]:
        """The call stack of who is on the CPU, the innermost call first, and of the goroutine whose stack was left."""
        return walk(self.process, self.binary, self.watching.left() if self.watching else 0)

    def crossed(self, count: int) -> list[Crossed]:
        """The last crossings, the newest first."""
        return self.watching.last(count) if self.watching else []

    def summary(self) -> dict[str, Any]:
        """Counts of all that was seen; sizes and distances in bytes."""
        live, kernel, rare = self.process.machine.live, self.kernel, self.rare
        crossings = {**(self.watching.counts() if self.watching else {}), **(rare.counts if rare else {})}
        asked, lost = self.watching.hook() if self.watching and self.watching.hooked else (None, None)
        calls = dict(kernel.calls)
        calls["clock_gettime"] = calls.get("clock_gettime", 0) + int(live.answered)
        return {
            "program": str(self.binary.path), "arch": self.binary.arch, "go": self.binary.go,
            "blocks": self.blocks, "virtual_ns": kernel.clock.now, "broken": len(self.found),
            "crossings": crossings, "growths": rare.growths if rare else 0, "shrinks": rare.shrinks if rare else 0,
            "hook_preemptions": asked, "hook_lost": lost,
            "calls": dict(sorted(calls.items())), "unknown": dict(sorted(kernel.unknown.items())),
            "memory": self.process.space.peak, "distance": self.watching.depths() if self.watching else {},
            "digest": f"{live.digest:016x}",
        }


def _unknown(binary: GoBinary) -> str:
    """Why a program's crossings cannot be checked; empty if they can."""
    try:
        golang.era(binary.go)
    except KeyError:
        first, *_, last = releases.known()
        return f"built by {binary.go}; what the routines of {first} to {last} carry is known"
    return binary.unknown


def open_program(path: str) -> GoBinary:
    """Raises ElfError for a file that is no program we can run."""
    return goelf.load(path, quick=True)
