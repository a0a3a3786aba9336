"""A program: bytes, symbols and address -> source line, whoever made them (Keystone or a Go linker)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple


class Segment(NamedTuple):
    """Bytes to be mapped at ``address``; ``size`` >= len(data), the rest is zero."""

    address: int
    data: bytes
    size: int
    writable: bool
    executable: bool


class Symbol(NamedTuple):
    """A named range of code or data. ``size`` in bytes."""

    name: str
    address: int
    size: int


class Line(NamedTuple):
    """Where the instruction at an address came from. ``text`` is the statement as assembled."""

    file: str
    number: int
    text: str


@dataclass(frozen=True)
class Program:
    """Code and data ready to be mapped. ``gates``: name -> address of what Python stands for.

    ``lines``: address of an instruction -> its source; ``data``: the same for bytes that are no instructions.
    """

    arch: str
    segments: tuple[Segment, ...]
    symbols: Mapping[str, Symbol]
    gates: Mapping[str, int] = field(default_factory=dict)
    lines: Mapping[int, Line] = field(default_factory=dict)
    data: Mapping[int, Line] = field(default_factory=dict)

    def symbol(self, name: str) -> Symbol:
        """The symbol called ``name``; KeyError if there is none."""
        return self.symbols[name]

    def __contains__(self, name: str) -> bool:
        return name in self.symbols

    @cached_property
    def _starts(self) -> list[Symbol]:
        return sorted((s for s in self.symbols.values() if s.size), key=lambda symbol: symbol.address)

    def at(self, address: int) -> Symbol | None:
        """The symbol that covers ``address``, if any."""
        index = bisect_right(self._starts, address, key=lambda symbol: symbol.address) - 1
        if index < 0:
            return None
        symbol = self._starts[index]
        return symbol if address < symbol.address + symbol.size else None

    def describe(self, address: int) -> str:
        """``symbol+offset`` (offset in hex, left out when 0), or the bare address in hex."""
        for name, gate in self.gates.items():
            if gate == address:
                return name
        symbol = self.at(address)
        if symbol is None:
            return hex(address)
        offset = address - symbol.address
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes of the image at ``address``; ValueError if they are not in one segment."""
        for segment in self.segments:
            if segment.address <= address and address + size <= segment.address + segment.size:
                offset = address - segment.address
                return segment.data[offset : offset + size].ljust(size, b"\0")
        raise ValueError(f"{address:#x}: no {size} bytes of the program there")
