"""Addresses of sockets, as programs pass them and as they are kept. Sources: ip(7), ipv6(7), unix(7), netlink(7)."""

from __future__ import annotations

from dataclasses import dataclass

from arch.linux import Errno
from arch.sockets import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    INET6_SIZE,
    INET_SIZE,
    NETLINK_SIZE,
    SOCKADDR_STORAGE,
    UNIX_PATH_MAX,
)
from emu.kernel.errors import Refused

_MAPPED = bytes(10) + b"\xff\xff"  # how an IPv6 address begins that stands for an IPv4 one
_SHORTEST_INET6 = 24  # without the scope, which old programs do not pass
ANY4, ANY6 = bytes(4), bytes(16)
HOME4, HOME6 = bytes((127, 0, 0, 1)), bytes(15) + b"\1"


@dataclass(frozen=True)
class Inet:
    """A host, 4 or 16 bytes, and a port. One that is mapped into IPv6 is kept as the 4 bytes that it stands for."""

    host: bytes
    port: int

    @property
    def wildcard(self) -> bool:
        return not any(self.host)

    @property
    def loopback(self) -> bool:
        return self.host[0] == HOME4[0] if len(self.host) == len(HOME4) else self.host == HOME6

    def at_home(self) -> Inet:
        """The address that one reaches who asks for any."""
        return Inet(HOME4 if len(self.host) == len(HOME4) else HOME6, self.port) if self.wildcard else self


@dataclass(frozen=True)
class Unix:
    """A path; a name that begins with a NUL byte and stands in no folder; or nothing, for who has no name."""

    name: bytes = b""

    @property
    def abstract(self) -> bool:
        return self.name.startswith(b"\0")


@dataclass(frozen=True)
class Netlink:
    """A port of netlink, 0 for the kernel."""

    port: int


Address = Inet | Unix | Netlink


def family(data: bytes) -> int:
    """The family that a sockaddr names. Raises Refused."""
    if not 2 <= len(data) <= SOCKADDR_STORAGE:
        raise Refused(Errno.EINVAL)
    return int.from_bytes(data[:2], "little")


def parse(data: bytes, wanted: int) -> Address:
    """A sockaddr for a socket of the family ``wanted``. Raises Refused."""
    if family(data) != wanted:
        raise Refused(Errno.EINVAL if wanted == AF_UNIX else Errno.EAFNOSUPPORT)
    if wanted == AF_UNIX:
        return _unix(data[2:])
    port = int.from_bytes(data[2:4], "big")
    if wanted == AF_INET and len(data) >= INET_SIZE:
        return Inet(data[4:8], port)
    if wanted == AF_INET6 and len(data) >= _SHORTEST_INET6:
        host = data[8:24]
        return Inet(host[12:] if host.startswith(_MAPPED) else host, port)
    if wanted == AF_NETLINK and len(data) >= NETLINK_SIZE:
        return Netlink(int.from_bytes(data[4:8], "little"))
    raise Refused(Errno.EINVAL)


def _unix(path: bytes) -> Unix:
    if len(path) > UNIX_PATH_MAX:
        raise Refused(Errno.EINVAL)
    return Unix(path if path.startswith(b"\0") else path.split(b"\0")[0])


def pack(address: Address, shown_as: int) -> bytes:
    """The sockaddr of an address, for a socket of the family ``shown_as``."""
    head = shown_as.to_bytes(2, "little")
    if isinstance(address, Unix):
        return head + address.name + (b"\0" if address.name and not address.abstract else b"")
    if isinstance(address, Netlink):
        return (head + bytes(2) + address.port.to_bytes(4, "little")).ljust(NETLINK_SIZE, b"\0")
    head += address.port.to_bytes(2, "big")
    if shown_as == AF_INET:
        return (head + address.host[:4]).ljust(INET_SIZE, b"\0")
    host = address.host if len(address.host) == len(ANY6) else _MAPPED + address.host
    return (head + bytes(4) + host).ljust(INET6_SIZE, b"\0")
