"""Waits of whole programs, for words and for time, and how time passes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from live_desk import HERE, OURS, REAL, REQUEUE, SIZE, WAIT, WAIT_BITS, WAKE, WAKE_BITS, Desk, each

from arch.linux import Errno
from emu.kernel.clock import EPOCH, SECOND, Clock
from emu.kernel.kernel import Kernel
from emu.live.loop import Limits, Loop
from emu.machine import PAGE

# words to wait for


@each
def test_sleepers_are_woken_in_the_order_in_which_they_came(arch: str) -> None:
    desk = Desk(arch)
    threads = [desk.thread() for _ in range(4)]
    for number in (2, 0, 3, 1):
        desk.sleep(threads[number])
    assert desk.call("futex", HERE, WAKE, 1) == 1
    assert desk.awake() == [0, 3]
    assert desk.call("futex", HERE, WAKE | OURS, 2) == 2
    assert desk.awake() == [0, 1, 3, 4]
    assert desk.call("futex", HERE, WAKE, 99) == 1
    assert desk.call("futex", HERE, WAKE, 99) == 0
    assert desk.awake() == [0, 1, 2, 3, 4]
    assert [thread.answer for thread in threads] == [0, 0, 0, 0]
    assert desk.kernel.sleepers == []


@each
def test_a_word_that_has_changed_is_not_waited_for(arch: str) -> None:
    desk = Desk(arch)
    desk.process.machine.write(HERE, b"\xff" * 4)
    assert desk.call("futex", HERE, WAIT, 0) == -Errno.EAGAIN
    assert desk.call("futex", HERE + 2, WAIT, 0) == -Errno.EINVAL
    assert desk.call("futex", HERE + SIZE, WAIT, 0) == -Errno.EFAULT
    assert desk.call("futex", HERE, REQUEUE, 0) == -Errno.ENOSYS
    assert desk.kernel.unknown == {"futex operation 3": 1}
    assert desk.call("futex", HERE, WAIT, -1) is None  # 32 bits of it count


@each
def test_only_who_waits_for_that_word_is_woken(arch: str) -> None:
    desk = Desk(arch)
    here, there = desk.thread(), desk.thread()
    desk.sleep(here)
    desk.sleep(there, HERE + 4)
    assert desk.call("futex", HERE + 4, WAKE, 9) == 1
    assert desk.awake() == [0, 2]


@each
def test_sets_of_bits(arch: str) -> None:
    desk = Desk(arch)
    threads = [desk.thread() for _ in range(3)]
    for thread, bits in zip(threads, (1, 2, 6), strict=True):
        desk.sleep(thread, bits=bits)
    assert desk.call("futex", HERE, WAKE_BITS, 9, 0, 0, 8) == 0
    assert desk.call("futex", HERE, WAKE_BITS, 9, 0, 0, 2) == 2
    assert desk.awake() == [0, 2, 3]
    assert desk.call("futex", HERE, WAKE, 9) == 1
    assert desk.call("futex", HERE, WAIT_BITS, 0) == -Errno.EINVAL
    assert desk.call("futex", HERE, WAKE_BITS, 9) == -Errno.EINVAL


def _passed(desk: Desk, until: int) -> None:
    """Just before ``until`` nobody wakes up; then the second thread does."""
    desk.kernel.clock.advance(until - 1)
    assert desk.awake() == [0]
    desk.kernel.clock.advance(until)
    assert desk.awake() == [0, 1]
    (thread,) = (thread for thread in desk.kernel.threads if thread is not desk.main)
    assert thread.answer == -Errno.ETIMEDOUT
    assert desk.kernel.sleepers == []


@each
def test_a_wait_for_a_while(arch: str) -> None:
    desk = Desk(arch)
    desk.kernel.clock.advance(7 * SECOND)
    thread = desk.thread()
    desk.sleep(thread, timeout=desk.time(3 * SECOND + 5))
    assert thread.deadline == 10 * SECOND + 5
    _passed(desk, 10 * SECOND + 5)


@each
@pytest.mark.parametrize("real", [False, True])
def test_a_wait_until_a_time(arch: str, real: bool) -> None:
    desk = Desk(arch)
    thread, base = desk.thread(), EPOCH if real else 0
    operation = WAIT_BITS | (REAL if real else 0)
    assert desk.call("futex", HERE, operation, 0, desk.time(base + 2 * SECOND), 0, -1, thread=thread) is None
    assert thread.deadline == 2 * SECOND
    _passed(desk, 2 * SECOND)


@pytest.mark.parametrize("arch", ["386", "arm"])
def test_times_of_64_bits(arch: str) -> None:
    desk = Desk(arch)
    thread, width = desk.thread(), 8
    assert desk.call("futex_time64", HERE, WAIT, 0, desk.time(5 << 32, width), thread=thread) is None
    _passed(desk, 5 << 32)


@each
def test_times_that_are_none(arch: str) -> None:
    desk = Desk(arch)
    desk.time(0)
    desk.process.machine.write(HERE + PAGE + desk.arch.word, SECOND.to_bytes(desk.arch.word, "little"))
    assert desk.call("futex", HERE, WAIT, 0, HERE + PAGE) == -Errno.EINVAL
    assert desk.call("nanosleep", HERE + PAGE) == -Errno.EINVAL
    assert desk.call("nanosleep", HERE + SIZE) == -Errno.EFAULT


# clocks


@each
def test_clocks(arch: str) -> None:
    desk = Desk(arch)
    word = desk.arch.word
    desk.kernel.clock.advance(3 * SECOND + 4)
    start = EPOCH // SECOND
    for clock, seconds in ((0, start + 3), (5, start + 3), (1, 3), (4, 3), (6, 3), (7, 3)):
        assert desk.call("clock_gettime", clock, HERE) == 0
        assert desk.read_time(HERE, word) == (seconds, 4)
    desk.main.ran, desk.thread().ran = 11, 22
    assert desk.call("clock_gettime", 3, HERE) == 0
    assert desk.read_time(HERE, word) == (0, 11)
    assert desk.call("clock_gettime", 2, HERE) == 0
    assert desk.read_time(HERE, word) == (0, 33)
    assert desk.call("clock_gettime", 99, HERE) == -Errno.EINVAL
    assert desk.call("clock_gettime", 1, HERE + SIZE) == -Errno.EFAULT
    assert desk.call("clock_getres", 1, HERE) == 0
    assert desk.read_time(HERE, word) == (0, 1)
    assert desk.call("clock_getres", 1, 0) == 0
    assert desk.call("gettimeofday", HERE) == 0
    assert desk.read_time(HERE, word) == (start + 3, 0)
    if word == 4:
        assert desk.call("clock_gettime64", 0, HERE) == 0
        assert desk.read_time(HERE, 8) == (start + 3, 4)


@each
def test_sleep(arch: str) -> None:
    desk = Desk(arch)
    desk.kernel.clock.advance(SECOND)
    sleepers = [desk.thread() for _ in range(3)]
    desk.call("nanosleep", desk.time(2 * SECOND), thread=sleepers[0])
    desk.call("clock_nanosleep", 1, 1, desk.time(2 * SECOND), thread=sleepers[1])
    desk.call("clock_nanosleep", 0, 1, desk.time(EPOCH + 4 * SECOND), thread=sleepers[2])
    assert [thread.deadline for thread in sleepers] == [3 * SECOND, 2 * SECOND, 4 * SECOND]
    assert desk.awake() == [0]
    for seconds, awake in ((2, [0, 2]), (3, [0, 1, 2]), (4, [0, 1, 2, 3])):
        desk.kernel.clock.advance(seconds * SECOND)
        assert desk.awake() == awake
    assert [thread.answer for thread in sleepers] == [0, 0, 0]


@dataclass(eq=False)
class Bell:
    """Rings every so often, ``left`` times."""

    due: int | None
    every: int
    left: int
    rung: list[tuple[int, int]] = field(default_factory=list)

    def fire(self, kernel: Kernel) -> None:
        assert self.due is not None
        self.rung.append((self.due, kernel.clock.now))
        self.left -= 1
        self.due = self.due + self.every if self.left else None


def test_time_does_not_go_back() -> None:
    clock = Clock(ran=lambda: 40)
    assert (clock.now, clock.real) == (40, EPOCH + 40)
    clock.advance(30)
    assert clock.now == 40
    clock.advance(100)
    assert (clock.now, clock.jumped, clock.due()) == (100, 60, None)


@each
def test_timers_ring_when_they_are_due_the_earliest_first(arch: str) -> None:
    desk = Desk(arch)
    clock, order = desk.kernel.clock, list[int]()
    often, once, never = Bell(10, 10, 3), Bell(15, 0, 1), Bell(None, 0, 1)
    clock.timers += [once, never, often]
    for bell in (often, once):
        bell.rung = _Log(order)
    assert clock.due() == 10
    clock.fire(desk.kernel)
    assert order == []
    clock.advance(20)
    clock.fire(desk.kernel)
    assert order == [10, 15, 20]
    assert (clock.due(), once.due) == (30, None)
    clock.advance(99)
    clock.fire(desk.kernel)
    assert (order, clock.due(), never.rung) == ([10, 15, 20, 30], None, [])


class _Log(list[tuple[int, int]]):
    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self._order = order

    def append(self, rung: tuple[int, int]) -> None:
        self._order.append(rung[0])


# time jumps


@each
def test_when_all_wait_time_jumps_to_what_comes_first(arch: str) -> None:
    desk = Desk(arch)
    bell, other = Bell(5 * SECOND, 0, 1), desk.thread()
    desk.kernel.clock.timers.append(bell)
    loop = Loop(desk.kernel, Limits(blocks=100))
    desk.call("nanosleep", desk.time(7 * SECOND))
    desk.sleep(other, timeout=desk.time(9 * SECOND))
    times = []
    for _ in range(3):
        assert loop._skip()
        desk.kernel.clock.fire(desk.kernel)
        times.append((desk.kernel.clock.now, desk.awake()))
    assert times == [(5 * SECOND, []), (7 * SECOND, [0]), (9 * SECOND, [0, 1])]
    assert bell.rung == [(5 * SECOND, 5 * SECOND)]


@each
def test_waiting_for_nothing_is_a_deadlock(arch: str) -> None:
    desk = Desk(arch)
    desk.sleep(desk.main)
    ending = Loop(desk.kernel, Limits(blocks=100)).run()
    assert (ending.kind, ending.waiting) == ("deadlock", (f"thread {desk.main.tid} waits for a word to change",))
