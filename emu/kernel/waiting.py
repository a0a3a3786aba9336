"""The calls that wait for children, and descriptors of processes. Sources: wait4(2), waitid(2), pidfd_open(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import O_NONBLOCK, O_RDWR
from arch.linux import SIGCHLD, Errno
from arch.signals import LAST, Code
from arch.structs import SIGINFO_CHILD
from emu.kernel import memory, sigcalls
from emu.kernel.descriptors import of
from emu.kernel.errors import Refused
from emu.kernel.files import READABLE, Stream
from emu.kernel.identity import usage as usage_of
from emu.kernel.memory import c_int
from emu.kernel.table import Task, Thread

_NO_HANG, _STOPPED, _EXITED, _CONTINUED, _NO_WAIT = 1, 2, 4, 8, 0x0100_0000
_NO_THREAD, _ALL, _CLONE = 0x2000_0000, 0x4000_0000, 0x8000_0000
_WAIT4 = _NO_HANG | _STOPPED | _CONTINUED | _NO_THREAD | _ALL | _CLONE
_WAITID = _WAIT4 | _EXITED | _NO_WAIT
_P_ALL, _P_PID, _P_PGID, _P_PIDFD = 0, 1, 2, 3

Wanted = Callable[[Task], bool]


class PidFd(Stream):
    """A descriptor of a process: it can be read from, as poll sees it, once the process has ended."""

    def __init__(self, task: Task, status: int = 0) -> None:
        super().__init__(status | O_RDWR)
        self.task = task

    def read(self, size: int) -> bytes:  # noqa: ARG002
        raise Refused(Errno.EINVAL)

    def write(self, data: bytes) -> int:  # noqa: ARG002
        raise Refused(Errno.EINVAL)

    def ready(self) -> int:
        return READABLE if self.task.status is not None else 0


def task_of(thread: Thread, descriptor: int) -> Task:
    """The process that a descriptor stands for. Raises Refused."""
    stream = of(thread, descriptor)
    if not isinstance(stream, PidFd):
        raise Refused(Errno.EBADF)
    return stream.task


def pidfd_open(thread: Thread, pid: int, flags: int) -> int:
    kernel = thread.kernel
    if flags & ~O_NONBLOCK or c_int(pid) <= 0:
        raise Refused(Errno.EINVAL)
    if c_int(pid) not in kernel.tasks:
        known = any(other.tid == c_int(pid) for other in kernel.threads)
        raise Refused(Errno.EINVAL if known else Errno.ESRCH)
    return thread.task.files.open(PidFd(kernel.tasks[c_int(pid)], flags), close_on_exec=True)


def pidfd_send_signal(thread: Thread, descriptor: int, signal: int, _info: int, flags: int) -> int:
    """As kill does; what else the caller wants to tell of the signal is not taken."""
    task = task_of(thread, descriptor)
    if flags or not 0 <= c_int(signal) <= LAST:
        raise Refused(Errno.EINVAL)
    if thread.kernel.tasks.get(task.pid) is not task:
        raise Refused(Errno.ESRCH)
    return sigcalls.send(thread, task, c_int(signal))


def _candidates(thread: Thread, wanted: Wanted, options: int) -> list[Task]:
    """The children that a wait is for; ECHILD if there are none."""

    def counts(child: Task) -> bool:
        return bool(options & _ALL) or (child.exit_signal != SIGCHLD) == bool(options & _CLONE)

    found = [child for child in thread.kernel.children(thread.task) if wanted(child) and counts(child)]
    if not found:
        raise Refused(Errno.ECHILD)
    return found


def _ended(thread: Thread, wanted: Wanted, options: int) -> Task | None:
    return next((child for child in _candidates(thread, wanted, options) if child.status is not None), None)


def _usage(thread: Thread, child: Task, address: int) -> None:
    """Store how much a child has used, with those that it has waited for."""
    if address:
        memory.store(thread, address, usage_of(thread.kernel.arch, child.ran + child.waited))


def wait4(thread: Thread, pid: int, status: int, options: int, usage: int) -> int | None:
    """Wait for the end of a child (``pid`` > 0), of one in the group -``pid``, in the own group (0), or of any (-1)."""
    number, options = c_int(pid), options & 0xFFFF_FFFF
    if options & ~_WAIT4:
        raise Refused(Errno.EINVAL)
    own = thread.task.group

    def wanted(child: Task) -> bool:
        return number == -1 or (child.pid == number if number > 0 else child.group == (-number or own))

    def until() -> int | None:
        child = _ended(thread, wanted, options)
        if child is None or child.status is None:
            return None
        if status:
            memory.store(thread, status, child.status.to_bytes(4, "little"))
        _usage(thread, child, usage)
        thread.kernel.reap(child)
        return child.pid

    return _wait(thread, f"child {number}" if number > 0 else "a child", until, options)


def _wait(thread: Thread, waits_for: str, until: Callable[[], int | None], options: int) -> int | None:
    result = until()
    if result is None and options & _NO_HANG:
        return 0
    if result is None:
        thread.block(waits_for, until)
    return result


def waitid(thread: Thread, kind: int, id_: int, info: int, options: int, usage: int) -> int | None:
    """Wait for the end of a child; only ends are told, as nothing is ever stopped."""
    options &= 0xFFFF_FFFF
    if options & ~_WAITID or not options & (_EXITED | _STOPPED | _CONTINUED):
        raise Refused(Errno.EINVAL)
    wanted, waits_for, hangs = _meant(thread, kind, c_int(id_))

    def until() -> int | None:
        child = _ended(thread, wanted, options)
        if child is None or not options & _EXITED:
            return None
        if info:
            memory.store(thread, info, _info(thread, child))
        _usage(thread, child, usage)
        if not options & _NO_WAIT:
            thread.kernel.reap(child)
        return 0

    result = until()
    if result is None and not hangs and not options & _NO_HANG:
        raise Refused(Errno.EAGAIN)
    if result is None and options & _NO_HANG and info:
        memory.store(thread, info, SIGINFO_CHILD[thread.kernel.arch.name].pack())
    if result is None and not options & _NO_HANG:
        thread.block(waits_for, until)
        return None
    return 0


def _meant(thread: Thread, kind: int, number: int) -> tuple[Wanted, str, bool]:
    """Whom waitid means, that in words, and whether it may wait for him."""
    if kind == _P_ALL:
        return lambda _child: True, "a child", True
    if number < 0 or kind not in (_P_PID, _P_PGID, _P_PIDFD) or (kind == _P_PID and not number):
        raise Refused(Errno.EINVAL)
    if kind == _P_PID:
        return lambda child: child.pid == number, f"child {number}", True
    if kind == _P_PGID:
        group = number or thread.task.group
        return lambda child: child.group == group, f"a child in group {group}", True
    task = task_of(thread, number)
    return lambda child: child is task, f"child {task.pid}", of(thread, number).waits


def _info(thread: Thread, child: Task) -> bytes:
    """What waitid tells of an ended child."""
    status = child.status or 0
    killed = status & 0x7F
    return SIGINFO_CHILD[thread.kernel.arch.name].pack(
        signo=SIGCHLD, code=Code.CLD_KILLED if killed else Code.CLD_EXITED, pid=child.pid, uid=child.owner,
        status=killed or status >> 8,
    )


CALLS: Mapping[str, Callable[..., int | None]] = {
    "wait4": wait4, "waitid": waitid, "pidfd_open": pidfd_open, "pidfd_send_signal": pidfd_send_signal,
}
