"""The system calls on sockets. Sources: socket(2), bind(2), connect(2), accept(2), send(2), recv(2), socketcall(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import O_NONBLOCK
from arch.linux import Errno
from arch.sockets import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    AF_UNSPEC,
    IPPROTO_TCP,
    IPPROTO_UDP,
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    NETLINK_ROUTE,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOCK_TYPE,
    SOCKADDR_STORAGE,
    SOCKETCALL,
)
from emu.kernel import memory
from emu.kernel.descriptors import pieces_of, put_all, wait
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.memory import c_int
from emu.kernel.sockets import messages, network
from emu.kernel.sockets.addresses import Address, Unix, family, pack, parse
from emu.kernel.sockets.inbox import Credentials, Message, Received
from emu.kernel.sockets.internet import Tcp, Udp
from emu.kernel.sockets.local import LocalDatagram, LocalStream
from emu.kernel.sockets.messages import Header
from emu.kernel.sockets.netlink import NetlinkSocket
from emu.kernel.sockets.options_calls import getsockopt, setsockopt
from emu.kernel.sockets.socket import Socket, Target, socket_of
from emu.kernel.sockets.stream import Connected
from emu.kernel.table import Thread

# family -> kind -> (what such a socket is, its protocol)
_KINDS: Mapping[int, Mapping[int, tuple[type[Socket], int]]] = {
    AF_UNIX: {
        SOCK_STREAM: (LocalStream, 0), SOCK_SEQPACKET: (LocalStream, 0), SOCK_DGRAM: (LocalDatagram, 0),
        SOCK_RAW: (LocalDatagram, 0),
    },
    AF_INET: {SOCK_STREAM: (Tcp, IPPROTO_TCP), SOCK_DGRAM: (Udp, IPPROTO_UDP)},
    AF_INET6: {SOCK_STREAM: (Tcp, IPPROTO_TCP), SOCK_DGRAM: (Udp, IPPROTO_UDP)},
    AF_NETLINK: {SOCK_RAW: (NetlinkSocket, NETLINK_ROUTE), SOCK_DGRAM: (NetlinkSocket, NETLINK_ROUTE)},
}  # fmt: skip


# sockets


def _new(thread: Thread, domain: int, kind: int, protocol: int) -> Socket:
    if kind & ~(SOCK_TYPE | SOCK_NONBLOCK | SOCK_CLOEXEC):
        raise Refused(Errno.EINVAL)
    if domain not in _KINDS:
        thread.kernel.refuse(f"socket of family {domain}")
        raise Refused(Errno.EAFNOSUPPORT)
    known = _KINDS[domain]
    if kind & SOCK_TYPE == SOCK_RAW and SOCK_RAW not in known:
        raise Refused(Errno.EPERM)
    if kind & SOCK_TYPE not in known:
        raise Refused(Errno.ESOCKTNOSUPPORT)
    make, own = known[kind & SOCK_TYPE]
    if protocol not in (0, own) and (domain, protocol) != (AF_UNIX, AF_UNIX):
        raise Refused(Errno.EPROTONOSUPPORT)
    made = SOCK_DGRAM if (domain, kind & SOCK_TYPE) == (AF_UNIX, SOCK_RAW) else kind & SOCK_TYPE
    found = make(thread.kernel.network, domain, made, own, O_NONBLOCK if kind & SOCK_NONBLOCK else 0)
    found.owner = _self(thread)
    return found


def _self(thread: Thread) -> Credentials:
    return Credentials(thread.pid, thread.task.owner, thread.task.owner_group)


def _open(thread: Thread, made: Socket, kind: int) -> int:
    try:
        return thread.task.files.open(made, bool(kind & SOCK_CLOEXEC))
    except Refused:
        made.released()
        raise


def socket(thread: Thread, domain: int, kind: int, protocol: int) -> int:
    return _open(thread, _new(thread, c_int(domain), c_int(kind), c_int(protocol)), kind)


def socketpair(thread: Thread, domain: int, kind: int, protocol: int, address: int) -> int:
    if c_int(domain) not in _KINDS:
        raise Refused(Errno.EAFNOSUPPORT)
    if c_int(domain) != AF_UNIX:
        raise Refused(Errno.EOPNOTSUPP)
    memory.check(thread, address, 8)
    first = _new(thread, c_int(domain), c_int(kind), c_int(protocol))
    try:
        second = _new(thread, c_int(domain), c_int(kind), c_int(protocol))
    except Refused:
        first.released()
        raise
    first.join(second)  # type: ignore[attr-defined]
    numbers = [_open(thread, first, kind)]
    try:
        numbers.append(_open(thread, second, kind))
    except Refused:
        thread.task.files.close(numbers[0])
        raise
    memory.store(thread, address, b"".join(number.to_bytes(4, "little") for number in numbers))
    return 0


# addresses


def _given(thread: Thread, address: int, size: int) -> bytes:
    """A sockaddr as it was passed."""
    if not 0 <= c_int(size) <= SOCKADDR_STORAGE:
        raise Refused(Errno.EINVAL)
    return memory.load(thread, address, c_int(size))


def _tell(thread: Thread, told: Socket, address: Address | None, at: int, size_at: int) -> None:
    """Store a sockaddr, as much of it as there is room for, and how long it is."""
    room = c_int(int.from_bytes(memory.load(thread, size_at, 4), "little"))
    if room < 0:
        raise Refused(Errno.EINVAL)
    data = pack(address, told.family) if address is not None else b""
    memory.store(thread, at, data[:room])
    memory.store(thread, size_at, len(data).to_bytes(4, "little"))


def bind(thread: Thread, descriptor: int, address: int, size: int) -> int:
    found = socket_of(thread, descriptor)
    found.bind(thread, parse(_given(thread, address, size), found.family))
    return 0


def listen(thread: Thread, descriptor: int, backlog: int) -> int:
    found = socket_of(thread, descriptor)
    found.owner = _self(thread)
    found.listen(c_int(backlog))
    return 0


def connect(thread: Thread, descriptor: int, address: int, size: int) -> int | None:
    found = socket_of(thread, descriptor)
    data = _given(thread, address, size)
    if family(data) == AF_UNSPEC:
        found.disconnect()
        return 0
    if isinstance(found, Tcp) and found.state == "connecting" and found.waits:
        return wait(thread, f"descriptor {c_int(descriptor)} to be connected", True, found.connected)
    target = found.target(thread, parse(data, found.family))
    found.owner = _self(thread)
    if found.connect(target):
        return 0

    def until() -> int | None:
        return found.connected() if isinstance(found, Tcp) else 0 if found.connect(target) else None

    later = Errno.EINPROGRESS if isinstance(found, Tcp) else Errno.EAGAIN
    return wait(thread, f"descriptor {c_int(descriptor)} to be connected", found.waits, until, errno=later)


def accept4(thread: Thread, descriptor: int, address: int, size_at: int, flags: int) -> int | None:
    found = socket_of(thread, descriptor)
    if flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC):
        raise Refused(Errno.EINVAL)
    if address:
        memory.check(thread, size_at, 4)

    def until() -> int | None:
        thread.task.files.lowest()
        accepted = found.accept()
        if accepted is None:
            return None
        accepted.status |= O_NONBLOCK if flags & SOCK_NONBLOCK else 0
        number = _open(thread, accepted, flags)
        if address:
            _tell(thread, accepted, accepted.remote or Unix(), address, size_at)
        return number

    return wait(thread, f"a connection to descriptor {c_int(descriptor)}", found.waits, until)


def accept(thread: Thread, descriptor: int, address: int, size_at: int) -> int | None:
    return accept4(thread, descriptor, address, size_at, 0)


def getsockname(thread: Thread, descriptor: int, address: int, size_at: int) -> int:
    found = socket_of(thread, descriptor)
    _tell(thread, found, found.local or found.nameless, address, size_at)
    return 0


def getpeername(thread: Thread, descriptor: int, address: int, size_at: int) -> int:
    found = socket_of(thread, descriptor)
    if found.remote is None or (isinstance(found, Connected) and found.state != "connected"):
        raise Refused(Errno.ENOTCONN)
    _tell(thread, found, found.remote, address, size_at)
    return 0


def shutdown(thread: Thread, descriptor: int, how: int) -> int:
    socket_of(thread, descriptor).shut(c_int(how))
    return 0


# messages


def _send(
    thread: Thread, descriptor: int, data: bytes, flags: int, to: Target | None,
    rights: tuple[Stream, ...] = (), credentials: Credentials | None = None,
) -> int | None:
    """Send bytes; what travels with them goes with the first of them."""
    found = socket_of(thread, descriptor)
    if flags & MSG_OOB:
        raise Refused(Errno.EOPNOTSUPP)
    own = credentials or (_self(thread) if found.family == AF_UNIX else None)

    def take(piece: bytes) -> int | None:
        nonlocal rights
        taken = found.send(Message(bytearray(piece), None, rights, own), to)
        rights = () if taken is not None else rights
        return taken

    waits = found.waits and not flags & MSG_DONTWAIT
    return put_all(thread, descriptor, data, take, waits, bool(flags & MSG_NOSIGNAL) or not _signals(found))


def _signals(found: Socket) -> bool:
    """Whether a signal tells that nobody reads what is sent."""
    return found.kind == SOCK_STREAM


def _target(thread: Thread, found: Socket, address: int, size: int) -> Target | None:
    if not address or not size:
        return None
    if isinstance(found, Connected):
        raise Refused(Errno.EISCONN if found.state == "connected" else Errno.EOPNOTSUPP)
    return found.target(thread, parse(_given(thread, address, size), found.family))


def sendto(
    thread: Thread, descriptor: int, address: int, size: int, flags: int, to: int, to_size: int
) -> int | None:
    found = socket_of(thread, descriptor)
    target = _target(thread, found, to, to_size)
    return _send(thread, descriptor, memory.load(thread, address, _bounded(size)), flags, target)


def send(thread: Thread, descriptor: int, address: int, size: int, flags: int) -> int | None:
    return sendto(thread, descriptor, address, size, flags, 0, 0)


def _bounded(size: int) -> int:
    return min(size, network.ROOM)


def sendmsg(thread: Thread, descriptor: int, address: int, flags: int) -> int | None:
    found, header = socket_of(thread, descriptor), Header.load(thread, address)
    target = _target(thread, found, header.name, header.name_size)
    rights, credentials = messages.sent(thread, header) if found.family == AF_UNIX else ((), None)
    data = b"".join(memory.load(thread, at, _bounded(size)) for at, size in _pieces(thread, header))
    return _send(thread, descriptor, data, flags, target, rights, credentials)


def _pieces(thread: Thread, header: Header) -> list[tuple[int, int]]:
    try:
        return pieces_of(thread, header.vector, header.pieces)
    except Refused as refused:
        raise Refused(Errno.EMSGSIZE if refused.errno == Errno.EINVAL else refused.errno) from None


def _receive(
    thread: Thread, descriptor: int, size: int, flags: int, put: Callable[[Socket, Received, int], None]
) -> int | None:
    """Receive, and wait while nothing has come; ``put`` stores it, and is told how many bytes there are already."""
    found = socket_of(thread, descriptor)
    if flags & (MSG_OOB | MSG_ERRQUEUE):
        raise Refused(Errno.EINVAL if flags & MSG_OOB else Errno.EAGAIN)
    waits, done = found.waits and not flags & MSG_DONTWAIT, 0
    whole = flags & MSG_WAITALL and not flags & MSG_PEEK and waits and not found.inbox.records

    def until() -> int | None:
        nonlocal done
        while True:
            got = found.receive(size - done, bool(flags & MSG_PEEK))
            if got is None:
                return None
            put(found, got, done)
            if not flags & MSG_PEEK:
                found.network.arrived(got.rights)
            done += len(got.data)
            if not (whole and got.data and done < size):
                return got.whole if flags & MSG_TRUNC and found.inbox.records else done

    return wait(thread, f"bytes from descriptor {c_int(descriptor)}", waits, until, lambda: done)


def recvfrom(
    thread: Thread, descriptor: int, address: int, size: int, flags: int, source: int, size_at: int
) -> int | None:
    memory.check(thread, address, min(size, 1))
    if source:
        memory.check(thread, size_at, 4)

    def put(found: Socket, got: Received, done: int) -> None:
        memory.store(thread, address + done, got.data)
        if source:
            _tell(thread, found, got.source, source, size_at)

    return _receive(thread, descriptor, size, flags, put)


def recv(thread: Thread, descriptor: int, address: int, size: int, flags: int) -> int | None:
    return recvfrom(thread, descriptor, address, size, flags, 0, 0)


def recvmsg(thread: Thread, descriptor: int, address: int, flags: int) -> int | None:
    header = Header.load(thread, address)
    pieces = _pieces(thread, header)
    for at, size in pieces:
        memory.check(thread, at, min(size, 1))
    memory.check(thread, header.control, header.control_size)

    def put(found: Socket, got: Received, done: int) -> None:
        data, skipped = got.data, done
        for at, size in pieces:
            gap = min(skipped, size)
            memory.store(thread, at + gap, data[: size - gap])
            data, skipped = data[size - gap :], skipped - gap
        told = MSG_TRUNC if found.inbox.records and got.whole > len(got.data) else 0
        told |= messages.received(thread, found, header, got, bool(flags & MSG_CMSG_CLOEXEC))
        name = pack(got.source, found.family) if got.source is not None and header.name else b""
        memory.store(thread, header.name, name[: header.name_size])
        header.answer(thread, namelen=len(name), flags=told | flags & MSG_CMSG_CLOEXEC)

    return _receive(thread, descriptor, sum(size for _, size in pieces), flags, put)


def socketcall(thread: Thread, number: int, address: int) -> int | None:
    """All of the calls above by one number, their arguments in memory."""
    name, count = SOCKETCALL.get(c_int(number), ("", 0))
    if not name:
        thread.kernel.refuse(f"socketcall {c_int(number)}")
        raise Refused(Errno.EINVAL)
    arch = thread.kernel.arch
    data = memory.load(thread, address, count * arch.word)
    words = [arch.unpack(data[at : at + arch.word]) for at in range(0, len(data), arch.word)]
    return CALLS[name](thread, *words)


CALLS: Mapping[str, Callable[..., int | None]] = {
    "socket": socket, "socketpair": socketpair, "bind": bind, "listen": listen, "connect": connect, "accept": accept,
    "accept4": accept4, "getsockname": getsockname, "getpeername": getpeername, "shutdown": shutdown,
    "setsockopt": setsockopt, "getsockopt": getsockopt, "send": send, "sendto": sendto, "sendmsg": sendmsg,
    "recv": recv, "recvfrom": recvfrom, "recvmsg": recvmsg, "socketcall": socketcall,
}  # fmt: skip
