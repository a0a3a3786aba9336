"""Open files of the virtual tree: files with a position, folders that are listed, devices without a device."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from arch.files import O_APPEND, O_PATH, SEEK_CUR, SEEK_END, SEEK_SET
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import Node, Stream

if TYPE_CHECKING:
    from emu.kernel.nodes import Directory, Regular
    from emu.kernel.table import Task

_MOST = 1 << 20  # bytes that a read from an endless device gives at most
_LONGEST = 1 << 26  # bytes that one read of a file gives
_FARTHEST = (1 << 63) - 1


class Opened(Stream):
    """What a path led to: epoll does not take it, and it is always ready."""

    pollable = False

    def check(self, allowed: bool) -> None:
        """Refuse what the access mode does not allow; a descriptor that only stands for a path allows nothing."""
        if not allowed or self.status & O_PATH:
            raise Refused(Errno.EBADF)


class OpenFile(Opened):
    """A file with a position."""

    def __init__(self, node: Regular, status: int) -> None:
        super().__init__(status, node)
        self._file = node
        self._position = 0
        node.opens += 1

    @property
    def unread(self) -> int:
        return max(0, self._file.size - self._position)

    def read(self, size: int) -> bytes:
        data = self.read_at(size, self._position)
        self._position += len(data)
        return data

    def write(self, data: bytes) -> int:
        self.check(self.writes)
        if self.status & O_APPEND:
            self._position = self._file.size
        written = self.write_at(data, self._position)
        self._position += written
        return written

    def read_at(self, size: int, offset: int) -> bytes:
        self.check(self.reads)
        return self._file.read(offset, min(size, _LONGEST))

    def write_at(self, data: bytes, offset: int) -> int:
        self.check(self.writes)
        return self._file.write(self._file.size if self.status & O_APPEND else offset, data)

    def seek(self, offset: int, whence: int) -> int:
        self.check(True)
        self._position = _sought(offset, whence, self._position, self._file.size)
        return self._position

    def resize(self, size: int) -> None:
        """Cut the file or fill it up with zeros."""
        if not self.writes or self.status & O_PATH:
            raise Refused(Errno.EINVAL)
        self._file.resize(size)

    def released(self) -> None:
        self._file.opens -= 1
        self._file.free_if_unused()


class OpenDirectory(Opened):
    """A folder. What it holds is listed as it was when the list was begun, without what has gone since."""

    def __init__(self, node: Directory, task: Task, status: int) -> None:
        super().__init__(status, node)
        self.directory = node
        self._task = task
        self._names: list[str] = []
        self._position = 0

    def read(self, size: int) -> bytes:  # noqa: ARG002
        self.check(True)
        raise Refused(Errno.EISDIR)

    def read_at(self, size: int, offset: int) -> bytes:  # noqa: ARG002
        self.check(True)
        raise Refused(Errno.EISDIR)

    def seek(self, offset: int, whence: int) -> int:
        self.check(True)
        self._position = _sought(offset, whence, self._position, 0)
        return self._position

    def next(self) -> tuple[int, str, Node] | None:
        """The next entry that is still there: (its position, name, node); `forward` goes on from it."""
        self.check(True)
        if not self._position:
            self._names = [".", "..", *self.directory.names(self._task)]
        while self._position < len(self._names):
            name = self._names[self._position]
            node = self.directory.named(name, self._task)
            if node is not None:
                return self._position + 1, name, node
            self._position += 1
        return None

    def forward(self) -> None:
        """Past the entry that `next` has told."""
        self._position += 1


def _sought(offset: int, whence: int, position: int, size: int) -> int:
    starts = {SEEK_SET: 0, SEEK_CUR: position, SEEK_END: size}
    if whence not in starts or not 0 <= starts[whence] + offset <= _FARTHEST:
        raise Refused(Errno.EINVAL)
    return starts[whence] + offset


class PathOnly(Opened):
    """A descriptor for a path that cannot be opened otherwise: a link or a device under O_PATH."""


class Null(Opened):
    """/dev/null, and what the other endless devices share: writes vanish."""

    def read(self, size: int) -> bytes:
        self.check(self.reads)
        return self.give(min(size, _MOST))

    def write(self, data: bytes) -> int:
        self.check(self.writes)
        return len(data)

    def read_at(self, size: int, offset: int) -> bytes:  # noqa: ARG002
        return self.read(size)

    def write_at(self, data: bytes, offset: int) -> int:  # noqa: ARG002
        return self.write(data)

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002
        return 0

    def give(self, size: int) -> bytes:  # noqa: ARG002
        """What is read from it."""
        return b""


class Zero(Null):
    """/dev/zero."""

    def give(self, size: int) -> bytes:
        return bytes(size)


class Full(Zero):
    """/dev/full: no room for anything."""

    def write(self, data: bytes) -> int:
        self.check(self.writes)
        raise Refused(Errno.ENOSPC if data else Errno.EINVAL)


class Noise(Null):
    """/dev/urandom, out of the run's own source of numbers."""

    def __init__(self, source: Random, status: int, node: Node) -> None:
        super().__init__(status, node)
        self._source = source

    def give(self, size: int) -> bytes:
        return self._source.randbytes(size)
