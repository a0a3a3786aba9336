"""Go's function table: what function an address belongs to, where it starts and ends, and its source lines.

Every Go program carries it, stripped or not, for its own tracebacks. The form is that of Go 1.20 and later: header,
names, compilation units, files, PC tables and records of functions (Go's internal/abi/symtab.go, runtime/symtab.go
and runtime/runtime2.go). Nothing is decoded before it is asked for: a program has thousands of functions.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from itertools import islice
from operator import le
from typing import NamedTuple

from asm.elf import NAME, ElfError, Image

MAGIC = b"\xf1\xff\xff\xff\0\0"
"""How the table starts since Go 1.20; the quantum of code addresses and the size of a pointer follow."""

_MODULE_TEXT = (20, 21, 22)
"""Which words of runtime.moduledata are minpc, maxpc and text, in Go 1.20 to 1.27."""
_CANDIDATES = 64
"""So many places are tried that look like the start of a table."""
_RECORD = struct.Struct("<IIiIIIIIIiBBxB")
_UNKNOWN_SIZE = -0x80000000
_ASSEMBLY = 4
_NO_FILE = 0xFFFFFFFF
_DAMAGED = "damaged Go function table"


class Function(NamedTuple):
    """One function. ``size``: bytes of code, without what fills the room up to the next function.

    ``arguments``: bytes of arguments and results on the stack, None if the assembler was not told.
    ``assembly``: written in assembly. ``kind``: Go's FuncID, whose numbers differ between releases.
    """

    name: str
    address: int
    size: int
    arguments: int | None
    assembly: bool
    kind: int


def read(image: Image) -> FunctionTable:
    """The function table of a program, by its section or, without a section table, by how it starts.

    Raises:
        ElfError: there is none, it is of an unknown kind, or it is damaged.
    """
    section = image.sections.get(".gopclntab")
    if section is not None:
        return _placed(image, section.address, image.section(".gopclntab") or b"")
    if image.sections:
        raise ElfError("the program has no Go function table")
    for address, found in islice(image.search(MAGIC, image.arch.word), _CANDIDATES):
        with suppress(ElfError):
            return _placed(image, address, found)
    raise ElfError("no Go function table was found")


def _placed(image: Image, address: int, data: bytes | memoryview) -> FunctionTable:
    """The table that stands at an address of the program, once it is known to speak of the program's code."""
    table = FunctionTable(data, image.arch.word)
    table.text = table.text or _text_start(image, address, table)
    low, high = table.text + table.starts[0], table.text + table.starts[-1]
    for segment in image.segments:
        if segment.executable and segment.address <= low and high <= segment.address + len(segment.data):
            return table
    raise ElfError("damaged Go function table: it speaks of code that is not there")


def _text_start(image: Image, address: int, table: FunctionTable) -> int:
    """Where the code starts that the table at ``address`` speaks of, which its header says only before Go 1.26.

    Go's runtime.moduledata starts with a pointer to the table and one to the names in it; behind these and more
    stand the lowest and the highest address of the code, and the start of the text.
    """
    arch = image.arch
    start = arch.pack(address) + arch.pack(address + table.names_offset)
    for _, found in islice(image.search(start, arch.word), _CANDIDATES):
        lowest, highest, text = (arch.unpack(bytes(found[n * arch.word : (n + 1) * arch.word])) for n in _MODULE_TEXT)
        if (lowest - text, highest - text) == (table.starts[0], table.starts[-1]):
            return text
    raise ElfError("damaged: nothing says where the code of the Go function table starts")


