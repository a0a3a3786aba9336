"""Time on the CPU and claims to it. Sources: times(2), getpriority(2), sched_setaffinity(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.linux import Errno
from arch.structs import TMS
from emu.kernel import memory
from emu.kernel.clock import SECOND
from emu.kernel.errors import Refused
from emu.kernel.memory import c_int
from emu.kernel.table import Thread

_TICK = SECOND // 100
_NICE = 20  # what getpriority returns for the nice value 0
_PROCESS, _GROUP, _USER = range(3)


def times(thread: Thread, address: int) -> int:
    """The time that the process was on the CPU, and that of children it has waited for, all of it in user mode."""
    kernel = thread.kernel
    if address:
        own, children = thread.task.ran // _TICK, thread.task.waited // _TICK
        memory.store(thread, address, TMS[kernel.arch.name].pack(utime=own, cutime=children))
    return kernel.clock.now // _TICK & kernel.arch.mask >> 1


def _check_who(thread: Thread, which: int, who: int) -> None:
    own = {_PROCESS: thread.pid, _GROUP: thread.task.group, _USER: thread.task.owner}.get(c_int(which))
    if own is None:
        raise Refused(Errno.EINVAL)
    known = {_PROCESS: [t.pid for t in thread.kernel.tasks.values()] + [t.tid for t in thread.kernel.threads],
             _GROUP: [t.group for t in thread.kernel.tasks.values()],
             _USER: [t.owner for t in thread.kernel.tasks.values()]}[c_int(which)]  # fmt: skip
    if (c_int(who) or own) not in known:
        raise Refused(Errno.ESRCH)


def getpriority(thread: Thread, which: int, who: int) -> int:
    _check_who(thread, which, who)
    return _NICE


def setpriority(thread: Thread, which: int, who: int, nice: int) -> int:
    """All are equal: no other value than that is taken."""
    _check_who(thread, which, who)
    if c_int(nice):
        raise Refused(Errno.EACCES)
    return 0


def sched_setaffinity(thread: Thread, pid: int, size: int, address: int) -> int:
    """A thread may run on all CPUs; a choice of some of them is not modelled."""
    kernel = thread.kernel
    if c_int(pid) and not any(c_int(pid) in (one.tid, one.pid) for one in kernel.threads):
        raise Refused(Errno.ESRCH)
    every = (1 << kernel.cpus) - 1
    chosen = int.from_bytes(memory.load(thread, address, min(size, 128)), "little") & every
    if chosen != every:
        if chosen:
            kernel.refuse("a choice of CPUs")
        raise Refused(Errno.EINVAL)
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {
    "times": times, "getpriority": getpriority, "setpriority": setpriority, "sched_setaffinity": sched_setaffinity,
}
