"""FIFOs, locks, moving bytes between files, room for files, and small calls of whole programs."""

from __future__ import annotations

import pytest
from kernel_desk import HERE, Desk
from kernel_guest import each
from socket_desk import Sockets

from arch.files import (
    FIOCLEX,
    FIONBIO,
    FIONREAD,
    LOCK_COMMANDS,
    LOCK_EX,
    LOCK_NB,
    LOCK_SH,
    LOCK_UN,
    O_NONBLOCK,
    O_RDONLY,
    O_RDWR,
    O_WRONLY,
    POLLHUP,
    POLLIN,
    S_IFCHR,
    S_IFIFO,
    S_IFMT,
    SPLICE_F_NONBLOCK,
)
from arch.linux import Errno
from arch.sockets import SOCK_NONBLOCK, SOCK_SEQPACKET, SOCK_STREAM
from arch.structs import FLOCK, POLL, STAT, STATFS, TMS
from emu.kernel import memory
from emu.kernel.clock import SECOND
from emu.kernel.table import Thread

READ, WRITE, FREE = 0, 1, 2  # kinds of locks


class Fifos(Desk):
    """A desk with a FIFO at /tmp/f."""

    def __init__(self, arch: str) -> None:
        super().__init__(arch)
        assert self.call("mknodat", HERE, "/tmp/f", S_IFIFO | 0o644, 0) == 0

    def open(self, flags: int) -> int | None:
        return self.call("openat", HERE, "/tmp/f", flags, 0)

    def by(self, thread: Thread, name: str, *arguments: int | str | bytes) -> int | None:
        own, self.thread = self.thread, thread
        try:
            return self.call(name, *arguments)
        finally:
            self.thread = own

    def events(self, descriptor: int) -> int:
        at = self.put(POLL.pack(fd=descriptor, events=POLLIN))
        self.done("poll", at, 1, 0)
        return POLL.unpack(self.get(at, POLL.size))["revents"]


@each
def test_a_fifo_waits_for_both_sides(arch: str) -> None:
    desk = Fifos(arch)
    other = desk.kernel.new_thread(desk.task)
    assert desk.struct(STAT[arch], "newfstatat", HERE, "/tmp/f", after=(0,))["mode"] & S_IFMT == S_IFIFO
    assert desk.open(O_RDONLY) is None
    assert desk.woken() is None
    writer = desk.by(other, "openat", HERE, "/tmp/f", O_WRONLY, 0)
    assert writer is not None
    reader = desk.woken()
    assert reader is not None
    assert desk.call("write", writer, b"through", 7) == 7
    assert desk.events(reader) == POLLIN
    assert desk.read(reader) == b"through"
    desk.done("close", writer)
    assert desk.events(reader) == POLLHUP
    assert desk.read(reader) == b""


@each
def test_the_end_of_a_fifo_whose_writer_came_first(arch: str) -> None:
    desk = Fifos(arch)
    other = desk.kernel.new_thread(desk.task)
    assert desk.open(O_WRONLY) is None
    reader = desk.by(other, "openat", HERE, "/tmp/f", O_RDONLY, 0)
    writer = desk.woken()
    assert None not in (reader, writer)
    assert desk.events(reader or 0) == 0
    desk.done("close", writer or 0)
    assert desk.events(reader or 0) == POLLHUP


@each
def test_a_fifo_without_waiting(arch: str) -> None:
    desk = Fifos(arch)
    assert desk.open(O_WRONLY | O_NONBLOCK) == -Errno.ENXIO
    reader = desk.open(O_RDONLY | O_NONBLOCK)
    assert reader is not None
    assert desk.events(reader) == 0  # nobody has come yet
    assert desk.read(reader) == b""
    writer = desk.open(O_WRONLY | O_NONBLOCK)
    assert writer is not None
    assert desk.call("read", reader, desk.put(bytes(9)), 9) == -Errno.EAGAIN
    desk.done("write", writer, b"left behind", 11)
    for descriptor in (reader, writer):
        desk.done("close", descriptor)
    both = desk.open(O_RDWR | O_NONBLOCK)
    assert both is not None
    assert desk.call("read", both, desk.put(bytes(9)), 9) == -Errno.EAGAIN
    desk.done("write", both, b"to itself", 9)
    assert desk.read(both) == b"to itself"


