"""Just enough ELF: headers, segments, sections and symbols of a static little-endian executable.

Every number of the file is checked before it is used, so that damaged bytes end in an `ElfError` and cost
neither time nor memory. Sources: the System V gABI chapters 4 and 5 (headers, sections, compression).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from arch import ARCHES
from arch.model import Arch
from asm.program import Segment

MEMORY = 1 << 30
"""Most bytes that all segments may take in memory, and the largest file that is read."""
SECTION = 1 << 28
"""Most bytes that one compressed section may unpack to."""
NAME = 1 << 16
"""Longest symbol name."""

_MACHINES = {
    2: "EM_SPARC", 3: "EM_386", 8: "EM_MIPS", 20: "EM_PPC", 21: "EM_PPC64", 22: "EM_S390", 40: "EM_ARM",
    62: "EM_X86_64", 183: "EM_AARCH64", 243: "EM_RISCV", 258: "EM_LOONGARCH",
}  # fmt: skip
_TYPES = {1: "an object file", 3: "position-independent (PIE) or a shared library", 4: "a core dump"}
_EXEC = 2
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_PF_X, _PF_W = 1, 2
_SHT_NOBITS = 8
_SHF_COMPRESSED = 0x800
_ZLIB = 1
_STT_SECTION, _STT_FILE, _STT_TLS = 3, 4, 6


class ElfError(ValueError):
    """A file that cannot be lifted; the message is one line: what is wrong and, where there is one, the way out."""


class Section(NamedTuple):
    """A section header. ``offset`` and ``size`` are bytes in the file, ``link`` the index of a related section."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


class _Class(NamedTuple):
    """The struct formats of ELFCLASS32 or ELFCLASS64."""

    header: struct.Struct
    program: struct.Struct
    section: struct.Struct
    symbol: struct.Struct
    compression: struct.Struct


