"""Descriptors and the open files behind them. Of those, here: empty, captured, and the host's streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from arch.files import (
    ACCESS_MODE,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    POLLIN,
    POLLOUT,
    POLLRDNORM,
    POLLWRNORM,
    RW_MAX,
    S_IFIFO,
)
from arch.linux import Errno
from emu.kernel.errors import Refused

MOST = 1024  # descriptors of a process, unless it is told otherwise
WAITING: list[Host] = []
"""The stream of the host's that is being read from now, if one is."""
READABLE, WRITABLE = POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM


@dataclass(eq=False)
class Node:
    """What a path or a descriptor leads to, as stat tells of it.

    ``mode``: kind and permissions. ``device``: what a device's file stands for, major << 8 | minor. ``number``: the
    inode's, 0 until someone asks. Times are nanoseconds since 1970.
    """

    mode: int
    device: int = 0
    owner: int = 0
    group: int = 0
    links: int = 1
    number: int = 0
    accessed: int = 0
    modified: int = 0
    changed: int = 0

    @property
    def size(self) -> int:
        return 0


class Stream:
    """What descriptors refer to: an open file. ``users``: how many descriptors do.

    ``status``: access mode and status flags. ``at_once``: how many bytes one write takes at most. ``changes``: counts
    what wakes those who poll for an edge. ``pollable``: whether epoll takes it.
    """

    users = 0
    changes = 0
    pollable = True
    at_once = RW_MAX

    @property
    def opened(self) -> bool:
        """Whether open may return: nobody has to come first."""
        return True

    @property
    def unread(self) -> int | None:
        """How many bytes could be read at once; None where that is not told."""
        return None

    def __init__(self, status: int = O_RDWR, node: Node | None = None) -> None:
        self.status = status
        self.node = node or Node(S_IFIFO | 0o600)

    @property
    def waits(self) -> bool:
        """Whether calls wait for what is not there yet."""
        return not self.status & O_NONBLOCK

    @property
    def reads(self) -> bool:
        return self.status & ACCESS_MODE in (O_RDONLY, O_RDWR)

    @property
    def writes(self) -> bool:
        return self.status & ACCESS_MODE in (O_WRONLY, O_RDWR)

    def read(self, size: int) -> bytes | None:  # noqa: ARG002
        """Up to ``size`` bytes, none at the end of the file; None if there are none yet."""
        raise Refused(Errno.EBADF)

    def write(self, data: bytes) -> int | None:  # noqa: ARG002
        """How many of the bytes were taken; None if there is no room yet."""
        raise Refused(Errno.EBADF)

    def read_at(self, size: int, offset: int) -> bytes:  # noqa: ARG002
        """Bytes from a place in the file, its position left alone."""
        raise Refused(Errno.ESPIPE)

    def write_at(self, data: bytes, offset: int) -> int:  # noqa: ARG002
        """Write to a place in the file, its position left alone."""
        raise Refused(Errno.ESPIPE)

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002
        """Move the position; returns the new one."""
        raise Refused(Errno.ESPIPE)

    def ready(self) -> int:
        """The events of poll that have come."""
        return (READABLE if self.reads else 0) | (WRITABLE if self.writes else 0)

    def released(self) -> None:
        """The last descriptor is closed."""


class Empty(Stream):
    """An input without a byte in it."""

    def __init__(self) -> None:
        super().__init__(O_RDONLY)

    def read(self, size: int) -> bytes:  # noqa: ARG002
        return b""


class Captured(Stream):
    """Output that is kept under a number."""

    def __init__(self, kept: Mapping[int, bytearray], number: int) -> None:
        super().__init__(O_WRONLY)
        self._kept, self._number = kept, number

    def write(self, data: bytes) -> int:
        self._kept[self._number].extend(data)
        return len(data)


class Host(Stream):
    """A binary stream of the host's: the command's own input or output, and nothing else of the host.

    It is read only when the guest reads; a read waits, the whole world with it. What is written is flushed.
    """

    def __init__(self, stream: IO[bytes], status: int) -> None:
        super().__init__(status)
        self._stream = stream

    def read(self, size: int) -> bytes:
        if not self.reads:
            raise Refused(Errno.EBADF)
        some = getattr(self._stream, "read1", self._stream.read)  # what there is, not all that was asked for
        WAITING.append(self)
        try:
            return bytes(some(size) or b"")
        except (OSError, ValueError):
            raise Refused(Errno.EIO) from None
        finally:
            WAITING.clear()

    def write(self, data: bytes) -> int:
        if not self.writes:
            raise Refused(Errno.EBADF)
        try:
            self._stream.write(data)
            self._stream.flush()
        except BrokenPipeError:
            raise Refused(Errno.EPIPE) from None
        except OSError as error:
            raise Refused(Errno.ENOSPC if error.errno == Errno.ENOSPC else Errno.EIO) from None
        except ValueError:
            raise Refused(Errno.EIO) from None
        return len(data)


class Slot(NamedTuple):
    """What a descriptor refers to, and whether execve closes it."""

    stream: Stream
    close_on_exec: bool = False


@dataclass(eq=False)
class Files:
    """The descriptors of a process. ``most``: how many it may have; ``users``: how many processes share the table."""

    slots: dict[int, Slot] = field(default_factory=dict)
    most: int = MOST
    users: int = 1

    def lowest(self, start: int = 0) -> int:
        """The lowest free descriptor from ``start`` on."""
        number = next((n for n in range(start, self.most) if n not in self.slots), None)
        if number is None:
            raise Refused(Errno.EMFILE)
        return number

    def open(self, stream: Stream, close_on_exec: bool = False, start: int = 0) -> int:
        """The lowest free descriptor from ``start`` on, for a stream."""
        number = self.lowest(start)
        self._put(number, Slot(stream, close_on_exec))
        return number

    def _put(self, number: int, slot: Slot) -> None:
        slot.stream.users += 1
        self.slots[number] = slot

    def slot(self, number: int) -> Slot:
        """A descriptor."""
        if number not in self.slots:
            raise Refused(Errno.EBADF)
        return self.slots[number]

    def stream(self, number: int) -> Stream:
        """What a descriptor refers to."""
        return self.slot(number).stream

    def mark(self, number: int, close_on_exec: bool) -> None:
        """Say whether execve closes a descriptor."""
        self.slots[number] = Slot(self.stream(number), close_on_exec)

    def duplicate(self, old: int, new: int, close_on_exec: bool = False) -> int:
        """Let ``new`` refer to what ``old`` does; what it did refer to is closed."""
        stream = self.stream(old)
        if not 0 <= new < self.most:
            raise Refused(Errno.EBADF)
        if new in self.slots:
            self.close(new)
        self._put(new, Slot(stream, close_on_exec))
        return new

    def close(self, number: int) -> None:
        """Free a descriptor."""
        stream = self.stream(number)
        del self.slots[number]
        stream.users -= 1
        if not stream.users:
            stream.released()

    def copy(self) -> Files:
        """The table of a new process: the same descriptors, for the same streams."""
        twin = Files(most=self.most)
        for number, slot in self.slots.items():
            twin._put(number, slot)
        return twin

    def share(self) -> Files:
        """The same table for one more process."""
        self.users += 1
        return self

    def drop(self) -> None:
        """A process has ended; with the last one all descriptors are closed."""
        self.users -= 1
        if not self.users:
            for number in list(self.slots):
                self.close(number)

    def executed(self) -> None:
        """Close what execve closes."""
        for number in [n for n, slot in self.slots.items() if slot.close_on_exec]:
            self.close(number)
