"""Timers that send signals: by the clock, by the time a thread or a process has run."""

from __future__ import annotations

import pytest
from signal_guest import SignalGuest, each

from arch.linux import Errno
from arch.signals import Code, Signal
from emu.kernel import Refused, timers
from emu.kernel.pending import Action, Info
from emu.kernel.table import Thread

MS = 1_000_000
_PROCESS, _THREAD, _MONOTONIC = 2, 3, 1


class _Timed(SignalGuest):
    """A guest that never runs: its thread handles every signal, and its calls are made from here."""

    def __init__(self, arch: str) -> None:
        super().__init__(arch, "sys nr.exit_group, 0, 0, 0, 0, 0\n")
        self.thread = self.kernel.main
        self.at = self.names["old"]
        for signal in Signal:
            self.thread.task.signals.actions[signal] = Action(0x10000)

    def words(self, *values: int) -> int:
        """Lay out words; their address."""
        self.process.write(self.at, b"".join(map(self.arch.pack, values)))
        return self.at

    def told(self) -> list[Info]:
        """What is pending for the thread or the process, which is taken."""
        found = []
        for queue in (self.thread.signals.pending, self.thread.task.signals.pending):
            found += list(queue)
            for info in list(queue):
                queue.take(info)
        return found

    def create(self, clock: int, event: bytes = b"") -> int:
        """timer_create; returns its number."""
        self.process.write(self.at, event)
        identity = self.at + 0x40
        assert timers.timer_create(self.thread, clock, self.at if event else 0, identity) == 0
        return int.from_bytes(self.process.machine.read(identity, 4), "little")

    def event(self, value: int, signal: int, kind: int, tid: int) -> bytes:
        return self.arch.pack(value) + b"".join(number.to_bytes(4, "little") for number in (signal, kind, tid))

    def set_time(self, identity: int, interval: int, value: int, flags: int = 0) -> None:
        """timer_settime, in nanoseconds."""
        at = self.words(*divmod(interval, 10**9), *divmod(value, 10**9))
        assert timers.timer_settime(self.thread, identity, flags, at, 0) == 0

    def run_for(self, time: int, thread: Thread | None = None) -> None:
        """Let a thread have been on the CPU."""
        (thread or self.thread).ran += time
        timers.ran(thread or self.thread)

    def wait_for(self, time: int) -> None:
        """Let time pass."""
        self.kernel.clock.advance(self.kernel.clock.now + time)
        self.kernel.clock.fire(self.kernel)


@each
def test_the_profilers_timer_counts_the_time_of_its_thread(arch: str) -> None:
    guest = _Timed(arch)
    other = guest.kernel.new_thread(guest.thread.task)
    number = guest.create(_THREAD, guest.event(7, Signal.SIGPROF, 4, guest.thread.tid))
    guest.set_time(number, 10 * MS, 3 * MS)
    assert timers.due(guest.thread) == 3 * MS
    assert timers.due(other) is None
    guest.run_for(50 * MS, other)
    guest.wait_for(50 * MS)
    guest.run_for(2 * MS)
    assert guest.told() == []
    guest.run_for(MS)
    assert guest.told() == [Info(Signal.SIGPROF, Code.TIMER, (number, 0), (7,))]
    assert timers.due(guest.thread) == 10 * MS
    guest.run_for(35 * MS)
    assert guest.told() == [Info(Signal.SIGPROF, Code.TIMER, (number, 2), (7,))]
    assert timers.timer_getoverrun(guest.thread, number) == 2
    assert timers.due(guest.thread) == 5 * MS
    assert timers.timer_delete(guest.thread, number) == 0
    guest.run_for(100 * MS)
    assert guest.told() == []
    with pytest.raises(Refused) as refused:
        timers.timer_delete(guest.thread, number)
    assert refused.value.errno == Errno.EINVAL


@each
def test_itimer_prof_counts_all_threads_and_tells_the_one_that_runs(arch: str) -> None:
    guest = _Timed(arch)
    other = guest.kernel.new_thread(guest.thread.task)
    assert timers.setitimer(guest.thread, 2, guest.words(0, 10_000, 0, 10_000), 0) == 0
    guest.run_for(6 * MS)
    guest.run_for(5 * MS, other)
    assert list(other.signals.pending) == [Info(Signal.SIGPROF, Code.KERNEL)]
    assert guest.told() == []
    guest.run_for(10 * MS)
    assert guest.told() == [Info(Signal.SIGPROF, Code.KERNEL)]
    old = guest.at + 0x40
    assert timers.setitimer(guest.thread, 2, guest.words(0, 0, 0, 0), old) == 0
    told = [guest.process.word(old + index * guest.arch.word) for index in range(4)]
    assert told == [0, 10_000, 0, 9_000]
    guest.run_for(100 * MS)
    assert guest.told() == []


@each
def test_the_real_timer_goes_on_while_nobody_runs(arch: str) -> None:
    guest = _Timed(arch)
    assert timers.setitimer(guest.thread, 0, guest.words(2, 0, 1, 500_000), 0) == 0
    assert guest.kernel.clock.due() == 1500 * MS
    guest.wait_for(1500 * MS)
    assert guest.told() == [Info(Signal.SIGALRM, Code.KERNEL)]
    assert guest.kernel.clock.due() == 3500 * MS
    guest.kernel.end_task(guest.thread.task, 0)
    assert guest.kernel.clock.due() is None


@each
def test_a_timer_by_the_clock_fires_once_at_a_time_that_is_given(arch: str) -> None:
    guest = _Timed(arch)
    number = guest.create(_MONOTONIC)
    guest.wait_for(MS)
    guest.set_time(number, 0, 5 * MS, flags=1)
    guest.wait_for(4 * MS)
    assert guest.told() == [Info(Signal.SIGALRM, Code.TIMER, (number, 0), (number,))]
    guest.wait_for(100 * MS)
    assert guest.told() == []
    again = guest.create(_PROCESS)
    assert again != number


@each
def test_timers_refuse_what_is_none(arch: str) -> None:
    guest = _Timed(arch)
    thread, at = guest.thread, guest.at

    def errno(call: object, *words: int) -> int:
        with pytest.raises(Refused) as refused:
            call(thread, *words)  # type: ignore[operator]
        return refused.value.errno

    assert errno(timers.timer_create, 99, 0, at) == Errno.EINVAL
    guest.process.write(at, guest.event(0, 65, 4, thread.tid))
    assert errno(timers.timer_create, _THREAD, at, at) == Errno.EINVAL
    guest.process.write(at, guest.event(0, Signal.SIGPROF, 4, 4242))
    assert errno(timers.timer_create, _THREAD, at, at) == Errno.EINVAL
    assert errno(timers.timer_create, _THREAD, 0, guest.names["nowhere"]) == Errno.EFAULT
    assert errno(timers.setitimer, 3, at, 0) == Errno.EINVAL
    assert errno(timers.setitimer, 0, guest.words(0, 0, 0, 1_000_000), 0) == Errno.EINVAL
    assert not thread.task.signals.timers.get(0)
