"""Structs in guest memory, and names for the addresses around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arch.layout import Layout
from emu.process import Process


@dataclass(frozen=True)
class Struct:
    """A struct in guest memory, by kind (``g``, ``m``, ``gobuf``, ``stktop``) and address."""

    process: Process
    layout: Layout
    kind: str
    address: int
    label: str

    def at(self, field: str) -> int:
        """Address of a field (``sched.sp``)."""
        return self.address + self.layout[f"{self.kind}.{field}"]

    def has(self, field: str) -> bool:
        return f"{self.kind}.{field}" in self.layout

    def __getitem__(self, field: str) -> int:
        return self.process.word(self.at(field))

    def __setitem__(self, field: str, value: int) -> None:
        self.process.set_word(self.at(field), value)

    def part(self, field: str, kind: str) -> Struct:
        """The struct inside this one (``g.part("sched", "gobuf")``)."""
        first = next(name for name in self.layout.offsets if name.startswith(f"{self.kind}.{field}."))
        inner = first.removeprefix(f"{self.kind}.{field}.")
        address = self.at(f"{field}.{inner}") - self.layout[f"{kind}.{inner}"]
        return Struct(self.process, self.layout, kind, address, f"{self.label}.{field}")


class Names:
    """Names for addresses. ``exact``: address -> name of a single word; ``values``: of func values."""

    def __init__(
        self, process: Process, structs: Sequence[Struct], exact: Mapping[int, str], values: Mapping[int, str]
    ) -> None:
        self._process, self._structs, self._exact = process, structs, exact
        self._whole = {struct.address: struct.label for struct in structs} | dict(values)
        split = ((name.split(".", 1), offset) for name, offset in structs[0].layout.offsets.items())
        self._fields = {(kind, offset): field for (kind, field), offset in split}

    def describe(self, address: int) -> str:
        """An address in words: a symbol, a field, or a place in a region."""
        if address in self._exact:
            return self._exact[address]
        for struct in self._structs:
            if struct.address <= address < struct.address + struct.layout.sizes[struct.kind]:
                return f"{struct.label}{self._field(struct.kind, address - struct.address)}"
        region = self._process.region(address)
        if region is not None:
            return f"{region.name}+{address - region.address:#x}"
        return self._process.program.describe(address)

    def pointee(self, value: int) -> str:
        """What a word points to: a whole struct by its name, a func value, else as `describe`."""
        return self._whole.get(value) or self.describe(value)

    def _field(self, kind: str, offset: int) -> str:
        name = self._fields.get((kind, offset))
        return f".{name}" if name else f"+{offset:#x}"
