"""The two ends of a pipe, and the counter that eventfd makes."""

from __future__ import annotations

from arch.files import O_RDONLY, O_RDWR, O_WRONLY, PIPE_BUF, POLLERR, POLLHUP
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import READABLE, WRITABLE, Stream

CAPACITY = 65536  # bytes that a pipe holds
_MOST = (1 << 64) - 2  # what eventfd's counter holds


class Reader(Stream):
    """The end of a pipe that is read. ``held``: what was written and not read."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(status | O_RDONLY)
        self.held = bytearray()
        self.writer = Writer(self, status)
        self.node = self.writer.node

    def read(self, size: int) -> bytes | None:
        if not self.held and self.writer.users and size:
            return None
        data = bytes(self.held[:size])
        del self.held[:size]
        self.writer.changes += bool(data)
        return data

    @property
    def unread(self) -> int:
        return len(self.held)

    def ready(self) -> int:
        return (READABLE if self.held else 0) | (0 if self.writer.users else POLLHUP)

    def released(self) -> None:
        self.held.clear()
        self.writer.changes += 1


class Writer(Stream):
    """The end of a pipe that is written to. A write of up to 4096 bytes is taken whole or not yet."""

    def __init__(self, reader: Reader, status: int) -> None:
        super().__init__(status | O_WRONLY)
        self._reader = reader

    def write(self, data: bytes) -> int | None:
        if not data:
            return 0
        if not self._reader.users:
            raise Refused(Errno.EPIPE)
        room = CAPACITY - len(self._reader.held)
        if not room or room < len(data) <= PIPE_BUF:
            return None
        taken = data[:room]
        self._reader.held += taken
        self._reader.changes += 1
        return len(taken)

    def ready(self) -> int:
        room = CAPACITY - len(self._reader.held) >= PIPE_BUF
        return (WRITABLE if room else 0) | (0 if self._reader.users else POLLERR)

    def released(self) -> None:
        self._reader.changes += 1


class Event(Stream):
    """A counter: writes add to it, a read takes it, or one of it with and waits while it is 0."""

    def __init__(self, count: int, semaphore: bool, status: int) -> None:
        super().__init__(status | O_RDWR)
        self.count, self._semaphore = count, semaphore

    def read(self, size: int) -> bytes | None:
        if size < 8:
            raise Refused(Errno.EINVAL)
        if not self.count:
            return None
        taken = 1 if self._semaphore else self.count
        self.count -= taken
        self.changes += 1
        return taken.to_bytes(8, "little")

    def write(self, data: bytes) -> int | None:
        added = int.from_bytes(data[:8], "little")
        if len(data) < 8 or added > _MOST:
            raise Refused(Errno.EINVAL)
        if self.count + added > _MOST:
            return None
        self.count += added
        self.changes += 1
        return 8

    def ready(self) -> int:
        return (READABLE if self.count else 0) | (WRITABLE if self.count < _MOST else 0)


class Pipes:
    """Every pipe of a world: together they hold no more than 64 MiB."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._open: list[Reader] = []

    def new(self, status: int) -> Reader:
        """One more pipe; ENFILE if there are too many."""
        if len(self._open) >= self._most:
            self._open = [reader for reader in self._open if reader.users or reader.writer.users]
        if len(self._open) >= self._most:
            raise Refused(Errno.ENFILE)
        reader = Reader(status)
        self._open.append(reader)
        return reader
