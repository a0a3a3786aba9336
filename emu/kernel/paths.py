"""The system calls on paths: opening, naming, listing. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import (
    ACCESS_BITS,
    ACCESS_MODE,
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW,
    EXECUTE,
    O_CLOEXEC,
    O_CREAT,
    O_EXCL,
    O_NOCTTY,
    O_PATH,
    O_RDONLY,
    O_TMPFILE,
    O_TRUNC,
    OPEN,
    PATH_MAX,
    RENAME_NOREPLACE,
    S_IFMT,
    X_OK,
)
from arch.linux import Errno
from arch.structs import DIRENT, DIRENT_ALIGNMENT
from emu.kernel import memory
from emu.kernel.descriptors import of
from emu.kernel.errors import Refused
from emu.kernel.files import Node, Stream
from emu.kernel.memory import c_int
from emu.kernel.nodes import Directory, Link, Listing, Member, Regular
from emu.kernel.opened import OpenDirectory
from emu.kernel.table import Thread
from emu.kernel.virtual import Place, permissions

_NOT_KEPT = O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC  # flags of open that F_GETFL does not show


def text(thread: Thread, address: int) -> str:
    """A path, byte for byte."""
    return memory.octets(thread, address, PATH_MAX, Errno.ENAMETOOLONG).decode("utf-8", "surrogateescape")


def _base(thread: Thread, descriptor: int, path: str) -> Directory:
    """Where a path begins."""
    if path.startswith("/") or c_int(descriptor) == AT_FDCWD:
        return thread.task.folder or thread.kernel.tree.root
    stream = of(thread, descriptor)
    if not isinstance(stream, OpenDirectory):
        raise Refused(Errno.ENOTDIR)
    return stream.directory


def at(thread: Thread, descriptor: int, address: int, follow: bool = True) -> Place:
    """Where a path leads, from the folder ``descriptor`` on unless it begins at the root."""
    path = text(thread, address)
    return thread.kernel.tree.resolve(thread.task, path, _base(thread, descriptor, path), follow)


def name_at(thread: Thread, descriptor: int, address: int) -> Place:
    """Where a path leads that is a name to be given or taken away: a link there is meant itself."""
    path = text(thread, address)
    return thread.kernel.tree.resolve(thread.task, path, _base(thread, descriptor, path), named=True)


def node_at(thread: Thread, descriptor: int, address: int, flags: int) -> Node:
    """What a path and AT_ flags lead to; with AT_EMPTY_PATH an empty path stands for the descriptor itself."""
    if flags & AT_EMPTY_PATH and not text(thread, address):
        if c_int(descriptor) == AT_FDCWD:
            return thread.task.folder or thread.kernel.tree.root
        return of(thread, descriptor).node
    return at(thread, descriptor, address, not flags & AT_SYMLINK_NOFOLLOW).there


# opening


def openat(thread: Thread, descriptor: int, path: int, flags: int, mode: int) -> int | None:
    task, own = thread.task, OPEN[thread.kernel.arch.name]
    flags = c_int(flags)
    if flags & O_TMPFILE:
        raise Refused(Errno.EOPNOTSUPP)
    follow = not flags & own.nofollow and flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL
    number = task.files.lowest()
    place = at(thread, descriptor, path, follow)
    node = _opened(thread, place, flags, mode)
    if flags & own.directory and not isinstance(node, Directory):
        raise Refused(Errno.ENOTDIR)
    if isinstance(node, Link) and not flags & O_PATH:
        raise Refused(Errno.ELOOP)
    status = flags & ~_NOT_KEPT if not flags & O_PATH else flags & (O_PATH | own.directory | own.nofollow)
    stream = node.open(task, status)
    if flags & O_TRUNC and isinstance(node, Regular) and flags & ACCESS_MODE != O_RDONLY and not flags & O_PATH:
        node.resize(0)
    if not stream.opened:
        _wait_for_the_other(thread, stream, bool(flags & O_CLOEXEC))
        return None
    opened = task.files.open(stream, bool(flags & O_CLOEXEC))
    assert opened == number
    return opened


def _wait_for_the_other(thread: Thread, stream: Stream, closing: bool) -> None:
    """Open one side of a pipe with a path: it waits for who opens the other."""

    def undo() -> None:
        if not stream.users:
            stream.released()

    thread.block(
        "the other side of a pipe", lambda: thread.task.files.open(stream, closing) if stream.opened else None,
        undo=undo,
    )


def _opened(thread: Thread, place: Place, flags: int, mode: int) -> Member:
    """The node that open is for, created if that was asked for."""
    tree, task = thread.kernel.tree, thread.task
    if not flags & O_CREAT or flags & O_PATH:
        return place.there
    if place.node is not None and flags & O_EXCL:
        raise Refused(Errno.EEXIST)
    if place.slash or isinstance(place.node, Directory):
        raise Refused(Errno.EISDIR)
    if place.node is not None:
        return place.node
    return tree.new(place, Regular(tree, permissions(mode, task.umask)), task)


def open_(thread: Thread, path: int, flags: int, mode: int) -> int | None:
    return openat(thread, AT_FDCWD, path, flags, mode)


def getdents64(thread: Thread, descriptor: int, address: int, size: int) -> int:
    stream = of(thread, descriptor)
    if not isinstance(stream, OpenDirectory):
        raise Refused(Errno.ENOTDIR)
    data = b""
    while (entry := stream.next()) is not None:
        position, name, node = entry
        raw = name.encode("utf-8", "surrogateescape") + b"\0"
        length = -(-(DIRENT.size + len(raw)) // DIRENT_ALIGNMENT) * DIRENT_ALIGNMENT
        if len(data) + length > size:
            break
        kind = (node.mode & S_IFMT) >> 12
        head = DIRENT.pack(ino=thread.kernel.tree.number(node), off=position, reclen=length, type=kind)
        data += (head + raw).ljust(length, b"\0")
        stream.forward()
    if entry is not None and not data:
        raise Refused(Errno.EINVAL)
    memory.store(thread, address, data)
    return len(data)


# naming


def mkdirat(thread: Thread, descriptor: int, path: int, mode: int) -> int:
    tree, task = thread.kernel.tree, thread.task
    place = name_at(thread, descriptor, path)
    tree.new(place, Directory(tree, permissions(mode, task.umask), place.parent), task)
    return 0


def unlinkat(thread: Thread, descriptor: int, path: int, flags: int) -> int:
    if flags & ~AT_REMOVEDIR:
        raise Refused(Errno.EINVAL)
    place = name_at(thread, descriptor, path)
    node = place.there
    if flags & AT_REMOVEDIR:
        if not isinstance(node, Directory):
            raise Refused(Errno.ENOTDIR)
        _named(place)
        _check_empty(thread, node)
    elif isinstance(node, Directory):
        raise Refused(Errno.EISDIR)
    thread.kernel.tree.unlink(place)
    return 0


def _named(place: Place) -> None:
    """Refuse a path that does not end in a name."""
    if place.name in ("", ".", ".."):
        raise Refused({"": Errno.EBUSY, ".": Errno.EINVAL, "..": Errno.ENOTEMPTY}[place.name])


def _check_empty(thread: Thread, node: Directory) -> None:
    if isinstance(node, Listing):
        raise Refused(Errno.EPERM)
    if node.names(thread.task):
        raise Refused(Errno.ENOTEMPTY)


def renameat2(thread: Thread, old_at: int, old: int, new_at: int, new: int, flags: int) -> int:
    if flags & ~RENAME_NOREPLACE:
        thread.kernel.refuse(f"renameat2 with flags {flags & ~RENAME_NOREPLACE:#x}")
        raise Refused(Errno.EINVAL)
    source, target = name_at(thread, old_at, old), name_at(thread, new_at, new)
    node, there = source.there, target.node
    if "" in (source.name, target.name) or {".", ".."} & {source.name, target.name}:
        raise Refused(Errno.EBUSY)
    if there is not None and flags:
        raise Refused(Errno.EEXIST)
    if there is node:
        return 0
    _check_rename(thread, node, target)
    if there is not None:
        thread.kernel.tree.unlink(target)
    source.parent.remove(source.name)
    target.parent.put(target.name, node)
    node.changed = thread.kernel.tree.now()
    return 0


def _check_rename(thread: Thread, node: Member, target: Place) -> None:
    """Refuse what rename refuses, before anything is changed."""
    if any(isinstance(one, Listing) for one in (node, target.parent)) or not target.parent.links:
        raise Refused(Errno.EPERM if target.parent.links else Errno.ENOENT)
    if not isinstance(node, Directory):
        if isinstance(target.node, Directory):
            raise Refused(Errno.EISDIR)
        if target.slash:
            raise Refused(Errno.ENOTDIR)
        return
    if target.node is not None and not isinstance(target.node, Directory):
        raise Refused(Errno.ENOTDIR)
    above = target.parent
    while above is not above.parent and above is not node:
        above = above.parent
    if above is node:
        raise Refused(Errno.EINVAL)
    if isinstance(target.node, Directory):
        _check_empty(thread, target.node)


def renameat(thread: Thread, old_at: int, old: int, new_at: int, new: int) -> int:
    return renameat2(thread, old_at, old, new_at, new, 0)


def linkat(thread: Thread, old_at: int, old: int, new_at: int, new: int, flags: int) -> int:
    tree = thread.kernel.tree
    node = at(thread, old_at, old, bool(flags & AT_SYMLINK_FOLLOW)).there
    place = name_at(thread, new_at, new)
    if isinstance(node, Directory):
        raise Refused(Errno.EPERM)
    if place.node is not None or place.slash:
        raise Refused(Errno.EEXIST if place.node is not None else Errno.ENOENT)
    place.parent.put(place.name, node)
    node.links += 1
    node.changed = tree.now()
    return 0


def symlinkat(thread: Thread, target: int, descriptor: int, path: int) -> int:
    tree, to = thread.kernel.tree, text(thread, target)
    if not to:
        raise Refused(Errno.ENOENT)
    place = name_at(thread, descriptor, path)
    if place.node is None and place.slash:
        raise Refused(Errno.ENOENT)
    tree.new(place, Link(tree, to), thread.task)
    return 0


def readlinkat(thread: Thread, descriptor: int, path: int, address: int, size: int) -> int:
    node = at(thread, descriptor, path, follow=False).there
    if not isinstance(node, Link) or c_int(size) <= 0:
        raise Refused(Errno.EINVAL)
    data = node.target(thread.task).encode("utf-8", "surrogateescape")[:size]
    memory.store(thread, address, data)
    return len(data)


def faccessat(thread: Thread, descriptor: int, path: int, mode: int) -> int:
    return faccessat2(thread, descriptor, path, mode, 0)


def faccessat2(thread: Thread, descriptor: int, path: int, mode: int, flags: int) -> int:
    """Everyone is root: all may be done, but to execute what nobody may."""
    if mode & ~ACCESS_BITS or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise Refused(Errno.EINVAL)
    node = node_at(thread, descriptor, path, flags)
    if mode & X_OK and not isinstance(node, Directory) and not node.mode & EXECUTE:
        raise Refused(Errno.EACCES)
    return 0


# the working directory


def chdir(thread: Thread, path: int) -> int:
    return _go(thread, at(thread, AT_FDCWD, path).there)


def fchdir(thread: Thread, descriptor: int) -> int:
    return _go(thread, of(thread, descriptor).node)


def _go(thread: Thread, node: Node) -> int:
    if not isinstance(node, Directory):
        raise Refused(Errno.ENOTDIR)
    thread.task.folder = node
    return 0


def getcwd(thread: Thread, address: int, size: int) -> int:
    tree = thread.kernel.tree
    data = tree.path(thread.task.folder or tree.root).encode("utf-8", "surrogateescape") + b"\0"
    if len(data) > size:
        raise Refused(Errno.ERANGE)
    memory.store(thread, address, data)
    return len(data)


def umask(thread: Thread, mask: int) -> int:
    old, thread.task.umask = thread.task.umask, mask & 0o777
    return old


CALLS: Mapping[str, Callable[..., int | None]] = {
    "openat": openat, "open": open_, "getdents64": getdents64, "mkdirat": mkdirat, "unlinkat": unlinkat,
    "renameat2": renameat2, "renameat": renameat, "linkat": linkat, "symlinkat": symlinkat, "readlinkat": readlinkat,
    "faccessat": faccessat, "faccessat2": faccessat2, "chdir": chdir, "fchdir": fchdir, "getcwd": getcwd,
    "umask": umask,
}
