"""An address space: program, poisoned regions with unmapped guard pages around them, one machine.

A process is built once and reset many times: resetting rewrites its regions and the CPU, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from arch.model import Arch
from asm.program import Program, Segment
from emu.machine import PAGE, Machine, Stop

# High enough that a 64-bit word's upper half is never zero, as on a real Go heap.
_BASE = {4: 0x5000_0000, 8: 0xC0_0000_0000}


@dataclass(frozen=True)
class Region:
    """A mapped, poisoned piece of memory: ``size`` bytes from ``address``; a guard page on either side."""

    name: str
    address: int
    size: int

    @property
    def end(self) -> int:
        return self.address + self.size

    def __contains__(self, address: int) -> bool:
        return self.address <= address < self.end


def poison(address: int, word: int) -> int:
    """What an unwritten word holds: different at every address, and never a mapped address."""
    spread = (address // word * 0x9E37_79B1) >> 4 & 0x0FFF_FFFF
    return 0xD000_0000 | spread if word == 4 else 0xD00D_0000_D000_0000 | spread


@lru_cache(maxsize=64)
def _poisoned(address: int, size: int, word: int) -> bytes:
    return b"".join(poison(a, word).to_bytes(word, "little") for a in range(address, address + size, word))


class Process:
    """Memory and registers of one guest thread, spoken of by role."""

    def __init__(self, arch: Arch, program: Program, exits: Iterable[int] = ()) -> None:
        self.arch = arch
        self.program = program
        self.regions: list[Region] = []
        self.machine = Machine(arch, {*program.gates.values(), *exits})
        self.told: Callable[[int, bytes], None] | None = None
        self._next = _BASE[arch.word]
        self._patched: list[tuple[int, bytes]] = []
        self._kept: dict[Region, bytes] = {}
        self._data = [(s.address, s.data.ljust(s.size, b"\0")) for s in program.segments if s.writable]
        _map_segments(self.machine, program.segments)

    def add_region(self, name: str, size: int) -> Region:
        """Map ``size`` bytes (rounded up to pages) between two unmapped pages."""
        size = -(-size // PAGE) * PAGE
        region = Region(name, self._next + PAGE, size)
        self._next = region.end + PAGE
        self.machine.map(region.address, size)
        self.regions.append(region)
        self._fill(region)
        return region

    def _fill(self, region: Region) -> None:
        self.machine.write(region.address, _poisoned(region.address, region.size, self.arch.word))

    def region(self, address: int) -> Region | None:
        """The region that holds ``address``."""
        return next((r for r in self.regions if address in r), None)

    def reset(self) -> None:
        """Back to the last `keep`; without one poison the regions and the registers. The program's data is restored."""
        for address, data in self._data:  # whole: what was written since the last time is not always on record
            self.machine.write(address, data)
        self.machine.reset()
        for region in self.regions:
            kept = self._kept.get(region)
            if kept is not None:
                self.machine.write(region.address, kept)
            else:
                self._fill(region)
        if not self._kept:
            sp = self.arch.roles["sp"]
            self.set_registers({r: self.register_poison(r) for r in self.arch.registers if r != sp})

    def keep(self) -> None:
        """Let `reset` come back to the memory and registers of now; regions that are added later are poisoned."""
        self._kept = {region: self.machine.read(region.address, region.size) for region in self.regions}
        self._data = [(address, self.machine.read(address, len(data))) for address, data in self._data]
        self.machine.keep()

    def copy(self) -> Process:
        """The same memory and registers in a process of its own, as after a fork."""
        twin = copy(self)
        twin.machine, twin.regions = self.machine.copy(), list(self.regions)
        twin._patched, twin.told = list(self._patched), None
        return twin

    def register_poison(self, register: str) -> int:
        """What a register that nobody set holds; flags are clear."""
        if register == self.arch.roles["flags"]:
            return self.arch.flags_fixed
        index = self.arch.registers.index(register)
        return poison(index * self.arch.word, self.arch.word) | 1 << (8 * self.arch.word - 8)

    def patch(self, address: int, code: bytes) -> None:
        """Overwrite program bytes until `unpatch`; the sweep's way to change one instruction."""
        self._patched.append((address, self.machine.read(address, len(code))))
        self.machine.write(address, code)
        self.machine.forget_translations()

    def unpatch(self) -> None:
        """Undo every `patch`."""
        for address, code in reversed(self._patched):
            self.machine.write(address, code)
        self._patched.clear()
        self.machine.forget_translations()

    # memory by word, registers by name or role

    def word(self, address: int) -> int:
        """The word at ``address``; ValueError if it is not mapped."""
        return self.machine.word(address)

    def mapped(self, address: int) -> bool:
        """Whether there is something at ``address``, whatever it allows."""
        try:
            self.machine.read(address, 1)
        except ValueError:
            return False
        return True

    def set_word(self, address: int, value: int) -> None:
        """Store a word."""
        self.write(address, self.arch.pack(value))

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; a change of the program's own writable data lasts until `reset`. ``told`` hears of it."""
        self.machine.write(address, data)
        if self.told is not None:
            self.told(address, data)

    def role(self, role: str) -> int:
        """The register in a role (``sp``, ``pc``, ``link``, ``ctxt``, ``result``, ``fp``, ``flags``)."""
        return self.machine.register(self.arch.roles[role])

    def set_role(self, role: str, value: int) -> None:
        self.set_registers({self.arch.roles[role]: value})

    def set_registers(self, values: Mapping[str, int]) -> None:
        """Set registers by name; values are taken modulo the word size."""
        self.machine.set_registers({name: value & self.arch.mask for name, value in values.items()})

    def answer(self, result: int) -> None:
        """Come back from the kernel: ``result`` (signed) in its register, and destroyed what the kernel destroys."""
        convention = self.arch.syscall
        if not convention.destroyed:
            self.set_registers({convention.result: result})
            return
        registers = self.machine.registers()
        values = {name: registers[self.arch.roles[role]] for name, role in convention.destroyed.items()}
        self.set_registers({**values, convention.result: result})

    def return_from_call(self, keep: set[str]) -> None:
        """Return from a function that was just entered; every register not in ``keep`` is poisoned."""
        registers = self.machine.registers()
        sp, pc = self.arch.roles["sp"], self.arch.roles["pc"]
        if self.arch.call.return_on_stack:
            target = self.word(registers[sp])
            changes = {sp: registers[sp] + self.arch.word, pc: target}
        else:
            changes = {pc: registers[self.arch.roles["link"]]}
        spoiled = {r: self.register_poison(r) for r in self.arch.registers if r not in keep and r != sp}
        self.set_registers({**spoiled, **changes})

    def run(self, steps: int) -> Stop:
        """Run on for at most ``steps`` instructions."""
        return self.machine.run(steps)


def _map_segments(machine: Machine, segments: Iterable[Segment]) -> None:
    """Map a program. Pages that two segments share get the permissions of both."""
    pages: dict[int, tuple[bool, bool]] = {}
    kept = list(segments)
    for segment in kept:
        last = segment.address + max(segment.size, 1) - 1
        for page in range(segment.address // PAGE, last // PAGE + 1):
            writable, executable = pages.get(page, (False, False))
            pages[page] = (writable or segment.writable, executable or segment.executable)
    for first, count, (writable, executable) in _runs(pages):
        machine.map(first * PAGE, count * PAGE, writable=writable, executable=executable)
    for segment in kept:
        machine.write(segment.address, segment.data)


def _runs(pages: Mapping[int, tuple[bool, bool]]) -> Iterable[tuple[int, int, tuple[bool, bool]]]:
    """Neighbouring pages with equal permissions as (first page, pages, permissions)."""
    start: int | None = None
    previous = -2
    for page in sorted(pages):
        if start is not None and (page != previous + 1 or pages[page] != pages[start]):
            yield start, previous + 1 - start, pages[start]
            start = None
        start = page if start is None else start
        previous = page
    if start is not None:
        yield start, previous + 1 - start, pages[start]
