"""An address space of a whole program, against a dictionary of pages that does the same in the simplest way."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import arch as arches
from emu.live.space import EXECUTE, READ, WRITE, NoMemory, Room, Space, pages
from emu.machine import PAGE, Machine

FLOOR, CEILING, MOST = 0x10_0000, 0x12_0000, 16 * PAGE
PAGES = (CEILING - FLOOR) // PAGE


@dataclass
class Page:
    """``backed``: whether it has been accessible; ``first``: its first byte."""

    protection: int
    backed: bool
    first: int = 0


@dataclass
class Model:
    """By number from `FLOOR` on."""

    pages: dict[int, Page] = field(default_factory=dict)
    peak: int = 0

    @property
    def used(self) -> int:
        return sum(page.backed for page in self.pages.values()) * PAGE

    def map(self, first: int, count: int, protection: int) -> bool:
        replaced = sum(self.pages[n].backed for n in range(first, first + count) if n in self.pages) * PAGE
        if protection and self.used - replaced + count * PAGE > MOST:
            return False
        for number in range(first, first + count):
            self.pages[number] = Page(protection, bool(protection))
        self.peak = max(self.peak, self.used)
        return True

    def unmap(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            self.pages.pop(number, None)

    def whole(self, first: int, count: int) -> bool:
        return all(number in self.pages for number in range(first, first + count))

    def find(self, count: int) -> int | None:
        """The highest gap."""
        for first in range(PAGES - count, -1, -1):
            if not any(number in self.pages for number in range(first, first + count)):
                return first
        return None


def made() -> tuple[Machine, Space]:
    machine = Machine(arches.get("386"), recording=False)
    return machine, Space(machine, FLOOR, CEILING, Room(MOST))


def at(number: int) -> int:
    return FLOOR + number * PAGE


PROTECTION = st.sampled_from([0, READ, READ | WRITE, READ | EXECUTE])
RANGE = st.tuples(st.integers(0, PAGES - 1), st.integers(1, 8)).map(lambda r: (r[0], min(r[1], PAGES - r[0])))
STEP = st.one_of(
    st.tuples(st.just("map"), RANGE, PROTECTION), st.tuples(st.just("protect"), RANGE, PROTECTION),
    st.tuples(st.sampled_from(["unmap", "forget", "find", "write"]), RANGE, st.just(0)),
)


@given(st.lists(STEP, max_size=25))
@settings(max_examples=150, deadline=None)
def test_a_space_is_a_dictionary_of_pages(steps: list[tuple[str, tuple[int, int], int]]) -> None:
    machine, space = made()
    model = Model()
    for number, (what, (first, count), protection) in enumerate(steps):
        _do(machine, space, model, what, first, count, protection, number % 255 + 1)
        _same(machine, space, model)


def _do(
    machine: Machine, space: Space, model: Model, what: str, first: int, count: int, protection: int, stamp: int
) -> None:
    start, size = at(first), count * PAGE
    if what == "map":
        if model.map(first, count, protection):
            space.map(start, size, protection)
        else:
            with pytest.raises(NoMemory):
                space.map(start, size, protection)
    elif what == "unmap":
        model.unmap(first, count)
        space.unmap(start, size)
    elif what == "protect":
        _protect(space, model, first, count, protection)
    elif what == "forget":
        assert space.forget(start, size) == model.whole(first, count)
        for number in range(first, first + count):
            if number not in model.pages:
                break  # those behind a gap are not forgotten
            model.pages[number].first = 0
    elif what == "find":
        expected = model.find(count)
        if expected is None:
            with pytest.raises(NoMemory):
                space.find(size)
        else:
            assert space.find(size) == at(expected)
    elif (page := model.pages.get(first)) is not None and page.backed:
        machine.write(start, bytes([stamp]))
        page.first = stamp


def _protect(space: Space, model: Model, first: int, count: int, protection: int) -> None:
    touched = [model.pages[number] for number in range(first, first + count) if number in model.pages]
    more = sum(not page.backed for page in touched) * PAGE if protection else 0
    if model.whole(first, count) and model.used + more > MOST:
        with pytest.raises(NoMemory):
            space.protect(at(first), count * PAGE, protection)
        _forgive(space, model, first, count, protection)
        return
    assert space.protect(at(first), count * PAGE, protection) == model.whole(first, count)
    if model.whole(first, count):
        for page in touched:
            page.protection, page.backed = protection, page.backed or bool(protection)
        model.peak = max(model.peak, model.used)


def _forgive(space: Space, model: Model, first: int, count: int, protection: int) -> None:
    """Areas in front of the one that there was no memory for have changed, as Linux does it too."""
    for number in range(first, first + count):
        area = space.area(at(number))
        assert area is not None
        page = model.pages[number]
        if (area.protection, area.backed) != (page.protection, page.backed):
            assert area.protection == protection
            page.protection, page.backed = protection, area.backed
    model.peak = max(model.peak, model.used)


def _same(machine: Machine, space: Space, model: Model) -> None:
    assert (space.used, space.peak) == (model.used, model.peak)
    for number in range(PAGES):
        area, page = space.area(at(number)), model.pages.get(number)
        if page is None:
            assert area is None
        else:
            assert area is not None
            assert (area.protection, area.backed) == (page.protection, page.backed)
            assert area.start <= at(number) < area.end
        if page is not None and page.backed:
            assert machine.read(at(number), PAGE) == bytes([page.first]).ljust(PAGE, b"\0")
            piece = machine.memory.find(at(number))
            assert piece is not None
            assert piece.protection == page.protection
        else:
            with pytest.raises(ValueError, match="mapped"):
                machine.read(at(number), 1)
    areas = list(space)
    assert areas == sorted(areas, key=lambda area: area.start)
    assert all(before.end <= after.start for before, after in pairwise(areas))


# what a dictionary of pages does not say


def test_a_hint_is_taken_where_there_is_room() -> None:
    _, space = made()
    space.map(at(4), PAGE, READ)
    assert space.find(2 * PAGE, at(2)) == at(2)
    assert space.find(2 * PAGE, at(3)) == CEILING - 2 * PAGE
    assert space.find(PAGE, CEILING + PAGE) == CEILING + PAGE
    assert space.find(PAGE, 0xFFFF_F000) == CEILING - PAGE  # beyond what a pointer can say


def test_what_is_in_front_of_forgotten_pages_is_kept() -> None:
    machine, space = made()
    space.map(at(1), 4 * PAGE, READ | WRITE)
    machine.write(at(1), b"x" * 4 * PAGE)
    assert space.forget(at(2), PAGE)
    assert machine.read(at(1), 4 * PAGE) == b"x" * PAGE + bytes(PAGE) + b"x" * 2 * PAGE


def test_reservations_cost_nothing() -> None:
    machine = Machine(arches.get("amd64"), recording=False)
    space = Space(machine, 0x1000, 1 << 47, Room(MOST))
    for number in range(64):
        space.map(space.find(1 << 36), 1 << 36, 0, f"reservation {number}")
    assert (space.used, list(machine.memory)) == (0, [])
    space.map(space.find(PAGE), PAGE, READ)
    assert space.used == PAGE


def test_neighbouring_reservations_are_one_area() -> None:
    _, space = made()
    space.map(at(1), PAGE, 0, "heap")
    space.map(at(2), PAGE, 0, "heap")
    space.map(at(3), PAGE, 0, "other")
    assert [(area.start, area.end, area.name) for area in space] == [(at(1), at(3), "heap"), (at(3), at(4), "other")]


def test_pages_of_bytes() -> None:
    assert [pages(size) for size in (0, 1, PAGE, PAGE + 1)] == [0, PAGE, PAGE, 2 * PAGE]
