"""What the sockets of a world share: ports, names, and bounds on what all of them hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arch.linux import Errno
from arch.sockets import EPHEMERAL, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.sockets.addresses import ANY6, Inet

if TYPE_CHECKING:
    from emu.kernel.sockets.internet import Bound
    from emu.kernel.sockets.socket import Socket

MOST_SOCKETS = 4096
ROOM = 64 << 20  # bytes that all sockets hold
MOST_RIGHTS = 1024  # open files that are on their way
_NAMES = 1 << 20  # that unnamed Unix sockets may be given


class Network:
    """The sockets of one world. ``names``: Unix sockets by their abstract names."""

    def __init__(self) -> None:
        self.names: dict[bytes, Socket] = {}
        self._bound: dict[tuple[int, int], list[Bound]] = {}
        self._next_port = EPHEMERAL.start
        self._next_name = 0
        self._sockets = 0
        self._used = 0
        self._travelling = 0
        self._dropped: list[Stream] = []
        self._dropping = False

    # bounds

    def enter(self) -> None:
        """One more socket; ENFILE if there are too many."""
        if self._sockets >= MOST_SOCKETS:
            raise Refused(Errno.ENFILE)
        self._sockets += 1

    def leave(self) -> None:
        self._sockets -= 1

    def check_room(self, size: int) -> None:
        """Refuse what would make the sockets hold too much."""
        if self._used + size > ROOM:
            raise Refused(Errno.ENOBUFS)

    def count(self, size: int) -> None:
        """So many bytes more are held, or fewer."""
        self._used += size

    def send_off(self, streams: tuple[Stream, ...]) -> None:
        """Open files go on their way in a message: they stay open though no descriptor may refer to them."""
        if self._travelling + len(streams) > MOST_RIGHTS:
            raise Refused(Errno.ETOOMANYREFS)
        self._travelling += len(streams)
        for stream in streams:
            stream.users += 1

    def arrived(self, streams: tuple[Stream, ...]) -> None:
        """Open files are on their way no more. What nobody refers to is closed, and so is what travelled to it."""
        self._travelling -= len(streams)
        self._dropped += streams
        if self._dropping:
            return
        self._dropping = True
        while self._dropped:
            stream = self._dropped.pop()
            stream.users -= 1
            if not stream.users:
                stream.released()
        self._dropping = False

    # names of Unix sockets

    def free_name(self) -> bytes:
        """An abstract name that nobody has."""
        for _ in range(_NAMES):
            self._next_name = (self._next_name + 1) % _NAMES
            name = b"\0%05x" % self._next_name
            if name not in self.names:
                return name
        raise Refused(Errno.ENOSPC)

    # ports

    def claim(self, socket: Bound, address: Inet) -> None:
        """Give a socket its address; port 0 stands for the next that is free. Raises Refused."""
        if address.port:
            others = self._bound.get((socket.protocol, address.port), [])
            if any(_collide(socket, address, other) for other in others):
                raise Refused(Errno.EADDRINUSE)
        else:
            address = Inet(address.host, self._free_port(socket.protocol))
        socket.local = address
        self._bound.setdefault((socket.protocol, address.port), []).append(socket)

    def _free_port(self, protocol: int) -> int:
        for _ in EPHEMERAL:
            port = self._next_port
            self._next_port = port + 1 if port + 1 in EPHEMERAL else EPHEMERAL.start
            if (protocol, port) not in self._bound:
                return port
        raise Refused(Errno.EADDRINUSE)

    def join(self, socket: Bound) -> None:
        """An accepted socket shares its listener's port."""
        assert socket.local is not None
        self._bound.setdefault((socket.protocol, socket.local.port), []).append(socket)

    def release(self, socket: Bound) -> None:
        """A socket's port is free again when nobody else has it."""
        assert socket.local is not None
        key = socket.protocol, socket.local.port
        self._bound[key].remove(socket)
        if not self._bound[key]:
            del self._bound[key]

    def listens_twice(self, socket: Bound) -> bool:
        """Whether another socket listens where this one wants to."""
        assert socket.local is not None
        others = self._bound[socket.protocol, socket.local.port]
        return any(_collide(socket, socket.local, other) for other in others if other is not socket and other.listens)

    def find(self, protocol: int, address: Inet, source: Inet) -> Bound | None:
        """Who gets what ``source`` sends to an address: who is bound to it most closely."""
        ranks = [(other.takes(address, source), other) for other in self._bound.get((protocol, address.port), [])]
        rank, found = max(ranks, key=lambda pair: pair[0], default=(0, None))
        return found if rank else None


def _collide(socket: Bound, address: Inet, other: Bound) -> bool:
    """Whether a socket may not have an address because of another's."""
    assert other.local is not None
    theirs = other.local
    if len(address.host) == len(theirs.host):
        overlap = address.host == theirs.host or address.wildcard or theirs.wildcard
    else:
        wide, owner = (address, socket) if len(address.host) == len(ANY6) else (theirs, other)
        overlap = wide.wildcard and not owner.only_v6
    shared = _both(socket, other, SO_REUSEPORT) or (_both(socket, other, SO_REUSEADDR) and not other.listens)
    return overlap and not shared


def _both(one: Bound, other: Bound, option: int) -> bool:
    return bool(one.options.get(SOL_SOCKET, option) and other.options.get(SOL_SOCKET, option))
