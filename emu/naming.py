"""Names for addresses: fields of structs, places in regions, symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from arch.layout import Layout


class Region(NamedTuple):
    """A named piece of memory: ``size`` bytes from ``address``. ``kind``: stack, heap, code, data, …"""

    name: str
    address: int
    size: int
    kind: str = ""


class Struct(NamedTuple):
    """A struct in memory, by kind (``g``, ``m``, ``gobuf``, ``stktop``)."""

    kind: str
    address: int
    label: str


class HasPlace(Protocol):
    """A region, whoever made it."""

    @property
    def name(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def size(self) -> int: ...


class HasKind(Protocol):
    """A struct, whoever made it."""

    @property
    def kind(self) -> str: ...
    @property
    def address(self) -> int: ...
    @property
    def label(self) -> str: ...


class Describes(Protocol):
    """A program, as far as names go."""

    def describe(self, address: int, /) -> str: ...


class Names:
    """Names for addresses. ``exact``: address -> name of a single word; ``values``: of func values.

    ``regions`` may grow after this was made.
    """

    def __init__(
        self, layout: Layout, structs: Sequence[HasKind], regions: Sequence[HasPlace], program: Describes,
        exact: Mapping[int, str], values: Mapping[int, str],
    ) -> None:
        self._layout, self._structs, self._regions, self._program = layout, structs, regions, program
        self._exact = exact
        self._whole = {struct.address: struct.label for struct in structs} | dict(values)
        split = ((name.split(".", 1), offset) for name, offset in layout.offsets.items())
        self._fields = {(kind, offset): field for (kind, field), offset in split}

    def describe(self, address: int) -> str:
        """An address in words: a symbol, a field, or a place in a region."""
        if address in self._exact:
            return self._exact[address]
        for struct in self._structs:
            if struct.address <= address < struct.address + self._layout.sizes[struct.kind]:
                return f"{struct.label}{self._field(struct.kind, address - struct.address)}"
        region = next((r for r in self._regions if r.address <= address < r.address + r.size), None)
        if region is not None:
            return f"{region.name}+{address - region.address:#x}"
        return self._program.describe(address)

    def pointee(self, value: int) -> str:
        """What a word points to: a whole struct by its name, a func value, else as `describe`."""
        return self._whole.get(value) or self.describe(value)

    def _field(self, kind: str, offset: int) -> str:
        name = self._fields.get((kind, offset))
        return f".{name}" if name else f"+{offset:#x}"
