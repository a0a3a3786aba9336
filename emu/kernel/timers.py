"""Timers that send signals: setitimer's three, and those of timer_create, by the clock or by time on the CPU.

Sources: setitimer(2), timer_create(2), timer_settime(2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arch.linux import Errno
from arch.signals import LAST, Code, Signal
from emu.kernel import memory, signals
from emu.kernel.errors import Refused
from emu.kernel.memory import c_int
from emu.kernel.pending import Info
from emu.kernel.table import Task, Thread
from emu.kernel.waits import read_time, store_time

if TYPE_CHECKING:
    from emu.kernel.kernel import Kernel

_REALTIME, _PROCESS_TIME, _THREAD_TIME = 0, 2, 3
_WALL = frozenset({0, 1, 7})  # clocks that go on while nobody runs: real, monotonic, boot time
_SIGNAL, _NONE, _CALLBACK, _THREAD_ID = 0, 1, 2, 4  # whom a timer tells; a callback is the library's affair
_ABSOLUTE = 1
_MOST = 1024  # timers of a process
# setitimer's: the clock and the signal of each.
_REAL, _VIRTUAL, _PROF = 0, 1, 2
_INTERVALS = {_REAL: (1, Signal.SIGALRM), _VIRTUAL: (2, Signal.SIGVTALRM), _PROF: (2, Signal.SIGPROF)}


@dataclass(eq=False)
class Alarm:
    """One timer of ``task``. ``due``: when it fires, by its own clock, in nanoseconds; None while it is not armed.

    ``clock``: as in clock_gettime. ``owner``: whose time on the CPU it counts. ``target``: the thread that is told,
    None for the process; ``silent``: nobody is. ``identity``: of timer_create, with the ``value`` that it was given;
    None: it is setitimer's. ``missed``: how often it should have fired beside the last time.
    """

    task: Task
    clock: int
    signal: int
    owner: Thread
    target: Thread | None = None
    silent: bool = False
    identity: int | None = None
    value: int = 0
    interval: int = 0
    due: int | None = None
    missed: int = 0

    @property
    def now(self) -> int:
        """The time of its clock."""
        if self.clock == _THREAD_TIME:
            return self.owner.ran
        if self.clock == _PROCESS_TIME:
            return self.task.ran
        return self.task.kernel.clock.now

    def fire(self, kernel: Kernel) -> None:  # noqa: ARG002
        """It is due: tell of it, and arm it anew if it is periodic."""
        self.ring(None)

    def ring(self, running: Thread | None) -> None:
        """Send the signal; ``running``: who is on the CPU and takes it if the process is told and he can."""
        assert self.due is not None
        self.missed = (self.now - self.due) // self.interval if self.interval else 0
        self.due = self.due + (self.missed + 1) * self.interval if self.interval else None
        if self.silent:
            return
        if self.identity is None:
            info = Info(self.signal, Code.KERNEL)
        else:
            info = Info(self.signal, Code.TIMER, (self.identity, self.missed), (self.value,))
        receiver = self.target or running
        if receiver is None or (self.target is None and signals.blocks(receiver, self.signal)):
            signals.send_task(self.task, info)
        else:
            signals.send_thread(receiver, info)

    def set(self, due: int | None, interval: int) -> None:
        """Arm or disarm it."""
        self.due, self.interval, self.missed = due, interval, 0
        if self.clock in _WALL:
            others = self.task.kernel.clock.timers
            others[:] = [timer for timer in others if timer is not self]
            if due is not None:
                others.append(self)

    @property
    def left(self) -> int:
        return max(1, self.due - self.now) if self.due is not None else 0


def ran(thread: Thread) -> None:
    """To be called when ``thread`` has been on the CPU and its ``ran`` tells it: what counts that time may be due."""
    for alarm in _on_cpu_time(thread):
        if alarm.due is not None and alarm.due <= alarm.now:
            alarm.ring(thread)


def due(thread: Thread) -> int | None:
    """Nanoseconds that ``thread`` may run until a timer that counts its time is due."""
    return min((alarm.left for alarm in _on_cpu_time(thread) if alarm.due is not None), default=None)


def _on_cpu_time(thread: Thread) -> list[Alarm]:
    return [
        alarm
        for alarm in thread.task.signals.timers.values()
        if alarm.clock == _PROCESS_TIME or (alarm.clock == _THREAD_TIME and alarm.owner is thread)
    ]


def forget(task: Task) -> None:
    """A process has ended."""
    for alarm in task.signals.timers.values():
        alarm.set(None, 0)
    task.signals.timers.clear()


# setitimer


def _interval(thread: Thread, which: int) -> Alarm:
    """One of setitimer's timers, which are kept beside the others under negative numbers."""
    if c_int(which) not in _INTERVALS:
        raise Refused(Errno.EINVAL)
    clock, signal = _INTERVALS[c_int(which)]
    timers = thread.task.signals.timers
    return timers.setdefault(-1 - c_int(which), Alarm(thread.task, clock, signal, thread))


