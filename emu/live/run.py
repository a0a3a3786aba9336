"""A whole program, from its file to its exit status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import arch as arches
from arch import golang
from asm import goelf
from asm.goelf import GoBinary
from emu.contracts.judge import Check
from emu.kernel import mapping, segments, waits
from emu.kernel.kernel import Kernel
from emu.live import boot
from emu.live.loop import Ending, Limits, Loop
from emu.live.process import MOST_MEMORY, LiveProcess
from emu.live.rare import Rare
from emu.live.watch.routines import find
from emu.live.watching import Broken, Watching

BLOCKS = 2_000_000_000
"""Blocks that a program may run unless it is told otherwise."""


@dataclass
class Settings:
    """What a user may choose. ``environment`` is added to the default one; ``keep_going``: past broken checks."""

    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=lambda: Limits(BLOCKS))
    checked: bool = True
    keep_going: bool = False
    memory: int = MOST_MEMORY


class LiveRun:
    """One program in a kernel of its own. ``watching`` is None for a run without checks."""

    def __init__(self, binary: GoBinary, arguments: Sequence[str], settings: Settings) -> None:
        self.binary = binary
        arch = arches.get(binary.arch)
        self.process = LiveProcess(arch, binary.program, settings.memory)
        self.kernel = Kernel(self.process)
        for module in (mapping, segments, waits):
            self.kernel.add(module.CALLS)
        seed = settings.limits.seed or 0
        self.kernel.random = Random(seed)
        environment = {**boot.ENVIRONMENT, **settings.environment}
        path = str(binary.path)
        boot.start(self.process, binary.entry, path, (path, *arguments), environment, self.kernel.random)
        self.loop = Loop(self.kernel, settings.limits, broken=self._broken)
        self.found: list[Broken] = []
        self._keep_going = settings.keep_going
        self.watching: Watching | None = None
        self.rare: Rare | None = None
        if settings.checked and binary.layout is not None:
            self.watching = Watching(self.process, binary)
            self.rare = Rare(self.loop, self.process, binary, self._judged)
            self.loop.at_trap = self.rare.at_trap
        self._answer_ticks()

    def _answer_ticks(self) -> None:
        """The cycle counter is the virtual clock, or no two runs were alike."""
        ticks = find(self.binary, "cputicks")
        if ticks is not None and self.process.arch.isa == "x86":
            self.process.machine.answer_ticks(ticks.address)

    def _broken(self, _thread: object) -> bool:
        assert self.watching is not None
        self.found.append(self.watching.broken())
        return self._keep_going

    def _judged(self, _thread: object, routine: str, check: Check) -> None:
        if not check.ok:
            self.found.append(Broken(routine, check.moment, check.name, check.expected, check.found, 0))
            self.loop.over = not self._keep_going

    def run(self) -> Ending:
        """Run it to its end."""
        return self.loop.run()


def open_program(path: str) -> GoBinary:
    """Raises ElfError for a file that is no program we can run."""
    binary = goelf.load(path, quick=True)
    golang.era(binary.go)
    return binary
