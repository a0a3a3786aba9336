"""epoll, eventfd, poll and select: levels, edges, what a close and a timeout do."""

from __future__ import annotations

import pytest
from kernel_desk import Desk
from kernel_guest import each

from arch.files import (
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLET,
    EPOLLONESHOT,
    O_CLOEXEC,
    O_NONBLOCK,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLRDHUP,
)
from arch.linux import Errno
from arch.structs import EPOLL_EVENT, POLL, TIMESPEC, TIMESPEC64, TIMEVAL
from emu.kernel.pipes import CAPACITY

EDGE = POLLIN | POLLOUT | POLLRDHUP | EPOLLET  # what Go's runtime asks for


class Poller(Desk):
    """A desk with an epoll and a pipe."""

    def __init__(self, arch: str, flags: int = O_NONBLOCK) -> None:
        super().__init__(arch)
        self.epoll = self.done("epoll_create1", O_CLOEXEC)
        self.reader, self.writer = self.pipe(flags)

    def pipe(self, flags: int = 0) -> tuple[int, int]:
        address = self.put(bytes(8))
        self.done("pipe2", address, flags)
        data = self.get(address, 8)
        return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")

    def control(self, operation: int, descriptor: int, events: int, data: int = 0) -> int | None:
        event = EPOLL_EVENT[self.arch.name].pack(events=events, data=data)
        return self.call("epoll_ctl", self.epoll, operation, descriptor, event)

    def wait(self, most: int = 8, timeout: int = 0) -> list[tuple[int, int]] | None:
        """(data, events) of those that are ready; None if the call waits."""
        layout = EPOLL_EVENT[self.arch.name]
        self.at = self.put(bytes(layout.size * most))
        found = self.call("epoll_pwait", self.epoll, self.at, most, timeout, 0, 0)
        return None if found is None else self.told(found)

    def told(self, count: int) -> list[tuple[int, int]]:
        layout = EPOLL_EVENT[self.arch.name]
        rows = [layout.unpack(self.get(self.at + n * layout.size, layout.size)) for n in range(count)]
        return [(row["data"], row["events"]) for row in rows]


@each
def test_a_level_is_told_until_it_is_over(arch: str) -> None:
    desk = Poller(arch)
    wide = 0x1122_3344_5566_7788
    assert desk.control(EPOLL_CTL_ADD, desk.reader, POLLIN, wide) == 0
    assert desk.wait() == []
    desk.done("write", desk.writer, "abc", 3)
    assert desk.wait() == desk.wait() == [(wide, POLLIN)]
    assert desk.read(desk.reader) == b"abc"
    assert desk.wait() == []
    desk.done("close", desk.writer)
    assert desk.wait() == [(wide, POLLHUP)]


@each
def test_an_edge_is_told_once(arch: str) -> None:
    desk = Poller(arch)
    assert desk.control(EPOLL_CTL_ADD, desk.reader, EDGE, 1) == 0
    assert desk.control(EPOLL_CTL_ADD, desk.writer, EDGE, 2) == 0
    assert desk.wait() == [(2, POLLOUT)]
    assert desk.wait() == []
    for _ in range(2):
        desk.done("write", desk.writer, "a", 1)
        assert desk.wait() == [(1, POLLIN)]
        assert desk.wait() == []
    assert desk.read(desk.reader) == b"aa"
    assert desk.wait() == [(2, POLLOUT)]
    filled = desk.done("write", desk.writer, bytes(CAPACITY + 9), CAPACITY + 9)
    assert filled == CAPACITY
    assert desk.call("write", desk.writer, "x", 1) == -Errno.EAGAIN
    assert desk.wait() == [(1, POLLIN)]
    assert desk.wait() == []
    desk.read(desk.reader, 4096)
    assert desk.wait() == [(2, POLLOUT)]
    desk.done("close", desk.reader)
    assert desk.wait() == [(2, POLLOUT | POLLERR)]
    assert desk.wait() == []


@each
def test_an_added_or_changed_file_is_told_of_if_it_is_ready(arch: str) -> None:
    desk = Poller(arch)
    desk.done("write", desk.writer, "a", 1)
    desk.control(EPOLL_CTL_ADD, desk.reader, EDGE, 1)
    assert desk.wait() == [(1, POLLIN)]
    assert desk.control(EPOLL_CTL_MOD, desk.reader, EDGE | EPOLLONESHOT, 5) == 0
    assert desk.wait() == [(5, POLLIN)]
    desk.done("write", desk.writer, "a", 1)
    assert desk.wait() == []
    assert desk.control(EPOLL_CTL_MOD, desk.reader, POLLIN, 6) == 0
    assert desk.wait() == [(6, POLLIN)]
    assert desk.control(EPOLL_CTL_DEL, desk.reader, 0) == 0
    assert desk.wait() == []


