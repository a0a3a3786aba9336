"""The table of `emu.live.watch.plan.encode`, read back: what each number in it is."""

from __future__ import annotations

import ctypes
from typing import NamedTuple


class Demand(NamedTuple):
    """One check. ``register`` -1: the word of ``size`` bytes at value ``base`` + ``offset``; ``values``: base, offset,
    whether it moves with the stack."""

    register: int
    base: int
    offset: int
    size: int
    kind: int
    mask: int
    values: tuple[tuple[int, ...], ...]
    number: int


class Stage(NamedTuple):
    """A moment. ``base`` -1: control may be anywhere. ``number``: of the arrival, should it fail."""

    base: int
    offset: int
    checks: tuple[Demand, ...]
    number: int


class Way(NamedTuple):
    """``conditions``: base and offset of the left and the right side; 1: it must hold, 2: it is of order."""

    conditions: tuple[tuple[int, ...], ...]
    stages: tuple[Stage, ...]


class Plan(NamedTuple):
    """One routine; see `emu.live.watch.plan.Plan`."""

    entry: int
    loads: tuple[tuple[int, ...], ...]
    ways: tuple[Way, ...]
    inside: tuple[tuple[int, ...], ...]
    top: int
    stands: bool

    def holds(self, address: int) -> bool:
        """Whether control may be at ``address`` on the way."""
        return any(first <= address < last for first, last in self.inside)


class _Table:
    """64-bit numbers at an address; records are read as rows of so many of them."""

    def __init__(self, address: int) -> None:
        self._words = ctypes.cast(address, ctypes.POINTER(ctypes.c_int64))

    def row(self, at: int, width: int) -> tuple[int, ...]:
        return tuple(self._words[at : at + width])

    def rows(self, count: int, at: int, width: int) -> list[tuple[int, ...]]:
        return [self.row(at + number * width, width) for number in range(count)]


def decode(address: int, number: int) -> Plan:
    """Plan ``number`` of the table at ``address``."""
    table = _Table(address)
    (at,) = table.row(number, 1)
    entry, loads, loads_at, ways, ways_at, ranges, ranges_at, top, stands = table.row(at, 9)
    return Plan(
        entry, tuple(table.rows(loads, loads_at, 2)),
        tuple(_way(table, *row) for row in table.rows(ways, ways_at, 4)),
        tuple(table.rows(ranges, ranges_at, 2)), top, bool(stands),
    )


def _way(table: _Table, conditions: int, conditions_at: int, stages: int, stages_at: int) -> Way:
    return Way(
        tuple(table.rows(conditions, conditions_at, 5)),
        tuple(_stage(table, *row) for row in table.rows(stages, stages_at, 5)),
    )


def _stage(table: _Table, base: int, offset: int, checks: int, checks_at: int, number: int) -> Stage:
    return Stage(base, offset, tuple(_demand(table, *row) for row in table.rows(checks, checks_at, 9)), number)


def _demand(
    table: _Table, register: int, base: int, offset: int, size: int, kind: int, mask: int, count: int, values_at: int,
    number: int,
) -> Demand:
    values = tuple(table.rows(count, values_at, 3))
    return Demand(register, base, offset, size, kind, mask & (1 << 64) - 1, values, number)
