"""Reads a trace file: any step without reading from the start, and of a damaged file all before the damage."""

from __future__ import annotations

import struct
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from emu.errors import BadInput
from emu.trace.codec import Coded, table
from emu.trace.header import decode_header
from emu.trace.model import Damage, Damaged, Rows, Standing
from emu.trace.pieces import Piece
from emu.trace.recording import Recording
from emu.trace.sections import Broken, Chunk, read_chunk, read_section
from emu.trace.writer import END, END_MAGIC, MAGIC

_KEPT = 4  # pieces that stay in memory after they were read
_MOST_HEADER = 1 << 26


class TraceFile(Recording):
    """A recording in a file; to be used in a ``with`` block. Whatever is asked of it raises Damaged if it must.

    ``verify``: read all of it once, and go no farther than what is whole: ``damage`` says what is not. Without that
    the index at the file's end is trusted, and damage is found when it is come upon.
    """

    def __init__(self, path: str, stream: BinaryIO, *, verify: bool) -> None:
        self._path, self._stream = path, stream
        self._chunks: list[Chunk | int] = []  # or the offsets of those that nobody has looked at
        self._kept: OrderedDict[int, Coded] = OrderedDict()
        self._size = stream.seek(0, 2)
        stream.seek(0)
        if stream.read(len(MAGIC)) != MAGIC:
            raise BadInput(f"{path}: not a trace")
        chunk = self._chunk(len(MAGIC), "header")
        try:
            super().__init__(decode_header(read_section(stream, chunk, "header", _MOST_HEADER)))
        except Broken as error:
            raise self._damaged(chunk.offset, "header", str(error)) from None
        self._start = Standing.of(self.header)
        if verify or not self._indexed():
            self._scan(chunk.end)

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        self._stream.close()

    def _damaged(self, offset: int, name: str, what: str) -> Damaged:
        return Damaged(self._path, Damage(offset, name, what))

    def _chunk(self, offset: int, name: str) -> Chunk:
        try:
            return read_chunk(self._stream, offset, self._size)
        except Broken as error:
            raise self._damaged(offset, name, str(error)) from None

    # tables

    def _indexed(self) -> bool:
        """Take the tables from the index at the end, if there is a sound one."""
        try:
            self._stream.seek(max(self._size - END.size, 0))
            offset, magic = END.unpack(self._stream.read(END.size))
            if magic != END_MAGIC:
                return False
            chunk = read_chunk(self._stream, offset, self._size)
            pieces = table(read_section(self._stream, chunk, "pieces"), 3, "pieces")
            written = table(read_section(self._stream, chunk, "written"), 2, "written")
            ran = table(read_section(self._stream, chunk, "ran"), 2, "ran")
        except (Broken, struct.error):
            return False
        if np.any(written[:, 1] >= len(pieces)) or np.any(ran[:, 1] >= len(pieces)) or not _ascending(pieces):
            return False
        self._chunks = [int(offset) for offset in pieces[:, 0]]
        self.firsts, self.ends = pieces[:, 1].tolist(), pieces[:, 2].tolist()
        for page, number in written.tolist():
            self.written.setdefault(page, []).append(number)
        self.ran = dict(reversed(ran.tolist()))
        return True

    def _scan(self, offset: int) -> None:
        """Make the tables by going through all chunks, up to the end or to the first that is damaged."""
        while offset < self._size:
            name = f"piece {len(self.ends)}"
            try:
                chunk = self._chunk(offset, name)
                if chunk.kind == "STEP":
                    self._add(chunk)
                if chunk.kind == "INDX":
                    return self._closed(chunk)
            except Damaged as error:
                self.damage = error.damage
                return None
            offset = chunk.end
        self.damage = Damage(offset, f"piece {len(self.ends)}", "the file breaks off")
        return None

    def _closed(self, index: Chunk) -> None:
        """What stands behind the index must be the end of the file."""
        self._stream.seek(index.end)
        if self._stream.read(END.size + 1) != END.pack(index.offset, END_MAGIC):
            self.damage = Damage(index.end, "end", "the last bytes are not those of a whole trace")

    def _add(self, chunk: Chunk) -> None:
        piece = self._coded(len(self.ends), chunk)
        if piece.first != self.steps:
            raise self._damaged(chunk.offset, f"piece {len(self.ends)}", "does not follow the one before")
        self._chunks.append(chunk)
        self._enter(piece.first, piece.end, piece.written, piece.ran)

    # pieces

    def _coded(self, number: int, chunk: Chunk) -> Coded:
        return Coded(
            lambda name: read_section(self._stream, chunk, name), len(self.header.columns), self._start,
            lambda what: self._damaged(chunk.offset, f"piece {number}", what),
        )

    def piece(self, number: int) -> Piece:
        if number not in self._kept:
            chunk = self._chunks[number]
            if isinstance(chunk, int):
                chunk = self._chunks[number] = self._chunk(chunk, f"piece {number}")
            self._kept[number] = self._coded(number, chunk)
            if (self._kept[number].first, self._kept[number].end) != (self.firsts[number], self.ends[number]):
                raise self._damaged(chunk.offset, f"piece {number}", "other steps than in the index")
        self._kept.move_to_end(number)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[number]


def _ascending(pieces: Rows) -> bool:
    """Whether pieces (offset, first step, end) follow each other."""
    first, end = pieces[:, 1], pieces[:, 2]
    return bool(np.all(first <= end) and np.all(first[1:] == end[:-1]) and not (len(first) and first[0]))


def open_trace(path: str, *, verify: bool = True) -> TraceFile:
    """A trace file, open. Raises BadInput for a file that is none, Damaged for one without a readable header."""
    with ExitStack() as stack:
        try:
            if not Path(path).is_file() and Path(path).exists():  # a pipe may never end
                raise BadInput(f"{path}: not a regular file")
            stream = stack.enter_context(Path(path).open("rb"))
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}") from None
        found = TraceFile(path, stream, verify=verify)
        stack.pop_all()
    return found