@each
def test_who_gives_up_waiting_has_not_come(arch: str) -> None:
    desk = Fifos(arch)
    assert desk.open(O_RDONLY) is None
    desk.thread.go_on()  # as when a signal ends the wait
    assert desk.open(O_WRONLY | O_NONBLOCK) == -Errno.ENXIO


@each
def test_nodes_that_can_be_made(arch: str) -> None:
    desk = Fifos(arch)
    assert desk.call("mknodat", HERE, "/tmp/f", S_IFIFO, 0) == -Errno.EEXIST
    assert desk.call("mknodat", HERE, "/tmp/device", S_IFCHR, 0x103) == -Errno.EPERM
    assert desk.call("mknodat", HERE, "/tmp/file", 0o600, 0) == 0
    assert desk.read_file("/tmp/file") == b""
    assert desk.call("mknodat", HERE, 1, 0, 0) == -Errno.EFAULT


# locks


@each
def test_locks_on_whole_files(arch: str) -> None:
    desk = Desk(arch)
    first, second = (desk.done("openat", HERE, "/tmp/lock", 0x42, 0o600) for _ in range(2))
    assert desk.call("flock", first, LOCK_SH) == desk.call("flock", second, LOCK_SH) == 0
    assert desk.call("flock", first, LOCK_EX | LOCK_NB) == -Errno.EAGAIN
    assert desk.call("flock", second, LOCK_UN) == 0
    assert desk.call("flock", first, LOCK_EX | LOCK_NB) == 0
    assert desk.call("flock", second, LOCK_EX) is None
    assert desk.woken() is None
    desk.task.files.close(first)
    assert desk.woken() == 0
    assert desk.call("flock", second, 77) == -Errno.EINVAL
    assert desk.call("flock", 77, LOCK_EX) == -Errno.EBADF


class Ranges(Desk):
    """Two processes that have a file open."""

    def __init__(self, arch: str) -> None:
        super().__init__(arch)
        self.write_file("/tmp/file", bytes(100))
        self.file = self.done("openat", HERE, "/tmp/file", O_RDWR, 0)
        self.other = self.kernel.new_task(self.guest.process, self.task)
        self.tell, self.set, self.wait = sorted(LOCK_COMMANDS[arch])[:3]

    def lock(
        self, command: int, kind: int, start: int, size: int, thread: Thread | None = None
    ) -> int | dict[str, int] | None:
        """The result, or what F_GETLK tells."""
        at = self.put(FLOCK[self.arch.name].pack(type=kind, start=start, len=size))
        name = "fcntl" if self.arch.word == 8 else "fcntl64"
        result = self.kernel._call(thread or self.thread, name, [self.file, command, at, 0, 0, 0])
        told = FLOCK[self.arch.name].unpack(self.get(at, FLOCK[self.arch.name].size))
        return told if command == self.tell and result == 0 else result


@each
def test_locks_on_ranges(arch: str) -> None:
    desk = Ranges(arch)
    assert desk.lock(desk.set, WRITE, 10, 20) == 0
    assert desk.lock(desk.set, WRITE, 0, 10, desk.other) == 0
    assert desk.lock(desk.set, READ, 29, 1, desk.other) == -Errno.EAGAIN
    told = desk.lock(desk.tell, WRITE, 0, 0, desk.other)
    assert told == {"type": WRITE, "whence": 0, "start": 10, "len": 20, "pid": desk.thread.pid}
    assert desk.lock(desk.set, FREE, 15, 5) == 0
    assert desk.lock(desk.set, WRITE, 15, 5, desk.other) == 0
    assert desk.lock(desk.set, WRITE, 14, 1, desk.other) == -Errno.EAGAIN
    assert desk.lock(desk.wait, WRITE, 10, 5, desk.other) is None
    desk.done("close", desk.done("dup", desk.file))  # with any descriptor its locks are gone
    desk.kernel.runnable()
    assert desk.other.answer == 0
    assert desk.lock(desk.tell, READ, 50, 10) == {"type": FREE, "whence": 0, "start": 50, "len": 10, "pid": 0}
    assert desk.lock(desk.set, 9, 0, 1) == -Errno.EINVAL
    assert desk.lock(desk.set, READ, -1, 1) == -Errno.EINVAL


