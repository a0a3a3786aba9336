"""Sockets that are connected to one other: streams, and records over a connection."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, Literal

from arch.files import POLLERR, POLLHUP, RW_MAX
from arch.linux import Errno
from arch.sockets import SHUT_RD, SHUT_WR, SOMAXCONN
from emu.kernel.errors import Refused
from emu.kernel.files import READABLE, WRITABLE
from emu.kernel.sockets.inbox import Message
from emu.kernel.sockets.network import Network
from emu.kernel.sockets.socket import Socket, Target

_WRITABLE_SHARE = 3  # a third of the other's inbox has to be free before a poll says that there is room


class Connected(Socket):
    """One end of a connection, or who waits for connections.

    ``peer``: the other end. ``pending``: connected sockets that nobody has accepted yet, at most ``backlog`` + 1.
    """

    not_connected: ClassVar[Errno] = Errno.ENOTCONN
    not_sent: ClassVar[Errno] = Errno.ENOTCONN

    def __init__(self, network: Network, family: int, kind: int, protocol: int, status: int = 0) -> None:
        super().__init__(network, family, kind, protocol, status)
        self.state: Literal["new", "listening", "connecting", "connected"] = "new"
        self.peer: Connected | None = None
        self.backlog = 0
        self.pending: deque[Connected] = deque()
        self._wants_room = False

    @property
    def listens(self) -> bool:  # type: ignore[override]
        return self.state == "listening"

    @property
    def at_once(self) -> int:  # type: ignore[override]
        """A stream that does not wait takes no more than the other end has room for: more need not be looked at."""
        if self.waits or self.inbox.records or self.peer is None:
            return RW_MAX
        return max(1, self.peer.inbox.room)

    def check_connected(self) -> None:
        if self.state in ("new", "listening"):
            raise Refused(self.not_connected)

    # connecting

    def listen(self, backlog: int) -> None:
        if self.state not in ("new", "listening"):
            raise Refused(Errno.EINVAL)
        self.check_listen()
        self.backlog = backlog if 0 <= backlog <= SOMAXCONN else SOMAXCONN
        self.state = "listening"
        self.changes += 1

    def check_listen(self) -> None:
        """Refuse to listen, or give it the address where it does."""

    @property
    def full(self) -> bool:
        """Whether too many wait to be accepted."""
        return len(self.pending) > self.backlog

    def pair(self, other: Connected) -> None:
        """Connect two sockets."""
        self.peer, other.peer = other, self
        for end in (self, other):
            end.state = "connected"
            end.changes += 1

    def meet(self, listener: Connected) -> None:
        """Connect to who listens: the other end waits to be accepted."""
        other = type(self)(self.network, listener.family, self.kind, self.protocol)
        listener.options.copy_to(other.options)
        other.resized()
        other.owner = listener.owner
        self.introduce(other, listener)
        self.pair(other)
        listener.pending.append(other)
        listener.changes += 1

    def introduce(self, other: Connected, listener: Connected) -> None:
        """Say at both ends who is there."""
        raise NotImplementedError

    def accept(self) -> Connected | None:
        if not self.listens:
            raise Refused(Errno.EINVAL)
        self.raise_error()
        if not self.pending:
            return None
        accepted = self.pending.popleft()
        self.admit()
        return accepted

    def admit(self) -> None:
        """There is room for one who waits to connect."""

    # bytes

    def send(self, message: Message, to: Target | None = None) -> int | None:
        if to is not None:
            raise Refused(Errno.EISCONN if self.state == "connected" else Errno.EOPNOTSUPP)
        self.raise_error()
        if self.shut_write:
            raise Refused(Errno.EPIPE)
        if self.state == "connecting":
            return None
        if self.peer is None:
            raise Refused(self.not_sent)
        if self.peer.closed:
            return self.lost(message)
        if self.inbox.records and len(message.data) > self.peer.inbox.limit:
            raise Refused(Errno.EMSGSIZE)
        if not message.data and not self.inbox.records:
            return 0
        return self._put(self.peer, message)

    def _put(self, peer: Connected, message: Message) -> int | None:
        room = peer.inbox.room
        if not room or (self.inbox.records and room < len(message.data) and peer.inbox):
            self._wants_room = True
            return None
        piece = message.data if self.inbox.records else message.data[:room]
        peer.deliver(Message(piece, None, message.rights, message.credentials))
        if len(piece) < len(message.data):
            self._wants_room = True
        return len(piece)

    def lost(self, message: Message) -> int:
        """Something was sent to who is gone."""
        raise NotImplementedError

    def writable(self) -> bool:
        return self.peer is None or self.peer.closed or self.peer.spacious()

    def spacious(self) -> bool:
        """Whether much may come."""
        return self.inbox.room * _WRITABLE_SHARE >= self.inbox.limit

    def made_room(self) -> None:
        if self.peer is not None and self.peer._wants_room and self.spacious():
            self.peer._wants_room = False
            self.peer.changes += 1

    def ready(self) -> int:
        if self.listens:
            return READABLE if self.pending else 0
        if self.state == "connecting":
            return 0
        if self.state == "new":
            return WRITABLE | POLLHUP | (POLLERR | READABLE if self.error is not None else 0)
        return super().ready()

    # the end

    def shut(self, how: int) -> None:
        if self.state != "connected":
            raise Refused(Errno.ENOTCONN)
        super().shut(how)
        assert self.peer is not None
        self.peer.told_of_end(reading=how != SHUT_WR, writing=how != SHUT_RD)

    def told_of_end(self, reading: bool, writing: bool) -> None:
        """The other end will not read, or not write any more."""
        raise NotImplementedError

    def left_alone(self, unread: bool) -> None:
        """The other end is closed; ``unread``: before it had read everything."""
        raise NotImplementedError

    def released(self) -> None:
        unread = bool(self.inbox) or self.options.linger == 0
        peer, self.peer = self.peer, None
        super().released()
        while self.pending:
            self.pending.popleft().abandoned()
        if peer is not None and not peer.closed:
            peer.left_alone(unread)
            peer.changes += 1

    def abandoned(self) -> None:
        """Nobody will ever accept it: it ends as one that has not read what it was sent."""
        self.options.linger = 0
        self.released()
