"""System calls as text: what each argument of a call is, and the names of its values.

Sources: the calls' manual pages, and Go's zerrors_linux_*.go for the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from arch import files, linux
from arch.signals import REAL_TIME, Signal

# What each argument of a call is: d a C int, n a size or an unsigned number, p a pointer, s a text in memory, f a
# descriptor, m permissions, x bits, S a signal, or what `_CHOICES` or `_BITS` names. All others show as hex.
KINDS: Mapping[str, str] = {
    "read": "fpn", "write": "fpn", "open": "sOm", "openat": "fsOm", "close": "f", "pipe": "p", "pipe2": "pO",
    "dup2": "ff", "dup3": "ffO", "dup": "f", "fcntl": "fcx", "fcntl64": "fcx", "ioctl": "fxp", "fork": "", "vfork": "",
    "clone": "Cpppp", "clone3": "pn", "execve": "spp", "exit": "d", "exit_group": "d", "wait4": "dpxp",
    "waitid": "ddpxp", "futex": "pFdpp", "futex_time64": "pFdpp", "mmap": "pnPMfn", "mmap2": "pnPMfn", "munmap": "pn",
    "madvise": "pnA", "mincore": "pnp", "mprotect": "pnP", "set_thread_area": "p", "set_robust_list": "pn",
    "set_tid_address": "p", "arch_prctl": "xp", "kill": "dS", "tkill": "dS", "tgkill": "ddS", "getpid": "",
    "getppid": "", "gettid": "", "getuid": "", "geteuid": "", "getgid": "", "getegid": "", "chdir": "s",
    "prctl": "dxxxx", "prlimit64": "ddpp", "rt_sigaction": "Sppn", "rt_sigprocmask": "Hppn", "rt_sigreturn": "",
    "sigaltstack": "pp", "setitimer": "dpp", "timer_create": "Kpp", "timer_settime": "dxpp", "timer_settime64": "dxpp",
    "timer_delete": "d", "sched_yield": "", "clock_gettime": "Kp", "clock_gettime64": "Kp", "nanosleep": "pp",
    "clock_nanosleep": "Kxpp", "brk": "p", "pread64": "fpnn", "pwrite64": "fpnn", "readv": "fpn", "writev": "fpn",
    "lseek": "fdd", "fstat": "fp", "newfstatat": "fspx", "statx": "fsxxp", "getdents64": "fpn", "mkdirat": "fsm",
    "unlinkat": "fsx", "readlinkat": "fspn", "faccessat": "fsm", "faccessat2": "fsmx", "eventfd2": "nO",
    "epoll_create1": "O", "epoll_ctl": "fefp", "epoll_wait": "fpdd", "epoll_pwait": "fpddpn", "getcwd": "pn",
    "uname": "p", "getrlimit": "dp", "setrlimit": "dp", "sched_getaffinity": "dnp", "getrandom": "pnx",
    "pidfd_open": "dx", "pidfd_send_signal": "fSpx",
}  # fmt: skip

_CHOICES: Mapping[str, Mapping[int, str]] = {
    "A": {3: "WILLNEED", 4: "DONTNEED", 8: "FREE", 14: "HUGEPAGE", 15: "NOHUGEPAGE", 25: "COLLAPSE"},
    "F": {0: "WAIT", 1: "WAKE", 128: "WAIT_PRIVATE", 129: "WAKE_PRIVATE"},
    "H": {0: "BLOCK", 1: "UNBLOCK", 2: "SETMASK"},
    "K": {0: "REALTIME", 1: "MONOTONIC", 2: "PROCESS_CPUTIME", 3: "THREAD_CPUTIME"},
    "c": {0: "DUPFD", 1: "GETFD", 2: "SETFD", 3: "GETFL", 4: "SETFL", 1030: "DUPFD_CLOEXEC"},
    "e": {1: "ADD", 2: "DEL", 3: "MOD"},
}
_BITS: Mapping[str, Mapping[int, str]] = {
    "C": {int(flag): str(flag.name) for flag in linux.Clone},
    "M": {1: "SHARED", 2: "PRIVATE", 0x10: "FIXED", 0x20: "ANONYMOUS", 0x4000: "NORESERVE",
          0x100000: "FIXED_NOREPLACE"},
    "O": {1: "WRONLY", 2: "RDWR", files.O_CREAT: "CREAT", files.O_EXCL: "EXCL", files.O_TRUNC: "TRUNC",
          files.O_APPEND: "APPEND", files.O_NONBLOCK: "NONBLOCK", files.O_CLOEXEC: "CLOEXEC"},
    "P": {1: "READ", 2: "WRITE", 4: "EXEC"},
}  # fmt: skip
_GIVE_ADDRESSES = frozenset({"brk", "mmap", "mmap2", "mremap", "shmat"})
_ERRORS = {int(error): error.name for error in linux.Errno}
_LAST_ERROR = 4095  # results from its negative up to -1 are errors
_NOTHING = {"P": "NONE", "O": "0", "M": "0", "C": "0"}


def text(name: str, arguments: Sequence[int], string: Callable[[int], str | None]) -> str:
    """A call with its arguments: ``futex(0xc000080148, WAIT_PRIVATE, 0, 0x0, 0x0)``.

    ``string``: the text at an address, None where there is none that can be read.
    """
    kinds = KINDS.get(name, "x" * len(arguments))
    shown = (_shown(kind, word, string) for kind, word in zip(kinds, arguments, strict=False))
    return f"{name}({', '.join(shown)})"


def answer(name: str, result: int, mask: int) -> str:
    """What a call gave: a number, ``-ENOENT`` for an error, an address in hex. ``mask``: all bits of a word."""
    if -_LAST_ERROR <= result < 0:
        return f"-{_ERRORS[-result]}" if -result in _ERRORS else str(result)
    return hex(result & mask) if name in _GIVE_ADDRESSES else str(result)


def _shown(kind: str, word: int, string: Callable[[int], str | None]) -> str:
    number = (word & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000
    if kind in "df":
        return "AT_FDCWD" if kind == "f" and number == files.AT_FDCWD else str(number)
    if kind == "n":
        return str(word)
    if kind == "m":
        return f"{word:#o}"
    if kind == "s":
        found = string(word)
        return f"{word:#x}" if found is None else f'"{found}"'
    if kind == "S":
        return Signal(number).name if 0 < number < REAL_TIME else str(number)
    if kind in _CHOICES:
        return _CHOICES[kind].get(number, str(number))
    if kind in _BITS:
        return _bits(_BITS[kind], word) or _NOTHING[kind]
    return f"{word:#x}"


def _bits(names: Mapping[int, str], word: int) -> str:
    """The names of the bits that are set, and the rest as hex."""
    found = [name for bit, name in names.items() if word & bit]
    rest = word & ~sum(names)
    return "|".join([*found, *([f"{rest:#x}"] if rest else [])])
