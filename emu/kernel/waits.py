"""The system calls that wait for a word to change or for time to pass. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from arch.linux import Errno
from emu.kernel import memory
from emu.kernel.clock import SECOND
from emu.kernel.errors import Refused
from emu.kernel.table import Thread

_WAIT, _WAKE, _WAIT_BITSET, _WAKE_BITSET = 0, 1, 9, 10
_COMMAND, _CLOCK_REALTIME, _ALL = 0x7F, 0x100, 0xFFFF_FFFF
_REALTIME, _MONOTONIC, _PROCESS_TIME, _THREAD_TIME = 0, 1, 2, 3
_RAW, _REALTIME_COARSE, _MONOTONIC_COARSE, _BOOT = 4, 5, 6, 7
_ABSOLUTE = 1


@dataclass(eq=False)
class Sleeper:
    """A thread that waits on the word at ``address`` of the memory ``space``."""

    thread: Thread
    space: int
    address: int
    bits: int
    woken: bool = False


def read_time(thread: Thread, address: int, width: int) -> int:
    """A timespec of two words of ``width`` bytes, in nanoseconds."""
    data = memory.load(thread, address, 2 * width)
    seconds = int.from_bytes(data[:width], "little", signed=True)
    rest = int.from_bytes(data[width : width + 4], "little", signed=True)
    if seconds < 0 or not 0 <= rest < SECOND:
        raise Refused(Errno.EINVAL)
    return seconds * SECOND + rest


def store_time(thread: Thread, address: int, width: int, time: int) -> None:
    seconds, rest = divmod(time, SECOND)
    memory.store(thread, address, seconds.to_bytes(width, "little") + rest.to_bytes(width, "little"))


# futex


def _futex(
    thread: Thread, address: int, operation: int, value: int, timeout: int, bits: int, width: int
) -> int | None:
    command = operation & _COMMAND
    if address % 4 or (command in (_WAIT_BITSET, _WAKE_BITSET) and not bits & _ALL):
        raise Refused(Errno.EINVAL)
    if command in (_WAIT, _WAIT_BITSET):
        mask = bits & _ALL if command == _WAIT_BITSET else _ALL
        return _wait(thread, address, operation, value, timeout, mask, width)
    if command in (_WAKE, _WAKE_BITSET):
        return wake(thread, address, value, bits & _ALL if command == _WAKE_BITSET else _ALL)
    thread.kernel.refuse(f"futex operation {command}")
    raise Refused(Errno.ENOSYS)


def _wait(
    thread: Thread, address: int, operation: int, value: int, timeout: int, mask: int, width: int
) -> int | None:
    kernel = thread.kernel
    until = _deadline(thread, operation, timeout, width) if timeout else None
    if int.from_bytes(memory.load(thread, address, 4), "little") != value & _ALL:
        raise Refused(Errno.EAGAIN)
    sleeper = Sleeper(thread, id(thread.process.machine), address, mask)
    kernel.sleepers.append(sleeper)

    def woken() -> int | None:
        if sleeper.woken:
            return 0
        if until is not None and kernel.clock.now >= until:
            return -Errno.ETIMEDOUT
        return None

    thread.block("a word to change", woken, until, lambda: kernel.sleepers.remove(sleeper))
    return None


def _deadline(thread: Thread, operation: int, timeout: int, width: int) -> int:
    """When a wait ends, by the monotonic clock. The bit-set form is given a time, the plain one a while."""
    clock, time = thread.kernel.clock, read_time(thread, timeout, width)
    if operation & _COMMAND == _WAIT:
        return clock.now + time
    return time - (clock.real - clock.now) if operation & _CLOCK_REALTIME else time


def wake(thread: Thread, address: int, most: int, mask: int = _ALL) -> int:
    """Wake those that have waited longest."""
    space, count = id(thread.process.machine), 0
    for sleeper in thread.kernel.sleepers:
        if count >= most:
            break
        if (sleeper.space, sleeper.address) == (space, address) and sleeper.bits & mask and not sleeper.woken:
            sleeper.woken, count = True, count + 1
    return count


def futex(
    thread: Thread, address: int, operation: int, value: int, timeout: int, _other: int, bits: int
) -> int | None:
    return _futex(thread, address, operation, value, timeout, bits, thread.kernel.arch.word)


def futex_time64(
    thread: Thread, address: int, operation: int, value: int, timeout: int, _other: int, bits: int
) -> int | None:
    return _futex(thread, address, operation, value, timeout, bits, 8)


# clocks


def _time_of(thread: Thread, clock: int) -> int:
    kernel = thread.kernel
    if clock in (_REALTIME, _REALTIME_COARSE):
        return kernel.clock.real
    if clock in (_MONOTONIC, _RAW, _MONOTONIC_COARSE, _BOOT):
        return kernel.clock.now
    if clock == _THREAD_TIME:
        return thread.ran
    if clock == _PROCESS_TIME:
        return thread.task.ran
    raise Refused(Errno.EINVAL)


def clock_gettime(thread: Thread, clock: int, address: int) -> int:
    store_time(thread, address, thread.kernel.arch.word, _time_of(thread, clock))
    return 0


def clock_gettime64(thread: Thread, clock: int, address: int) -> int:
    store_time(thread, address, 8, _time_of(thread, clock))
    return 0


def clock_getres(thread: Thread, clock: int, address: int) -> int:
    _time_of(thread, clock)
    if address:
        store_time(thread, address, thread.kernel.arch.word, 1)
    return 0


def gettimeofday(thread: Thread, address: int) -> int:
    seconds, rest = divmod(thread.kernel.clock.real, SECOND)
    word = thread.kernel.arch.word
    memory.store(thread, address, seconds.to_bytes(word, "little") + (rest // 1000).to_bytes(word, "little"))
    return 0


def _sleep(thread: Thread, until: int) -> int | None:
    clock = thread.kernel.clock
    thread.block("time to pass", lambda: 0 if clock.now >= until else None, until)
    return None


def nanosleep(thread: Thread, wanted: int) -> int | None:
    return _sleep(thread, thread.kernel.clock.now + read_time(thread, wanted, thread.kernel.arch.word))


def _clock_sleep(thread: Thread, which: int, flags: int, wanted: int, width: int) -> int | None:
    clock, time = thread.kernel.clock, read_time(thread, wanted, width)
    if not flags & _ABSOLUTE:
        return _sleep(thread, clock.now + time)
    return _sleep(thread, time - (clock.real - clock.now) if which == _REALTIME else time)


def clock_nanosleep(thread: Thread, which: int, flags: int, wanted: int) -> int | None:
    return _clock_sleep(thread, which, flags, wanted, thread.kernel.arch.word)


def clock_nanosleep_time64(thread: Thread, which: int, flags: int, wanted: int) -> int | None:
    return _clock_sleep(thread, which, flags, wanted, 8)


CALLS: Mapping[str, Callable[..., int | None]] = {
    "futex": futex, "futex_time64": futex_time64, "clock_gettime": clock_gettime, "clock_gettime64": clock_gettime64,
    "clock_getres": clock_getres, "gettimeofday": gettimeofday, "nanosleep": nanosleep,
    "clock_nanosleep": clock_nanosleep, "clock_nanosleep_time64": clock_nanosleep_time64,
}
