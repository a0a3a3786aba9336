"""Counts what held in a flow: one check for each fact, however often it was looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emu.contracts.judge import Check


@dataclass
class _Row:
    expected: str
    found: str
    step: int
    ok: bool = True
    times: int = 0
    hole: str = ""


class Tally:
    """Facts by name. The first failure of a fact is kept, else how often it held."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def add(self, name: str, ok: bool, expected: str, found: str, step: int, hole: str = "") -> None:
        """Note one look at a fact, made after ``step`` instructions."""
        row = self._rows.setdefault(name, _Row(expected, found, step, hole=hole))
        if not row.ok:
            return
        row.times += 1
        row.expected, row.found, row.step, row.ok = expected, found, step, ok

    def equal(self, name: str, expected: int, found: int, step: int) -> None:
        """Note whether a word is what it must be."""
        self.add(name, expected == found, hex(expected), hex(found), step)

    def checks(self) -> Iterator[Check]:
        """Every fact, in the order in which they first came up."""
        for name, row in self._rows.items():
            times = f"looked at {row.times} times" if row.times > 1 else ""
            yield Check(name, row.ok, row.expected, row.found, row.step, "flow", times, hole=row.hole)
