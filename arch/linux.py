"""Linux as the three architectures see it: system-call numbers, clone flags, error numbers.

Sources: the numbers in Go's syscall and runtime packages; flags, error numbers and the order of clone's
arguments from the kernel's manual pages. arm is the EABI.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag

from arch.model import Arch

_COLUMNS = {"386": 0, "amd64": 1, "arm": 2}

# name -> number on (386, amd64, arm). On 386 and arm the calls with ids are those with 32-bit ids (setuid32 and so on),
# and those with sizes and offsets are the 64-bit ones (fstat64, fstatat64, truncate64, sendfile64; select is
# _newselect and getrlimit is ugetrlimit there), unless both have a row; setresuid16 is the old setresuid.
NUMBERS: Mapping[str, tuple[int | None, int | None, int | None]] = {
    "read": (3, 0, 3),
    "write": (4, 1, 4),
    "open": (5, 2, 5),
    "openat": (295, 257, 322),
    "close": (6, 3, 6),
    "pipe": (42, 22, 42),
    "pipe2": (331, 293, 359),
    "dup2": (63, 33, 63),
    "dup3": (330, 292, 358),
    "fcntl": (55, 72, 55),
    "fcntl64": (221, None, 221),
    "ioctl": (54, 16, 54),
    "fork": (2, 57, 2),
    "vfork": (190, 58, 190),
    "clone": (120, 56, 120),
    "clone3": (435, 435, 435),
    "execve": (11, 59, 11),
    "exit": (1, 60, 1),
    "exit_group": (252, 231, 248),
    "wait4": (114, 61, 114),
    "waitid": (284, 247, 280),
    "futex": (240, 202, 240),
    "futex_time64": (422, None, 422),
    "mmap": (90, 9, 90),
    "mmap2": (192, None, 192),
    "munmap": (91, 11, 91),
    "madvise": (219, 28, 220),
    "mremap": (163, 25, 163),
    "mincore": (218, 27, 219),
    "mprotect": (125, 10, 125),
    "set_thread_area": (243, 205, None),
    "set_robust_list": (311, 273, 338),
    "set_tid_address": (258, 218, 256),
    "modify_ldt": (123, 154, None),
    "arch_prctl": (None, 158, None),
    "cacheflush": (None, None, 0x0F0002),
    "kill": (37, 62, 37),
    "tkill": (238, 200, 238),
    "tgkill": (270, 234, 268),
    "getpid": (20, 39, 20),
    "getppid": (64, 110, 64),
    "gettid": (224, 186, 224),
    "setsid": (66, 112, 66),
    "setpgid": (57, 109, 57),
    "chdir": (12, 80, 12),
    "chroot": (61, 161, 61),
    "setgroups": (206, 116, 206),
    "setgid": (214, 106, 214),
    "setuid": (213, 105, 213),
    "ptrace": (26, 101, 26),
    "prctl": (172, 157, 172),
    "unshare": (310, 272, 337),
    "prlimit64": (340, 302, 369),
    "rt_sigaction": (174, 13, 174),
    "rt_sigprocmask": (175, 14, 175),
    "rt_sigreturn": (173, 15, 173),
    "rt_sigpending": (176, 127, 176),
    "rt_sigtimedwait": (177, 128, 177),
    "rt_sigtimedwait_time64": (421, None, 421),
    "rt_sigsuspend": (179, 130, 179),
    "sigaltstack": (186, 131, 186),
    "pause": (29, 34, 29),
    "alarm": (27, 37, None),
    "setitimer": (104, 38, 104),
    "getitimer": (105, 36, 105),
    "timer_create": (259, 222, 257),
    "timer_settime": (260, 223, 258),
    "timer_settime64": (409, None, 409),
    "timer_gettime": (261, 224, 259),
    "timer_gettime64": (408, None, 408),
    "timer_getoverrun": (262, 225, 260),
    "timer_delete": (263, 226, 261),
    "sched_yield": (158, 24, 158),
    "clock_gettime": (265, 228, 263),
    "nanosleep": (162, 35, 162),
    "clock_nanosleep_time64": (407, None, 407),
    "clock_nanosleep": (267, 230, 265),
    "clock_getres": (266, 229, 264),
    "clock_gettime64": (403, None, 403),
    "gettimeofday": (78, 96, 78),
    "time": (13, 201, None),
    "brk": (45, 12, 45),
    "pread64": (180, 17, 180),
    "pwrite64": (181, 18, 181),
    "readv": (145, 19, 145),
    "writev": (146, 20, 146),
    "lseek": (19, 8, 19),
    "_llseek": (140, None, 140),
    "fstat": (197, 5, 197),
    "newfstatat": (300, 262, 327),
    "statx": (383, 332, 397),
    "getdents64": (220, 217, 217),
    "mkdirat": (296, 258, 323),
    "unlinkat": (301, 263, 328),
    "renameat": (302, 264, 329),
    "renameat2": (353, 316, 382),
    "linkat": (303, 265, 330),
    "symlinkat": (304, 266, 331),
    "readlinkat": (305, 267, 332),
    "fchmodat": (306, 268, 333),
    "fchmodat2": (452, 452, 452),
    "fchmod": (94, 91, 94),
    "fchownat": (298, 260, 325),
    "fchown": (207, 93, 207),
    "faccessat": (307, 269, 334),
    "faccessat2": (439, 439, 439),
    "truncate": (193, 76, 193),
    "ftruncate": (194, 77, 194),
    "utimensat": (320, 280, 348),
    "utimensat_time64": (412, None, 412),
    "fsync": (118, 74, 118),
    "fdatasync": (148, 75, 148),
    "sync": (36, 162, 36),
    "copy_file_range": (377, 326, 391),
    "splice": (313, 275, 340),
    "dup": (41, 32, 41),
    "eventfd2": (328, 290, 356),
    "epoll_create1": (329, 291, 357),
    "epoll_ctl": (255, 233, 251),
    "epoll_wait": (256, 232, 252),
    "epoll_pwait": (319, 281, 346),
    "epoll_pwait2": (441, 441, 441),
    "poll": (168, 7, 168),
    "ppoll": (309, 271, 336),
    "ppoll_time64": (414, None, 414),
    "select": (142, 23, 142),
    "pselect6": (308, 270, 335),
    "socketcall": (102, None, None),
    "socket": (359, 41, 281),
    "socketpair": (360, 53, 288),
    "bind": (361, 49, 282),
    "connect": (362, 42, 283),
    "listen": (363, 50, 284),
    "accept": (None, 43, 285),
    "accept4": (364, 288, 366),
    "getsockname": (367, 51, 286),
    "getpeername": (368, 52, 287),
    "getsockopt": (365, 55, 295),
    "setsockopt": (366, 54, 294),
    "send": (None, None, 289),
    "recv": (None, None, 291),
    "sendto": (369, 44, 290),
    "recvfrom": (371, 45, 292),
    "sendmsg": (370, 46, 296),
    "recvmsg": (372, 47, 297),
    "shutdown": (373, 48, 293),
    "flock": (143, 73, 143),
    "mknodat": (297, 259, 324),
    "memfd_create": (356, 319, 385),
    "sendfile": (239, 40, 239),
    "tee": (315, 276, 342),
    "fallocate": (324, 285, 352),
    "statfs": (None, 137, None),
    "fstatfs": (None, 138, None),
    "statfs64": (268, None, 266),
    "fstatfs64": (269, None, 267),
    "utimes": (271, 235, 269),
    "futimesat": (299, 261, 326),
    "getxattr": (229, 191, 229),
    "lgetxattr": (230, 192, 230),
    "fgetxattr": (231, 193, 231),
    "setxattr": (226, 188, 226),
    "lsetxattr": (227, 189, 227),
    "fsetxattr": (228, 190, 228),
    "listxattr": (232, 194, 232),
    "llistxattr": (233, 195, 233),
    "flistxattr": (234, 196, 234),
    "removexattr": (235, 197, 235),
    "times": (43, 100, 43),
    "getpriority": (96, 140, 96),
    "setpriority": (97, 141, 97),
    "sched_setaffinity": (241, 203, 241),
    "setresuid16": (164, None, 164),
    "setresgid16": (170, None, 170),
    "capget": (184, 125, 184),
    "getresuid": (209, 118, 209),
    "getresgid": (211, 120, 211),
    "getcwd": (183, 79, 183),
    "fchdir": (133, 81, 133),
    "umask": (60, 95, 60),
    "uname": (122, 63, 122),
    "sysinfo": (116, 99, 116),
    "getuid": (199, 102, 199),
    "geteuid": (201, 107, 201),
    "getgid": (200, 104, 200),
    "getegid": (202, 108, 202),
    "getgroups": (205, 115, 205),
    "setresuid": (208, 117, 208),
    "setresgid": (210, 119, 210),
    "setreuid": (203, 113, 203),
    "setregid": (204, 114, 204),
    "getpgid": (132, 121, 132),
    "getpgrp": (65, 111, 65),
    "getsid": (147, 124, 147),
    "getrlimit": (191, 97, 191),
    "setrlimit": (75, 160, 75),
    "getrusage": (77, 98, 77),
    "sched_getaffinity": (242, 204, 242),
    "getrandom": (355, 318, 384),
    "pidfd_open": (434, 434, 434),
    "pidfd_send_signal": (424, 424, 424),
}

_NAMES = {
    arch: {row[column]: call for call, row in NUMBERS.items() if row[column] is not None}
    for arch, column in _COLUMNS.items()
}


def number(arch: Arch, call: str) -> int:
    """The number of a system call; KeyError if Linux has none of this name on ``arch`` (or it is not known here)."""
    row = NUMBERS.get(call)
    found = row[_COLUMNS[arch.name]] if row else None
    if found is None:
        raise KeyError(f"no system call {call!r} on {arch.name}")
    return found


def find(arch: Arch, call: str) -> int:
    """The number of a system call, or -1 (which no call has) if Linux has none of this name on ``arch``."""
    try:
        return number(arch, call)
    except KeyError:
        return -1


def name(arch: Arch, call: int) -> str | None:
    """The name of system call number ``call``, None if it is not known here."""
    return _NAMES[arch.name].get(call)


class Clone(IntFlag):
    """Flags of clone, unshare and clone3; the low byte of clone's word is the exit signal."""

    VM = 0x100
    FS = 0x200
    FILES = 0x400
    SIGHAND = 0x800
    PIDFD = 0x1000
    VFORK = 0x4000
    THREAD = 0x10000
    SYSVSEM = 0x40000
    SETTLS = 0x80000
    PARENT_SETTID = 0x100000
    CHILD_CLEARTID = 0x200000
    CHILD_SETTID = 0x1000000
    NEWUSER = 0x10000000
    INTO_CGROUP = 0x200000000


