"""Streams: connecting, sending, half of a connection closed, all of it, and what is left of one that is broken."""

from __future__ import annotations

import pytest
from kernel_guest import each
from socket_desk import Sockets, inet, inet6, unix

from arch.files import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP
from arch.linux import Errno
from arch.signals import Signal
from arch.sockets import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    LINGER,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_PEEK,
    MSG_WAITALL,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_ACCEPTCONN,
    SO_ERROR,
    SO_LINGER,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_TYPE,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_KEEPIDLE,
    TCP_NODELAY,
)
from arch.structs import POLL
from emu.kernel.sockets import network

FAMILIES = {
    "tcp4": (AF_INET, SOCK_STREAM, inet(0)), "tcp6": (AF_INET6, SOCK_STREAM, inet6(0)),
    "path": (AF_UNIX, SOCK_STREAM, unix(b"/tmp/socket")), "name": (AF_UNIX, SOCK_STREAM, unix(b"\0name")),
    "records": (AF_UNIX, SOCK_SEQPACKET, unix(b"/tmp/records")),
}
every = pytest.mark.parametrize("kind", FAMILIES)
SIDES = POLLIN | POLLOUT | POLLRDHUP


def events(desk: Sockets, descriptor: int) -> int:
    at = desk.put(POLL.pack(fd=descriptor, events=SIDES))
    desk.done("poll", at, 1, 0)
    return POLL.unpack(desk.get(at, POLL.size))["revents"]


@each
@every
def test_bytes_go_both_ways(arch: str, kind: str) -> None:
    desk = Sockets(arch)
    client, server = desk.connection(*FAMILIES[kind])
    assert desk.receive(server) == -Errno.EAGAIN
    assert desk.send(client, b"there") == 5
    assert desk.receive(server, flags=MSG_PEEK) == b"there"
    assert desk.receive(server) == b"there"
    assert desk.call("write", server, b"and back", 8) == 8
    assert desk.read(client) == b"and back"
    assert desk.named("getpeername", client) == desk.named("getsockname", server)
    desk.done("close", client)
    assert desk.receive(server) == b""
    assert events(desk, server) & (POLLIN | POLLRDHUP) == POLLIN | POLLRDHUP


@each
@every
def test_half_of_a_connection_is_closed(arch: str, kind: str) -> None:
    desk = Sockets(arch)
    client, server = desk.connection(*FAMILIES[kind])
    assert events(desk, server) == POLLOUT
    desk.send(client, b"last words")
    assert desk.ask("shutdown", client, SHUT_WR) == 0
    assert desk.send(client, b"x", MSG_NOSIGNAL) == -Errno.EPIPE
    assert events(desk, server) == POLLIN | POLLOUT | POLLRDHUP
    assert desk.receive(server) == b"last words"
    assert desk.receive(server) == b""
    assert desk.send(server, b"still heard") == 11
    assert desk.receive(client) == b"still heard"
    assert desk.ask("shutdown", server, SHUT_RDWR) == 0
    assert events(desk, client) & POLLHUP
    assert desk.receive(client) == b""
    assert desk.ask("shutdown", client, 3) == -Errno.EINVAL


@each
@every
def test_who_closes_before_all_is_read_resets_the_connection(arch: str, kind: str) -> None:
    desk = Sockets(arch)
    client, server = desk.connection(*FAMILIES[kind])
    desk.send(client, b"never read")
    desk.send(server, b"still to be read")
    desk.done("close", server)
    assert events(desk, client) & (POLLERR | POLLHUP) == POLLERR | POLLHUP
    assert desk.receive(client) == b"still to be read"
    assert desk.receive(client) == -Errno.ECONNRESET
    assert desk.receive(client) == b""
    assert desk.send(client, b"x", MSG_NOSIGNAL) == -Errno.EPIPE


@each
def test_who_lingers_for_no_time_resets_the_connection(arch: str) -> None:
    desk = Sockets(arch)
    client, server = desk.connection(*FAMILIES["tcp4"])
    assert desk.ask("setsockopt", server, SOL_SOCKET, SO_LINGER, LINGER.pack(onoff=1), LINGER.size) == 0
    desk.done("close", server)
    assert desk.option(client, SOL_SOCKET, SO_ERROR) == Errno.ECONNRESET
    assert desk.option(client, SOL_SOCKET, SO_ERROR) == 0