# bytes from file to file


@each
def test_sendfile(arch: str) -> None:
    desk = Sockets(arch)
    desk.write_file("/tmp/file", b"0123456789")
    file, (first, second) = desk.done("openat", HERE, "/tmp/file", 0, 0), desk.pair(SOCK_STREAM)
    assert desk.call("sendfile", first, file, 0, 4) == 4
    offset = desk.put((7).to_bytes(8, "little"))
    assert desk.call("sendfile", first, file, offset, 100) == 3
    assert int.from_bytes(desk.get(offset, 8), "little") == 10
    assert desk.call("sendfile", first, file, offset, 100) == 0
    assert desk.receive(second) == b"0123789"
    assert desk.read(file) == b"456789"
    assert desk.call("sendfile", file, first, 0, 4) == -Errno.EINVAL
    assert desk.call("sendfile", first, file, 1, 4) == -Errno.EFAULT
    assert desk.call("sendfile", 77, file, 0, 4) == -Errno.EBADF


@each
def test_splice(arch: str) -> None:
    desk = Sockets(arch)
    at = desk.put(bytes(8))
    desk.done("pipe2", at, O_NONBLOCK)
    reader, writer = (int.from_bytes(desk.get(at + n, 4), "little") for n in (0, 4))
    first, second = desk.pair(SOCK_STREAM | SOCK_NONBLOCK)
    assert desk.call("splice", second, 0, writer, 0, 100, SPLICE_F_NONBLOCK) == -Errno.EAGAIN
    desk.send(first, b"through a pipe")
    assert desk.call("splice", second, 0, writer, 0, 7, SPLICE_F_NONBLOCK) == 7
    assert desk.call("splice", reader, 0, second, 0, 100, SPLICE_F_NONBLOCK) == 7
    assert desk.receive(first) == b"through"
    assert desk.receive(second) == b" a pipe"
    desk.done("close", first)
    assert desk.call("splice", second, 0, writer, 0, 7, SPLICE_F_NONBLOCK) == 0
    records, _ = desk.pair(SOCK_SEQPACKET)
    assert desk.call("splice", records, 0, writer, 0, 7, 0) == -Errno.EINVAL
    assert desk.call("splice", second, 0, second, 0, 7, 0) == -Errno.EINVAL


# room, and the rest


@each
def test_a_file_without_a_name(arch: str) -> None:
    desk = Desk(arch)
    used = desk.kernel.tree.used
    file = desk.done("memfd_create", "name", 1)
    assert desk.task.files.slot(file).close_on_exec
    desk.done("write", file, b"kept", 4)
    assert desk.call("fallocate", file, 0, *desk.wide(10, 2), *desk.wide(90, 2)) == 0
    assert desk.call("fallocate", file, 1, *desk.wide(10, 2), *desk.wide(900, 2)) == 0
    assert desk.call("fallocate", file, 2, *desk.wide(10, 2), *desk.wide(90, 2)) == -Errno.EOPNOTSUPP
    assert desk.struct(STAT[arch], "fstat", file)["size"] == 100
    assert desk.kernel.tree.used > used
    desk.done("close", file)
    assert desk.kernel.tree.used == used
    assert desk.call("memfd_create", "x" * 250, 0) == -Errno.EINVAL
    assert desk.call("memfd_create", 1, 0) == -Errno.EFAULT


