"""Room for files: what a file system has, what a file is given, files without a name; and attributes, of which there
are none. Sources: statfs(2), fallocate(2), memfd_create(2), getxattr(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import (
    AT_FDCWD,
    FALLOC_FL_KEEP_SIZE,
    MFD_ALLOW_SEALING,
    MFD_CLOEXEC,
    NAME_MAX,
    O_RDWR,
    TMPFS_MAGIC,
)
from arch.linux import Errno
from arch.structs import STATFS
from emu.kernel import memory
from emu.kernel.descriptors import of, wide
from emu.kernel.errors import Refused
from emu.kernel.memory import c_int
from emu.kernel.nodes import COST, Regular
from emu.kernel.opened import OpenFile
from emu.kernel.paths import at
from emu.kernel.table import Thread

_BLOCK = 4096
_MEMFD_NAME = NAME_MAX - len("memfd:")


def _statfs(thread: Thread, address: int) -> int:
    tree = thread.kernel.tree
    free = (tree.room - tree.used) // _BLOCK
    memory.store(thread, address, STATFS[thread.kernel.arch.name].pack(
        type=TMPFS_MAGIC, bsize=_BLOCK, frsize=_BLOCK, namelen=NAME_MAX, blocks=tree.room // _BLOCK, bfree=free,
        bavail=free, files=tree.room // COST, ffree=(tree.room - tree.used) // COST,
    ))  # fmt: skip
    return 0


def statfs(thread: Thread, path: int, address: int) -> int:
    assert at(thread, AT_FDCWD, path).there is not None
    return _statfs(thread, address)


def fstatfs(thread: Thread, descriptor: int, address: int) -> int:
    of(thread, descriptor)
    return _statfs(thread, address)


def _check_size(thread: Thread, size: int) -> None:
    """Refuse a size of the structure that no program means; what programs add at its end is padding."""
    if not 0 <= size - STATFS[thread.kernel.arch.name].size <= thread.kernel.arch.word:
        raise Refused(Errno.EINVAL)


def statfs64(thread: Thread, path: int, size: int, address: int) -> int:
    _check_size(thread, size)
    return statfs(thread, path, address)


def fstatfs64(thread: Thread, descriptor: int, size: int, address: int) -> int:
    _check_size(thread, size)
    return fstatfs(thread, descriptor, address)


def fallocate(thread: Thread, descriptor: int, mode: int, *words: int) -> int:
    """The file grows to hold the range; room is not kept for what is not written."""
    stream, half = of(thread, descriptor), len(words) // 2 if thread.kernel.arch.word == 4 else 1
    offset, size = wide(thread, words[:half], 2), wide(thread, words[half:], 2)
    if offset < 0 or size <= 0:
        raise Refused(Errno.EINVAL)
    if c_int(mode) & ~FALLOC_FL_KEEP_SIZE:
        raise Refused(Errno.EOPNOTSUPP)
    if not isinstance(stream, OpenFile):
        raise Refused(Errno.ENODEV)
    if not stream.writes:
        raise Refused(Errno.EBADF)
    if not mode and offset + size > stream.node.size:
        stream.resize(offset + size)
    return 0


def memfd_create(thread: Thread, name: int, flags: int) -> int:
    memory.octets(thread, name, _MEMFD_NAME + 1, Errno.EINVAL)
    if flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING):
        raise Refused(Errno.EINVAL)
    files, tree = thread.task.files, thread.kernel.tree
    files.lowest()
    tree.take(COST)
    node = Regular(tree, 0o777)
    node.links, node.cost = 0, COST
    return files.open(OpenFile(node, O_RDWR), bool(flags & MFD_CLOEXEC))


def no_attribute(_thread: Thread) -> int:
    return -Errno.EOPNOTSUPP


CALLS: Mapping[str, Callable[..., int | None]] = {
    "statfs": statfs, "fstatfs": fstatfs, "statfs64": statfs64, "fstatfs64": fstatfs64, "fallocate": fallocate,
    "memfd_create": memfd_create,
    **dict.fromkeys((
        "getxattr", "lgetxattr", "fgetxattr", "setxattr", "lsetxattr", "fsetxattr", "listxattr", "llistxattr",
        "flistxattr", "removexattr",
    ), no_attribute),
}  # fmt: skip
