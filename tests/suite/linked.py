"""A program as a static ELF executable, as a linker leaves it: code, symbols, and nothing else."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from arch.model import Arch
from asm.program import Program

_MACHINES = {"386": 3, "amd64": 62, "arm": 40}
_FUNCTION, _TEXT = 2, 1


@dataclass(frozen=True)
class _Section:
    """``kind``: 1 bytes of the program, 2 symbols, 3 strings; ``link``: the number of its strings' section."""

    title: str
    kind: int
    data: bytes
    address: int = 0
    link: int = 0
    entry: int = 0


def linked(arch: Arch, program: Program) -> bytes:
    """The first segment of a program and its symbols."""
    wide, code = arch.bits == 64, program.segments[0]
    header = struct.Struct("<16sHHIQQQIHHHHHH" if wide else "<16sHHIIIIIHHHHHH")
    row = struct.Struct("<IIQQQQIIQQ" if wide else "<IIIIIIIIII")
    symbols, names = _symbols(program, wide)
    titles = b"\0.text\0.symtab\0.strtab\0"
    sections = (
        _Section(".text", 1, code.data, address=code.address),
        _Section(".symtab", 2, symbols, link=3, entry=24 if wide else 16),
        _Section(".strtab", 3, names),
        _Section(".strtab", 3, titles),
    )
    offset = first = header.size + (56 if wide else 32)
    rows = [bytes(row.size)]
    for one in sections:
        title = titles.index(one.title.encode())
        fields = (title, one.kind, 0, one.address, offset, len(one.data), one.link, 0, 1, one.entry)
        rows.append(row.pack(*fields))
        offset += len(one.data)
    load = _load(wide, first, code.address, len(code.data))
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    head = header.pack(
        ident, 2, _MACHINES[arch.name], 1, code.address, header.size, offset, 0, header.size, len(load), 1, row.size,
        len(rows), len(sections),
    )
    return head + load + b"".join(one.data for one in sections) + b"".join(rows)


def _load(wide: bool, offset: int, address: int, size: int) -> bytes:
    """The segment's header: readable and executable."""
    if wide:
        return struct.pack("<IIQQQQQQ", 1, 5, offset, address, address, size, size, 1)
    return struct.pack("<IIIIIIII", 1, offset, address, address, size, size, 5, 1)


def _symbols(program: Program, wide: bool) -> tuple[bytes, bytes]:
    """The table of symbols, and the strings that it names."""
    table, names = bytes(24 if wide else 16), b"\0"
    for name, symbol in program.symbols.items():
        at, where = len(names), (symbol.address, symbol.size)
        kind = (_FUNCTION, 0, _TEXT)
        table += struct.pack("<IBBHQQ", at, *kind, *where) if wide else struct.pack("<IIIBBH", at, *where, *kind)
        names += name.encode() + b"\0"
    return table, names
