"""What has come to a socket and was not taken yet."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from emu.kernel.files import Stream
from emu.kernel.sockets.addresses import Address

COST = 128  # bytes that a message counts for beside what it holds


class Credentials(NamedTuple):
    """Who sent something: pid, user, group."""

    pid: int
    owner: int
    group: int


NOBODY = Credentials(0, 0xFFFF_FFFE, 0xFFFF_FFFE)


@dataclass
class Message:
    """Bytes in one piece. ``rights``: open files that travel with them; ``source``: who sent it, if that is told."""

    data: bytearray
    source: Address | None = None
    rights: tuple[Stream, ...] = ()
    credentials: Credentials | None = None

    @property
    def cost(self) -> int:
        return len(self.data) + COST


class Received(NamedTuple):
    """What was taken: ``whole`` is how many bytes the message had, the lost ones of a record included."""

    data: bytes = b""
    whole: int = 0
    source: Address | None = None
    rights: tuple[Stream, ...] = ()
    credentials: Credentials | None = None


@dataclass(eq=False)
class Inbox:
    """Messages in order, at most ``limit`` bytes. ``records``: their borders are kept, else they are one stream."""

    records: bool
    limit: int
    used: int = 0
    _held: deque[Message] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self._held)

    @property
    def room(self) -> int:
        """How many bytes may come."""
        return max(0, self.limit - self.used)

    @property
    def first(self) -> int:
        """The size of the first message, 0 if there is none."""
        return len(self._held[0].data) if self._held else 0

    def put(self, message: Message) -> int:
        """Add a message; how many bytes more are held now."""
        last = self._held[-1] if self._held else None
        joins = not self.records and last is not None and not last.rights and not message.rights
        if joins and last is not None and last.credentials == message.credentials:
            last.data += message.data
            added = len(message.data)
        else:
            self._held.append(message)
            added = message.cost
        self.used += added
        return added

    def take(self, size: int, peek: bool = False) -> tuple[Received, int]:
        """Up to ``size`` bytes, of one record or of a stream up to where open files travel with it; bytes freed.

        With ``peek`` all of it stays.
        """
        message = self._held[0]
        if self.records:
            if not peek:
                self._held.popleft()
            freed = 0 if peek else message.cost
            data = bytes(message.data[:size])
        else:
            data, freed = self._stream(size, peek)
        self.used -= freed
        received = Received(data, len(message.data), message.source, message.rights, message.credentials)
        if not peek:
            message.rights = ()
        return received, freed

    def _stream(self, size: int, peek: bool) -> tuple[bytes, int]:
        first, data, freed, place = self._held[0], bytearray(), 0, 0
        while place < len(self._held) and len(data) < size:
            message = self._held[place]
            if message is not first and (message.rights or message.credentials != first.credentials):
                break
            piece = message.data[: size - len(data)]
            data += piece
            if peek:
                place += 1
                continue
            del message.data[: len(piece)]
            freed += len(piece)
            if not message.data:
                self._held.popleft()
                freed += COST
        return bytes(data), freed

    def clear(self) -> tuple[Stream, ...]:
        """Forget everything; the open files that were in it."""
        rights = tuple(stream for message in self._held for stream in message.rights)
        self._held.clear()
        self.used = 0
        return rights
