"""The parts of a racing machine's state that are not registers: memory by its pages, and the exclusive monitor."""

from __future__ import annotations

from asm.exclusive import EXCLUSIVE, Exclusive
from emu.machine import PAGE
from emu.process import Process

_STUBS = 0x4E98_0000  # a page of our own for the monitor's instructions, away from all others


class Memory:
    """All memory of a process that may change, as a tuple of numbers, one for each different content of a page.

    Regions that are added after the first `take` are not known.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._numbers: dict[bytes, int] = {}
        self._contents: list[bytes] = []
        self._pages: list[int] = []
        self._ranges: list[tuple[int, int]] = []
        self._now: tuple[int, ...] | None = None

    def _find(self) -> None:
        """The regions, and the program's own data."""
        data = [(s.address, s.address + s.size) for s in self._process.program.segments if s.writable and s.size]
        for low, high in [*((r.address, r.end) for r in self._process.regions), *data]:
            low, high = low // PAGE * PAGE, -(-high // PAGE) * PAGE
            self._ranges.append((low, high - low))
            self._pages.extend(range(low, high, PAGE))

    def take(self) -> tuple[int, ...]:
        """Memory as it is now."""
        if not self._ranges:
            self._find()
        numbers = []
        for low, size in self._ranges:
            content = self._process.machine.read(low, size)
            numbers += [self._number(content[at : at + PAGE]) for at in range(0, size, PAGE)]
        self._now = tuple(numbers)
        return self._now

    def _number(self, content: bytes) -> int:
        number = self._numbers.setdefault(content, len(self._contents))
        if number == len(self._contents):
            self._contents.append(content)
        return number

    def put(self, pages: tuple[int, ...]) -> None:
        """Make memory what it was; until the next `take` nobody knows what becomes of it."""
        for index, number in enumerate(pages):
            if self._now is None or self._now[index] != number:
                self._process.machine.write(self._pages[index], self._contents[number])
        self._now = None

    def look(self, pages: tuple[int, ...], address: int, size: int) -> bytes:
        """Bytes of a state that need not be the one in the machine. KeyError for an address that is not kept."""
        page = address // PAGE * PAGE
        try:
            index = self._pages.index(page)
        except ValueError:
            raise KeyError(f"{address:#x} is in no memory that changes") from None
        return self._contents[pages[index]][address - page : address - page + size]


class Monitor:
    """The engine's exclusive monitor, put into the state that a thread's next exclusive store is to find."""

    def __init__(self, process: Process, instructions: Exclusive) -> None:
        self._machine, self._arch, self._instructions = process.machine, process.arch, instructions
        try:
            self._machine.read(_STUBS, PAGE)
        except ValueError:  # the first race of this process
            self._machine.map(_STUBS, PAGE, writable=False, executable=True)
            self._machine.write(_STUBS, instructions.mark + instructions.clear)

    @classmethod
    def of(cls, process: Process) -> Monitor | None:
        """The monitor of a process's machine; None if the arch has none."""
        instructions = EXCLUSIVE.get(process.arch.isa)
        return cls(process, instructions) if instructions else None

    def prepare(self, address: int | None) -> None:
        """Mark an address, or nothing. The registers stay as they are; what is at ``address`` is read."""
        before, pc = self._machine.registers(), self._arch.roles["pc"]
        if address is None:
            self._machine.set_registers({pc: _STUBS + len(self._instructions.mark)})
        else:
            self._machine.set_registers({pc: _STUBS, self._instructions.pointer: address})
        self._machine.run(1)
        self._machine.set_registers(before)
