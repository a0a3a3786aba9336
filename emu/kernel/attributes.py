"""The system calls that tell and change what is known of a file. Sources: stat(2), statx(2), chmod(2), utimensat(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_STATX_SYNC,
    AT_SYMLINK_NOFOLLOW,
    PERMISSIONS,
    S_IFMT,
    STATX_BASIC_STATS,
    STATX_BTIME,
    UTIME_NOW,
    UTIME_OMIT,
)
from arch.linux import Errno
from arch.structs import STAT, STATX, TIMESPEC, TIMESPEC64, TIMEVAL, Layout
from emu.kernel import memory
from emu.kernel.clock import SECOND
from emu.kernel.descriptors import of, wide
from emu.kernel.errors import Refused
from emu.kernel.files import Node
from emu.kernel.nodes import Directory, Link, Regular
from emu.kernel.opened import OpenFile
from emu.kernel.paths import at, node_at
from emu.kernel.table import Thread

_DEVICE = 0x17  # of the one file system that there is
_BLOCK, _SECTOR = 4096, 512
_MICROSECONDS = 1_000_000
_FLAGS = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT


def _fields(thread: Thread, node: Node) -> dict[str, int]:
    """What stat and statx tell alike."""
    times: dict[str, int] = {}
    for name, time in (("atime", node.accessed), ("mtime", node.modified), ("ctime", node.changed)):
        times[name], times[f"{name}_ns"] = divmod(time, SECOND)
    return times | {
        "mode": node.mode, "nlink": node.links, "uid": node.owner, "gid": node.group, "size": node.size,
        "blksize": _BLOCK, "blocks": -(-node.size // _SECTOR), "ino": thread.kernel.tree.number(node),
    }


def _stat(thread: Thread, node: Node, address: int) -> int:
    layout = STAT[thread.kernel.arch.name]
    fields = _fields(thread, node) | {"dev": _DEVICE, "rdev": node.device}
    if "short_ino" in layout.fields:
        fields["short_ino"] = fields["ino"]
    memory.store(thread, address, layout.pack(**fields))
    return 0


def fstat(thread: Thread, descriptor: int, address: int) -> int:
    return _stat(thread, of(thread, descriptor).node, address)


def newfstatat(thread: Thread, descriptor: int, path: int, address: int, flags: int) -> int:
    if flags & ~_FLAGS:
        raise Refused(Errno.EINVAL)
    return _stat(thread, node_at(thread, descriptor, path, flags), address)


def statx(thread: Thread, descriptor: int, path: int, flags: int, _mask: int, address: int) -> int:
    if flags & ~(_FLAGS | AT_STATX_SYNC):
        raise Refused(Errno.EINVAL)
    node = node_at(thread, descriptor, path, flags)
    major, minor = node.device >> 8, node.device & 0xFF
    memory.store(thread, address, STATX.pack(
        mask=STATX_BASIC_STATS | STATX_BTIME, dev_minor=_DEVICE, rdev_major=major, rdev_minor=minor,
        **_fields(thread, node),
    ))
    return 0


def _chmod(thread: Thread, node: Node, mode: int) -> int:
    node.mode = node.mode & S_IFMT | mode & PERMISSIONS
    node.changed = thread.kernel.tree.now()
    return 0


def fchmod(thread: Thread, descriptor: int, mode: int) -> int:
    return _chmod(thread, of(thread, descriptor).node, mode)


def fchmodat(thread: Thread, descriptor: int, path: int, mode: int) -> int:
    return _chmod(thread, at(thread, descriptor, path).there, mode)


def fchmodat2(thread: Thread, descriptor: int, path: int, mode: int, flags: int) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise Refused(Errno.EINVAL)
    node = node_at(thread, descriptor, path, flags)
    if flags & AT_SYMLINK_NOFOLLOW and isinstance(node, Link):
        raise Refused(Errno.EOPNOTSUPP)
    return _chmod(thread, node, mode)


def _chown(thread: Thread, node: Node, owner: int, group: int) -> int:
    keep = 0xFFFF_FFFF
    node.owner = node.owner if owner & keep == keep else owner & keep
    node.group = node.group if group & keep == keep else group & keep
    node.changed = thread.kernel.tree.now()
    return 0


def fchown(thread: Thread, descriptor: int, owner: int, group: int) -> int:
    return _chown(thread, of(thread, descriptor).node, owner, group)


def fchownat(thread: Thread, descriptor: int, path: int, owner: int, group: int, flags: int) -> int:
    return _chown(thread, node_at(thread, descriptor, path, flags), owner, group)


def _size(thread: Thread, words: tuple[int, ...]) -> int:
    size = wide(thread, words, 1)
    if size < 0:
        raise Refused(Errno.EINVAL)
    return size


def truncate(thread: Thread, path: int, *words: int) -> int:
    node = at(thread, AT_FDCWD, path).there
    if not isinstance(node, Regular):
        raise Refused(Errno.EISDIR if isinstance(node, Directory) else Errno.EINVAL)
    node.resize(_size(thread, words))
    return 0


def ftruncate(thread: Thread, descriptor: int, *words: int) -> int:
    stream = of(thread, descriptor)
    if not isinstance(stream, OpenFile):
        raise Refused(Errno.EINVAL)
    stream.resize(_size(thread, words))
    return 0


def _utimens(thread: Thread, descriptor: int, path: int, times: int, flags: int, layout: Layout) -> int:
    node = node_at(thread, descriptor, path, flags) if path else of(thread, descriptor).node
    now = thread.kernel.tree.now()
    accessed = modified = now
    if times:
        data = memory.load(thread, times, 2 * layout.size)
        accessed = _time(layout.unpack(data[: layout.size]), now, node.accessed)
        modified = _time(layout.unpack(data[layout.size :]), now, node.modified)
    node.accessed, node.modified, node.changed = accessed, modified, now
    return 0


def _utimes(thread: Thread, descriptor: int, path: int, times: int) -> int:
    """As utimensat, in microseconds and without its special values."""
    node = at(thread, descriptor, path).there
    now = thread.kernel.tree.now()
    accessed = modified = now
    if times:
        layout = TIMEVAL[thread.kernel.arch.name]
        data = memory.load(thread, times, 2 * layout.size)
        rows = layout.unpack(data[: layout.size]), layout.unpack(data[layout.size :])
        if any(not 0 <= row["usec"] < _MICROSECONDS for row in rows):
            raise Refused(Errno.EINVAL)
        accessed, modified = (row["sec"] * SECOND + row["usec"] * 1000 for row in rows)
    node.accessed, node.modified, node.changed = accessed, modified, now
    return 0


def utimes(thread: Thread, path: int, times: int) -> int:
    return _utimes(thread, AT_FDCWD, path, times)


def futimesat(thread: Thread, descriptor: int, path: int, times: int) -> int:
    return _utimes(thread, descriptor, path, times)


def _time(row: Mapping[str, int], now: int, old: int) -> int:
    if row["nsec"] in (UTIME_NOW, UTIME_OMIT):
        return now if row["nsec"] == UTIME_NOW else old
    if not 0 <= row["nsec"] < SECOND:
        raise Refused(Errno.EINVAL)
    return row["sec"] * SECOND + row["nsec"]


def utimensat(thread: Thread, descriptor: int, path: int, times: int, flags: int) -> int:
    return _utimens(thread, descriptor, path, times, flags, TIMESPEC[thread.kernel.arch.name])


def utimensat_time64(thread: Thread, descriptor: int, path: int, times: int, flags: int) -> int:
    return _utimens(thread, descriptor, path, times, flags, TIMESPEC64)


CALLS: Mapping[str, Callable[..., int | None]] = {
    "fstat": fstat, "newfstatat": newfstatat, "statx": statx, "fchmod": fchmod, "fchmodat": fchmodat,
    "fchmodat2": fchmodat2, "fchown": fchown, "fchownat": fchownat, "truncate": truncate, "ftruncate": ftruncate,
    "utimensat": utimensat, "utimensat_time64": utimensat_time64, "utimes": utimes,
    "futimesat": futimesat,
}
