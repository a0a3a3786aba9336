"""A model of the heap: one mapped range with blocks in it, some of them stack segments; nothing is mapped around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emu.access import Accesses, read, write_bytes
from emu.process import Process
from emu.runtime.failures import Failure

_FREED = 0xF5  # what every byte of a freed block becomes


class Freed(Failure):
    """The program follows a pointer to a block that the collector has freed."""


class Kept(Failure):
    """The collector keeps a block that nothing of the program points to."""


@dataclass(frozen=True)
class Block:
    """``size`` bytes from ``address``. ``stack``: it is a segment, and nobody's to mark or free."""

    name: str
    address: int
    size: int
    stack: bool

    @property
    def end(self) -> int:
        return self.address + self.size


class Arena:
    """Blocks by name, in the order of their addresses. A name that begins with ``segment`` is a stack segment."""

    def __init__(self, process: Process, sizes: Mapping[str, int]) -> None:
        self.process, self.word = process, process.arch.word
        self._region = process.add_region("arena", sum(sizes.values()))
        self.blocks: dict[str, Block] = {}
        self._led: dict[bytes, tuple[Block, ...]] = {}
        at = self._region.address
        for name, size in sizes.items():
            self.blocks[name] = Block(name, at, size, name.startswith("segment"))
            at += size
        process.write(self._region.address, bytes(self._region.size))

    @property
    def end(self) -> int:
        """Where what is mapped ends."""
        return self._region.end

    def at(self, address: int) -> Block | None:
        """The block that an address is in."""
        return next((block for block in self.blocks.values() if block.address <= address < block.end), None)

    def led_to(self, data: bytes) -> tuple[Block, ...]:
        """The blocks that words of ``data`` lead into, segments left out. Asked for the same bytes again and again."""
        if data not in self._led:
            words = memoryview(data[: len(data) // self.word * self.word]).cast("I" if self.word == 4 else "Q")
            first, end = self._region.address, self.end
            found = (self.at(word) for word in words if first <= word < end)
            self._led[data] = tuple(block for block in found if block is not None and not block.stack)
        return self._led[data]

    def describe(self, address: int) -> str:
        """An address as a place in a block; "" if it is in none."""
        block = self.at(address)
        return f"{block.name}+{address - block.address:#x}" if block else ""

    def use(self, address: int) -> Accesses[None]:
        """What a program does with a pointer: it reads the block. Raises Freed if that is gone."""
        found = yield from read(address, self.word)
        if found == int.from_bytes(bytes([_FREED]) * self.word, "little"):
            raise Freed(f"the program uses the {self.describe(address)}, which the collector has freed")

    def sweep(self, marked: frozenset[str], dead: frozenset[str], why: str) -> Accesses[None]:
        """Free every block that is not marked. Raises Kept for a block in ``dead`` that is marked; ``why`` tells it."""
        for block in self.blocks.values():
            if block.name in marked and block.name in dead:
                raise Kept(f"the collector keeps the {block.name}, to which nothing points: it scanned {why}")
            if block.name not in marked and not block.stack:
                yield from write_bytes(block.address, bytes([_FREED]) * block.size)
