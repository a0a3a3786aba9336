"""Descriptors and what they stand for: an input that is empty, output that is captured, the two ends of a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from arch.linux import Errno
from emu.kernel.errors import Refused

MOST = 1024  # descriptors of a process, unless it is told otherwise
CAPACITY = 65536  # bytes that a pipe holds


class Stream:
    """What descriptors refer to: an open file. ``users``: how many descriptors do."""

    users = 0

    def read(self, size: int) -> bytes | None:  # noqa: ARG002
        """Up to ``size`` bytes, none at the end of the file; None if there are none yet."""
        raise Refused(Errno.EBADF)

    def write(self, data: bytes) -> int | None:  # noqa: ARG002
        """How many of the bytes were taken; None if there is no room yet."""
        raise Refused(Errno.EBADF)


class Empty(Stream):
    """An input without a byte in it."""

    def read(self, size: int) -> bytes:  # noqa: ARG002
        return b""


@dataclass(eq=False)
class Captured(Stream):
    """Output that is kept under a number."""

    kept: Mapping[int, bytearray]
    number: int

    def write(self, data: bytes) -> int:
        self.kept[self.number].extend(data)
        return len(data)


class Reader(Stream):
    """The end of a pipe that is read. ``held``: what was written and not read."""

    def __init__(self) -> None:
        self.held = bytearray()
        self.writer = Writer(self)

    def read(self, size: int) -> bytes | None:
        if not self.held and self.writer.users:
            return None
        data = bytes(self.held[:size])
        del self.held[:size]
        return data


class Writer(Stream):
    """The end of a pipe that is written to."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def write(self, data: bytes) -> int | None:
        if not self._reader.users:
            raise Refused(Errno.EPIPE)  # the signal that comes with it is not modelled
        taken = data[: CAPACITY - len(self._reader.held)]
        self._reader.held += taken
        return len(taken) if taken else None


@dataclass(frozen=True)
class Slot:
    """What a descriptor refers to, and whether execve closes it."""

    stream: Stream
    close_on_exec: bool = False


@dataclass(eq=False)
class Files:
    """The descriptors of a process. ``most``: how many it may have; ``users``: how many processes share the table."""

    slots: dict[int, Slot] = field(default_factory=dict)
    most: int = MOST
    users: int = 1

    def open(self, stream: Stream, close_on_exec: bool = False) -> int:
        """The lowest free descriptor, for a stream."""
        number = next((n for n in range(self.most) if n not in self.slots), None)
        if number is None:
            raise Refused(Errno.EMFILE)
        self._put(number, Slot(stream, close_on_exec))
        return number

    def _put(self, number: int, slot: Slot) -> None:
        slot.stream.users += 1
        self.slots[number] = slot

    def stream(self, number: int) -> Stream:
        """What a descriptor refers to."""
        if number not in self.slots:
            raise Refused(Errno.EBADF)
        return self.slots[number].stream

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
        self.stream(number).users -= 1
        del self.slots[number]

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
