"""A folder of the host in the guests' tree. It is only read; what guests change of it is kept in memory.

Nothing is looked at before a guest looks, and what the host changes meanwhile is seen, except in what a guest has
changed itself. A link of the host's is a link in the guests' tree, which is where it leads. Each name is a file of its
own: what is written to one of several hard links does not show under the others.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from arch.files import O_PATH, S_IFLNK
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.hostwalk import Handle, Mount, refused
from emu.kernel.nodes import LARGEST, Directory, Link, Member, Regular

if TYPE_CHECKING:
    from emu.kernel.table import Task
    from emu.kernel.virtual import Tree

_PIECE = 1 << 24  # bytes that are asked of the host at once


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
            raise refused(error) from None
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
        found = {*self._entries, *(name for name, (_, node) in self._seen.items() if _altered(node))}
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
        except Refused as no:
            if no.errno == Errno.ENOENT:
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
