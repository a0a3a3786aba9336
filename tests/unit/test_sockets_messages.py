"""Datagrams, open files that are passed along, names of Unix sockets, and what netlink tells."""

from __future__ import annotations

import pytest
from kernel_desk import HERE, SCRATCH
from kernel_guest import each
from socket_desk import HOME, Sockets, inet, inet6, unix

from arch.files import POLLOUT, S_IFMT, S_IFSOCK
from arch.linux import Errno
from arch.sockets import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_UNIX,
    CMSG,
    IFADDR,
    MSG_CMSG_CLOEXEC,
    MSG_CTRUNC,
    MSG_DONTWAIT,
    MSG_PEEK,
    MSG_TRUNC,
    MSGHDR,
    NLMSG,
    NLMSG_DONE,
    NLMSG_ERROR,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    SHUT_RD,
    SO_PASSCRED,
    SO_PEERCRED,
    SO_RCVBUF,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    SOL_SOCKET,
    UCRED,
)
from arch.structs import POLL, STAT
from emu.kernel.pipes import Reader
from emu.kernel.sockets import network


def udp(desk: Sockets, address: bytes | None = None, family: int = AF_INET) -> int:
    made = desk.must("socket", family, SOCK_DGRAM | SOCK_NONBLOCK, 0)
    if address is not None:
        assert desk.bind(made, address) == 0
    return made


def send_to(desk: Sockets, descriptor: int, data: bytes, address: bytes) -> int | None:
    return desk.ask("sendto", descriptor, data, len(data), 0, address, len(address))


def receive_from(desk: Sockets, descriptor: int, size: int = 100, flags: int = 0) -> tuple[int, bytes, bytes]:
    """The result, the bytes, and who sent them."""
    at, source, length = desk.put(bytes(size)), desk.put(bytes(128)), desk.put((128).to_bytes(4, "little"))
    found = desk.must("recvfrom", descriptor, at, size, flags, source, length)
    return found, desk.get(at, min(found, size)), desk.get(source, int.from_bytes(desk.get(length, 4), "little"))


@each
def test_datagrams_keep_their_borders(arch: str) -> None:
    desk = Sockets(arch)
    server, client = udp(desk, inet(5000)), udp(desk)
    for data in (b"first", b"", b"second"):
        assert send_to(desk, client, data, inet(5000, bytes(4))) == len(data)
    source = desk.named("getsockname", client)
    seen = inet(int.from_bytes(source[2:4], "big"))
    assert receive_from(desk, server, flags=MSG_PEEK) == (5, b"first", seen)
    assert receive_from(desk, server, 2) == (2, b"fi", seen)
    assert receive_from(desk, server) == (0, b"", seen)
    assert receive_from(desk, server, 3, MSG_TRUNC) == (6, b"sec", seen)
    assert desk.receive(server) == -Errno.EAGAIN
    assert send_to(desk, server, b"back", seen) == 4
    assert desk.receive(client) == b"back"
    assert desk.ask("sendto", client, desk.put(bytes(65508)), 65508, 0, inet(5000), 16) == -Errno.EMSGSIZE
    assert send_to(desk, client, b"x", inet(0)) == -Errno.EINVAL
    assert send_to(desk, client, b"x", inet(9, b"\x0a\0\0\1")) == -Errno.ENETUNREACH


@each
def test_who_is_connected_hears_one_and_of_nobody(arch: str) -> None:
    desk = Sockets(arch)
    server, stranger, client = udp(desk, inet(5000)), udp(desk, inet(5001)), udp(desk)
    assert desk.connect(client, inet(5000)) == 0
    own = desk.named("getsockname", client)
    assert own[4:8] == HOME
    assert send_to(desk, stranger, b"not for it", own) == 10
    assert send_to(desk, server, b"for it", own) == 6
    assert desk.receive(client) == b"for it"
    assert desk.receive(client) == -Errno.EAGAIN
    desk.done("close", server)
    assert desk.send(client, b"x") == 1
    assert desk.receive(client) == -Errno.ECONNREFUSED
    assert desk.receive(client) == -Errno.EAGAIN
    assert desk.connect(client, bytes(16)) == 0  # to nobody
    assert desk.send(client, b"x") == -Errno.EDESTADDRREQ
    assert send_to(desk, stranger, b"now it is", own) == 9
    assert desk.receive(client) == b"now it is"


