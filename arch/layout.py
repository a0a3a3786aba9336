"""Layout: byte offsets and sizes of the runtime's structs, filled from an era's table or from DWARF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Offsets by dotted name (``g.sched.sp``, ``m.morebuf.pc``, ``gobuf.ctxt``, ``stktop.argp``), in bytes.

    ``sizes`` holds whole structs (``g``, ``m``, ``gobuf``, ``stktop``). ``word``: bytes of a pointer.
    """

    word: int
    offsets: Mapping[str, int]
    sizes: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        try:
            return self.offsets[name]
        except KeyError:
            raise KeyError(f"this layout has no field {name}") from None

    def __contains__(self, name: str) -> bool:
        return name in self.offsets

    @property
    def guard(self) -> str:
        """The field that every splittable function's prologue compares SP with."""
        return "g.stackguard0" if "g.stackguard0" in self else "g.stackguard"

    @property
    def guards(self) -> tuple[str, ...]:
        """All guard words of a g that this layout has."""
        return tuple(f for f in ("g.stackguard0", "g.stackguard1", "g.stackguard") if f in self)
