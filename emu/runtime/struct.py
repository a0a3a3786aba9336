"""Structs in guest memory."""

from __future__ import annotations

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