def _store_interval(thread: Thread, address: int, alarm: Alarm) -> None:
    word = thread.kernel.arch.word
    parts = [*divmod(alarm.interval // 1000, 1_000_000), *divmod(alarm.left // 1000, 1_000_000)]
    memory.store(thread, address, b"".join(part.to_bytes(word, "little") for part in parts))


def setitimer(thread: Thread, which: int, new: int, old: int) -> int:
    alarm, word = _interval(thread, which), thread.kernel.arch.word
    data = memory.load(thread, new, 4 * word) if new else bytes(4 * word)
    parts = [int.from_bytes(data[at : at + word], "little", signed=True) for at in range(0, 4 * word, word)]
    if any(part < 0 for part in parts) or max(parts[1], parts[3]) >= 1_000_000:
        raise Refused(Errno.EINVAL)
    if old:
        _store_interval(thread, old, alarm)
    interval, value = ((parts[at] * 1_000_000 + parts[at + 1]) * 1000 for at in (0, 2))
    alarm.set(alarm.now + value if value else None, interval)
    return 0


def getitimer(thread: Thread, which: int, address: int) -> int:
    _store_interval(thread, address, _interval(thread, which))
    return 0


def alarm_(thread: Thread, seconds: int) -> int:
    """The real timer in whole seconds; what was left of it, rounded."""
    alarm = _interval(thread, _REAL)
    left, wanted = alarm.left, seconds & 0xFFFF_FFFF
    alarm.set(alarm.now + wanted * 1_000_000_000 if wanted else None, 0)
    return max(1, (left + 500_000_000) // 1_000_000_000) if left else 0


# timer_create


def timer_create(thread: Thread, clock: int, event: int, identity: int) -> int:
    which, timers = c_int(clock), thread.task.signals.timers
    if which not in _WALL | {_PROCESS_TIME, _THREAD_TIME}:
        raise Refused(Errno.EINVAL)
    if len(timers) >= _MOST:
        raise Refused(Errno.EAGAIN)
    number = next(free for free in range(_MOST) if free not in timers)
    alarm = Alarm(thread.task, which, Signal.SIGALRM, thread, identity=number, value=number)
    if event:
        _tell(thread, alarm, event)
    memory.store(thread, identity, number.to_bytes(4, "little"))
    timers[number] = alarm
    return 0


def _tell(thread: Thread, alarm: Alarm, event: int) -> None:
    """Whom sigevent wants told: a word for the value, then signal, kind, and thread as C ints."""
    arch = thread.kernel.arch
    data = memory.load(thread, event, arch.word + 12)
    alarm.value = arch.unpack(data[: arch.word])
    signal, kind, tid = (c_int(int.from_bytes(data[at : at + 4], "little")) for at in range(arch.word, len(data), 4))
    if kind not in (_SIGNAL, _NONE, _CALLBACK, _THREAD_ID) or (kind != _NONE and not 0 < signal <= LAST):
        raise Refused(Errno.EINVAL)
    alarm.signal, alarm.silent = signal, kind == _NONE
    if kind == _THREAD_ID:
        alarm.target = next((other for other in thread.task.threads if other.tid == tid), None)
        if alarm.target is None or alarm.target.state == "ended":
            raise Refused(Errno.EINVAL)


def _timer(thread: Thread, identity: int) -> Alarm:
    alarm = thread.task.signals.timers.get(c_int(identity))
    if alarm is None or alarm.identity is None:
        raise Refused(Errno.EINVAL)
    return alarm


def _set_time(thread: Thread, identity: int, flags: int, new: int, old: int, width: int) -> int:
    alarm, clock = _timer(thread, identity), thread.kernel.clock
    interval, value = read_time(thread, new, width), read_time(thread, new + 2 * width, width)
    if old:
        _store_times(thread, old, alarm, width)
    begin = alarm.now
    if flags & _ABSOLUTE:
        begin = clock.now - clock.real if alarm.clock == _REALTIME else 0
    alarm.set(begin + value if value else None, interval)
    return 0


def _store_times(thread: Thread, address: int, alarm: Alarm, width: int) -> None:
    store_time(thread, address, width, alarm.interval)
    store_time(thread, address + 2 * width, width, alarm.left)


def timer_settime(thread: Thread, identity: int, flags: int, new: int, old: int) -> int:
    return _set_time(thread, identity, flags, new, old, thread.kernel.arch.word)


def timer_settime64(thread: Thread, identity: int, flags: int, new: int, old: int) -> int:
    return _set_time(thread, identity, flags, new, old, 8)


def timer_gettime(thread: Thread, identity: int, address: int) -> int:
    _store_times(thread, address, _timer(thread, identity), thread.kernel.arch.word)
    return 0


def timer_gettime64(thread: Thread, identity: int, address: int) -> int:
    _store_times(thread, address, _timer(thread, identity), 8)
    return 0


def timer_getoverrun(thread: Thread, identity: int) -> int:
    return _timer(thread, identity).missed


def timer_delete(thread: Thread, identity: int) -> int:
    alarm = _timer(thread, identity)
    alarm.set(None, 0)
    del thread.task.signals.timers[c_int(identity)]
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {
    "setitimer": setitimer, "getitimer": getitimer, "alarm": alarm_, "timer_create": timer_create,
    "timer_settime": timer_settime, "timer_settime64": timer_settime64, "timer_gettime": timer_gettime,
    "timer_gettime64": timer_gettime64, "timer_getoverrun": timer_getoverrun, "timer_delete": timer_delete,
}
