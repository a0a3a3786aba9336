"""Who a process is and what it may have: ids, groups, limits, CPUs, names. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.linux import Errno
from arch.machines import MACHINE, RELEASE
from arch.model import Arch
from arch.structs import RLIMIT, RLIMIT64, RUSAGE, SYSINFO, UTSNAME_FIELD, Layout
from emu.kernel import memory
from emu.kernel.clock import SECOND
from emu.kernel.errors import Refused
from emu.kernel.memory import c_int
from emu.kernel.table import Task, Thread

_INFINITE = (1 << 64) - 1
_LIMITS = 16  # kinds of them
_STACK, _FILES = 3, 7
_FIRST_LIMITS = {_STACK: (8 << 20, _INFINITE), _FILES: (1024, 4096)}
_MOST_RANDOM = 1 << 20
_GROUPS = 65536
_ALL_BITS = 0xFFFF_FFFF
_SELF, _CHILDREN, _THREAD = 0, -1, 1
_MEMORY = 1 << 30  # bytes that the guests are told of
_SET_PDEATHSIG, _GET_KEEPCAPS, _SET_KEEPCAPS, _SET_NAME, _SET_NO_NEW_PRIVS = 1, 7, 8, 15, 38  # prctl
_CAPABILITIES = 0x20080522  # the version of capget's structures: two of three words each


# ids


def getpid(thread: Thread) -> int:
    return thread.pid


def gettid(thread: Thread) -> int:
    return thread.tid


def getppid(thread: Thread) -> int:
    return thread.task.parent_pid


def getuid(thread: Thread) -> int:
    return thread.task.owner


def getgid(thread: Thread) -> int:
    return thread.task.owner_group


def _become(id_: int, old: int) -> int:
    """An id that was asked for; -1 leaves it as it is."""
    return old if id_ & _ALL_BITS == _ALL_BITS else id_ & _ALL_BITS


def setuid(thread: Thread, id_: int) -> int:
    """Real, effective and saved id are one here; permissions of files are not asked for."""
    thread.task.owner = _become(id_, thread.task.owner)
    return 0


def setgid(thread: Thread, id_: int) -> int:
    thread.task.owner_group = _become(id_, thread.task.owner_group)
    return 0


def _short(id_: int) -> int:
    """An id of the old calls, 16 bits wide."""
    return _ALL_BITS if id_ & 0xFFFF == 0xFFFF else id_ & 0xFFFF


def setresuid16(thread: Thread, _real: int, effective: int) -> int:
    return setuid(thread, _short(effective))


def setresgid16(thread: Thread, _real: int, effective: int) -> int:
    return setgid(thread, _short(effective))


def setreuid(thread: Thread, _real: int, effective: int) -> int:
    return setuid(thread, effective)


def setregid(thread: Thread, _real: int, effective: int) -> int:
    return setgid(thread, effective)


def getgroups(thread: Thread, size: int, address: int) -> int:
    groups = thread.task.groups
    if size and c_int(size) < len(groups):
        raise Refused(Errno.EINVAL)
    if size:
        memory.store(thread, address, b"".join(group.to_bytes(4, "little") for group in groups))
    return len(groups)


def setgroups(thread: Thread, size: int, address: int) -> int:
    if size > _GROUPS:
        raise Refused(Errno.EINVAL)
    data = memory.load(thread, address, 4 * size) if size else b""
    thread.task.groups = tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4))
    return 0


# groups of processes


def _task(thread: Thread, pid: int) -> Task:
    """The process with a pid, the caller's for 0."""
    found = thread.task if not c_int(pid) else thread.kernel.tasks.get(c_int(pid))
    if found is None:
        raise Refused(Errno.ESRCH)
    return found


