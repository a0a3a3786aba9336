"""A folder of the host in the guests' tree. It is only read; what guests change of it is kept in memory.

Nothing is looked at before a guest looks, and what the host changes meanwhile is seen, except in what a guest has
changed itself. Every path is walked name by name from the folder that was given, through descriptors and along no
link: a link of the host's is a link in the guests' tree, which is where it leads. Of devices, sockets and FIFOs, and of
file systems that are no one's files (proc, sysfs, …), nothing is there. Each name is a file of its own: what is written
to one of several hard links does not show under the others.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from arch.files import O_PATH, S_IFLNK
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.nodes import LARGEST, Directory, Link, Member, Regular

if TYPE_CHECKING:
    from emu.kernel.table import Task
    from emu.kernel.virtual import Tree

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_NOBODYS = frozenset(
    "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nfsd nsfs"
    " proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs".split()
)
_GONE: frozenset[int | None] = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
_ERRORS = {
    **{number: Errno.ENOENT for number in _GONE if number}, errno.EPERM: Errno.EACCES, errno.EACCES: Errno.EACCES,
    errno.EMFILE: Errno.ENFILE, errno.ENFILE: Errno.ENFILE,
}
_PIECE = 1 << 24  # bytes that are asked of the host at once


class Handle:
    """A descriptor of the host's, closed when nobody has it any more."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)