@each
def test_what_finds_no_room_is_lost(arch: str) -> None:
    desk = Sockets(arch)
    server, client = udp(desk, inet(5000)), udp(desk)
    desk.set_option(server, SOL_SOCKET, SO_RCVBUF, 2000)
    for number in range(8):
        assert send_to(desk, client, bytes([number]) * 1000, inet(5000)) == 1000
    got = []
    while isinstance(data := desk.receive(server), bytes):
        got.append(data[0])
    assert got == [0, 1, 2]


@each
def test_one_hears_both_families(arch: str) -> None:
    desk = Sockets(arch)
    server, four = udp(desk, inet6(5000, bytes(16)), AF_INET6), udp(desk, inet(5001))
    assert send_to(desk, four, b"four", inet(5000)) == 4
    _, data, source = receive_from(desk, server)
    assert data == b"four"
    assert source == inet6(5001, bytes(10) + b"\xff\xff" + HOME)
    assert send_to(desk, server, b"back", source) == 4
    assert receive_from(desk, four)[1:] == (b"back", inet(5000))


@each
def test_unix_datagrams_wait_for_room(arch: str) -> None:
    desk = Sockets(arch)
    server, client = (desk.must("socket", AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0) for _ in range(2))
    assert desk.bind(server, unix(b"/tmp/server")) == 0
    assert desk.connect(client, unix(b"/tmp/server\0")) == 0
    desk.set_option(server, SOL_SOCKET, SO_RCVBUF, 2000)
    assert [desk.send(client, bytes(1500)) for _ in range(3)] == [1500, 1500, -Errno.EAGAIN]
    assert desk.send(client, bytes(5000)) == -Errno.EMSGSIZE
    at = desk.put(POLL.pack(fd=client, events=POLLOUT))
    assert desk.call("poll", at, 1, 0) == 0
    assert receive_from(desk, server, 9) == (9, bytes(9), b"")
    receive_from(desk, server)
    assert desk.call("poll", at, 1, 0) == 1
    desk.done("close", server)
    assert desk.send(client, b"x") == -Errno.ECONNREFUSED
    assert desk.send(client, b"x") == -Errno.ENOTCONN


@each
def test_a_name_in_the_tree(arch: str) -> None:
    desk = Sockets(arch)
    made, other = (desk.must("socket", AF_UNIX, SOCK_STREAM, 0) for _ in range(2))
    assert desk.ask("listen", made, 1) == -Errno.EINVAL
    assert desk.bind(made, unix(b"/nowhere/socket")) == -Errno.ENOENT
    assert desk.bind(made, unix(b"/tmp/socket")) == 0
    assert desk.bind(made, unix(b"/tmp/again")) == -Errno.EINVAL
    assert desk.bind(other, unix(b"/tmp/socket")) == -Errno.EADDRINUSE
    row = desk.struct(STAT[arch], "newfstatat", HERE, "/tmp/socket", after=(0,))
    assert row["mode"] & S_IFMT == S_IFSOCK
    assert desk.call("openat", HERE, "/tmp/socket", 2, 0) == -Errno.ENXIO
    assert desk.connect(other, unix(b"/tmp/socket")) == -Errno.ECONNREFUSED  # nobody listens
    assert desk.connect(other, unix(b"/etc/hosts")) == -Errno.ECONNREFUSED
    assert desk.connect(other, unix(b"/tmp/none")) == -Errno.ENOENT
    assert desk.connect(other, unix(b"")) == -Errno.EINVAL
    assert desk.connect(other, unix(b"/" + b"x" * 108)) == -Errno.EINVAL
    datagram = desk.must("socket", AF_UNIX, SOCK_DGRAM, 0)
    desk.must("listen", made, 1)
    assert desk.connect(datagram, unix(b"/tmp/socket")) == -Errno.EPROTOTYPE
    assert desk.named("getsockname", made) == unix(b"/tmp/socket\0")
    assert desk.named("getsockname", made, 6) == unix(b"/tmp/socket\0")[:6] + bytes(8)
    desk.done("close", made)
    assert desk.connect(other, unix(b"/tmp/socket")) == -Errno.ECONNREFUSED
    desk.done("unlinkat", HERE, "/tmp/socket", 0)
    assert desk.bind(other, unix(b"/tmp/socket")) == 0