@each
def test_what_epoll_ctl_refuses(arch: str) -> None:
    desk = Poller(arch)
    file = desk.done("openat", -100, "/etc/hosts", 0, 0)
    null = desk.done("openat", -100, "/dev/null", 0, 0)
    add = [(desk.reader, 0), (desk.reader, -Errno.EEXIST), (file, -Errno.EPERM), (null, -Errno.EPERM),
           (99, -Errno.EBADF), (desk.epoll, -Errno.EINVAL)]
    assert [desk.control(EPOLL_CTL_ADD, descriptor, POLLIN) for descriptor, _ in add] == [answer for _, answer in add]
    assert desk.control(EPOLL_CTL_MOD, desk.writer, POLLIN) == desk.control(EPOLL_CTL_DEL, desk.writer, 0) \
        == -Errno.ENOENT
    assert desk.control(9, desk.writer, 0) == -Errno.EINVAL
    assert desk.call("epoll_ctl", desk.reader, EPOLL_CTL_ADD, desk.writer, bytes(16)) == -Errno.EINVAL
    assert desk.call("epoll_ctl", desk.epoll, EPOLL_CTL_ADD, desk.writer, 0) == -Errno.EFAULT
    assert desk.call("epoll_pwait", desk.epoll, desk.put(bytes(16)), 0, 0, 0, 0) == -Errno.EINVAL
    assert desk.call("epoll_pwait", desk.epoll, 0, 1, 0, 0, 0) == -Errno.EFAULT
    assert desk.call("epoll_create1", 1) == -Errno.EINVAL


@each
def test_a_closed_file_is_forgotten_and_a_duplicate_keeps_it(arch: str) -> None:
    desk = Poller(arch)
    desk.control(EPOLL_CTL_ADD, desk.reader, POLLIN, 1)
    desk.done("write", desk.writer, "a", 1)
    twin = desk.done("dup", desk.reader)
    desk.done("close", desk.reader)
    assert desk.wait() == [(1, POLLIN)]
    desk.done("close", twin)
    assert desk.wait() == []


@each
def test_all_have_their_turn(arch: str) -> None:
    desk = Poller(arch)
    for number in range(3):
        event = desk.done("eventfd2", 1, 0)
        desk.control(EPOLL_CTL_ADD, event, POLLIN, number)
    assert [desk.wait(2), desk.wait(2)] == [[(0, 1), (1, 1)], [(2, 1), (0, 1)]]


@each
@pytest.mark.parametrize("call", ["epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select"])
def test_a_wait_ends_by_an_event_or_by_time(arch: str, call: str) -> None:
    desk = Poller(arch)
    desk.control(EPOLL_CTL_ADD, desk.reader, POLLIN, 1)
    space = EPOLL_EVENT[arch].size
    many, rows = desk.put(bytes(space)), desk.put(POLL.pack(fd=desk.reader, events=POLLIN))
    short, tiny = TIMESPEC[arch].pack(nsec=5_000_000), TIMEVAL[arch].pack(usec=5000)
    arguments: dict[str, tuple[int | bytes, ...]] = {
        "epoll_pwait": (desk.epoll, many, 1, 5, 0, 0), "poll": (rows, 1, 5), "ppoll": (rows, 1, short, 0, 0),
        "epoll_pwait2": (desk.epoll, many, 1, TIMESPEC64.pack(nsec=5_000_000), 0, 0),
        "select": (desk.reader + 1, (1 << desk.reader).to_bytes(8, "little"), 0, 0, tiny),
    }
    assert desk.call(call, *arguments[call]) is None
    assert desk.thread.deadline == desk.kernel.clock.now + 5_000_000
    desk.kernel.clock.advance(4_999_999)
    assert desk.woken() is None
    desk.kernel.clock.advance(5_000_000)
    assert desk.woken() == 0
    assert desk.call(call, *arguments[call]) is None
    desk.task.files.stream(desk.writer).write(b"x")
    assert desk.woken() == 1
    assert desk.thread.state == "runnable"


