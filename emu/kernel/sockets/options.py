"""Options of sockets that are kept and told again; few of them change anything here.

Sources: socket(7), tcp(7), ip(7), ipv6(7).
"""

from __future__ import annotations

from collections.abc import Mapping

from arch.linux import Errno
from arch.sockets import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    BUFFER,
    BUFFERS,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IP_TOS,
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_LOOP,
    IPV6_TCLASS,
    IPV6_UNICAST_HOPS,
    IPV6_V6ONLY,
    SO_BROADCAST,
    SO_DONTROUTE,
    SO_KEEPALIVE,
    SO_OOBINLINE,
    SO_PASSCRED,
    SO_PRIORITY,
    SO_RCVBUF,
    SO_RCVLOWAT,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_SNDBUF,
    SOL_SOCKET,
    TCP_CORK,
    TCP_DEFER_ACCEPT,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_NODELAY,
    TCP_QUICKACK,
    TCP_USER_TIMEOUT,
)
from emu.kernel.errors import Refused

_BOOL, _BYTE, _INT = range(2), range(256), range(1 << 31)
_HOPS = range(-1, 256)
_DEFAULT_HOPS = 64

# level -> option -> (its value at first, the values that it takes). Of a bool any number but 0 means 1.
_KEPT: Mapping[int, Mapping[int, tuple[int, range]]] = {
    SOL_SOCKET: {
        SO_REUSEADDR: (0, _BOOL), SO_REUSEPORT: (0, _BOOL), SO_DONTROUTE: (0, _BOOL), SO_BROADCAST: (0, _BOOL),
        SO_KEEPALIVE: (0, _BOOL), SO_OOBINLINE: (0, _BOOL), SO_PASSCRED: (0, _BOOL), SO_PRIORITY: (0, range(7)),
        SO_RCVLOWAT: (1, range(1, 2)), SO_RCVBUF: (BUFFER, BUFFERS), SO_SNDBUF: (BUFFER, BUFFERS),
    },
    IPPROTO_TCP: {
        TCP_NODELAY: (0, _BOOL), TCP_CORK: (0, _BOOL), TCP_KEEPIDLE: (7200, range(1, 32768)),
        TCP_KEEPINTVL: (75, range(1, 32768)), TCP_KEEPCNT: (9, range(1, 128)), TCP_DEFER_ACCEPT: (0, range(1)),
        TCP_QUICKACK: (1, _BOOL), TCP_USER_TIMEOUT: (0, _INT),
    },
    IPPROTO_IP: {
        IP_TOS: (0, _BYTE), IP_TTL: (_DEFAULT_HOPS, range(1, 256)), IP_MULTICAST_TTL: (1, _HOPS),
        IP_MULTICAST_LOOP: (1, _BOOL),
    },
    IPPROTO_IPV6: {
        IPV6_V6ONLY: (0, _BOOL), IPV6_UNICAST_HOPS: (_DEFAULT_HOPS, _HOPS), IPV6_MULTICAST_HOPS: (1, _HOPS),
        IPV6_MULTICAST_LOOP: (1, _BOOL), IPV6_TCLASS: (0, _HOPS),
    },
}  # fmt: skip
_LEVELS: Mapping[int, frozenset[int]] = {
    AF_UNIX: frozenset({SOL_SOCKET}),
    AF_INET: frozenset({SOL_SOCKET, IPPROTO_IP}),
    AF_INET6: frozenset({SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6}),
}


class Options:
    """The options of one socket. ``linger``: whether a close waits, and for how many seconds; None if it does not."""

    def __init__(self, family: int, protocol: int) -> None:
        self._levels = _LEVELS.get(family, frozenset({SOL_SOCKET}))
        if protocol == IPPROTO_TCP:
            self._levels |= {IPPROTO_TCP}
        self._changed: dict[tuple[int, int], int] = {}
        self.linger: int | None = None

    def _row(self, level: int, option: int) -> tuple[int, range]:
        if level not in self._levels or option not in _KEPT[level]:
            raise Refused(Errno.ENOPROTOOPT if level in self._levels else Errno.EOPNOTSUPP)
        return _KEPT[level][option]

    def get(self, level: int, option: int) -> int:
        """The value of an option. Raises Refused."""
        first, _ = self._row(level, option)
        return self._changed.get((level, option), first)

    def set(self, level: int, option: int, value: int) -> None:
        """Change an option; a buffer's size is doubled, and brought within its bounds. Raises Refused."""
        _, allowed = self._row(level, option)
        if allowed == _BOOL:
            value = int(bool(value))
        elif allowed == BUFFERS:
            value = min(max(2 * value, BUFFERS.start), BUFFERS.stop - 1)
        elif value not in allowed:
            raise Refused(Errno.EINVAL)
        self._changed[level, option] = value

    def copy_to(self, other: Options) -> None:
        """Give an accepted socket its listener's options."""
        other._changed, other.linger = dict(self._changed), self.linger
