"""Fields of g, m and Stktop that are no words."""

from __future__ import annotations

from arch.runtimes import WIDTHS
from emu.runtime.struct import Struct


def get(struct: Struct, field: str) -> int:
    """The unsigned value of a field, as wide as it is."""
    width = WIDTHS.get(f"{struct.kind}.{field}", struct.layout.word)
    return int.from_bytes(struct.process.machine.read(struct.at(field), width), "little")


def put(struct: Struct, field: str, value: int) -> None:
    """Store a field, as wide as it is."""
    width = WIDTHS.get(f"{struct.kind}.{field}", struct.layout.word)
    struct.process.write(struct.at(field), (value % (1 << 8 * width)).to_bytes(width, "little"))


def copy(source: Struct, target: Struct) -> None:
    """Copy a whole struct onto another of its kind."""
    size = source.layout.sizes[source.kind]
    target.process.write(target.address, source.process.machine.read(source.address, size))


def clear(struct: Struct) -> None:
    """Zero a whole struct."""
    struct.process.write(struct.address, bytes(struct.layout.sizes[struct.kind]))
