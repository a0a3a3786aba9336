"""What every socket is: an open file that messages come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arch.files import O_RDWR, POLLERR, POLLHUP, POLLRDHUP, S_IFSOCK
from arch.linux import Errno
from arch.sockets import BUFFER, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_RCVBUF, SOCK_STREAM, SOL_SOCKET
from emu.kernel.descriptors import of
from emu.kernel.errors import Refused
from emu.kernel.files import READABLE, WRITABLE, Node, Stream
from emu.kernel.sockets.addresses import Address, Inet, Netlink
from emu.kernel.sockets.inbox import NOBODY, Inbox, Message, Received
from emu.kernel.sockets.network import Network
from emu.kernel.sockets.options import Options

if TYPE_CHECKING:
    from emu.kernel.table import Thread

class Socket(Stream):
    """A socket of any kind. ``local``, ``remote``: its own address and the other's, None while there is none.

    ``error``: what the next call is told. ``shut_read``, ``shut_write``: nothing more will come, or may be sent.
    ``owner``: who made it. ``listens``: whether others may connect to it.
    ``nameless``: what is told if it has no address.
    """

    listens = False
    nameless: Address

    def __init__(self, network: Network, family: int, kind: int, protocol: int, status: int = 0) -> None:
        network.enter()
        super().__init__(status | O_RDWR, Node(S_IFSOCK | 0o777))
        self.network, self.family, self.kind, self.protocol = network, family, kind, protocol
        self.options = Options(family, protocol)
        self.inbox = Inbox(kind != SOCK_STREAM, BUFFER)
        self.local: Address | None = None
        self.remote: Address | None = None
        self.error: Errno | None = None
        self.owner = NOBODY
        self.shut_read = self.shut_write = self.closed = False

    # what a kind of socket says for itself

    def target(self, thread: Thread, address: Address) -> Target:
        """What an address leads to from here. Raises Refused."""
        raise NotImplementedError

    def bind(self, thread: Thread, address: Address) -> None:
        """Give it an address of its own. Raises Refused."""
        raise NotImplementedError

    def connect(self, target: Target) -> bool:
        """Connect it; False if that has to be waited for. Raises Refused."""
        raise NotImplementedError

    def send(self, message: Message, to: Target | None = None) -> int | None:
        """Send a message, or of a stream what there is room for; None if there is no room yet. Raises Refused."""
        raise NotImplementedError

    def disconnect(self) -> None:
        """Forget whom it is connected to. Raises Refused."""
        raise Refused(Errno.EOPNOTSUPP)

    def listen(self, backlog: int) -> None:  # noqa: ARG002
        """Let others connect to it; so many may wait to be accepted, and one more. Raises Refused."""
        raise Refused(Errno.EOPNOTSUPP)

    def accept(self) -> Socket | None:
        """The next connection, None if there is none yet. Raises Refused."""
        raise Refused(Errno.EOPNOTSUPP)

    def check_connected(self) -> None:
        """Refuse to wait for what can't come."""

    def made_room(self) -> None:
        """Something was taken out of the inbox."""

    def writable(self) -> bool:
        """Whether a message would be taken."""
        return True

    # what is the same for all

    def take_error(self) -> Errno | None:
        """The error that is to be told, which is over with that."""
        error, self.error = self.error, None
        return error

    def raise_error(self) -> None:
        error = self.take_error()
        if error is not None:
            raise Refused(error)

    def deliver(self, message: Message) -> None:
        """A message has come. Raises Refused if the sockets of this world hold too much."""
        self.network.check_room(message.cost)
        self.network.send_off(message.rights)
        self.network.count(self.inbox.put(message))
        self.changes += 1

    def receive(self, size: int, peek: bool = False) -> Received | None:
        """Take the next message, or up to ``size`` bytes of a stream; no bytes at its end; None if nothing has come.

        Whoever calls it lets go of the open files in it (`Network.arrived`) unless it was only a look.
        """
        if not size and not self.inbox.records:
            return Received()
        if self.inbox:
            received, freed = self.inbox.take(size, peek)
            self.network.count(-freed)
            if freed:
                self.made_room()
            return received
        self.raise_error()
        if self.shut_read:
            return Received()
        self.check_connected()
        return None

    def shut(self, how: int) -> None:
        """End one direction or both."""
        if how not in (SHUT_RD, SHUT_WR, SHUT_RDWR):
            raise Refused(Errno.EINVAL)
        if self.remote is None:
            raise Refused(Errno.ENOTCONN)
        self.shut_read |= how != SHUT_WR
        self.shut_write |= how != SHUT_RD
        self.changes += 1

    @property
    def unread(self) -> int | None:
        return None if self.listens else self.inbox.first

    def read(self, size: int) -> bytes | None:
        received = self.receive(size)
        if received is None:
            return None
        self.network.arrived(received.rights)
        return received.data

    def write(self, data: bytes) -> int | None:
        return self.send(Message(bytearray(data), credentials=self.owner))

    def ready(self) -> int:
        events = READABLE if self.inbox or self.shut_read else 0
        if self.shut_write or self.writable():
            events |= WRITABLE
        if self.shut_read:
            events |= POLLHUP | POLLRDHUP if self.shut_write else POLLRDHUP
        return events | (POLLERR if self.error is not None else 0)

    def resized(self) -> None:
        """Its options have changed."""
        self.inbox.limit = self.options.get(SOL_SOCKET, SO_RCVBUF)

    def released(self) -> None:
        self.closed = True
        self.network.leave()
        self.network.count(-self.inbox.used)
        self.network.arrived(self.inbox.clear())


Target = Inet | Netlink | Socket


def socket_of(thread: Thread, descriptor: int) -> Socket:
    """The socket that a descriptor refers to. Raises Refused."""
    stream = of(thread, descriptor)
    if not isinstance(stream, Socket):
        raise Refused(Errno.ENOTSOCK)
    return stream
