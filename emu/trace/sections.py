"""Chunks of a trace file: named, compressed sections under one checksum. `format.md` says what they hold."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import zstandard

_HEAD = struct.Struct("<4sIQI")  # kind, bytes of the table, bytes of the sections, checksum of all but itself
_CHECKED = struct.Struct("<4sIQ")
_ENTRY = struct.Struct("<12sQQ")  # name, bytes as they were, bytes as they stand here
_MOST_SECTIONS = 1 << 10
MOST = 1 << 28  # bytes of a section; more is not believed
_BLOCK = 1 << 20

_packer = zstandard.ZstdCompressor(level=3, write_content_size=True)
_unpacker = zstandard.ZstdDecompressor()


class Broken(ValueError):
    """What stands in a file cannot be; says what."""


class Section(NamedTuple):
    """Where a section stands in the file."""

    offset: int
    raw: int
    packed: int


class Chunk(NamedTuple):
    """A chunk of a file: ``offset`` of its first byte, ``end`` of the byte behind it."""

    kind: str
    offset: int
    end: int
    checksum: int
    sections: dict[str, Section]


def pack(kind: str, sections: Iterable[tuple[str, bytes]]) -> bytes:
    """A chunk; empty sections are left out."""
    kept = [(name, raw, _packer.compress(raw)) for name, raw in sections if raw]
    table = b"".join(_ENTRY.pack(name.encode(), len(raw), len(packed)) for name, raw, packed in kept)
    body = b"".join(packed for _, _, packed in kept)
    checked = _CHECKED.pack(kind.encode(), len(table), len(body))
    checksum = zlib.crc32(body, zlib.crc32(table, zlib.crc32(checked)))
    return checked + checksum.to_bytes(4, "little") + table + body


def read_chunk(stream: BinaryIO, offset: int, size: int, *, checked: bool = True) -> Chunk:
    """The chunk at ``offset`` of a file of ``size`` bytes, its checksum compared. Raises Broken, OSError."""
    stream.seek(offset)
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise Broken("the file breaks off")
    kind, table_size, body_size, checksum = _HEAD.unpack(head)
    name = kind.decode("ascii", "replace")
    if table_size % _ENTRY.size or table_size > _MOST_SECTIONS * _ENTRY.size:
        raise Broken("no chunk begins here")
    end = offset + _HEAD.size + table_size + body_size
    if end > size:
        raise Broken("the file breaks off, or the chunk's length is wrong")
    table = stream.read(table_size)
    sections, at = {}, offset + _HEAD.size + table_size
    for entry, raw, packed in _ENTRY.iter_unpack(table):
        sections[entry.rstrip(b"\0").decode("ascii", "replace")] = Section(at, raw, packed)
        at += packed
    if checked:
        found = zlib.crc32(table, zlib.crc32(head[: _CHECKED.size]))
        left = body_size
        while left:
            block = stream.read(min(left, _BLOCK))
            if not block:
                raise Broken("the file breaks off")
            found, left = zlib.crc32(block, found), left - len(block)
        if found != checksum:
            raise Broken("the checksum is wrong")
    if at != end:
        raise Broken("the sections do not fill the chunk")
    return Chunk(name, offset, end, checksum, sections)


def read_section(stream: BinaryIO, chunk: Chunk, name: str, most: int = MOST) -> bytes:
    """A section's bytes, nothing if the chunk has none of this name. Raises Broken, OSError."""
    section = chunk.sections.get(name)
    if section is None:
        return b""
    if section.raw > most:
        raise Broken(f"{name}: {section.raw} bytes are more than there can be")
    stream.seek(section.offset)
    packed = stream.read(section.packed)
    try:
        if zstandard.frame_content_size(packed) != section.raw:
            raise Broken(f"{name}: not of the length it says")
        raw = _unpacker.decompress(packed, max_output_size=section.raw)
    except zstandard.ZstdError:
        raise Broken(f"{name}: cannot be unpacked") from None
    if len(raw) != section.raw:
        raise Broken(f"{name}: not of the length it says")
    return raw