@each
def test_tcp_hears_of_the_end_when_it_has_sent_to_nobody(arch: str) -> None:
    desk = Sockets(arch)
    client, server = desk.connection(*FAMILIES["tcp4"])
    desk.done("close", server)
    assert desk.send(client, b"x", MSG_NOSIGNAL) == 1
    assert desk.send(client, b"x", MSG_NOSIGNAL) == -Errno.EPIPE
    assert not desk.thread.signals.pending.mask & 1 << Signal.SIGPIPE - 1


@each
@every
def test_there_is_room_for_so_much(arch: str, kind: str) -> None:
    desk = Sockets(arch)
    client, server = desk.connection(*FAMILIES[kind])
    desk.set_option(server, SOL_SOCKET, SO_RCVBUF, 4096)
    assert desk.option(server, SOL_SOCKET, SO_RCVBUF) == 8192
    sent = 0
    while (taken := desk.send(client, bytes(3000))) is not None and taken > 0:
        sent += taken
    assert taken == -Errno.EAGAIN
    assert 4000 < sent <= 8192
    assert not events(desk, client) & POLLOUT
    got = 0
    while got < sent:
        piece = desk.receive(server)
        assert isinstance(piece, bytes)
        got += len(piece)
    assert events(desk, client) & POLLOUT


@each
def test_who_waits_is_woken(arch: str) -> None:
    desk = Sockets(arch)
    first, second = desk.pair(SOCK_STREAM)
    assert desk.receive(first) is None
    assert desk.woken() is None
    other = desk.kernel.new_thread(desk.task)
    desk.kernel._call(other, "write", [second, desk.put(b"abc"), 3, 0, 0, 0])
    assert desk.woken() == 3
    assert desk.receive(first, 8, MSG_WAITALL) is None
    for piece in (b"1234", b"56789"):
        assert desk.woken() is None
        desk.kernel._call(other, "write", [second, desk.put(piece), len(piece), 0, 0, 0])
    assert desk.woken() == 8
    assert desk.receive(first, flags=MSG_DONTWAIT) == b"9"


@each
@every
def test_so_many_wait_to_be_accepted(arch: str, kind: str) -> None:
    desk = Sockets(arch)
    family, type_, address = FAMILIES[kind]
    listens, where = desk.listener(family, type_, address, backlog=1)
    assert desk.option(listens, SOL_SOCKET, SO_ACCEPTCONN) == 1
    clients = [desk.must("socket", family, type_ | SOCK_NONBLOCK, 0) for _ in range(3)]
    later = Errno.EAGAIN if family == AF_UNIX else Errno.EINPROGRESS
    assert [desk.connect(client, where) for client in clients] == [0, 0, -later]
    again = [desk.connect(clients[0], where), desk.connect(clients[2], where)]
    assert again == [-Errno.EISCONN, -Errno.EAGAIN if family == AF_UNIX else -Errno.EALREADY]
    accepted = desk.accept(listens)
    assert accepted is not None
    assert accepted > 0
    if family == AF_UNIX:
        assert desk.connect(clients[2], where) == 0
    assert desk.send(clients[2], b"came in") == 7
    assert events(desk, clients[2]) == POLLOUT
    desk.done("close", listens)
    assert desk.receive(clients[1]) == -Errno.ECONNRESET
    assert desk.receive(clients[2]) == -Errno.ECONNRESET


@each
def test_nobody_listens_any_more(arch: str) -> None:
    desk = Sockets(arch)
    listens, where = desk.listener(*FAMILIES["tcp4"], backlog=0)
    clients = [desk.must("socket", AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) for _ in range(2)]
    assert [desk.connect(client, where) for client in clients] == [0, -Errno.EINPROGRESS]
    desk.done("close", listens)
    assert events(desk, clients[1]) & POLLERR
    assert desk.option(clients[1], SOL_SOCKET, SO_ERROR) == Errno.ECONNREFUSED
    assert desk.connect(clients[1], where) == -Errno.ECONNREFUSED
    fresh = desk.must("socket", AF_INET, SOCK_STREAM, 0)
    assert desk.bind(fresh, where) == 0


@each
def test_addresses_that_are_not_here(arch: str) -> None:
    desk = Sockets(arch)
    four, six = (desk.must("socket", family, SOCK_STREAM, 0) for family in (AF_INET, AF_INET6))
    mapped = bytes(10) + b"\xff\xff\x7f\0\0\1"
    for descriptor, address in (
        (four, inet(80, b"\x08\x08\x08\x08")), (four, inet(80, b"\xff\xff\xff\xff")), (six, inet6(80, b"\x20" * 16)),
        (six, inet6(80, bytes(10) + b"\xff\xff\x08\x08\x08\x08")),
    ):  # fmt: skip
        assert desk.connect(descriptor, address) == -Errno.ENETUNREACH
        assert desk.bind(descriptor, address) == -Errno.EADDRNOTAVAIL
    for descriptor, address in ((four, inet(80)), (six, inet6(80)), (six, inet6(80, mapped))):
        assert desk.connect(descriptor, address) == -Errno.ECONNREFUSED
    assert desk.connect(four, inet6(80)) == -Errno.EAFNOSUPPORT
    desk.set_option(six, IPPROTO_IPV6, IPV6_V6ONLY, 1)
    assert desk.connect(six, inet6(80, mapped)) == -Errno.ENETUNREACH