class FunctionTable:
    """The functions of a program, by name and by address. Build one with `read`."""

    def __init__(self, data: bytes | memoryview, word: int) -> None:
        """``data``: the table; it may go on behind its end. ``text`` must be set before addresses are asked for.

        Raises ElfError if the table is damaged, so that no question to it can fail for that later.
        """
        view = memoryview(data)
        if view[:6] != MAGIC or len(view) < 8 or view[7] != word:
            raise ElfError("the Go function table is of an unknown kind (Go before 1.20, or one too new)")
        header = struct.Struct("<8Q" if word == 8 else "<8I")
        if len(view) < 8 + header.size:
            raise ElfError(_DAMAGED)
        self._quantum = view[6]
        count, _, self.text, *offsets = header.unpack_from(view, 8)
        names, units, files, values, records = offsets
        if not 8 + header.size <= names <= units <= files <= values <= records:
            raise ElfError(_DAMAGED)
        if not count or not self._quantum or records + 8 * count + 4 > len(view):
            raise ElfError(_DAMAGED)
        self.names_offset = names
        self._names = b"\0" + bytes(view[names:units])  # so that there is a zero on both sides of every name
        self._units, self._files, self._values = view[units:files], view[files:values], view[values:records]
        self._records = view[records:]
        pairs = _words(self._records[: 8 * count + 4])
        self.starts, self._places = pairs[0::2], pairs[1::2]
        self._named_at = self._verified()

    def _verified(self) -> list[int]:
        """Where the names of all functions stand, once starts, records and names hold water."""
        words, last = _words(self._records), max(self._places)
        if last % 4 or last + _RECORD.size > len(self._records) or not all(map(le, self.starts, self.starts[1:])):
            raise ElfError(_DAMAGED)
        named = [words[(place >> 2) + 1] for place in self._places]
        starts = array("I", [words[place >> 2] for place in self._places])
        if starts != self.starts[:-1] or max(named) >= len(self._names) - 1 or self._names[-1]:
            raise ElfError(_DAMAGED)
        return named

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Function]:
        """All functions by address."""
        return (self._function(index) for index in range(len(self)))

    def at(self, address: int) -> Function | None:
        """The function whose code, or the room behind it, holds ``address``."""
        index = self._index(address)
        return None if index is None else self._function(index)

    def named(self, name: str) -> tuple[Function, ...]:
        """The functions of this name, by address. Go knows none of the suffixes that .symtab has.

        On amd64 there may be two: the body and a wrapper for the other calling convention.
        """
        wanted = b"\0" + name.encode() + b"\0"
        found: list[int] = []
        at = self._names.find(wanted)
        while at >= 0:
            found += self._by_name.get(at, ())
            at = self._names.find(wanted, at + 1)
        return tuple(self._function(index) for index in sorted(found))

    def line(self, address: int) -> tuple[str, int] | None:
        """File and line of the instruction that holds ``address``; None where the table knows neither.

        Code that was inlined keeps the file and line it was written in. A return address stands for the
        instruction before it: ask for the address minus 1.
        """
        index = self._index(address)
        if index is None:
            return None
        _, _, _, _, _, file, line, _, unit, *_ = self._record(index)
        which, number = self._value(index, file, address), self._value(index, line, address)
        if which is None or number is None or which < 0:
            return None
        at = 4 * (unit + which)
        offset = int.from_bytes(self._units[at : at + 4], "little")
        path = bytes(self._files[offset : offset + NAME])
        return (_text(path), number) if offset != _NO_FILE and path else None

    def depth(self, address: int) -> int | None:
        """Bytes between SP and the frame's return PC when the instruction at ``address`` is about to run."""
        index = self._index(address)
        return None if index is None else self._value(index, self._record(index)[4], address)

    def describe(self, address: int) -> str:
        """``function+offset`` (offset in hex, left out when 0), or the bare address in hex."""
        index = self._index(address)
        if index is None:
            return hex(address)
        offset = address - self.text - self.starts[index]
        name = self._name(index)
        return f"{name}+{offset:#x}" if offset else name

    @cached_property
    def _by_name(self) -> dict[int, list[int]]:
        """Where the zero in front of a name stands -> the functions that have it; a name may be there twice."""
        found: dict[int, list[int]] = {}
        for index, at in enumerate(self._named_at):
            found.setdefault(at, []).append(index)
        return found

    def _index(self, address: int) -> int | None:
        offset = address - self.text
        index = bisect_right(self.starts, offset) - 1
        return index if 0 <= index < len(self) and offset < self.starts[index + 1] else None

    def _record(self, index: int) -> tuple[int, ...]:
        return _RECORD.unpack_from(self._records, self._places[index] & ~3)

    def _function(self, index: int) -> Function:
        start, _, arguments, _, frame, _, _, _, _, _, kind, flags, _ = self._record(index)
        size = sum(length for _, length in self._steps(index, frame))  # the shortest of the tables, by far
        known = None if arguments == _UNKNOWN_SIZE else arguments
        return Function(self._name(index), self.text + start, size, known, bool(flags & _ASSEMBLY), kind)

    def _name(self, index: int) -> str:
        at = self._named_at[index] + 1
        return _text(self._names[at : at + NAME])

    def _value(self, index: int, table: int, address: int) -> int | None:
        """What a PC table of a function says of an address."""
        end = self.text + self.starts[index]
        for value, length in self._steps(index, table):
            end += length
            if address < end:
                return value
        return None

    def _steps(self, index: int, table: int) -> Iterator[tuple[int, int]]:
        """A PC table's values for a function, each with the bytes of code that it holds for.

        It ends with the function at the latest, and where its numbers end.
        """
        room = self.starts[index + 1] - self.starts[index]
        value, at = -1, table
        while room > 0 and table:
            change, behind = self._number(at)
            if not change and at != table:
                return
            value += ~(change >> 1) if change & 1 else change >> 1
            advance, at = self._number(behind)
            length = min(advance * self._quantum, room)
            if not length:
                return
            yield value, length
            room -= length

    def _number(self, at: int) -> tuple[int, int]:
        """The LEB128 number at a place of the PC tables, and the place behind it; 0 where there is none."""
        number = 0
        for shift, byte in zip(range(0, 35, 7), self._values[at : at + 5], strict=False):
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at + shift // 7 + 1
        return 0, at


def _words(data: memoryview) -> array[int]:
    """Little-endian words of four bytes."""
    words = array("I", bytes(data[: len(data) & ~3]))
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _text(data: bytes) -> str:
    """The string that ends in the first zero byte."""
    return data.partition(b"\0")[0].decode("utf-8", "replace")