@each
def test_eventfd_counts(arch: str) -> None:
    desk = Poller(arch)
    event = desk.done("eventfd2", 3, O_NONBLOCK)
    one, most = ((1).to_bytes(8, "little"), (2**64 - 1).to_bytes(8, "little"))
    assert desk.done("write", event, one, 8) == 8
    assert desk.read(event, 8) == (4).to_bytes(8, "little")
    assert desk.call("read", event, desk.put(bytes(8)), 8) == -Errno.EAGAIN
    assert desk.call("read", event, desk.put(bytes(8)), 7) == -Errno.EINVAL
    assert desk.call("write", event, most, 8) == -Errno.EINVAL
    assert desk.done("write", event, (2**64 - 2).to_bytes(8, "little"), 8) == 8
    assert desk.call("write", event, one, 8) == -Errno.EAGAIN
    semaphore = desk.done("eventfd2", 2, O_NONBLOCK | 1)
    assert [desk.read(semaphore, 8), desk.read(semaphore, 8)] == [one, one]
    assert desk.call("eventfd2", 0, 2) == -Errno.EINVAL


@each
def test_poll_and_select_tell_what_has_come(arch: str) -> None:
    desk = Poller(arch)
    rows = b"".join(POLL.pack(fd=fd, events=POLLIN | POLLOUT) for fd in (desk.reader, desk.writer, 99, -1))
    address = desk.put(rows)
    assert desk.call("poll", address, 4, 0) == 2
    data = desk.get(address, len(rows))
    told = [POLL.unpack(data[n : n + POLL.size])["revents"] for n in range(0, len(data), POLL.size)]
    assert told == [0, POLLOUT, POLLNVAL, 0]
    bits = desk.put((1 << desk.reader | 1 << desk.writer).to_bytes(8, "little"))
    both = desk.put((1 << desk.reader | 1 << desk.writer).to_bytes(8, "little"))
    assert desk.call("select", 10, bits, both, 0, TIMEVAL[arch].pack()) == 1
    assert [int.from_bytes(desk.get(at, 8), "little") for at in (bits, both)] == [0, 1 << desk.writer]
    assert desk.call("select", 100, b"\xff" * 16, 0, 0, TIMEVAL[arch].pack()) == -Errno.EBADF
    assert desk.call("poll", address, 5000, 0) == -Errno.EINVAL
    assert desk.call("ppoll", address, 1, TIMESPEC[arch].pack(nsec=-1), 0, 0) == -Errno.EINVAL


@each
def test_an_end_that_does_not_wait(arch: str) -> None:
    desk = Poller(arch)
    address = desk.put(bytes(8))
    assert desk.call("read", desk.reader, address, 8) == -Errno.EAGAIN
    assert desk.call("fcntl", desk.reader, 3, 0) == O_NONBLOCK
    assert desk.call("fcntl", desk.writer, 3, 0) == O_NONBLOCK | 1
    assert desk.call("fcntl", desk.reader, 4, 0) == 0
    assert desk.call("read", desk.reader, address, 8) is None
    desk.task.files.stream(desk.writer).write(b"now")
    assert desk.woken() == 3
    assert desk.get(address, 3) == b"now"
    filled = desk.done("write", desk.writer, bytes(CAPACITY - 100), CAPACITY - 100)
    assert filled == CAPACITY - 100
    assert desk.call("write", desk.writer, bytes(200), 200) == -Errno.EAGAIN, "a small write is not cut"
    assert desk.call("write", desk.writer, bytes(5000), 5000) == 100


@each
def test_descriptors_are_duplicated_marked_and_limited(arch: str) -> None:
    desk = Poller(arch)
    assert desk.call("fcntl", desk.reader, 1030, 20) == 20
    assert [desk.call("fcntl", fd, 1, 0) for fd in (20, desk.reader)] == [1, 0]
    assert desk.call("fcntl64" if desk.arch.word == 4 else "fcntl", 20, 2, 0) == 0
    assert desk.call("fcntl", 20, 1, 0) == 0
    assert [desk.call("fcntl", 20, command, 0) for command in (99, 1032)] == [-Errno.EINVAL, CAPACITY]
    assert [desk.call("fcntl", fd, 0, 5000) for fd in (20, 99)] == [-Errno.EINVAL, -Errno.EBADF]
    assert [desk.call("ioctl", fd, 0x5401, 0) for fd in (20, 99)] == [-Errno.ENOTTY, -Errno.EBADF]
    desk.task.files.most = 8
    opened = [desk.call("dup", desk.reader) for _ in range(4)]
    assert opened[-1] == -Errno.EMFILE
    assert [desk.call("epoll_create1", 0), desk.call("openat", -100, "/", 0, 0)] == [-Errno.EMFILE] * 2


@each
def test_pipes_are_limited(arch: str) -> None:
    desk = Poller(arch)
    desk.task.files.most = 100_000
    answers = [desk.call("pipe2", desk.put(bytes(8)), 0) for _ in range(1024)]
    assert answers == [0] * 1023 + [-Errno.ENFILE]
    for descriptor in (desk.reader, desk.writer):
        desk.done("close", descriptor)
    assert desk.call("pipe2", desk.put(bytes(8)), 0) == 0