EXIT_SIGNAL = 0xFF  # the bits of clone's first argument that hold the signal sent when the child ends
SIGCHLD = 17

# What clone's arguments mean, in order.
CLONE_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "386": ("flags", "stack", "parent_tid", "tls", "child_tid"),
    "amd64": ("flags", "stack", "parent_tid", "child_tid", "tls"),
    "arm": ("flags", "stack", "parent_tid", "tls", "child_tid"),
}

# Where clone's argument tls points at a descriptor (user_desc): offset of the base in it. None: it is the base itself.
TLS_DESCRIPTOR_BASE: Mapping[str, int | None] = {"386": 4, "amd64": None, "arm": None}

O_CLOEXEC = 0x80000  # of open, pipe2 and dup3
ARCH_SET_FS, ARCH_GET_FS = 0x1002, 0x1003  # first argument of arch_prctl
TLS_ENTRY = 12  # the descriptor that set_thread_area gives a 32-bit thread, as on a 64-bit kernel


class Errno(IntEnum):
    """Error numbers, the same on all three architectures (not the host's, which may be another system)."""

    EPERM = 1
    ENOENT = 2
    ESRCH = 3
    EINTR = 4
    EIO = 5
    ENXIO = 6
    E2BIG = 7
    ENOEXEC = 8
    EBADF = 9
    ECHILD = 10
    EAGAIN = 11
    ENOMEM = 12
    EACCES = 13
    EFAULT = 14
    EBUSY = 16
    EEXIST = 17
    EXDEV = 18
    ENODEV = 19
    ENOTDIR = 20
    EISDIR = 21
    EINVAL = 22
    ENFILE = 23
    EMFILE = 24
    ENOTTY = 25
    EFBIG = 27
    ENOSPC = 28
    ESPIPE = 29
    EROFS = 30
    EPIPE = 32
    ERANGE = 34
    ENAMETOOLONG = 36
    ENOLCK = 37
    ENOSYS = 38
    ENOTEMPTY = 39
    ELOOP = 40
    ENOTSOCK = 88
    EDESTADDRREQ = 89
    EMSGSIZE = 90
    EPROTOTYPE = 91
    ENOPROTOOPT = 92
    EPROTONOSUPPORT = 93
    ESOCKTNOSUPPORT = 94
    EOPNOTSUPP = 95
    EAFNOSUPPORT = 97
    EADDRINUSE = 98
    EADDRNOTAVAIL = 99
    ENETUNREACH = 101
    ECONNABORTED = 103
    ECONNRESET = 104
    ENOBUFS = 105
    EISCONN = 106
    ENOTCONN = 107
    ETOOMANYREFS = 109
    ETIMEDOUT = 110
    ECONNREFUSED = 111
    EALREADY = 114
    EINPROGRESS = 115


MAX_ERRNO = 4095


def is_error(arch: Arch, result: int) -> bool:
    """Whether the kernel means a result word as an error: -4095 to -1."""
    return result & arch.mask >= -MAX_ERRNO & arch.mask


def stub_sees_error(arch: Arch, result: int) -> bool:
    """Whether Go's system-call stubs take a result word for an error: -4094 to -1.

    They compare unsigned with -4095 (0xfffff001) and call lower *or same* success, in every era: one number
    less than the kernel's own window.
    """
    return result & arch.mask > -MAX_ERRNO & arch.mask