@each
def test_what_a_file_system_has(arch: str) -> None:
    desk = Desk(arch)
    size = () if desk.arch.word == 8 else (STATFS[arch].size,)
    name = "statfs" if desk.arch.word == 8 else "statfs64"
    row = desk.struct(STATFS[arch], name, "/tmp", *size)
    assert (row["bsize"], row["namelen"]) == (4096, 255)
    assert row["blocks"] * row["bsize"] == desk.kernel.tree.room
    assert 0 < row["bavail"] <= row["blocks"]
    assert desk.call(name, "/none", *size, desk.put(bytes(128))) == -Errno.ENOENT
    assert desk.call("f" + name, 1, *size, 1) == -Errno.EFAULT


@each
def test_ioctl_of_what_is_no_device(arch: str) -> None:
    desk = Sockets(arch)
    first, second = desk.pair(SOCK_STREAM)
    at = desk.put(b"\1\0\0\0")
    assert desk.call("ioctl", first, FIONBIO, at) == 0
    assert desk.receive(first) == -Errno.EAGAIN
    desk.send(second, b"12345")
    assert desk.call("ioctl", first, FIONREAD, at) == 0
    assert desk.get(at, 4) == b"\5\0\0\0"
    assert desk.call("ioctl", first, FIOCLEX, 0) == 0
    assert desk.task.files.slot(first).close_on_exec
    assert desk.call("ioctl", first, 0x5401, at) == -Errno.ENOTTY  # TCGETS
    assert desk.call("ioctl", first, FIONREAD, 1) == -Errno.EFAULT


@each
def test_time_and_claims(arch: str) -> None:
    desk = Desk(arch)
    desk.thread.ran = 3 * SECOND
    desk.kernel.clock.advance(5 * SECOND)
    at = desk.put(bytes(32))
    assert desk.call("times", at) == 500
    assert TMS[arch].unpack(desk.get(at, TMS[arch].size))["utime"] == 300
    assert desk.call("getpriority", 0, 0) == 20
    assert [desk.call("setpriority", 0, 0, nice) for nice in (0, 5)] == [0, -Errno.EACCES]
    assert desk.call("getpriority", 0, 4242) == -Errno.ESRCH
    assert desk.call("getpriority", 9, 0) == -Errno.EINVAL
    assert desk.call("sched_setaffinity", 0, 8, b"\xff" * 8) == 0
    assert desk.call("sched_setaffinity", 0, 8, bytes(8)) == -Errno.EINVAL
    assert desk.call("sched_setaffinity", 4242, 8, b"\xff" * 8) == -Errno.ESRCH


@each
@pytest.mark.parametrize("name", ["getresuid", "getresgid"])
def test_three_ids(arch: str, name: str) -> None:
    desk = Desk(arch)
    desk.task.owner = desk.task.owner_group = 7
    at = desk.put(bytes(16))
    assert desk.call(name, at, at + 4, at + 8) == 0
    assert desk.get(at, 12) == b"\7\0\0\0" * 3
    assert memory.c_int(desk.call(name, at, 1, at) or 0) == -Errno.EFAULT
    if desk.arch.word == 4:
        assert desk.call("setresuid16", 0xFFFF, 9, 9) == 0
        assert desk.call("setresuid16", 1, 0xFFFF, 1) == 0
        assert (desk.task.owner, desk.task.owner_group) == (9, 7)


@each
def test_times_of_files_in_microseconds(arch: str) -> None:
    desk = Desk(arch)
    desk.write_file("/tmp/file", b"")
    word = desk.arch.word
    times = b"".join(value.to_bytes(word, "little") for value in (11, 500_000, 22, 1))
    assert desk.call("utimes", "/tmp/file", times) == 0
    row = desk.struct(STAT[arch], "newfstatat", HERE, "/tmp/file", after=(0,))
    assert (row["atime"], row["atime_ns"], row["mtime"], row["mtime_ns"]) == (11, 500_000_000, 22, 1000)
    late = b"".join(value.to_bytes(word, "little") for value in (11, 1_000_000, 22, 1))
    assert desk.call("futimesat", HERE, "/tmp/file", late) == -Errno.EINVAL
