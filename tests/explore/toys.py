"""Small races for the tests of the explorer: a text per instruction set, threads that start at its labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assembled import DATA, program

import arch as arches
from emu.access import Accesses
from emu.process import Process
from emu.race import Guest, Race, Script
from emu.runtime.failures import Throw


class Toy:
    """Guest threads ``first`` and ``second`` (labels), which begin with the address of shared memory in a register."""

    def __init__(self, arch_name: str, texts: dict[str, str], shared: int = 16) -> None:
        self.arch = arches.get(arch_name)
        self.process = Process(self.arch, program(self.arch, texts[self.arch.isa]))
        self.shared = [(DATA, shared)]
        self.scripts: list[Script] = []

    def word(self, index: int = 0) -> int:
        return int.from_bytes(self.process.machine.read(DATA + 4 * index, 4), "little")

    def guest(self, label: str, **gates: Callable[[object], Accesses[None]]) -> Guest:
        registers = {self.arch.roles["pc"]: self.process.program.symbol(label).address}
        registers["r5" if self.arch.isa == "arm" else "ebx" if self.arch.bits == 32 else "rbx"] = DATA
        return Guest(label, registers, gates=gates)

    def race(self, *labels: str, wanted: Sequence[int] = (), scripts: Sequence[Script] = ()) -> Race:
        """``wanted``: what the first words of memory must be when all threads have ended."""

        self.process.write(DATA, bytes(64))

        def at_end() -> None:
            found = [self.word(index) for index in range(len(wanted))]
            if found != list(wanted):
                raise Throw(f"found {found}, expected {list(wanted)}")

        return Race(
            self.process, [*(self.guest(label) for label in labels), *scripts], self.shared,
            self.process.program.describe, at_end=at_end,
        )