@each
def test_one_listens_for_both_families(arch: str) -> None:
    desk = Sockets(arch)
    listens, where = desk.listener(AF_INET6, SOCK_STREAM, inet6(0, bytes(16)))
    port = int.from_bytes(where[2:4], "big")
    client = desk.must("socket", AF_INET, SOCK_STREAM, 0)
    assert desk.connect(client, inet(port, bytes(4))) == 0
    server = desk.accept(listens)
    assert server is not None
    assert desk.named("getpeername", server)[8:24] == bytes(10) + b"\xff\xff\x7f\0\0\1"
    assert desk.named("getpeername", client) == inet(port)
    taken, free = (desk.must("socket", AF_INET, SOCK_STREAM, 0) for _ in range(2))
    assert desk.bind(taken, inet(port)) == -Errno.EADDRINUSE
    alone, own = desk.must("socket", AF_INET6, SOCK_STREAM, 0), inet6(4000, bytes(16))
    desk.set_option(alone, IPPROTO_IPV6, IPV6_V6ONLY, 1)
    assert [desk.bind(alone, own), desk.bind(free, inet(4000, bytes(4)))] == [0, 0]
    assert desk.set_option(alone, IPPROTO_IPV6, IPV6_V6ONLY, 0) == -Errno.EINVAL


@each
def test_a_port_is_used_again(arch: str) -> None:
    desk = Sockets(arch)
    listens, where = desk.listener(*FAMILIES["tcp4"])
    client = desk.must("socket", AF_INET, SOCK_STREAM, 0)
    assert desk.connect(client, where) == 0
    server = desk.accept(listens)
    desk.done("close", listens)
    one, other = (desk.must("socket", AF_INET, SOCK_STREAM, 0) for _ in range(2))
    assert desk.bind(one, where) == -Errno.EADDRINUSE  # who was accepted has it, and shares with nobody
    desk.done("close", server or 0)
    for descriptor in (one, other):
        desk.set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        assert desk.bind(descriptor, where) == 0
    assert desk.ask("listen", one, 1) == 0
    assert desk.ask("listen", other, 1) == -Errno.EADDRINUSE


@each
def test_ports_are_given_in_order(arch: str) -> None:
    ports = []
    for _ in range(2):
        desk = Sockets(arch)
        ports.append([desk.listener(AF_INET, SOCK_STREAM, inet(0))[1] for _ in range(3)])
    assert ports[0] == ports[1]
    assert len(set(ports[0])) == 3


@each
def test_options(arch: str) -> None:
    desk = Sockets(arch)
    tcp, local = desk.must("socket", AF_INET, SOCK_STREAM, 0), desk.must("socket", AF_UNIX, SOCK_STREAM, 0)
    assert desk.option(tcp, SOL_SOCKET, SO_TYPE) == SOCK_STREAM
    assert desk.set_option(tcp, IPPROTO_TCP, TCP_NODELAY, 7) == 0
    assert desk.option(tcp, IPPROTO_TCP, TCP_NODELAY) == 1
    assert desk.set_option(tcp, IPPROTO_TCP, TCP_KEEPIDLE, 15) == 0
    assert desk.option(tcp, IPPROTO_TCP, TCP_KEEPIDLE) == 15
    assert desk.set_option(tcp, IPPROTO_TCP, TCP_KEEPIDLE, 0) == -Errno.EINVAL
    assert desk.set_option(tcp, IPPROTO_TCP, 99, 0) == -Errno.ENOPROTOOPT
    assert desk.set_option(local, IPPROTO_TCP, TCP_NODELAY, 1) == -Errno.EOPNOTSUPP
    assert desk.ask("setsockopt", tcp, SOL_SOCKET, SO_REUSEADDR, b"\1", 1) == -Errno.EINVAL
    assert desk.ask("setsockopt", tcp, SOL_SOCKET, SO_REUSEADDR, 1, 4) == -Errno.EFAULT
    assert desk.ask("getsockopt", tcp, SOL_SOCKET, SO_TYPE, 1, desk.put(b"\4\0\0\0")) == -Errno.EFAULT
    assert desk.ask("getsockopt", tcp, SOL_SOCKET, SO_TYPE, desk.put(bytes(4)), 1) == -Errno.EFAULT
    minus = desk.put(b"\xff" * 4)
    assert desk.ask("getsockopt", tcp, SOL_SOCKET, SO_TYPE, minus, minus) == -Errno.EINVAL


