"""The two system calls on options. Source: getsockopt(2), socket(7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.linux import Errno
from arch.sockets import (
    AF_UNIX,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    LINGER,
    SO_ACCEPTCONN,
    SO_DOMAIN,
    SO_ERROR,
    SO_LINGER,
    SO_PEERCRED,
    SO_PROTOCOL,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SO_TYPE,
    SOL_SOCKET,
    UCRED,
)
from emu.kernel import memory
from emu.kernel.errors import Refused
from emu.kernel.memory import c_int
from emu.kernel.sockets.inbox import NOBODY
from emu.kernel.sockets.socket import Socket, socket_of
from emu.kernel.sockets.stream import Connected
from emu.kernel.table import Thread

_INT = 4
_SAME = {SO_SNDBUFFORCE: SO_SNDBUF, SO_RCVBUFFORCE: SO_RCVBUF}


def _int(value: int) -> bytes:
    return (value & 0xFFFF_FFFF).to_bytes(_INT, "little")


def _error(socket: Socket) -> bytes:
    socket_error = socket.take_error()
    return _int(socket_error or 0)


def _linger(socket: Socket) -> bytes:
    seconds = socket.options.linger
    return LINGER.pack(onoff=int(seconds is not None), linger=seconds or 0)


def _peer(socket: Socket) -> bytes:
    if socket.family != AF_UNIX:
        raise Refused(Errno.ENOPROTOOPT)
    peer = socket.peer if isinstance(socket, Connected) else None
    who = peer.owner if peer is not None else NOBODY
    return UCRED.pack(pid=who.pid, uid=who.owner, gid=who.group)


_TOLD: Mapping[int, Callable[[Socket], bytes]] = {
    SO_ERROR: _error, SO_LINGER: _linger, SO_PEERCRED: _peer, SO_TYPE: lambda socket: _int(socket.kind),
    SO_ACCEPTCONN: lambda socket: _int(int(socket.listens)), SO_PROTOCOL: lambda socket: _int(socket.protocol),
    SO_DOMAIN: lambda socket: _int(socket.family),
}  # fmt: skip


def getsockopt(thread: Thread, descriptor: int, level: int, option: int, address: int, size_at: int) -> int:
    socket, level, option = socket_of(thread, descriptor), c_int(level), c_int(option)
    room = c_int(int.from_bytes(memory.load(thread, size_at, 4), "little"))
    if room < 0:
        raise Refused(Errno.EINVAL)
    memory.check(thread, address, min(room, _INT))
    if level == SOL_SOCKET and option in _TOLD:
        data = _TOLD[option](socket)
    else:
        data = _int(_known(thread, level, option, lambda: socket.options.get(level, option)))
    memory.store(thread, address, data[:room])
    memory.store(thread, size_at, min(room, len(data)).to_bytes(4, "little"))
    return 0


def setsockopt(thread: Thread, descriptor: int, level: int, option: int, address: int, size: int) -> int:
    socket, level, option = socket_of(thread, descriptor), c_int(level), c_int(option)
    if level == SOL_SOCKET and option == SO_LINGER:
        if c_int(size) < LINGER.size:
            raise Refused(Errno.EINVAL)
        row = LINGER.unpack(memory.load(thread, address, LINGER.size))
        socket.options.linger = row["linger"] if row["onoff"] else None
        return 0
    value = _value(thread, level, address, c_int(size))
    if (level, option) == (IPPROTO_IPV6, IPV6_V6ONLY) and socket.local is not None:
        raise Refused(Errno.EINVAL)
    wanted = _SAME.get(option, option) if level == SOL_SOCKET else option

    def change() -> int:
        socket.options.set(level, wanted, value)
        return 0

    _known(thread, level, option, change)
    socket.resized()
    return 0


def _value(thread: Thread, level: int, address: int, size: int) -> int:
    """The int that a program passes; for the level of IP one byte is enough."""
    if 0 < size < _INT and level == IPPROTO_IP:
        return memory.load(thread, address, 1)[0]
    if size < _INT:
        raise Refused(Errno.EINVAL)
    return int.from_bytes(memory.load(thread, address, _INT), "little", signed=True)


def _known(thread: Thread, level: int, option: int, ask: Callable[[], int]) -> int:
    """What ``ask`` says; an option that is not modelled is counted."""
    try:
        return ask()
    except Refused as refused:
        if refused.errno in (Errno.ENOPROTOOPT, Errno.EOPNOTSUPP):
            thread.kernel.refuse(f"socket option {option} of level {level}")
        raise
