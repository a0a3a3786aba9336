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
_END = "damaged Go function table"


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
        table = FunctionTable(image.section(".gopclntab") or b"", image.arch.word)
        table.text = table.text or _text_start(image, section.address, table)
        return table
    if image.sections:
        raise ElfError("the program has no Go function table")
    for address, found in islice(image.search(MAGIC, image.arch.word), _CANDIDATES):
        with suppress(ElfError):
            table = FunctionTable(found, image.arch.word)
            table.text = table.text or _text_start(image, address, table)
            return table
    raise ElfError("no Go function table was found")


def _text_start(image: Image, address: int, table: FunctionTable) -> int:
    """Where the code starts that the table at ``address`` speaks of, which its header says only before Go 1.26.

    Go's runtime.moduledata starts with a pointer to the table and one to the names in it; behind these and more
    stand the lowest and the highest address of the code, and the start of the text.
    """
    arch = image.arch
    start = arch.pack(address) + arch.pack(address + table.offsets[0])
    for _, found in islice(image.search(start, arch.word), _CANDIDATES):
        lowest, highest, text = (arch.unpack(bytes(found[n * arch.word : (n + 1) * arch.word])) for n in _MODULE_TEXT)
        if (lowest - text, highest - text) == (table.starts[0], table.starts[-1]):
            return text
    raise ElfError("damaged: nothing says where the code of the Go function table starts")


class FunctionTable:
    """The functions of a program, by name and by address. Build one with `read`."""

    def __init__(self, data: bytes | memoryview, word: int) -> None:
        """``data``: the table; it may go on behind its end. ``text`` must be set before addresses are asked for."""
        view = memoryview(data)
        if view[:6] != MAGIC or len(view) < 8 or view[7] != word:
            raise ElfError("the Go function table is of an unknown kind (Go before 1.20, or one too new)")
        header = struct.Struct("<8Q" if word == 8 else "<8I")
        if len(view) < 8 + header.size:
            raise ElfError(_END)
        count, _, self.text, *offsets = header.unpack_from(view, 8)
        self.offsets: tuple[int, ...] = tuple(offsets)
        self._quantum = view[6]
        names, units, files, values, records = offsets
        if not 8 + header.size <= names <= units <= files <= values <= records:
            raise ElfError(_END)
        if not count or not self._quantum or records + 8 * count + 4 > len(view):
            raise ElfError(_END)
        self._names = bytes(view[names:units])
        self._units, self._files, self._values = view[units:files], view[files:values], view[values:records]
        self._records = view[records:]
        pairs = _words(self._records[: 8 * count + 4])
        self.starts, self._places = pairs[0::2], pairs[1::2]

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
        wanted = name.encode()
        offset = 0 if self._names.startswith(wanted + b"\0") else self._names.find(b"\0" + wanted + b"\0") + 1
        if not wanted or (offset == 0 and not self._names.startswith(wanted + b"\0")):
            return ()
        return tuple(self._function(index) for index in self._by_name.get(offset, ()))

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
        if at + 4 > len(self._units):
            raise ElfError(_END)
        offset = int.from_bytes(self._units[at : at + 4], "little")
        return None if offset == _NO_FILE else (_text(bytes(self._files[offset : offset + NAME])), number)

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
        """Where a name stands -> the functions that have it."""
        words = _words(self._records)
        found: dict[int, list[int]] = {}
        try:
            for index, place in enumerate(self._places):
                found.setdefault(words[(place >> 2) + 1], []).append(index)
        except IndexError:
            raise ElfError(_END) from None
        return found

    def _index(self, address: int) -> int | None:
        offset = address - self.text
        index = bisect_right(self.starts, offset) - 1
        return index if 0 <= index < len(self) and offset < self.starts[index + 1] else None

    def _record(self, index: int) -> tuple[int, ...]:
        try:
            record = _RECORD.unpack_from(self._records, self._places[index])
        except struct.error:
            raise ElfError(_END) from None
        if record[0] != self.starts[index]:
            raise ElfError(_END)
        return record

    def _function(self, index: int) -> Function:
        start, _, arguments, _, _, _, line, _, _, _, kind, flags, _ = self._record(index)
        room = self.starts[index + 1] - start
        size = min(room, sum(length for _, length in self._steps(line, room)))
        known = None if arguments == _UNKNOWN_SIZE else arguments
        return Function(self._name(index), self.text + start, size, known, bool(flags & _ASSEMBLY), kind)

    def _name(self, index: int) -> str:
        at = self._record(index)[1]
        return _text(self._names[at : at + NAME])

    def _value(self, index: int, table: int, address: int) -> int | None:
        """What a PC table of a function says of an address."""
        start = self.text + self.starts[index]
        for value, length in self._steps(table, self.starts[index + 1] - self.starts[index]):
            start += length
            if address < start:
                return value
        return None

    def _steps(self, table: int, room: int) -> Iterator[tuple[int, int]]:
        """A PC table's values, each with the bytes of code that it holds for; ``room``: bytes of the function."""
        if not table:
            return
        value, at = -1, table
        for step in range(room + 2):
            change, at = self._number(at)
            if not change and step:
                return
            value += ~(change >> 1) if change & 1 else change >> 1
            length, at = self._number(at)
            yield value, length * self._quantum
        raise ElfError(_END)

    def _number(self, at: int) -> tuple[int, int]:
        """The LEB128 number at a place of the PC tables, and the place behind it."""
        number = 0
        for shift, byte in zip(range(0, 35, 7), self._values[at : at + 5], strict=False):
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at + shift // 7 + 1
        raise ElfError(_END)


def _words(data: memoryview) -> array[int]:
    """Little-endian words of four bytes."""
    words = array("I", bytes(data[: len(data) & ~3]))
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _text(data: bytes) -> str:
    """The string that ends in a zero byte."""
    end = data.find(b"\0")
    if end < 0:
        raise ElfError(_END)
    return data[:end].decode("utf-8", "replace")
