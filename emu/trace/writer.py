"""Writes a run into a trace file as it happens; `format.md` describes the file."""

from __future__ import annotations

import io
import struct

import numpy as np

from emu.errors import BadInput
from emu.trace.codec import encode
from emu.trace.collector import Code, Collector, Open
from emu.trace.header import encode_header
from emu.trace.model import Header, Standing
from emu.trace.pieces import Kept
from emu.trace.sections import pack
from emu.trace.watcher import Watcher

MAGIC = b"\x93stackcarry\r\n\x1a\n\0"
END = struct.Struct("<Q8s")  # where the index begins; the last bytes of a whole file
END_MAGIC = b"\x93the end"


class Writer(Collector):
    """A `Sink` that writes a file. ``watch``: find switches and changes of guards in the rows, for those who record
    without seeing them. The file is whole after `close`; before that its readers find all pieces that were written.
    """

    def __init__(self, path: str, header: Header, code: Code, *, watch: bool = True) -> None:
        super().__init__(header, self._add, code, Watcher(header).events if watch else None)
        self._path, self._start = path, Standing.of(header)
        self._index: dict[str, list[tuple[int, ...]]] = {"pieces": [], "written": [], "ran": []}
        try:
            self._stream = io.BufferedWriter(io.FileIO(path, "w"))
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror or error}") from None
        self._put(MAGIC)
        self._put(pack("HEAD", [("header", encode_header(header))]))

    def _put(self, data: bytes) -> int:
        """Write, down to the file; the offset that the bytes have. A full disk is the user's to mend."""
        try:
            offset = self._stream.tell()
            self._stream.write(data)
            self._stream.flush()  # a piece is there whatever becomes of this process
        except OSError as error:
            raise BadInput(f"{self._path}: {error.strerror or error}") from None
        return offset

    def _add(self, piece: Kept) -> None:
        """Write the next piece."""
        number = len(self._index["pieces"])
        offset = self._put(pack("STEP", encode(piece, self._start)))
        self._index["pieces"].append((offset, piece.first, piece.end))
        self._index["written"] += [(page, number) for page in sorted(piece.pages)]
        self._index["ran"] += [(page, number) for page in sorted(piece.code)]

    def close(self, steps: int) -> None:
        """The run is over: write what is left, and the index."""
        super().close(steps)
        tables = ((name, np.array(rows, "<u8").tobytes()) for name, rows in self._index.items())
        offset = self._put(pack("INDX", tables))
        self._put(END.pack(offset, END_MAGIC))
        try:
            self._stream.close()
        except OSError as error:
            raise BadInput(f"{self._path}: {error.strerror or error}") from None


def to_file(path: str, *, watch: bool = True) -> Open:
    """How a run gets a file for its sink; raises BadInput, when the run begins, for one that cannot be written."""

    def opened(header: Header, code: Code) -> Writer:
        return Writer(path, header, code, watch=watch)

    return opened