@each
def test_what_is_no_socket_and_what_cannot_be_one(arch: str) -> None:
    desk = Sockets(arch)
    assert [desk.ask(name, 1, 0, 0) for name in ("bind", "connect", "getsockname")] == [-Errno.ENOTSOCK] * 3
    assert [desk.ask(name, 77, 0, 0) for name in ("bind", "listen", "shutdown")] == [-Errno.EBADF] * 3
    assert desk.ask("socket", 77, SOCK_STREAM, 0) == -Errno.EAFNOSUPPORT
    assert desk.ask("socket", AF_INET, SOCK_STREAM, 262) == -Errno.EPROTONOSUPPORT  # multipath TCP
    assert desk.ask("socket", AF_INET, 9, 0) == -Errno.ESOCKTNOSUPPORT
    assert desk.ask("socket", AF_INET, 3, 1) == -Errno.EPERM
    assert desk.ask("socket", AF_INET, 0x100, 0) == -Errno.EINVAL
    assert desk.ask("socketpair", AF_INET, SOCK_STREAM, 0, desk.put(bytes(8))) == -Errno.EOPNOTSUPP
    assert desk.ask("socketpair", AF_UNIX, SOCK_STREAM, 0, 1) == -Errno.EFAULT
    made = desk.must("socket", AF_INET, SOCK_STREAM, 0)
    assert desk.bind(made, b"\2") == -Errno.EINVAL
    assert desk.bind(made, inet(0)[:8]) == -Errno.EINVAL
    assert desk.ask("bind", made, 1, 16) == -Errno.EFAULT
    assert desk.ask("bind", made, inet(0), -1) == -Errno.EINVAL
    assert desk.ask("connect", made, inet(0), 4096) == -Errno.EINVAL
    assert desk.ask("accept4", made, 0, 0, 0) == -Errno.EINVAL
    assert desk.ask("accept4", made, 0, 0, 1) == -Errno.EINVAL
    assert desk.ask("getpeername", made, desk.put(bytes(16)), desk.put(bytes(4))) == -Errno.ENOTCONN
    assert desk.ask("shutdown", made, SHUT_RD) == -Errno.ENOTCONN
    assert desk.receive(made) == -Errno.ENOTCONN
    assert desk.send(made, b"x", MSG_NOSIGNAL) == -Errno.EPIPE
    datagram = desk.must("socket", AF_INET, SOCK_DGRAM, 0)
    assert [desk.ask("listen", datagram, 1), desk.ask("accept4", datagram, 0, 0, 0)] == [-Errno.EOPNOTSUPP] * 2
    assert desk.ask("sendto", datagram, 1, 4, 0, 0, 0) == -Errno.EFAULT
    assert desk.ask("sendto", datagram, b"x", 1, 0, 0, 0) == -Errno.EDESTADDRREQ
    if desk.arch.name == "386":
        assert desk.call("socketcall", 99, 0) == -Errno.EINVAL
        assert desk.call("socketcall", 1, 1) == -Errno.EFAULT


@each
def test_there_are_so_many_sockets(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_SOCKETS", 3)
    desk = Sockets(arch)
    one = desk.must("socket", AF_INET, SOCK_STREAM, 0)
    assert desk.ask("socketpair", AF_UNIX, SOCK_STREAM, 0, desk.put(bytes(8))) == 0
    assert desk.ask("socket", AF_NETLINK, SOCK_DGRAM, 0) == -Errno.ENFILE
    desk.done("close", one)
    assert desk.ask("socketpair", AF_UNIX, SOCK_STREAM, 0, desk.put(bytes(8))) == -Errno.ENFILE
    desk.must("socket", AF_INET, SOCK_STREAM, 0)


@each
def test_all_sockets_hold_so_much(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Sockets(arch)
    client, server = desk.pair(SOCK_STREAM)
    monkeypatch.setattr(network, "ROOM", 5000)
    assert desk.send(client, bytes(4000)) == 4000
    assert desk.send(client, bytes(4000)) == -Errno.ENOBUFS
    desk.receive(server)
    assert desk.send(client, bytes(4000)) == 4000