def setpgid(thread: Thread, pid: int, group: int) -> int:
    own, task = thread.task, _task(thread, pid)
    wanted = c_int(group) or task.pid
    if wanted < 0:
        raise Refused(Errno.EINVAL)
    if task is not own and task.parent is not own:
        raise Refused(Errno.ESRCH)
    if task is not own and task.image is not None:
        raise Refused(Errno.EACCES)
    there = any(other.group == wanted and other.session == own.session for other in thread.kernel.tasks.values())
    if task.session != own.session or task.session == task.pid or (wanted != task.pid and not there):
        raise Refused(Errno.EPERM)
    task.group = wanted
    return 0


def getpgid(thread: Thread, pid: int) -> int:
    return _task(thread, pid).group


def getpgrp(thread: Thread) -> int:
    return thread.task.group


def getsid(thread: Thread, pid: int) -> int:
    return _task(thread, pid).session


def setsid(thread: Thread) -> int:
    task = thread.task
    if any(other.group == task.pid for other in thread.kernel.tasks.values()):
        raise Refused(Errno.EPERM)
    task.group = task.session = task.pid
    return task.pid


# limits


def _limit(task: Task, kind: int) -> tuple[int, int]:
    if not 0 <= kind < _LIMITS:
        raise Refused(Errno.EINVAL)
    return task.limits.get(kind) or _FIRST_LIMITS.get(kind, (_INFINITE, _INFINITE))


def _set_limit(task: Task, kind: int, soft: int, hard: int) -> None:
    _, highest = _limit(task, kind)
    if soft > hard:
        raise Refused(Errno.EINVAL)
    if hard > highest:
        raise Refused(Errno.EPERM)
    task.limits[kind] = soft, hard
    if kind == _FILES:
        task.files.most = soft


def prlimit64(thread: Thread, pid: int, kind: int, new: int, old: int) -> int:
    task, before = _task(thread, pid), _limit(_task(thread, pid), c_int(kind))
    row = RLIMIT64.unpack(memory.load(thread, new, RLIMIT64.size)) if new else None
    if old:
        memory.store(thread, old, RLIMIT64.pack(cur=before[0], max=before[1]))
    if row is not None:
        _set_limit(task, c_int(kind), row["cur"], row["max"])
    return 0


