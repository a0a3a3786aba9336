"""The system calls that are built in. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch import linux
from arch.linux import SIGCHLD, Clone, Errno
from emu.kernel import (
    attributes,
    descriptors,
    execution,
    fifo,
    identity,
    locks,
    memory,
    paths,
    polling,
    scheduling,
    sigcalls,
    storage,
    timers,
    transfer,
    waiting,
)
from emu.kernel.errors import Refused
from emu.kernel.memory import store_quietly
from emu.kernel.programs import exited
from emu.kernel.table import Thread
from emu.kernel.waiting import PidFd

MOST_TASKS, MOST_THREADS, MOST_SPACES = 256, 4096, 64
"""How many processes there may be, those that nobody has waited for included; threads; and memories of their own."""
# Flags of clone that are modelled. What FS, SYSVSEM and NEWUSER share or part is not: there is none of it.
_MODELLED = (
    Clone.VM | Clone.FS | Clone.FILES | Clone.SIGHAND | Clone.PIDFD | Clone.VFORK | Clone.THREAD | Clone.SYSVSEM
    | Clone.SETTLS | Clone.PARENT_SETTID | Clone.CHILD_CLEARTID | Clone.CHILD_SETTID | Clone.NEWUSER
)


# processes and threads


def clone(thread: Thread, *words: int) -> int | None:
    """A child that goes on after the same trap, with result 0: a thread, or a process on shared or copied memory.

    With VFORK the calling thread, and no other, is suspended until the child has executed a program or ended.
    """
    given = dict(zip(linux.CLONE_ARGUMENTS[thread.kernel.arch.name], words, strict=False))
    flags = Clone(given["flags"] & ~linux.EXIT_SIGNAL & 0xFFFF_FFFF)
    if flags & ~_MODELLED:
        thread.kernel.refuse(f"clone with flags {flags & ~_MODELLED:#x}")
        raise Refused(Errno.EINVAL)
    if (Clone.THREAD in flags and Clone.SIGHAND not in flags) or (Clone.SIGHAND in flags and Clone.VM not in flags):
        raise Refused(Errno.EINVAL)
    if Clone.PIDFD in flags:
        if Clone.THREAD in flags or Clone.PARENT_SETTID in flags:
            raise Refused(Errno.EINVAL)
        thread.task.files.lowest()
        memory.check(thread, given["parent_tid"], 4)
    _check_room(thread, flags)
    tls = _tls_base(thread, given["tls"]) if Clone.SETTLS in flags else None
    child = _child(thread, flags, given["stack"], tls)
    if Clone.THREAD not in flags:
        child.task.exit_signal = given["flags"] & linux.EXIT_SIGNAL
    if Clone.PIDFD in flags:
        store_quietly(thread, given["parent_tid"], thread.task.files.open(PidFd(child.task), close_on_exec=True))
    if Clone.PARENT_SETTID in flags:
        store_quietly(thread, given["parent_tid"], child.tid)
    if Clone.CHILD_SETTID in flags:
        store_quietly(child, given["child_tid"], child.tid)
    if Clone.CHILD_CLEARTID in flags:
        child.clear_tid = given["child_tid"]
    if Clone.VFORK not in flags:
        return child.tid
    child.lender = thread if Clone.VM in flags else None
    thread.block(f"vfork child {child.tid}", lambda: child.tid if _released(child) else None)
    return None


def _released(child: Thread) -> bool:
    """Whether a vfork child has given back what it was lent."""
    return child.state == "ended" or child.task.image is not None


def _check_room(thread: Thread, flags: Clone) -> None:
    """Refuse one more of what there is enough of."""
    kernel = thread.kernel
    alive = kernel.threads
    spaces = {id(other.process.machine) for other in alive}
    full = len(alive) >= MOST_THREADS or (Clone.THREAD not in flags and len(kernel.tasks) >= MOST_TASKS)
    if full or (Clone.VM not in flags and len(spaces) >= MOST_SPACES):
        raise Refused(Errno.EAGAIN)


def _child(thread: Thread, flags: Clone, stack: int, tls: int | None) -> Thread:
    """The new thread, all registers as its parent's, but for the result and what the flags say."""
    kernel, process = thread.kernel, thread.process
    if Clone.VM not in flags:
        process = process.copy()
        kernel.copied(thread.process, process)
    shared = Clone.THREAD in flags
    if shared:
        child = kernel.new_thread(thread.task)
    else:
        child = kernel.new_task(process, thread.task, share_files=Clone.FILES in flags)
        child.task.signals = thread.task.signals.child(share=Clone.SIGHAND in flags)
    child.signals = thread.signals.child(keeps_stack=Clone.VM not in flags or Clone.VFORK in flags)
    child.keeps_capabilities = thread.keeps_capabilities
    parent = process.machine.save()
    if stack:
        process.set_role("sp", stack)
    if tls is not None:
        process.machine.set_tls_base(tls)
    process.answer(0)
    child.cpu, child.mask, child.tls = process.machine.save(), thread.mask, thread.tls if tls is None else tls
    process.machine.restore(parent)
    return child


def _tls_base(thread: Thread, argument: int) -> int:
    """The TLS base that clone's argument means: itself, or in the descriptor that it points at."""
    arch = thread.process.arch
    offset = linux.TLS_DESCRIPTOR_BASE[arch.name]
    if offset is None:
        return argument
    return arch.unpack(memory.load(thread, argument + offset, arch.word))


def _clone_with(thread: Thread, flags: int) -> int | None:
    names = linux.CLONE_ARGUMENTS[thread.kernel.arch.name]
    return clone(thread, *(flags if name == "flags" else 0 for name in names))


def fork(thread: Thread) -> int | None:
    return _clone_with(thread, SIGCHLD)


def vfork(thread: Thread) -> int | None:
    return _clone_with(thread, Clone.VM | Clone.VFORK | SIGCHLD)


def exit_(thread: Thread, code: int) -> None:
    thread.kernel.end_thread(thread, exited(code))


def exit_group(thread: Thread, code: int) -> None:
    thread.kernel.end_task(thread.task, exited(code))


# the rest


def sched_yield(thread: Thread) -> int:
    thread.yields = True
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {
    "clone": clone,
    "fork": fork,
    "vfork": vfork,
    "exit": exit_,
    "exit_group": exit_group,
    "sched_yield": sched_yield,
    **descriptors.CALLS,
    **paths.CALLS,
    **attributes.CALLS,
    **polling.CALLS,
    **identity.CALLS,
    **waiting.CALLS,
    **execution.CALLS,
    **sigcalls.CALLS,
    **timers.CALLS,
    **fifo.CALLS,
    **locks.CALLS,
    **transfer.CALLS,
    **storage.CALLS,
    **scheduling.CALLS,
}
_SOCKETS = (
    "socket", "socketpair", "bind", "listen", "connect", "accept", "accept4", "getsockname", "getpeername", "shutdown",
    "setsockopt", "getsockopt", "send", "sendto", "sendmsg", "recv", "recvfrom", "recvmsg", "socketcall",
)
LATER: Mapping[str, str] = dict.fromkeys(_SOCKETS, "emu.kernel.sockets.calls")
"""Calls that most programs never make -> the module that has them, which is imported for the first one."""