@each
def test_names_that_stand_in_no_folder(arch: str) -> None:
    desk = Sockets(arch)
    made, other = (desk.must("socket", AF_UNIX, SOCK_STREAM, 0) for _ in range(2))
    assert desk.bind(made, unix(b"")) == 0
    given = desk.named("getsockname", made)
    assert given[2:3] == b"\0"
    assert desk.bind(other, given) == -Errno.EADDRINUSE
    desk.done("close", made)
    assert desk.bind(other, given) == 0


@each
@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET])
def test_open_files_are_passed(arch: str, kind: int) -> None:
    desk = Sockets(arch)
    first, second = desk.pair(kind)
    at = desk.put(bytes(8))
    desk.done("pipe2", at, 0)
    reader, writer = (int.from_bytes(desk.get(at + n, 4), "little") for n in (0, 4))
    assert desk.send_files(first, b"with it", reader, writer) == 7
    stream = desk.task.files.stream(reader)
    desk.done("close", reader)
    desk.done("close", writer)
    assert isinstance(stream, Reader)
    assert (stream.users, stream.writer.users) == (1, 1)
    data, files, flags = desk.receive_files(second, flags=MSG_CMSG_CLOEXEC)
    assert (data, flags & ~MSG_CMSG_CLOEXEC) == (b"with it", 0)
    assert len(files) == 2
    assert desk.task.files.stream(files[0]) is stream
    assert all(desk.task.files.slot(one).close_on_exec for one in files)
    assert desk.call("write", files[1], b"through", 7) == 7
    assert desk.read(files[0]) == b"through"
    assert desk.send_files(first, b"x", 99) == -Errno.EBADF


@each
def test_open_files_that_nobody_takes_are_closed(arch: str) -> None:
    desk = Sockets(arch)
    first, second = desk.pair(SOCK_STREAM)
    at = desk.put(bytes(8))
    streams = []
    for _ in range(3):
        desk.done("pipe2", at, 0)
        reader, writer = (int.from_bytes(desk.get(at + n, 4), "little") for n in (0, 4))
        streams.append(desk.task.files.stream(reader))
        assert desk.send_files(first, b"x", reader) == 1
        desk.done("close", reader)
        desk.done("close", writer)
    assert desk.receive(second, 1) == b"x"  # read without a place for them
    assert [stream.users for stream in streams] == [0, 1, 1]
    assert desk.receive_files(second, room=0) == (b"x", [], MSG_CTRUNC)
    assert [stream.users for stream in streams] == [0, 0, 1]
    desk.done("close", second)
    assert [stream.users for stream in streams] == [0, 0, 0]


@each
def test_a_chain_of_sockets_within_sockets_is_closed_at_once(arch: str) -> None:
    desk = Sockets(arch)
    desk.task.files.most = 5000
    before, inside = desk.pair(SOCK_STREAM)
    streams = [desk.task.files.stream(inside)]
    for _ in range(500):
        first, second = desk.pair(SOCK_STREAM)
        desk._next = SCRATCH
        assert desk.send_files(first, b"x", before, inside) == 1
        for one in (before, inside):
            desk.done("close", one)
        before, inside = first, second
        streams.append(desk.task.files.stream(inside))
    assert all(stream.users for stream in streams)
    desk.done("close", before)
    desk.done("close", inside)
    assert not any(stream.users for stream in streams)


