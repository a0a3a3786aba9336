"""The system calls that are built in. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch import linux
from arch.linux import SIGCHLD, Clone, Errno
from emu.kernel import memory
from emu.kernel.errors import Refused
from emu.kernel.table import Image, Task, Thread
from emu.process import Process

_PATH, _TEXT, _TEXTS = 4096, 32 * 4096, 1024  # bytes of a path and of an argument, number of arguments
_NO_HANG = 1
# Flags of clone that are modelled. What FS, FILES and SYSVSEM share is not: there is none of it.
_MODELLED = (
    Clone.VM | Clone.FS | Clone.FILES | Clone.SIGHAND | Clone.VFORK | Clone.THREAD | Clone.SYSVSEM | Clone.SETTLS
    | Clone.PARENT_SETTID | Clone.CHILD_CLEARTID | Clone.CHILD_SETTID
)


def _int(word: int) -> int:
    """An argument of C's type int, in a register of any size."""
    return ((word & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000


def store_quietly(process: Process, address: int, value: int) -> None:
    """Store a C int for the guest if there is memory, as the kernel does where nobody can be told."""
    try:
        memory.store(process, address, (value & 0xFFFF_FFFF).to_bytes(4, "little"))
    except Refused:
        return


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
    tls = _tls_base(thread.process, given["tls"]) if Clone.SETTLS in flags else None
    child = _child(thread, flags, given["stack"], tls)
    if Clone.PARENT_SETTID in flags:
        store_quietly(thread.process, given["parent_tid"], child.tid)
    if Clone.CHILD_SETTID in flags:
        store_quietly(child.process, given["child_tid"], child.tid)
    if Clone.CHILD_CLEARTID in flags:
        child.clear_tid = given["child_tid"]
    if Clone.VFORK not in flags:
        return child.tid
    thread.block(f"vfork child {child.tid}", lambda: child.tid if child.state == "ended" else None)
    return None


def _child(thread: Thread, flags: Clone, stack: int, tls: int | None) -> Thread:
    """The new thread, all registers as its parent's, but for the result and what the flags say."""
    kernel, process = thread.kernel, thread.process
    if Clone.VM not in flags:
        process = process.copy()
    shared = Clone.THREAD in flags
    child = kernel.new_thread(thread.task) if shared else kernel.new_task(process, thread.task)
    parent = process.machine.save()
    if stack:
        process.set_role("sp", stack)
    if tls is not None:
        process.machine.set_tls_base(tls)
    process.answer(0)
    child.cpu = process.machine.save()
    process.machine.restore(parent)
    return child


def _tls_base(process: Process, argument: int) -> int:
    """The TLS base that clone's argument means: itself, or in the descriptor that it points at."""
    offset = linux.TLS_DESCRIPTOR_BASE[process.arch.name]
    if offset is None:
        return argument
    return process.arch.unpack(memory.load(process, argument + offset, process.arch.word))


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
    kernel, process, task = thread.kernel, thread.process, thread.task
    name = memory.string(process, path, _PATH, Errno.ENAMETOOLONG)
    arguments = memory.strings(process, argv, _TEXTS, _TEXT) if argv else ()
    if name not in kernel.programs:
        raise Refused(Errno.ENOENT)
    task.image = Image(name, arguments)
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
    result = _wait(thread, _int(pid), status)
    if result is None and options & _NO_HANG:
        return 0
    if result is None:
        thread.block("a child" if _int(pid) <= 0 else f"child {pid}", lambda: _wait(thread, _int(pid), status))
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
        memory.store(thread.process, status, ended.status.to_bytes(4, "little"))
    thread.kernel.reap(ended)
    return ended.pid


# the rest


def getpid(thread: Thread) -> int:
    return thread.pid


def gettid(thread: Thread) -> int:
    return thread.tid


def getppid(thread: Thread) -> int:
    return thread.task.parent_pid


def write(thread: Thread, descriptor: int, address: int, size: int) -> int:
    """To the captured descriptors 1 and 2; there are no others."""
    output = thread.kernel.output.get(_int(descriptor))
    if output is None:
        raise Refused(Errno.EBADF)
    data = memory.load(thread.process, address, size)
    output += data
    return len(data)


CALLS: Mapping[str, Callable[..., int | None]] = {
    "clone": clone,
    "fork": fork,
    "vfork": vfork,
    "execve": execve,
    "exit": exit_,
    "exit_group": exit_group,
    "wait4": wait4,
    "getpid": getpid,
    "gettid": gettid,
    "getppid": getppid,
    "write": write,
}