_CLASSES = {
    32: _Class(
        struct.Struct("<16xHHIIIIIHHHHHH"), struct.Struct("<8I"), struct.Struct("<10I"),
        struct.Struct("<IIIBBH"), struct.Struct("<III"),
    ),
    64: _Class(
        struct.Struct("<16xHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<IIQQQQIIQQ"),
        struct.Struct("<IBBHQQ"), struct.Struct("<IxxxxQQ"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Image:
    """An ELF file whose header, segment table and section table hold water. Build one with `parse`.

    ``entry``: where the program starts.
    """

    data: bytes
    arch: Arch
    entry: int
    dynamic: bool
    segments: tuple[Segment, ...]
    sections: Mapping[str, Section]
    _order: tuple[Section, ...]

    @property
    def _formats(self) -> _Class:
        return _CLASSES[self.arch.bits]

    def has(self, name: str) -> bool:
        """Whether there is a section of this name with bytes in the file."""
        return name in self.sections and self.sections[name].kind != _SHT_NOBITS

    def section(self, name: str) -> bytes | None:
        """The bytes of a section, unpacked if need be; None if there is none or it has no bytes in the file."""
        if not self.has(name):
            return None
        section = self.sections[name]
        raw = _slice(self.data, section.offset, section.size, f"section {name}")
        return self._unpack(raw, name) if section.flags & _SHF_COMPRESSED else raw

    def _unpack(self, raw: bytes, name: str) -> bytes:
        header = self._formats.compression
        if len(raw) < header.size:
            raise ElfError(f"section {name} is damaged: too short for a compression header")
        kind, size, _ = header.unpack_from(raw)
        if kind != _ZLIB:
            raise ElfError(f"section {name} is compressed in a way that is not supported (type {kind}, not zlib)")
        if size > SECTION:
            raise ElfError(f"section {name} claims to unpack to {size} bytes; the limit is {SECTION}")
        try:
            data = zlib.decompressobj().decompress(raw[header.size :], size + 1)
        except zlib.error as error:
            raise ElfError(f"section {name} is damaged: {error}") from None
        if len(data) != size:
            raise ElfError(f"section {name} is damaged: it does not unpack to the {size} bytes it claims")
        return data

    def search(self, magic: bytes, alignment: int) -> Iterator[tuple[int, memoryview]]:
        """Where ``magic`` stands at an aligned address: the address, and the bytes of its segment from there on."""
        for segment in self.segments:
            at = segment.data.find(magic)
            while at >= 0:
                if (segment.address + at) % alignment == 0:
                    yield segment.address + at, memoryview(segment.data)[at:]
                at = segment.data.find(magic, at + 1)

    def symbols(self) -> Iterator[tuple[str, int, int]]:
        """Name, address and size of functions and data in .symtab, in its order; nothing if the file has none."""
        table, section = self.section(".symtab"), self.sections.get(".symtab")
        if table is None or section is None:
            return
        if section.link >= len(self._order):
            raise ElfError("section .symtab is damaged: it names no string table")
        strings = self._order[section.link]
        names = _slice(self.data, strings.offset, strings.size, "the symbols' string table")
        entry = self._formats.symbol
        if len(table) % entry.size:
            raise ElfError("section .symtab is damaged: its size is not a whole number of symbols")
        wide, budget = self.arch.bits == 64, 4 * len(names)
        for fields in entry.iter_unpack(table):
            if wide:
                name, info, _, index, value, size = fields
            else:
                name, value, size, info, _, index = fields
            if not index or info & 15 in (_STT_SECTION, _STT_FILE, _STT_TLS):
                continue
            end = names.find(b"\0", name, name + NAME)
            budget -= end - name
            if end < 0 or budget < 0:
                raise ElfError("section .symtab is damaged: a symbol's name is not in the string table")
            yield names[name:end].decode("utf-8", "replace"), value, size


def parse(data: bytes) -> Image:
    """Read the tables of an ELF file.

    Raises:
        ElfError: not an ELF file, one of another architecture or kind, or a damaged or truncated one.
    """
    arch = _arch(data)
    formats = _CLASSES[arch.bits]
    _, _, _, entry, phoff, shoff, _, _, *sizes = formats.header.unpack_from(data)
    phentsize, phnum, shentsize, shnum, shstrndx = sizes
    programs = list(_table(data, formats.program, phoff, phnum, phentsize, "segment"))
    order = _sections(data, list(_table(data, formats.section, shoff, shnum, shentsize, "section")), shstrndx)
    sections: dict[str, Section] = {}
    for section in order:
        sections.setdefault(section.name, section)
    return Image(
        data=data,
        arch=arch,
        entry=entry,
        dynamic=any(fields[0] in (_PT_DYNAMIC, _PT_INTERP) for fields in programs),
        segments=_segments(data, programs, arch),
        sections=sections,
        _order=order,
    )


def _arch(data: bytes) -> Arch:
    """The architecture that the header names, once all else in the header is as it must be."""
    if not data:
        raise ElfError("the file is empty")
    if data[:4] != b"\x7fELF":
        raise ElfError("not an ELF file")
    if len(data) < 20:
        raise ElfError("truncated: the ELF header is not all there")
    bits = {1: 32, 2: 64}.get(data[4])
    if bits is None or data[5] not in (1, 2):
        raise ElfError("damaged: the ELF header is of no known class or byte order")
    if data[5] == 2:
        raise ElfError("a big-endian program; only little-endian ones are supported")
    kind, machine = struct.unpack_from("<HH", data, 16)
    name = _MACHINES.get(machine, f"machine {machine}")
    arch = next((arch for arch in ARCHES.values() if (arch.elf_machine, arch.bits) == (name, bits)), None)
    if arch is None:
        raise ElfError(f"a {bits}-bit program for {name.removeprefix('EM_')}; supported are {', '.join(ARCHES)}")
    if len(data) < _CLASSES[bits].header.size:
        raise ElfError("truncated: the ELF header is not all there")
    if kind != _EXEC:
        what = _TYPES.get(kind, f"a file of unknown type {kind}")
        raise ElfError(f"{what}, not a static executable: build it with CGO_ENABLED=0 and without -buildmode")
    return arch


def _slice(data: bytes, offset: int, size: int, what: str) -> bytes:
    if offset + size > len(data):
        raise ElfError(f"truncated: {what} ends at byte {offset + size}, the file at {len(data)}")
    return data[offset : offset + size]


def _table(
    data: bytes, entry: struct.Struct, offset: int, count: int, size: int, what: str
) -> Iterator[tuple[int, ...]]:
    if count and size != entry.size:
        raise ElfError(f"damaged: an entry of the {what} table has {size} bytes, not {entry.size}")
    return entry.iter_unpack(_slice(data, offset, count * entry.size, f"the {what} table"))


def _sections(data: bytes, headers: list[tuple[int, ...]], names_index: int) -> tuple[Section, ...]:
    if not headers:
        return ()
    if names_index >= len(headers):
        raise ElfError("damaged: the section table has no names")
    names = _slice(data, headers[names_index][4], headers[names_index][5], "the names of the sections")
    found = []
    for name, kind, flags, address, offset, size, link, *_ in headers:
        end = names.find(b"\0", name, name + 256)
        text = names[name:end].decode("ascii", "replace") if end >= 0 else ""
        found.append(Section(text, kind, flags, address, offset, size, link))
    return tuple(found)


def _segments(data: bytes, programs: list[tuple[int, ...]], arch: Arch) -> tuple[Segment, ...]:
    """The loadable segments by address, disjoint and within the address space."""
    wide = arch.bits == 64
    loads = []
    for fields in programs:
        if fields[0] != _PT_LOAD:
            continue
        if wide:
            _, flags, offset, address, _, filled, size, _ = fields
        else:
            _, offset, address, _, filled, size, flags, _ = fields
        if filled > size or address + size > arch.mask + 1:
            raise ElfError(f"damaged: the segment at {address:#x} has impossible sizes")
        if size:
            loads.append((address, offset, filled, size, flags))
    loads.sort()
    total = sum(size for _, _, _, size, _ in loads)
    if total > MEMORY:
        raise ElfError(f"the segments take {total} bytes of memory; the limit is {MEMORY}")
    if sum(filled for _, _, filled, _, _ in loads) > 2 * len(data):
        raise ElfError("damaged or truncated: the segments hold more bytes than the file")
    for (low, _, _, size, _), (high, *_) in pairwise(loads):
        if low + size > high:
            raise ElfError(f"damaged: the segments at {low:#x} and {high:#x} overlap")
    return tuple(
        Segment(
            address=address,
            data=_slice(data, offset, filled, f"the segment at {address:#x}"),
            size=size,
            writable=bool(flags & _PF_W),
            executable=bool(flags & _PF_X),
        )
        for address, offset, filled, size, flags in loads
    )
