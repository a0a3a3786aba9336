"""The calls that wait for several descriptors. Sources: epoll(7), epoll_ctl(2), eventfd(2), poll(2), select(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from arch.files import (
    EFD_SEMAPHORE,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLET,
    EPOLLONESHOT,
    O_CLOEXEC,
    O_NONBLOCK,
    O_RDWR,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
    POLLRDNORM,
)
from arch.linux import Errno
from arch.signals import MASK_SIZE
from arch.structs import EPOLL_EVENT, POLL, TIMESPEC, TIMESPEC64, TIMEVAL, Layout
from emu.kernel import memory, signals
from emu.kernel.clock import SECOND
from emu.kernel.descriptors import of
from emu.kernel.errors import Refused
from emu.kernel.files import READABLE, Stream
from emu.kernel.memory import c_int
from emu.kernel.pipes import Event
from emu.kernel.table import Thread

_ALWAYS = POLLERR | POLLHUP
_EVENTS = 0xFFFF  # the low bits of epoll's word, which name events
_MOST_EVENTS = 1024  # that one call tells of
_MOST_POLLED = 1024
_SET_BITS = 1024  # of select


@dataclass(eq=False)
class Item:
    """A file that an epoll watches. ``seen``: its ``changes`` when it was told of last, None if it was not yet."""

    stream: Stream
    events: int
    data: int
    seen: int | None = None

    def ready(self) -> int:
        """The events to be told of."""
        if self.events & EPOLLET and self.seen == self.stream.changes:
            return 0
        return self.stream.ready() & (self.events & _EVENTS | _ALWAYS) if self.events else 0

    def told(self) -> None:
        """It has been told of."""
        self.seen = self.stream.changes
        if self.events & EPOLLONESHOT:
            self.events = 0


class Epoll(Stream):
    """Watched files by descriptor, those that were told of last at the end. A file that is closed is forgotten."""

    def __init__(self) -> None:
        super().__init__(O_RDWR)
        self._items: dict[tuple[int, int], Item] = {}

    def control(self, operation: int, number: int, stream: Stream, events: int, data: int) -> None:
        """Add, change or remove a file."""
        self._forget()
        key = number, id(stream)
        if operation == EPOLL_CTL_ADD:
            if key in self._items:
                raise Refused(Errno.EEXIST)
            self._items[key] = Item(stream, events, data)
            return
        if operation not in (EPOLL_CTL_DEL, EPOLL_CTL_MOD):
            raise Refused(Errno.EINVAL)
        if key not in self._items:
            raise Refused(Errno.ENOENT)
        if operation == EPOLL_CTL_DEL:
            del self._items[key]
        else:
            self._items[key] = Item(stream, events, data)

    def _forget(self) -> None:
        for key in [key for key, item in self._items.items() if not item.stream.users]:
            del self._items[key]

    def events(self, most: int) -> list[tuple[int, int]]:
        """Up to ``most`` files that are ready, as (events, data)."""
        found: list[tuple[int, int]] = []
        self._forget()
        for key, item in list(self._items.items()):
            events = item.ready() if len(found) < most else 0
            if events:
                found.append((events, item.data))
                item.told()
                self._items[key] = self._items.pop(key)
        return found

    def ready(self) -> int:
        self._forget()
        return READABLE if any(item.ready() for item in self._items.values()) else 0


def epoll_create1(thread: Thread, flags: int) -> int:
    if flags & ~O_CLOEXEC:
        raise Refused(Errno.EINVAL)
    return thread.task.files.open(Epoll(), bool(flags & O_CLOEXEC))


def _epoll(thread: Thread, descriptor: int) -> Epoll:
    stream = of(thread, descriptor)
    if not isinstance(stream, Epoll):
        raise Refused(Errno.EINVAL)
    return stream


def epoll_ctl(thread: Thread, descriptor: int, operation: int, target: int, event: int) -> int:
    stream, layout = of(thread, target), EPOLL_EVENT[thread.kernel.arch.name]
    of(thread, descriptor)
    if not stream.pollable:
        raise Refused(Errno.EPERM)
    epoll = _epoll(thread, descriptor)
    if isinstance(stream, Epoll):  # one that watches another is not modelled
        thread.kernel.refuse("epoll of an epoll")
        raise Refused(Errno.EINVAL)
    row = {"events": 0, "data": 0}
    if operation != EPOLL_CTL_DEL:
        row = layout.unpack(memory.load(thread, event, layout.size))
    epoll.control(operation, c_int(target), stream, row["events"], row["data"])
    return 0


def _epoll_wait(thread: Thread, descriptor: int, address: int, most: int, timeout: int | None) -> int | None:
    """``timeout`` in nanoseconds, None for ever."""
    epoll, layout = _epoll(thread, descriptor), EPOLL_EVENT[thread.kernel.arch.name]
    if c_int(most) <= 0:
        raise Refused(Errno.EINVAL)
    most = min(c_int(most), _MOST_EVENTS)
    memory.check(thread, address, layout.size)

    def ask() -> int:
        found = epoll.events(most)
        memory.store(thread, address, b"".join(layout.pack(events=events, data=data) for events, data in found))
        return len(found)

    return _until(thread, f"events of descriptor {c_int(descriptor)}", ask, timeout)


def _until(thread: Thread, waits_for: str, ask: Callable[[], int], timeout: int | None) -> int | None:
    """Ask until the answer is not 0 or the time is over."""
    found = ask()
    if found or timeout == 0:
        return found
    clock = thread.kernel.clock
    deadline = None if timeout is None else clock.now + timeout

    def until() -> int | None:
        found = ask()
        return found if found or (deadline is not None and clock.now >= deadline) else None

    thread.block(waits_for, until, deadline)
    return None


def _with_mask(thread: Thread, result: int | None, mask: int, size: int) -> int | None:
    """Let a thread that waits do so with the signal mask that its call names."""
    if mask:
        if size != MASK_SIZE:
            raise Refused(Errno.EINVAL)
        if result is None:
            signals.wait_with(thread, int.from_bytes(memory.load(thread, mask, MASK_SIZE), "little"))
    return result


def _milliseconds(timeout: int) -> int | None:
    return None if c_int(timeout) < 0 else c_int(timeout) * 1_000_000


def epoll_wait(thread: Thread, descriptor: int, address: int, most: int, timeout: int) -> int | None:
    return _epoll_wait(thread, descriptor, address, most, _milliseconds(timeout))


def epoll_pwait(
    thread: Thread, descriptor: int, address: int, most: int, timeout: int, mask: int, size: int
) -> int | None:
    found = _epoll_wait(thread, descriptor, address, most, _milliseconds(timeout))
    return _with_mask(thread, found, mask, size)


def epoll_pwait2(
    thread: Thread, descriptor: int, address: int, most: int, timeout: int, mask: int, size: int
) -> int | None:
    found = _epoll_wait(thread, descriptor, address, most, _time(thread, timeout, TIMESPEC64))
    return _with_mask(thread, found, mask, size)


def _time(thread: Thread, address: int, layout: Layout) -> int | None:
    """A timespec or a timeval in nanoseconds; None for a null pointer."""
    if not address:
        return None
    row = layout.unpack(memory.load(thread, address, layout.size))
    rest = row["nsec"] if "nsec" in row else row["usec"] * 1000
    if row["sec"] < 0 or not 0 <= rest < SECOND:
        raise Refused(Errno.EINVAL)
    return row["sec"] * SECOND + rest


def eventfd2(thread: Thread, count: int, flags: int) -> int:
    if flags & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK):
        raise Refused(Errno.EINVAL)
    event = Event(count & 0xFFFF_FFFF, bool(flags & EFD_SEMAPHORE), flags & O_NONBLOCK)
    return thread.task.files.open(event, bool(flags & O_CLOEXEC))


# poll and select


def _ready(thread: Thread, number: int, events: int) -> int:
    """Those of the events, and of those that nobody has to ask for, that have come to a descriptor."""
    slot = thread.task.files.slots.get(number)
    return slot.stream.ready() & (events | _ALWAYS) if slot is not None else POLLNVAL


def _poll(thread: Thread, address: int, count: int, timeout: int | None) -> int | None:
    if count > _MOST_POLLED:
        raise Refused(Errno.EINVAL)
    data = memory.load(thread, address, count * POLL.size) if count else b""
    rows = [POLL.unpack(data[n : n + POLL.size]) for n in range(0, len(data), POLL.size)]

    def ask() -> int:
        found = [_ready(thread, row["fd"], row["events"] & 0xFFFF) if row["fd"] >= 0 else 0 for row in rows]
        told = [POLL.pack(**row | {"revents": one}) for row, one in zip(rows, found, strict=True)]
        memory.store(thread, address, b"".join(told))
        return sum(1 for one in found if one)

    return _until(thread, "events of descriptors", ask, timeout)


def poll(thread: Thread, address: int, count: int, timeout: int) -> int | None:
    return _poll(thread, address, count, _milliseconds(timeout))


def ppoll(thread: Thread, address: int, count: int, timeout: int, mask: int, size: int) -> int | None:
    time = _time(thread, timeout, TIMESPEC[thread.kernel.arch.name])
    return _with_mask(thread, _poll(thread, address, count, time), mask, size)


def ppoll_time64(thread: Thread, address: int, count: int, timeout: int, mask: int, size: int) -> int | None:
    return _with_mask(thread, _poll(thread, address, count, _time(thread, timeout, TIMESPEC64)), mask, size)


def _select(thread: Thread, count: int, sets: tuple[int, int, int], timeout: int | None) -> int | None:
    """``sets``: addresses of the bits of descriptors to be read, written, and watched for what is exceptional."""
    count = c_int(count)
    if not 0 <= count <= _SET_BITS:
        raise Refused(Errno.EINVAL)
    word = thread.kernel.arch.word
    size = -(-count // (8 * word)) * word
    wanted = [int.from_bytes(memory.load(thread, at, size), "little") if at else 0 for at in sets]
    events = (POLLIN | POLLRDNORM | _ALWAYS, POLLOUT | POLLERR, POLLPRI)
    for number in (n for n in range(count) if any(bits >> n & 1 for bits in wanted)):
        thread.task.files.stream(number)

    def ask() -> int:
        found = [
            sum(1 << n for n in range(count) if bits >> n & 1 and _ready(thread, n, which) & which)
            for bits, which in zip(wanted, events, strict=True)
        ]
        total = sum(bits.bit_count() for bits in found)
        for at, bits in zip(sets, found, strict=True):
            if at:
                memory.store(thread, at, bits.to_bytes(size, "little"))
        return total

    return _until(thread, "events of descriptors", ask, timeout)


def select(thread: Thread, count: int, reads: int, writes: int, others: int, timeout: int) -> int | None:
    time = _time(thread, timeout, TIMEVAL[thread.kernel.arch.name])
    return _select(thread, count, (reads, writes, others), time)


def pselect6(
    thread: Thread, count: int, reads: int, writes: int, others: int, timeout: int, mask: int
) -> int | None:
    arch = thread.kernel.arch
    time = _time(thread, timeout, TIMESPEC[arch.name])
    pair = memory.load(thread, mask, 2 * arch.word) if mask else bytes(2 * arch.word)
    found = _select(thread, count, (reads, writes, others), time)
    return _with_mask(thread, found, arch.unpack(pair[: arch.word]), arch.unpack(pair[arch.word :]))


CALLS: Mapping[str, Callable[..., int | None]] = {
    "epoll_create1": epoll_create1, "epoll_ctl": epoll_ctl, "epoll_wait": epoll_wait, "epoll_pwait": epoll_pwait,
    "epoll_pwait2": epoll_pwait2, "eventfd2": eventfd2, "poll": poll, "ppoll": ppoll, "ppoll_time64": ppoll_time64,
    "select": select, "pselect6": pselect6,
}
