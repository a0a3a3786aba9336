"""A whole program's memory and CPU, in the words of `emu.process.Process`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from arch.linux import Errno
from arch.model import Arch
from asm.program import Program, Segment
from emu.kernel.errors import Refused
from emu.live.cpu import Cpu
from emu.live.space import EXECUTE, READ, WRITE, NoMemory, Room, Space, pages
from emu.machine import PAGE
from emu.process import Process

if TYPE_CHECKING:
    from emu.kernel.table import Thread

MOST_MEMORY = 2 << 30
"""Bytes that all processes together may have accessible at once, unless they are told otherwise."""

# Where mappings without a wish go, from the ceiling down, and the top of the first thread's stack. Above Go's arenas.
_FLOOR = {4: 0x4000_0000, 8: 0x7F00_0000_0000}
_CEILING = {4: 0xB000_0000, 8: 0x7FFF_0000_0000}
STACK_TOP = {4: 0xBFFF_E000, 8: 0x7FFF_FFFF_E000}
STACK = 256 << 10  # bytes


class LiveProcess(Process):
    """An address space that grows and shrinks. ``space``: its areas; ``end``: of the program's data, for brk.

    ``at``: what is to happen at its breakpoints, by address. ``room``: what it takes its memory from; Refused if that
    is not enough for the program.
    """

    machine: Cpu

    def __init__(self, arch: Arch, program: Program, room: Room) -> None:
        self.arch = arch
        self.program = program
        self.machine = Cpu(arch)
        self.space = Space(self.machine, _FLOOR[arch.word], _CEILING[arch.word], room)
        self.at: dict[int, Callable[[Thread], None]] = {}
        self.regions = []
        self._patched = []
        self.told = None
        try:
            self.end = _load(self, program.segments)
        except NoMemory:
            self.close()
            raise Refused(Errno.ENOMEM) from None
        self.start_of_heap = self.end

    def mapped(self, address: int) -> bool:
        return self.space.area(address) is not None

    def copy(self) -> LiveProcess:
        """The same memory and registers in a process of its own, as after a fork. Raises Refused."""
        twin = LiveProcess(self.arch, Program(self.arch.name, (), self.program.symbols), self.space.room)
        twin.program, twin.end, twin.start_of_heap = self.program, self.end, self.start_of_heap
        try:
            self._copy_to(twin)
        except NoMemory:
            twin.close()
            raise Refused(Errno.ENOMEM) from None
        twin.machine.restore(self.machine.save())
        return twin

    def _copy_to(self, twin: LiveProcess) -> None:
        for area in self.space:
            twin.space.map(area.start, area.end - area.start, area.protection if area.backed else 0, area.name)
            if area.backed:
                content = self.machine.read(area.start, area.end - area.start)
                twin.machine.memory.write(area.start, content)
                if area.protection & EXECUTE:
                    twin.machine.settle_flags(area.start, content)

    def close(self) -> None:
        """Give back the engine and all memory. What the CPU's callbacks have counted can still be read."""
        self.machine.close()
        self.space.close()
        self.at.clear()


def _load(process: LiveProcess, segments: Iterable[Segment]) -> int:
    """Map a program's segments; the end of the last, in whole pages."""
    end = 0
    for segment in segments:
        start = segment.address // PAGE * PAGE
        size = pages(segment.address + segment.size - start)
        protection = READ | (WRITE if segment.writable else 0) | (EXECUTE if segment.executable else 0)
        process.space.map(start, size, protection, "program")
        process.machine.write(segment.address, segment.data)
        if segment.executable and not segment.writable:
            process.machine.expect_code(start, start + size)
        if segment.executable:
            process.machine.settle_flags(segment.address, segment.data)
        end = max(end, start + size)
    return end
