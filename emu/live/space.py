"""A whole program's address space: what is reserved, what can be touched, and the host's memory behind it.

Reservations that nobody may touch (Go makes them by the gigabyte) are entries of a table here and nothing else: only
what becomes accessible is mapped into the machine, on host memory that Python and native code can see directly.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from emu.hostmap import zeros
from emu.machine import PAGE, Machine

READ, WRITE, EXECUTE = 1, 2, 4


class NoMemory(Exception):
    """There is no room for a mapping, or the guest may have no more."""


class Room:
    """What address spaces take their memory from: so many bytes may be accessible in all of them at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0

    def take(self, size: int) -> None:
        """Take ``size`` bytes more, or give them back if it is less than 0. Raises NoMemory."""
        if size > 0 and self.used + size > self.most:
            raise NoMemory
        self.used += size


class Area(NamedTuple):
    """Whole pages from ``start`` up to ``end`` with one protection; ``backed`` by memory or reserved only."""

    start: int
    end: int
    protection: int
    backed: bool
    name: str = ""


class Space:
    """The areas of one address space, in order, and the machine memory behind those that can be touched.

    ``room``: what it shares with others. ``floor`` and ``ceiling``: where `find` looks for a place, from the top down.
    ``used``: bytes that are accessible; ``peak``: that ever were at once.
    """

    def __init__(self, machine: Machine, floor: int, ceiling: int, room: Room) -> None:
        self._machine = machine
        self._floor, self._ceiling = floor, ceiling
        self._areas: list[Area] = []
        self.room = room
        self.used = 0
        self.peak = 0

    def __iter__(self) -> Iterator[Area]:
        return iter(self._areas)

    def find(self, size: int, hint: int = 0) -> int:
        """Where ``size`` bytes are free: at ``hint`` if that is, else as high as possible. Raises NoMemory."""
        if hint and hint + size <= self._machine.arch.mask and not any(self._within(hint, hint + size)):
            return hint
        end = self._ceiling
        for area in reversed(self._areas):
            if area.start >= end:
                continue
            if end - max(area.end, self._floor) >= size:
                break
            end = min(end, area.start)
        if end - size < self._floor:
            raise NoMemory
        return end - size

    def map(self, start: int, size: int, protection: int, name: str = "") -> None:
        """Fresh zeros for whole pages; whatever was there is gone. Raises NoMemory."""
        end = start + size
        replaced = sum(min(a.end, end) - max(a.start, start) for a in self._within(start, end) if a.backed)
        if protection:
            self.room.take(size - replaced)
            self.room.used += replaced  # until it goes, at once
        self.unmap(start, size)
        if protection:
            self._machine.map_host(start, zeros(size), protection)
            self._count(size)
        self._insert(Area(start, end, protection, bool(protection), name))

    def unmap(self, start: int, size: int) -> None:
        """Take whole pages away, reserved or not; gaps between are no error."""
        for area in self._split(start, start + size):
            self._areas.remove(area)
            self._drop(area)

    def protect(self, start: int, size: int, protection: int) -> bool:
        """Change what whole pages allow, keeping what they hold; False when some of them are in no area."""
        end, at = start + size, start
        for area in self._within(start, end):
            if area.start > at:
                return False
            at = area.end
        if at < end:
            return False
        for area in self._split(start, end):
            index = self._areas.index(area)
            self._change(area, protection)
            self._areas[index] = area._replace(protection=protection, backed=area.backed or bool(protection))
        return True

    def forget(self, start: int, size: int) -> bool:
        """Let whole pages read as zeros; False when some of them are in no area. Reserved ones are left alone."""
        end, at = start + size, start
        for area in self._within(start, end):
            if area.start > at:
                return False
            at = area.end
            if area.backed:
                first, last = max(area.start, start), min(area.end, end)
                self._machine.memory.clear(first, last - first)
        return at >= end

    def area(self, address: int) -> Area | None:
        """The area that holds ``address``."""
        index = bisect_right(self._areas, address, key=lambda area: area.start) - 1
        return self._areas[index] if index >= 0 and address < self._areas[index].end else None

    def close(self) -> None:
        """Give back what it has taken; what is told of it stays."""
        self.room.take(-self.used)

    # the table

    def _within(self, start: int, end: int) -> list[Area]:
        first = max(0, bisect_right(self._areas, start, key=lambda area: area.start) - 1)
        found = []
        for area in self._areas[first:]:
            if area.start >= end:
                break
            if area.end > start:
                found.append(area)
        return found

    def _split(self, start: int, end: int) -> list[Area]:
        """Cut areas at both ends; those that lie between."""
        for border in (start, end):
            area = self.area(border)
            if area is not None and area.start < border:
                index = self._areas.index(area)
                self._areas[index : index + 1] = [area._replace(end=border), area._replace(start=border)]
        return self._within(start, end)

    def _insert(self, area: Area) -> None:
        index = bisect_right(self._areas, area.start, key=lambda other: other.start)
        before = self._areas[index - 1] if index else None
        if before and not area.backed and (before.end, before.backed, before.name) == (area.start, False, area.name):
            self._areas[index - 1] = before._replace(end=area.end)
        else:
            self._areas.insert(index, area)

    def _drop(self, area: Area) -> None:
        if area.backed:
            self._machine.unmap(area.start, area.end - area.start)
            self.room.take(area.start - area.end)
            self.used -= area.end - area.start

    def _change(self, area: Area, protection: int) -> None:
        size = area.end - area.start
        if area.backed:
            self._machine.allow(area.start, size, protection)
        elif protection:
            self.room.take(size)
            self._machine.map_host(area.start, zeros(size), protection)
            self._count(size)

    def _count(self, size: int) -> None:
        self.used += size
        self.peak = max(self.peak, self.used)


def pages(size: int) -> int:
    """``size`` rounded up to whole pages, in bytes."""
    return -(-size // PAGE) * PAGE
