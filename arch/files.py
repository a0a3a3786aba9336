"""What Linux says about files: flags of open, kinds and modes, commands of fcntl, events of polling.

Sources: Go's syscall/zerrors_linux_*.go and ztypes_linux_*.go, the kernel's uapi headers fcntl.h, stat.h, eventpoll.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# flags of open that are the same on the three architectures
ACCESS_MODE = 3
O_RDONLY, O_WRONLY, O_RDWR = 0, 1, 2
O_CREAT, O_EXCL, O_NOCTTY, O_TRUNC = 0x40, 0x80, 0x100, 0x200
O_APPEND, O_NONBLOCK, O_DSYNC = 0x400, 0x800, 0x1000
O_NOATIME, O_CLOEXEC, O_SYNC, O_PATH = 0x40000, 0x80000, 0x101000, 0x200000
O_TMPFILE = 0x400000  # with O_DIRECTORY


class OpenFlags(NamedTuple):
    """The flags of open that differ."""

    directory: int
    nofollow: int
    direct: int
    largefile: int


OPEN: Mapping[str, OpenFlags] = {
    "386": OpenFlags(directory=0x10000, nofollow=0x20000, direct=0x4000, largefile=0x8000),
    "amd64": OpenFlags(directory=0x10000, nofollow=0x20000, direct=0x4000, largefile=0x8000),
    "arm": OpenFlags(directory=0x4000, nofollow=0x8000, direct=0x10000, largefile=0x20000),
}
SETTABLE = O_APPEND | O_NONBLOCK | O_NOATIME  # what fcntl's F_SETFL changes

# What a 64-bit argument takes: registers, and on arm a pair that begins at an even one.
WIDE_ARGUMENT: Mapping[str, tuple[int, int]] = {"386": (2, 1), "amd64": (1, 1), "arm": (2, 2)}  # registers, alignment

# kinds of files: bits of their mode
S_IFMT = 0o170000
S_IFIFO, S_IFCHR, S_IFDIR, S_IFREG, S_IFLNK, S_IFSOCK = 0o010000, 0o020000, 0o040000, 0o100000, 0o120000, 0o140000
PERMISSIONS = 0o7777
EXECUTE = 0o111

# the *at calls
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_EACCESS, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x200, 0x200, 0x400, 0x1000
AT_NO_AUTOMOUNT, AT_STATX_SYNC = 0x800, 0x6000
UTIME_NOW, UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE
RENAME_NOREPLACE = 1
STATX_BASIC_STATS, STATX_BTIME = 0x7FF, 0x800
X_OK, ACCESS_BITS = 1, 7

PATH_MAX, NAME_MAX, MOST_LINKS = 4096, 255, 40
ARG_STRLEN, ARG_MAX = 128 << 10, 2 << 20  # bytes of an argument of execve; of all, environment and pointers too
INTERPRETERS, SCRIPT_LINE = 5, 256  # files that execve goes through; bytes of the line that names an interpreter
PIPE_BUF = 4096  # a write of no more than this is not cut in two
RW_MAX = 0x7FFFF000  # bytes that one read or write moves at most
IOV_MAX = 1024

SEEK_SET, SEEK_CUR, SEEK_END = 0, 1, 2

# commands of fcntl
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL = 0, 1, 2, 3, 4
F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ = 1030, 1031, 1032
FD_CLOEXEC = 1


class LockCommand(NamedTuple):
    """A command of fcntl on locks: of the open file or of the process; whether it only tells; whether it waits."""

    of_file: bool
    tells: bool
    waits: bool


_LOCK_COMMANDS = (LockCommand(False, True, False), LockCommand(False, False, False), LockCommand(False, False, True))
_OF_FILE = {36 + n: LockCommand(True, tells, waits) for n, (_, tells, waits) in enumerate(_LOCK_COMMANDS)}
# Commands that take a struct flock with 64-bit offsets: F_GETLK, F_SETLK, F_SETLKW, then F_OFD_GETLK and so on.
LOCK_COMMANDS: Mapping[str, Mapping[int, LockCommand]] = {
    arch: dict(enumerate(_LOCK_COMMANDS, first)) | _OF_FILE
    for arch, first in {"386": 12, "amd64": 5, "arm": 12}.items()
}
F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN = 1, 2, 4, 8  # flock
FALLOC_FL_KEEP_SIZE = 1
SPLICE_F_NONBLOCK = 2
MFD_CLOEXEC, MFD_ALLOW_SEALING = 1, 2
TMPFS_MAGIC = 0x01021994  # the kind of file system that statfs tells of

# requests of ioctl that are not a device's
FIONREAD, FIONBIO, FIONCLEX, FIOCLEX = 0x541B, 0x5421, 0x5450, 0x5451

# events of poll and of epoll
POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
POLLRDNORM, POLLWRNORM, POLLRDHUP = 0x40, 0x100, 0x2000
EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3
EPOLLONESHOT, EPOLLET = 1 << 30, 1 << 31
EFD_SEMAPHORE = 1
