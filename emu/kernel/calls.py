"""The system calls that are built in. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch import linux
from arch.linux import SIGCHLD, Clone, Errno
from emu.kernel import descriptors, memory
from emu.kernel.errors import Refused
from emu.kernel.memory import c_int, store_quietly
from emu.kernel.table import Image, Task, Thread

_PATH, _TEXT, _TEXTS = 4096, 32 * 4096, 1024  # bytes of a path and of an argument, number of arguments
_NO_HANG = 1
# Flags of clone that are modelled. What FS, SYSVSEM and NEWUSER share or part is not: there is none of it.
_MODELLED = (
    Clone.VM | Clone.FS | Clone.FILES | Clone.SIGHAND | Clone.VFORK | Clone.THREAD | Clone.SYSVSEM | Clone.SETTLS
    | Clone.PARENT_SETTID | Clone.CHILD_CLEARTID | Clone.CHILD_SETTID | Clone.NEWUSER
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
    tls = _tls_base(thread, given["tls"]) if Clone.SETTLS in flags else None
    child = _child(thread, flags, given["stack"], tls)
    if Clone.PARENT_SETTID in flags:
        store_quietly(thread, given["parent_tid"], child.tid)
    if Clone.CHILD_SETTID in flags:
        store_quietly(child, given["child_tid"], child.tid)
    if Clone.CHILD_CLEARTID in flags:
        child.clear_tid = given["child_tid"]
    if Clone.VFORK not in flags:
        return child.tid
    child.lender = thread if Clone.VM in flags else None
    thread.block(f"vfork child {child.tid}", lambda: child.tid if child.state == "ended" else None)
    return None


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
    parent = process.machine.save()
    if stack:
        process.set_role("sp", stack)
    if tls is not None:
        process.machine.set_tls_base(tls)
    process.answer(0)
    child.cpu, child.mask = process.machine.save(), thread.mask
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


def execve(thread: Thread, path: int, argv: int) -> int | None:
    """Become a registered program: its path and arguments are noted, its Python runs, the process ends with its status.

    From then on nothing of the child's uses the memory that it may have shared.
    """
    kernel, task = thread.kernel, thread.task
    name = memory.string(thread, path, _PATH, Errno.ENAMETOOLONG)
    arguments = memory.strings(thread, argv, _TEXTS, _TEXT) if argv else ()
    if name not in kernel.programs:
        raise Refused(Errno.ENOENT)
    task.image = Image(name, arguments)
    task.files.executed()
    kernel.end_task(task, _exited(kernel.programs[name](task)))
    return None


def _exited(code: int) -> int:
    """wait4's word for a process that ended by itself."""
    return (code & 0xFF) << 8


def exit_(thread: Thread, code: int) -> None:
    thread.kernel.end_thread(thread, _exited(code))


def exit_group(thread: Thread, code: int) -> None:
    thread.kernel.end_task(thread.task, _exited(code))


def wait4(thread: Thread, pid: int, status: int, options: int) -> int | None:
    """Wait for the end of a child (``pid`` > 0) or of any (-1, and 0: groups of processes are not modelled)."""
    result = _wait(thread, c_int(pid), status)
    if result is None and options & _NO_HANG:
        return 0
    if result is None:
        thread.block("a child" if c_int(pid) <= 0 else f"child {pid}", lambda: _wait(thread, c_int(pid), status))
    return result


def _wait(thread: Thread, pid: int, status: int) -> int | None:
    def wanted(child: Task) -> bool:
        return pid in (-1, 0) or child.pid == pid

    children = [child for child in thread.kernel.children(thread.task) if wanted(child)]
    if not children:
        raise Refused(Errno.ECHILD)
    ended = next((child for child in children if child.status is not None), None)
    if ended is None:
        return None
    assert ended.status is not None
    if status:
        memory.store(thread, status, ended.status.to_bytes(4, "little"))
    thread.kernel.reap(ended)
    return ended.pid


# the rest


def sched_yield(thread: Thread) -> int:
    thread.yields = True
    return 0


def getpid(thread: Thread) -> int:
    return thread.pid


def gettid(thread: Thread) -> int:
    return thread.tid


def getppid(thread: Thread) -> int:
    return thread.task.parent_pid


CALLS: Mapping[str, Callable[..., int | None]] = {
    "clone": clone,
    "fork": fork,
    "vfork": vfork,
    "execve": execve,
    "exit": exit_,
    "exit_group": exit_group,
    "wait4": wait4,
    "sched_yield": sched_yield,
    "getpid": getpid,
    "gettid": gettid,
    "getppid": getppid,
    **descriptors.CALLS,
}
