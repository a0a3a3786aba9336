"""TCP and UDP over the loopback interface. Sources: ip(7), tcp(7), udp(7), and how Linux's loopback behaves."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from arch.linux import Errno
from arch.sockets import AF_INET, AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, UDP_MAX
from emu.kernel.errors import Refused
from emu.kernel.sockets.addresses import ANY4, ANY6, HOME4, Address, Inet
from emu.kernel.sockets.inbox import Message
from emu.kernel.sockets.network import Network
from emu.kernel.sockets.socket import Socket, Target
from emu.kernel.sockets.stream import Connected

if TYPE_CHECKING:
    from emu.kernel.table import Thread

_EXACT, _ANY, _ANY_FAMILY, _CONNECTED = 3, 2, 1, 8  # how closely a socket is bound


class Bound(Socket):
    """A socket with a port. One of the family IPv6 may be for IPv4 too."""

    local: Inet | None
    remote: Inet | None
    nameless = Inet(ANY6, 0)

    @property
    def only_v6(self) -> bool:
        return self.family == AF_INET6 and bool(self.options.get(IPPROTO_IPV6, IPV6_V6ONLY))

    def target(self, thread: Thread, address: Address) -> Inet:  # noqa: ARG002
        """There is no other interface than loopback."""
        assert isinstance(address, Inet)
        found = address.at_home()
        mapped = self.family == AF_INET6 and len(found.host) == len(HOME4)
        if not found.loopback or (mapped and self.only_v6):
            raise Refused(Errno.ENETUNREACH)
        if self.local is not None and not self._reaches(found):
            raise Refused(Errno.EINVAL)
        return found

    def _reaches(self, address: Inet) -> bool:
        """Whether its own address and another are of one family, or its own is of both."""
        assert self.local is not None
        same = len(self.local.host) == len(address.host)
        return same or (self.local.host == ANY6 and not self.only_v6)

    def bind(self, thread: Thread, address: Address) -> None:  # noqa: ARG002
        assert isinstance(address, Inet)
        if self.local is not None:
            raise Refused(Errno.EINVAL)
        if not (address.wildcard or address.loopback) or (self.only_v6 and len(address.host) == len(ANY4)):
            raise Refused(Errno.EADDRNOTAVAIL)
        self.network.claim(self, address)

    def settle(self, other: Inet | None = None) -> Inet:
        """Its address, a new one if it has none; that of loopback if ``other`` is whom it is connected to."""
        if self.local is None:
            any_host = ANY4 if self.family == AF_INET or (other and len(other.host) == len(ANY4)) else ANY6
            self.network.claim(self, Inet(any_host, 0))
        assert self.local is not None
        if other is not None:
            self.local = self.seen_by(other)
        return self.local

    def seen_by(self, other: Inet) -> Inet:
        """Its address as ``other`` sees it."""
        assert self.local is not None
        if not self.local.wildcard:
            return self.local
        return Inet(ANY4 if len(other.host) == len(ANY4) else ANY6, self.local.port).at_home()

    def takes(self, address: Inet, source: Inet) -> int:
        """How closely it is bound to an address that ``source`` sends to; 0 if that is not for it."""
        assert self.local is not None
        if self.remote is not None and self.remote != source:
            return 0
        rank = _CONNECTED if self.remote is not None else 0
        if self.local.host == address.host:
            return rank + _EXACT
        if not self.local.wildcard:
            return 0
        if len(self.local.host) == len(address.host):
            return rank + _ANY
        return rank + _ANY_FAMILY if self.local.host == ANY6 and not self.only_v6 else 0

    def released(self) -> None:
        super().released()
        if self.local is not None:
            self.network.release(self)


class Tcp(Bound, Connected):
    """TCP: connections are made at once, or when who listens has room. ``_callers``: those who wait for that."""

    not_sent = Errno.EPIPE

    def __init__(self, network: Network, family: int, kind: int, protocol: int, status: int = 0) -> None:
        super().__init__(network, family, kind, protocol, status)
        self._callers: deque[Tcp] = deque()
        self._called: Tcp | None = None

    def takes(self, address: Inet, source: Inet) -> int:
        return super().takes(address, source) if self.listens else 0

    def connect(self, target: Target) -> bool:
        assert isinstance(target, Inet)
        if self.state == "connecting":
            raise Refused(Errno.EALREADY)
        if self.state != "new":
            raise Refused(Errno.EISCONN)
        self.raise_error()
        had = self.local
        listener = self.network.find(self.protocol, target, self.settle(target))
        if not isinstance(listener, Tcp):
            self._forget_address(had)
            raise Refused(Errno.ECONNREFUSED)
        self.remote = target
        if listener.full:
            self.state, self._called = "connecting", listener
            listener._callers.append(self)
            return False
        self.meet(listener)
        return True

    def connected(self) -> int | None:
        """0 if it is; None if that has to be waited for. Raises Refused."""
        self.raise_error()
        if self.state == "new":
            raise Refused(Errno.ECONNREFUSED)
        return 0 if self.state == "connected" else None

    def _forget_address(self, had: Inet | None) -> None:
        if had is None:
            self.network.release(self)
        self.local = had

    def introduce(self, other: Connected, listener: Connected) -> None:  # noqa: ARG002
        assert isinstance(other, Tcp)
        other.local, other.remote = self.remote, self.local
        self.network.join(other)
        self._called = None

    def admit(self) -> None:
        if self._callers and not self.full:
            self._callers.popleft().meet(self)

    def check_listen(self) -> None:
        self.settle()
        if self.network.listens_twice(self):
            raise Refused(Errno.EADDRINUSE)

    def lost(self, message: Message) -> int:
        """It is sent; the answer is that nobody is there."""
        self.shut_read = self.shut_write = True
        self.changes += 1
        return len(message.data)

    def told_of_end(self, reading: bool, writing: bool) -> None:  # noqa: ARG002
        """Only the end of writing is told on the wire."""
        self.shut_read |= writing
        self.changes += 1

    def left_alone(self, unread: bool) -> None:
        if unread:
            self.error = None if self.shut_read else Errno.ECONNRESET
            self.shut_write = True
        self.shut_read = True

    def released(self) -> None:
        super().released()
        while self._callers:
            caller = self._callers.popleft()
            caller.state, caller.error, caller._called, caller.remote = "new", Errno.ECONNREFUSED, None, None
            caller.changes += 1
        if self._called is not None:
            self._called._callers.remove(self)
            self._called = None


class Udp(Bound):
    """UDP: what finds no room is lost, and who is connected hears of it when nobody is there."""

    def connect(self, target: Target) -> bool:
        assert isinstance(target, Inet)
        self.settle(target)
        self.remote = target
        self.changes += 1
        return True

    def disconnect(self) -> None:
        self.remote = None

    def send(self, message: Message, to: Target | None = None) -> int | None:
        assert to is None or isinstance(to, Inet)
        self.raise_error()
        if self.shut_write:
            raise Refused(Errno.EPIPE)
        target = to or self.remote
        if target is None:
            raise Refused(Errno.EDESTADDRREQ)
        if not target.port:
            raise Refused(Errno.EINVAL)
        if len(message.data) > UDP_MAX[self.family]:
            raise Refused(Errno.EMSGSIZE)
        self.settle()
        source = self.seen_by(target)
        found = self.network.find(self.protocol, target, source)
        if found is None and self.remote == target:
            self.error = Errno.ECONNREFUSED
            self.changes += 1
        elif found is not None and not found.shut_read and found.inbox.room >= message.cost:
            found.deliver(Message(message.data, source))
        return len(message.data)
