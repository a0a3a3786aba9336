"""Unix sockets: streams, records and datagrams between who know a path or a name. Source: unix(7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arch.files import S_IFSOCK
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.nodes import Member
from emu.kernel.sockets.addresses import Address, Unix
from emu.kernel.sockets.inbox import Message
from emu.kernel.sockets.network import Network
from emu.kernel.sockets.socket import Socket, Target
from emu.kernel.sockets.stream import Connected
from emu.kernel.virtual import Place, Tree, permissions

if TYPE_CHECKING:
    from emu.kernel.table import Thread


class Named(Member):
    """The file that a Unix socket was bound to."""

    def __init__(self, tree: Tree, mode: int, socket: Socket) -> None:
        super().__init__(tree, S_IFSOCK | mode)
        self.socket = socket


class Local(Socket):
    """A Unix socket."""

    nameless = Unix()

    def target(self, thread: Thread, address: Address) -> Socket:
        assert isinstance(address, Unix)
        if address.abstract:
            found = self.network.names.get(address.name)
        elif not address.name:
            raise Refused(Errno.EINVAL)
        else:
            node = _place(thread, address).there
            found = node.socket if isinstance(node, Named) else None
        if found is None or found.closed:
            raise Refused(Errno.ECONNREFUSED)
        if found.kind != self.kind:
            raise Refused(Errno.EPROTOTYPE)
        return found

    def bind(self, thread: Thread, address: Address) -> None:
        assert isinstance(address, Unix)
        if self.local is not None:
            raise Refused(Errno.EINVAL)
        name = address.name or self.network.free_name()
        if name.startswith(b"\0"):
            if name in self.network.names:
                raise Refused(Errno.EADDRINUSE)
            self.network.names[name] = self
        else:
            self._place(thread, address)
        self.local = Unix(name)

    def _place(self, thread: Thread, address: Unix) -> None:
        task, tree = thread.task, thread.kernel.tree
        place = _place(thread, address, named=True)
        if place.node is not None:
            raise Refused(Errno.EADDRINUSE)
        tree.new(place, Named(tree, permissions(self.node.mode, task.umask), self), task)

    def released(self) -> None:
        super().released()
        if isinstance(self.local, Unix) and self.network.names.get(self.local.name) is self:
            del self.network.names[self.local.name]  # an accepted socket has its listener's name, but not for itself


def _place(thread: Thread, address: Unix, named: bool = False) -> Place:
    """Where a path leads; ``named``: it is a name to be given."""
    task, tree = thread.task, thread.kernel.tree
    path = address.name.decode("utf-8", "surrogateescape")
    return tree.resolve(task, path, task.folder or tree.root, named=named)


class LocalStream(Local, Connected):
    """A Unix stream, or records over a connection. Who connects waits while too many wait to be accepted."""

    not_connected = Errno.EINVAL

    def connect(self, target: Target) -> bool:
        if self.state != "new":
            raise Refused(Errno.EISCONN if self.state == "connected" else Errno.EINVAL)
        if not isinstance(target, LocalStream) or not target.listens:
            raise Refused(Errno.ECONNREFUSED)
        if target.full:
            return False
        self.meet(target)
        return True

    def introduce(self, other: Connected, listener: Connected) -> None:
        self.remote = listener.local
        other.local, other.remote = listener.local, self.local or Unix()

    def join(self, other: LocalStream) -> None:
        """Connect two that have no names."""
        self.remote = other.remote = Unix()
        self.pair(other)

    def check_listen(self) -> None:
        if self.local is None:
            raise Refused(Errno.EINVAL)

    def admit(self) -> None:
        self.changes += 1

    def lost(self, message: Message) -> int:  # noqa: ARG002
        raise Refused(Errno.EPIPE)

    def told_of_end(self, reading: bool, writing: bool) -> None:
        self.shut_read |= writing
        self.shut_write |= reading
        self.changes += 1

    def left_alone(self, unread: bool) -> None:
        self.told_of_end(reading=True, writing=True)
        if unread:
            self.error = Errno.ECONNRESET


class LocalDatagram(Local):
    """Unix datagrams: none is lost, who sends waits for room. ``_waiting``: who does."""

    def __init__(self, network: Network, family: int, kind: int, protocol: int, status: int = 0) -> None:
        super().__init__(network, family, kind, protocol, status)
        self.peer: LocalDatagram | None = None
        self._waiting: list[LocalDatagram] = []

    def connect(self, target: Target) -> bool:
        assert isinstance(target, LocalDatagram)
        if target.peer not in (None, self):
            raise Refused(Errno.EPERM)
        self.peer, self.remote = target, target.local
        self.changes += 1
        return True

    def disconnect(self) -> None:
        self.peer = self.remote = None

    def join(self, other: LocalDatagram) -> None:
        """Connect two that have no names."""
        for one, another in ((self, other), (other, self)):
            one.peer, one.remote = another, Unix()

    def send(self, message: Message, to: Target | None = None) -> int | None:
        self.raise_error()
        if self.shut_write:
            raise Refused(Errno.EPIPE)
        target = to or self.peer
        if target is None:
            raise Refused(Errno.ENOTCONN)
        assert isinstance(target, LocalDatagram)
        if target.closed:
            self.disconnect()
            raise Refused(Errno.ECONNREFUSED)
        if target.peer not in (None, self):
            raise Refused(Errno.EPERM)
        if target.shut_read:
            raise Refused(Errno.EPIPE)
        if message.cost > target.inbox.limit:
            raise Refused(Errno.EMSGSIZE)
        if target.inbox.room < message.cost:
            if self not in target._waiting:
                target._waiting.append(self)
            return None
        message.source = self.local  # of who has no name nothing is told
        target.deliver(message)
        return len(message.data)

    def made_room(self) -> None:
        for one in self._waiting:
            one.changes += 1
        self._waiting.clear()

    def writable(self) -> bool:
        return self.peer is None or self.peer.closed or self.peer.inbox.room * 2 >= self.peer.inbox.limit

    def released(self) -> None:
        super().released()
        self.made_room()
        self.peer = None