def _infinite(layout: Layout) -> int:
    """What stands for no limit, in a word."""
    return (1 << 8 * layout.size // 2) - 1


def getrlimit(thread: Thread, kind: int, address: int) -> int:
    layout = RLIMIT[thread.kernel.arch.name]
    soft, hard = (min(limit, _infinite(layout)) for limit in _limit(thread.task, c_int(kind)))
    memory.store(thread, address, layout.pack(cur=soft, max=hard))
    return 0


def setrlimit(thread: Thread, kind: int, address: int) -> int:
    layout = RLIMIT[thread.kernel.arch.name]
    row = layout.unpack(memory.load(thread, address, layout.size))
    soft, hard = (_INFINITE if row[name] == _infinite(layout) else row[name] for name in ("cur", "max"))
    _set_limit(thread.task, c_int(kind), soft, hard)
    return 0


# the machine


def sched_getaffinity(thread: Thread, pid: int, size: int, address: int) -> int:
    """One bit for each CPU, in whole words; how many bytes that are."""
    word, cpus = thread.kernel.arch.word, thread.kernel.cpus
    needed = -(-cpus // (8 * word)) * word
    if size < needed or size % word:
        raise Refused(Errno.EINVAL)
    if c_int(pid) and not any(other.tid == c_int(pid) for other in thread.kernel.threads):
        raise Refused(Errno.ESRCH)
    memory.store(thread, address, ((1 << cpus) - 1).to_bytes(needed, "little"))
    return needed


def uname(thread: Thread, address: int) -> int:
    texts = ("Linux", "localhost", RELEASE, "#1", MACHINE[thread.kernel.arch.name], "(none)")
    memory.store(thread, address, b"".join(text.encode().ljust(UTSNAME_FIELD, b"\0") for text in texts))
    return 0


def sysinfo(thread: Thread, address: int) -> int:
    kernel = thread.kernel
    layout = SYSINFO[kernel.arch.name]
    memory.store(thread, address, layout.pack(
        uptime=kernel.clock.now // SECOND, totalram=_MEMORY, freeram=_MEMORY // 2, procs=len(kernel.tasks), unit=1,
    ))
    return 0


def getrusage(thread: Thread, who: int, address: int) -> int:
    """The time on the CPU, all of it in user mode: a thread's, a process's, or that of children it has waited for."""
    used = {_SELF: thread.task.ran, _THREAD: thread.ran, _CHILDREN: thread.task.waited}.get(c_int(who))
    if used is None:
        raise Refused(Errno.EINVAL)
    memory.store(thread, address, usage(thread.kernel.arch, used))
    return 0


def usage(arch: Arch, used: int) -> bytes:
    """What is told of so many nanoseconds on the CPU."""
    seconds, rest = divmod(used, SECOND)
    return RUSAGE[arch.name].pack(utime=seconds, utime_us=rest // 1000)


def getrandom(thread: Thread, address: int, size: int) -> int:
    memory.check(thread, address, min(size, 1))
    data = thread.kernel.random.randbytes(min(size, _MOST_RANDOM))
    memory.store(thread, address, data)
    return len(data)


def prctl(thread: Thread, option: int, value: int) -> int:
    """A name, a signal at the parent's end, capabilities kept and fewer privileges change nothing here; the rest is
    refused."""
    if c_int(option) in (_SET_NAME, _SET_PDEATHSIG, _SET_NO_NEW_PRIVS):
        return 0
    if c_int(option) == _SET_KEEPCAPS and value in (0, 1):
        thread.keeps_capabilities = value
        return 0
    if c_int(option) == _GET_KEEPCAPS:
        return thread.keeps_capabilities
    raise Refused(Errno.EINVAL)


def capget(thread: Thread, header: int, data: int) -> int:
    """Root may do everything, and nobody else anything."""
    version = int.from_bytes(memory.load(thread, header, 8)[:4], "little")
    if version != _CAPABILITIES:
        memory.store(thread, header, _CAPABILITIES.to_bytes(4, "little"))
        raise Refused(Errno.EINVAL)
    word = (_ALL_BITS if not thread.task.owner else 0).to_bytes(4, "little")
    memory.store(thread, data, (word + word + bytes(4)) * 2)
    return 0


def getresuid(thread: Thread, *addresses: int) -> int:
    return _store_three(thread, addresses, thread.task.owner)


def getresgid(thread: Thread, *addresses: int) -> int:
    return _store_three(thread, addresses, thread.task.owner_group)


def _store_three(thread: Thread, addresses: tuple[int, ...], id_: int) -> int:
    """The real, the effective and the saved id."""
    for address in addresses[:3]:
        memory.store(thread, address, id_.to_bytes(4, "little"))
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {
    "getpid": getpid, "gettid": gettid, "getppid": getppid, "getuid": getuid, "geteuid": getuid, "getgid": getgid,
    "getegid": getgid, "setuid": setuid, "setgid": setgid, "setreuid": setreuid, "setregid": setregid,
    "setresuid": setreuid, "setresgid": setregid, "getgroups": getgroups, "setgroups": setgroups, "setpgid": setpgid,
    "getpgid": getpgid, "getpgrp": getpgrp, "getsid": getsid, "setsid": setsid, "prlimit64": prlimit64,
    "getrlimit": getrlimit, "setrlimit": setrlimit, "sched_getaffinity": sched_getaffinity, "uname": uname,
    "sysinfo": sysinfo, "getrusage": getrusage, "getrandom": getrandom, "prctl": prctl, "getresuid": getresuid,
    "getresgid": getresgid, "setresuid16": setresuid16, "setresgid16": setresgid16, "capget": capget,
}