@each
def test_so_many_open_files_travel(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MOST_RIGHTS", 2)
    desk = Sockets(arch)
    first, second = desk.pair(SOCK_STREAM)
    assert [desk.send_files(first, b"x", second) for _ in range(3)] == [1, 1, -Errno.ETOOMANYREFS]


@each
def test_who_sends_is_told(arch: str) -> None:
    desk = Sockets(arch)
    first, second = desk.pair(SOCK_STREAM)
    desk.set_option(second, SOL_SOCKET, SO_PASSCRED, 1)
    desk.send(first, b"x")
    control, at = desk.put(bytes(64)), desk.put(bytes(8))
    header = desk.header([(at, 8)], control, 64)
    assert desk.ask("recvmsg", second, header, 0) == 1
    row = UCRED.unpack(desk.get(control + CMSG[arch].size, UCRED.size))
    assert row == {"pid": desk.thread.pid, "uid": 0, "gid": 0}
    size = desk.put((12).to_bytes(4, "little"))
    desk.must("getsockopt", first, SOL_SOCKET, SO_PEERCRED, control, size)
    assert UCRED.unpack(desk.get(control, UCRED.size))["pid"] == desk.thread.pid


@each
def test_messages_that_are_no_messages(arch: str) -> None:
    desk = Sockets(arch)
    first, second = desk.pair(SOCK_STREAM)
    at = desk.put(bytes(64))
    for call in ("sendmsg", "recvmsg"):
        assert desk.ask(call, first, 1, 0) == -Errno.EFAULT
        assert desk.ask(call, first, desk.header([(at, 1)] * 1 + [(1, 5)]), MSG_DONTWAIT) == -Errno.EFAULT
    assert desk.ask("recvmsg", first, desk.header([(at, 1)], 1, 8), MSG_DONTWAIT) == -Errno.EFAULT
    assert desk.ask("sendmsg", first, desk.header([(at, 1)], 1, 20), 0) == -Errno.EFAULT
    assert desk.ask("sendmsg", first, desk.header([(at, 1)], at, 30000), 0) == -Errno.ENOBUFS
    assert desk.ask("sendmsg", first, desk.header([(at, 1)], desk.put(b"\xff" * 64), 64), 0) == -Errno.EINVAL
    assert desk.ask("sendmsg", first, desk.header([(at, 1)], desk.put(bytes(64)), 64), 0) == -Errno.EINVAL
    bad = desk.put(MSGHDR[arch].pack(iov=at, iovlen=5000))
    assert desk.ask("sendmsg", first, bad, 0) == -Errno.EMSGSIZE
    assert desk.ask("sendmsg", first, desk.put(MSGHDR[arch].pack(name=at, namelen=-1)), 0) == -Errno.EINVAL
    assert desk.ask("recvfrom", second, 1, 9, 0, 0, 0) == -Errno.EFAULT
    assert desk.ask("recvfrom", second, at, 9, 0, at, 1) == -Errno.EFAULT
    assert desk.receive(second, flags=MSG_DONTWAIT) == -Errno.EAGAIN
    assert desk.ask("shutdown", second, SHUT_RD) == 0
    assert desk.receive(second) == b""


@each
def test_netlink_tells_of_loopback(arch: str) -> None:
    desk = Sockets(arch)
    made = desk.must("socket", AF_NETLINK, SOCK_RAW, 0)
    assert desk.bind(made, AF_NETLINK.to_bytes(2, "little") + bytes(10)) == 0
    own = int.from_bytes(desk.named("getsockname", made)[4:8], "little")

    def asked(kind: int) -> list[tuple[int, bytes]]:
        desk.send(made, NLMSG.pack(len=17, type=kind, seq=7) + b"\0")
        data = desk.receive(made)
        assert isinstance(data, bytes)
        found = []
        while data:
            row = NLMSG.unpack(data)
            assert (row["seq"], row["pid"]) == (7, own)
            found.append((row["type"], data[NLMSG.size : row["len"]]))
            data = data[row["len"] :]
        return found

    links, addresses = asked(RTM_GETLINK), asked(RTM_GETADDR)
    assert [kind for kind, _ in links] == [RTM_NEWLINK, NLMSG_DONE]
    assert b"lo\0" in links[0][1]
    assert [kind for kind, _ in addresses] == [RTM_NEWADDR, RTM_NEWADDR, NLMSG_DONE]
    assert [IFADDR.unpack(body)["prefixlen"] for _, body in addresses[:2]] == [8, 128]
    assert HOME in addresses[0][1]
    assert [kind for kind, _ in asked(99)] == [NLMSG_ERROR]
