"""Where guest memory lies in the host: a sorted table that Python and native code read alike.

Native code gets the address of a `Table` (``_hostmap.h`` has it in C). The ranges are sorted and do not overlap;
``host`` is where the byte at ``start`` lies. The table changes only while the interpreter lock is held, so never under
a native callback of an engine that runs with it.
"""

from __future__ import annotations

import ctypes
import mmap
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple


class Range(ctypes.Structure):
    """Guest addresses from ``start`` up to ``end``; the byte at ``start`` is at ``host``.

    ``protection``: 1 read, 2 write, 4 execute, added up.
    """

    _fields_ = (
        ("start", ctypes.c_uint64), ("end", ctypes.c_uint64), ("host", ctypes.c_uint64),
        ("protection", ctypes.c_uint64),
    )


class Table(ctypes.Structure):
    """What native code is given. It stays where it is; ``ranges`` may move when the table changes."""

    _fields_ = (("count", ctypes.c_uint64), ("ranges", ctypes.POINTER(Range)))


class Piece(NamedTuple):
    """One range as Python has it: guest address ``a`` is byte ``a - base`` of ``buffer``, which is at ``host``."""

    start: int
    end: int
    base: int
    buffer: mmap.mmap
    host: int
    protection: int


def zeros(size: int) -> mmap.mmap:
    """``size`` bytes of memory (whole pages) that cost nothing until they are touched, and are not shared by a fork."""
    return mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def address_of(buffer: mmap.mmap) -> int:
    """Where a buffer lies in the host. It must outlive every use of the number."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class HostMap:
    """The guest's memory map as host buffers, which it keeps alive. ``address``: of the `Table`, for native code.

    Addresses and sizes are in bytes; what is not mapped raises ValueError.
    """

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._starts: list[int] = []
        self._table = Table()
        self._room = (Range * 0)()
        self.address = ctypes.addressof(self._table)

    def __iter__(self) -> Iterator[Piece]:
        return iter(self._pieces)

    def add(self, start: int, buffer: mmap.mmap, protection: int = 7) -> None:
        """Enter the whole of ``buffer`` at ``start``. ValueError if something is mapped there."""
        end = start + len(buffer)
        at = bisect_right(self._starts, start)
        if (at and self._pieces[at - 1].end > start) or (at < len(self._pieces) and self._starts[at] < end):
            raise ValueError(f"something is mapped between {start:#x} and {end:#x}")
        self._pieces.insert(at, Piece(start, end, start, buffer, address_of(buffer), protection))
        self._starts.insert(at, start)
        self._publish(at)

    def remove(self, start: int, size: int) -> None:
        """Take out ``size`` bytes; a range that reaches further is cut. Nothing need be mapped there."""
        self._cut(start, size, None)

    def allow(self, start: int, size: int, protection: int) -> None:
        """Change the protection of ``size`` bytes, as far as something is mapped there."""
        self._cut(start, size, protection)

    def _cut(self, start: int, size: int, protection: int | None) -> None:
        """Give what lies in the range another protection, or, without one, take it out."""
        end = start + size
        kept: list[Piece] = []
        for piece in self._pieces:
            if piece.end <= start or end <= piece.start:
                kept.append(piece)
                continue
            if piece.start < start:
                kept.append(piece._replace(end=start))
            if protection is not None:
                inside = piece._replace(start=max(piece.start, start), end=min(piece.end, end), protection=protection)
                kept.append(inside)
            if end < piece.end:
                kept.append(piece._replace(start=end))
        self._pieces[:] = kept
        self._starts[:] = [piece.start for piece in kept]
        self._publish(0)

    def _publish(self, first: int) -> None:
        """Write the ranges from number ``first`` on into the native table."""
        count = len(self._pieces)
        if count > len(self._room):
            self._room, first = (Range * (2 * count + 6))(), 0
            self._table.ranges = self._room
        for number in range(first, count):
            start, end, base, _, host, protection = self._pieces[number]
            self._room[number] = Range(start, end, host + start - base, protection)
        self._table.count = count

    def find(self, address: int) -> Piece | None:
        """The range that holds ``address``."""
        at = bisect_right(self._starts, address)
        if at and address < self._pieces[at - 1].end:
            return self._pieces[at - 1]
        return None

    def read(self, address: int, size: int) -> bytes:
        """Bytes, from as many adjacent ranges as they lie in."""
        at = bisect_right(self._starts, address)
        if at:
            _, end, base, buffer, *_ = self._pieces[at - 1]
            if 0 <= size <= end - address:
                return buffer[address - base : address - base + size]
        parts = list(self._parts(address, size))
        return b"".join(piece.buffer[part - piece.base : part - piece.base + length] for piece, part, length in parts)

    def write(self, address: int, data: bytes) -> None:
        """Store bytes into as many adjacent ranges as they lie in, or none."""
        size = len(data)
        at = bisect_right(self._starts, address)
        if at:
            _, end, base, buffer, *_ = self._pieces[at - 1]
            if size <= end - address:
                buffer[address - base : address - base + size] = data
                return
        for piece, part, length in list(self._parts(address, size)):
            at, offset = part - piece.base, part - address
            piece.buffer[at : at + length] = data[offset : offset + length]

    def clear(self, start: int, size: int) -> None:
        """Let whole pages read as zeros again, and give the host's memory back."""
        for piece, part, length in list(self._parts(start, size)):
            piece.buffer.madvise(mmap.MADV_DONTNEED, part - piece.base, length)

    def _parts(self, address: int, size: int) -> Iterator[tuple[Piece, int, int]]:
        """The ranges that ``size`` bytes lie in, each with the first address there and how many bytes."""
        at, end = address, address + size
        while at != end:
            piece = self.find(at)
            if piece is None or size < 0:
                raise ValueError(f"no {size} bytes are mapped at {address:#x}")
            length = min(end, piece.end) - at
            yield piece, at, length
            at += length