class Mount:
    """A folder of the host's; paths below it are tuples of names. Raises OSError if it is none, or not to be read."""

    def __init__(self, path: str) -> None:
        self._root = Handle(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self._known: dict[int, bool] = {}
        if not self._shown(os.fstat(self._root.number)):
            raise OSError(errno.EPERM, "its file system holds nobody's files", path)

    def told(self, folder: tuple[str, ...] = (), name: str = ".") -> os.stat_result | None:
        """What the host tells of a name in a folder, None if there is nothing that guests may see. Raises Refused."""
        try:
            with self._folder(folder) as number:
                return self._told(number, name)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise _refused(error) from None

    def listed(self, folder: tuple[str, ...]) -> dict[str, os.stat_result]:
        """What a folder holds that guests may see; empty if it has gone. Raises Refused."""
        found = {}
        try:
            with self._folder(folder) as number:
                for name in _names(number):
                    told = self._told(number, name)
                    if told is not None:
                        found[name] = told
        except OSError as error:
            if error.errno not in _GONE:
                raise _refused(error) from None
        return found

    def target(self, folder: tuple[str, ...], name: str) -> str:
        """Where a link leads. Raises Refused."""
        try:
            with self._folder(folder) as number:
                return os.readlink(_bytes(name), dir_fd=number).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise _refused(error) from None

    def opened(self, folder: tuple[str, ...], name: str) -> Handle:
        """A file, to be read. Raises Refused.

        The name is opened as a mere path first, so that nothing but a file is ever opened for reading, whatever the
        name stands for by then.
        """
        try:
            with self._folder(folder) as number:
                path = Handle(os.open(_bytes(name), _PATH, dir_fd=number))
            told = os.fstat(path.number)
            if not stat.S_ISREG(told.st_mode) or not self._shown(told):
                raise Refused(Errno.ENOENT)
            return Handle(_again(path.number))
        except OSError as error:
            raise _refused(error) from None

    @contextmanager
    def _folder(self, names: tuple[str, ...]) -> Iterator[int]:
        at = self._root
        for name in names:
            at = Handle(os.open(_bytes(name), _PATH | os.O_DIRECTORY, dir_fd=at.number))
            if not self._shown(os.fstat(at.number)):
                raise FileNotFoundError(errno.ENOENT, "not shown")
        yield at.number

    def _told(self, folder: int, name: str) -> os.stat_result | None:
        try:
            told = os.fstat(folder) if name == "." else os.stat(_bytes(name), dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
        return told if any(is_kind(told.st_mode) for is_kind in kinds) and self._shown(told) else None

    def _shown(self, told: os.stat_result) -> bool:
        """Whether a file system may be looked at."""
        device = told.st_dev
        if device not in self._known:
            self._known[device] = device not in _hidden()
        return self._known[device]


def _bytes(name: str) -> bytes:
    """A name for the host, which is a single name and leads down."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise FileNotFoundError(errno.ENOENT, "no name", name)
    return name.encode("utf-8", "surrogateescape")


def _names(folder: int) -> list[str]:
    number = os.open(b".", _READ | os.O_DIRECTORY, dir_fd=folder)
    try:
        return [os.fsencode(name).decode("utf-8", "surrogateescape") for name in os.listdir(number)]
    finally:
        os.close(number)


def _again(number: int) -> int:
    """A file that is known as a path only, opened to be read; the host need not note when, if it lets us ask that."""
    path = f"/proc/self/fd/{number}"
    try:
        return os.open(path, _READ | os.O_NOATIME)
    except PermissionError:
        return os.open(path, _READ)


def _hidden() -> set[int]:
    """The devices of file systems that guests never see."""
    found = set()
    top = os.stat("/").st_dev
    for path in ("/dev", "/proc", "/sys"):
        try:
            found.add(os.stat(path).st_dev)
        except OSError:
            continue
    found.discard(top)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:  # proc(5): the third word is major:minor, the first behind " - " the type
                before, _, behind = line.partition(" - ")
                if behind.split(" ", 1)[0] in _NOBODYS:
                    major, _, minor = before.split(" ")[2].partition(":")
                    found.add(os.makedev(int(major), int(minor)))
    except OSError:
        pass  # a host without it: what was found by name is all
    return found


def _refused(error: OSError) -> Refused:
    return Refused(_ERRORS.get(error.errno or 0, Errno.EIO))


class HostFile(Regular):
    """A file of the host's until a guest changes it; from then on it is the guest's copy."""

    def __init__(self, tree: Tree, mount: Mount, folder: tuple[str, ...], name: str, size: int) -> None:
        super().__init__(tree, 0)
        self._mount, self._folder, self._name, self._size = mount, folder, name, size
        self._handle: Handle | None = None

    @property
    def size(self) -> int:
        return super().size if self.altered else self._size

    def open(self, task: Task, status: int) -> Stream:
        if not self.altered and not status & O_PATH and self._handle is None:
            self._handle = self._mount.opened(self._folder, self._name)
        return super().open(task, status)

    def read(self, offset: int, size: int) -> bytes:
        if self.altered:
            return super().read(offset, size)
        size, pieces = max(0, min(size, self._size - offset)), []
        handle = self._handle or (self._mount.opened(self._folder, self._name) if size else None)
        try:
            while handle is not None and size and (piece := os.pread(handle.number, min(size, _PIECE), offset)):
                pieces.append(piece)
                offset, size = offset + len(piece), size - len(piece)
        except OSError as error:
            raise _refused(error) from None
        return b"".join(pieces)

    def _own(self, most: int = LARGEST) -> bytearray:
        kept = super()._own(most)
        self._handle = None
        return kept

    def free_if_unused(self) -> None:
        if not self.opens:
            self._handle = None
        super().free_if_unused()


class HostDirectory(Directory):
    """A folder of the host's, below what guests have put into it and without what they have taken out of it."""

    def __init__(self, tree: Tree, mount: Mount, names: tuple[str, ...] = (), parent: Directory | None = None) -> None:
        super().__init__(tree, 0o755, parent)
        self._mount, self._names = mount, names
        self._seen: dict[str, tuple[tuple[int, ...], Member]] = {}
        self._gone: set[str] = set()

    @property
    def altered(self) -> bool:
        """Whether a guest has changed what is in it, at any depth."""
        return bool(self._entries or self._gone) or any(_altered(node) for _, node in self._seen.values())

    def adopt(self, other: Directory) -> None:
        """Take the place of a folder: what is in that one hides what the host has, but folders are one with its."""
        for name, held in other._entries.items():
            node = held
            if type(node) is Directory:
                folder = HostDirectory(self.tree, self._mount, (*self._names, name), self)
                folder.mode = node.mode
                folder.adopt(node)
                node = folder
            self.put(name, node)

    def names(self, task: Task) -> list[str]:  # noqa: ARG002
        found = set(self._entries)
        for name, told in self._mount.listed(self._names).items():
            if name not in found and name not in self._gone and self._met(name, told) is not None:
                found.add(name)
        return sorted(found)

    def find(self, name: str, task: Task) -> Member | None:  # noqa: ARG002
        return self.held(name)

    def held(self, name: str) -> Member | None:
        if name in self._entries or name in self._gone:
            return self._entries.get(name)
        return self._met(name, self._mount.told(self._names, name))

    def _met(self, name: str, told: os.stat_result | None) -> Member | None:
        """The node for what the host tells of a name: the one it had before, unless that is something else now."""
        key, node = self._seen.get(name, ((), None))
        if node is not None and (_altered(node) or key == _key(told)):
            return node
        self._seen.pop(name, None)
        if told is None:
            return None
        try:
            node = self._new(name, told)
        except Refused as refused:
            if refused.errno == Errno.ENOENT:
                return None
            raise
        self._seen[name] = _key(told), node
        return node

    def _new(self, name: str, told: os.stat_result) -> Member:
        node: Member
        if stat.S_ISDIR(told.st_mode):
            node = HostDirectory(self.tree, self._mount, (*self._names, name), self)
        elif stat.S_ISLNK(told.st_mode):
            node = Link(self.tree, self._mount.target(self._names, name))
        else:
            node = HostFile(self.tree, self._mount, self._names, name, told.st_size)
        looks(node, told)
        return node

    def name_of(self, node: Member) -> str:
        seen = next((name for name, (_, held) in self._seen.items() if held is node), None)
        return seen if seen is not None else super().name_of(node)

    def remove(self, name: str) -> None:
        self._entries.pop(name, None)
        seen = self._seen.pop(name, None)
        if seen is not None or self._mount.told(self._names, name) is not None:
            self._gone.add(name)
        self.touch()


def looks(node: Member, told: os.stat_result) -> None:
    """Give a node the mode and the time of what is the host's; it has no other time that reading does not change."""
    node.mode = told.st_mode if not stat.S_ISLNK(told.st_mode) else S_IFLNK | 0o777
    node.accessed = node.modified = node.changed = told.st_mtime_ns


def _key(told: os.stat_result | None) -> tuple[int, ...]:
    """What tells one thing of the host's from another under the same name."""
    if told is None:
        return ()
    if stat.S_ISDIR(told.st_mode):
        return (told.st_dev, told.st_ino)
    return (told.st_dev, told.st_ino, told.st_mode, told.st_size, told.st_mtime_ns)


def _altered(node: Member) -> bool:
    return isinstance(node, HostFile | HostDirectory) and node.altered


def mount(tree: Tree, path: str, host: str) -> None:
    """Show a folder of the host's at a path. A folder that the tree has there is one with it, its own names first.

    Raises OSError, or Refused where guests cannot make a folder either.
    """
    source = Mount(host)
    node = HostDirectory(tree, source)
    there, told = tree.folder(path), source.told()
    if type(there) is Directory:
        node.adopt(there)
    if told is not None:
        looks(node, told)
    if there is tree.root:
        tree.root = node
    else:
        there.parent.put(there.parent.name_of(there), node)
