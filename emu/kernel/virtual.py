"""The guests' file tree: it lives in memory, is bounded, and has nothing of the host's.

A node opens itself: another kind of file or folder is another class of node, and no other place changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arch.files import (
    ACCESS_MODE,
    MOST_LINKS,
    NAME_MAX,
    O_PATH,
    O_RDONLY,
    PATH_MAX,
    PERMISSIONS,
    S_IFCHR,
    S_IFDIR,
    S_IFLNK,
    S_IFREG,
)
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import Node, Stream
from emu.kernel.opened import OpenDirectory, OpenFile, PathOnly

if TYPE_CHECKING:
    from emu.kernel.programs import Main
    from emu.kernel.table import Task

ROOM = 64 << 20  # bytes that guests may fill
_NODE = 1024  # bytes that a file, folder or link counts for beside what it holds
_LARGEST = (1 << 63) - 1


class Member(Node):
    """A node of a tree."""

    def __init__(self, tree: Tree, mode: int, device: int = 0) -> None:
        now = tree.now()
        super().__init__(mode, device, accessed=now, modified=now, changed=now)
        self.tree = tree

    def open(self, task: Task, status: int) -> Stream:  # noqa: ARG002
        """What a descriptor for it refers to. Raises Refused."""
        if status & O_PATH:
            return PathOnly(status, self)
        raise Refused(Errno.ENXIO)

    def touch(self) -> None:
        """Its content has changed."""
        self.modified = self.changed = self.tree.now()

    def free_if_unused(self) -> None:
        """Give back the room of what has no name any more."""
        if not self.links:
            self.tree.give(_NODE)


class Regular(Member):
    """A file. ``opens``: how many open files refer to it. What is there from the start does not count as filled."""

    def __init__(self, tree: Tree, mode: int, data: bytes = b"") -> None:
        super().__init__(tree, S_IFREG | mode)
        self._data: bytes | bytearray = data
        self._filled = 0
        self.opens = 0

    @property
    def size(self) -> int:
        return len(self._data)

    def open(self, task: Task, status: int) -> Stream:  # noqa: ARG002
        return OpenFile(self, status)

    def read(self, offset: int, size: int) -> bytes:
        """The bytes from ``offset`` on, fewer at the end."""
        return bytes(self._data[offset : offset + size])

    def write(self, offset: int, data: bytes) -> int:
        """Put bytes at ``offset``; what is skipped is zeros."""
        if data:
            end = offset + len(data)
            kept = self._own()
            self._reserve(max(end, len(kept)))
            if offset > len(kept):
                kept.extend(bytes(offset - len(kept)))
            kept[offset:end] = data
            self.touch()
        return len(data)

    def resize(self, size: int) -> None:
        """Cut the file or fill it up with zeros."""
        if size > _LARGEST:
            raise Refused(Errno.EINVAL)
        kept = self._own()
        self._reserve(size)
        if size < len(kept):
            del kept[size:]
        kept.extend(bytes(size - len(kept)))
        self.touch()

    def _own(self) -> bytearray:
        if not isinstance(self._data, bytearray):
            self.tree.take(len(self._data))
            self._filled, self._data = len(self._data), bytearray(self._data)
        return self._data

    def _reserve(self, size: int) -> None:
        if size > self._filled:
            self.tree.take(size - self._filled)
        else:
            self.tree.give(self._filled - size)
        self._filled = size

    def free_if_unused(self) -> None:
        if not self.links and not self.opens:
            self.tree.give(_NODE + self._filled)
            self._data, self._filled = b"", 0


class Directory(Member):
    """A folder. ``parent``: what ``..`` is, itself at the root."""

    def __init__(self, tree: Tree, mode: int, parent: Directory | None = None) -> None:
        super().__init__(tree, S_IFDIR | mode)
        self.parent = parent or self
        self._entries: dict[str, Member] = {}
        self.links = 2

    def open(self, task: Task, status: int) -> Stream:
        if status & ACCESS_MODE != O_RDONLY:
            raise Refused(Errno.EISDIR)
        return OpenDirectory(self, task, status)

    def names(self, task: Task) -> list[str]:  # noqa: ARG002
        """What it holds, in the order of names."""
        return sorted(self._entries)

    def find(self, name: str, task: Task) -> Member | None:  # noqa: ARG002
        """What it holds under a name."""
        return self._entries.get(name)

    def named(self, name: str, task: Task) -> Member | None:
        """What a component of a path leads to from here."""
        return self if name == "." else self.parent if name == ".." else self.find(name, task)

    def put(self, name: str, node: Member) -> None:
        """Let a name stand for a node, in place of what it stood for. Raises Refused in a folder that is gone."""
        if not self.links:
            raise Refused(Errno.ENOENT)
        self._entries[name] = node
        if isinstance(node, Directory):
            node.parent = self
        self.touch()

    def name_of(self, node: Member) -> str:
        """The name that stands for a node here; Refused with ENOENT if none does."""
        name = next((name for name, held in self._entries.items() if held is node), None)
        if name is None:
            raise Refused(Errno.ENOENT)
        return name

    def remove(self, name: str) -> None:
        """Forget a name; its node counts one link less."""
        self._entries.pop(name)
        self.touch()


class Program(Regular):
    """The executable file of a virtual program. ``main``: what execve of it runs."""

    def __init__(self, tree: Tree, main: Main) -> None:
        super().__init__(tree, 0o755, b"a virtual program\n")
        self.main = main


class Listing(Directory):
    """A folder that nobody may change."""

    def hold(self, name: str, node: Member) -> None:
        """Put something in it, as its maker."""
        super().put(name, node)

    def put(self, name: str, node: Member) -> None:  # noqa: ARG002
        raise Refused(Errno.EPERM)

    def remove(self, name: str) -> None:  # noqa: ARG002
        raise Refused(Errno.EPERM)


class Link(Member):
    """A symbolic link; where it leads may depend on who follows it."""

    def __init__(self, tree: Tree, target: str | Callable[[Task], str]) -> None:
        super().__init__(tree, S_IFLNK | 0o777)
        self._target = target

    @property
    def size(self) -> int:
        return len(self._target.encode("utf-8", "surrogateescape")) if isinstance(self._target, str) else 0

    def target(self, task: Task) -> str:
        """The path that it stands for."""
        return self._target if isinstance(self._target, str) else self._target(task)


class Generated(Member):
    """A file whose content is made for whoever opens it."""

    def __init__(self, tree: Tree, make: Callable[[Task], bytes]) -> None:
        super().__init__(tree, S_IFREG | 0o444)
        self._make = make

    def open(self, task: Task, status: int) -> Stream:
        if status & ACCESS_MODE != O_RDONLY:
            raise Refused(Errno.EACCES)
        return OpenFile(Regular(self.tree, 0o444, self._make(task)), status)


class Device(Member):
    """A device that is only software. ``opens``: makes the open file out of the access mode and this node."""

    def __init__(self, tree: Tree, number: int, opens: Callable[[int, Node], Stream]) -> None:
        super().__init__(tree, S_IFCHR | 0o666, number)
        self._opens = opens

    def open(self, task: Task, status: int) -> Stream:
        return super().open(task, status) if status & O_PATH else self._opens(status, self)


@dataclass(frozen=True)
class Place:
    """Where a path leads: ``node``, None if there is nothing yet, under ``name`` in ``parent``.

    ``name`` is ``.``, ``..`` or empty (the root) where the path does not end in a name. ``slash``: it must be a folder.
    """

    parent: Directory
    name: str
    node: Member | None
    slash: bool = False

    @property
    def there(self) -> Member:
        """The node; Refused with ENOENT if there is none, ENOTDIR if the path says folder and it is none."""
        if self.node is None:
            raise Refused(Errno.ENOENT)
        if self.slash and not isinstance(self.node, Directory):
            raise Refused(Errno.ENOTDIR)
        return self.node


class Tree:
    """The files of one world. ``now``: nanoseconds since 1970, for the times of files. ``used``: bytes filled."""

    def __init__(self, now: Callable[[], int], room: int = ROOM) -> None:
        self.now = now
        self.room = room
        self.used = 0
        self._numbers = 1
        self.root = Directory(self, 0o755)

    def take(self, size: int) -> None:
        """Count bytes as filled; ENOSPC if there is no room for them."""
        if self.used + size > self.room:
            raise Refused(Errno.ENOSPC)
        self.used += size

    def give(self, size: int) -> None:
        """Count bytes as free again."""
        self.used -= size

    def number(self, node: Node) -> int:
        """A node's inode number; given out as they are asked for."""
        if not node.number:
            self._numbers += 1
            node.number = self._numbers
        return node.number

    def new(self, place: Place, node: Member, task: Task) -> Member:
        """Give a guest's new node its name; it counts as filled."""
        if place.node is not None:
            raise Refused(Errno.EEXIST)
        self.take(_NODE)
        try:
            place.parent.put(place.name, node)
        except Refused:
            self.give(_NODE)
            raise
        node.owner, node.group = task.owner, task.owner_group
        return node

    def unlink(self, place: Place) -> None:
        """Take a node's name away, and its room with the last one."""
        node = place.there
        place.parent.remove(place.name)
        node.links = 0 if isinstance(node, Directory) else node.links - 1
        node.changed = self.now()
        node.free_if_unused()

    def install(self, path: str, node: Member) -> Member:
        """Put a node at a path for nothing, folders on the way included."""
        *folders, name = [part for part in path.split("/") if part]
        at = self.root
        for folder in folders:
            found = at._entries.get(folder)
            if not isinstance(found, Directory):
                found = Directory(self, 0o755, at)
                at.put(folder, found)
            at = found
        at.put(name, node)
        return node

    def path(self, folder: Directory) -> str:
        """The absolute path of a folder; Refused with ENOENT if it is gone."""
        names: list[str] = []
        while folder is not self.root:
            if not folder.links:
                raise Refused(Errno.ENOENT)
            names.append(folder.parent.name_of(folder))
            folder = folder.parent
        return "/" + "/".join(reversed(names))

    def resolve(self, task: Task, path: str, base: Directory, follow: bool = True, named: bool = False) -> Place:
        """Walk a path from ``base`` (or from the root), along links.

        A link at the end is followed if told to ``follow``, or if a slash follows; never if the path is a name that is
        to be given or taken away (``named``).
        """
        if not path:
            raise Refused(Errno.ENOENT)
        if len(path.encode("utf-8", "surrogateescape")) >= PATH_MAX:
            raise Refused(Errno.ENAMETOOLONG)
        links, slash, pending = 0, path.endswith("/"), _components(path)
        node: Member = self.root if path.startswith("/") else base
        parent, name = self.root, ""
        while pending:
            if not isinstance(node, Directory):
                raise Refused(Errno.ENOTDIR)
            parent, name = node, pending.pop()
            found = self._step(parent, name, task)
            if found is None:
                if pending:
                    raise Refused(Errno.ENOENT)
                return Place(parent, name, None, slash)
            node = found
            if isinstance(node, Link) and (pending or ((follow or slash) and not named)):
                links += 1
                target = node.target(task)
                if links > MOST_LINKS:
                    raise Refused(Errno.ELOOP)
                slash = slash or (not pending and target.endswith("/"))
                pending += _components(target)
                node, name = (self.root if target.startswith("/") else parent), "."
        return Place(parent, name, node, slash)

    def _step(self, parent: Directory, name: str, task: Task) -> Member | None:
        if len(name.encode("utf-8", "surrogateescape")) > NAME_MAX:
            raise Refused(Errno.ENAMETOOLONG)
        return parent.named(name, task)


def _components(path: str) -> list[str]:
    """The names in a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part]


def permissions(mode: int, mask: int) -> int:
    """The permissions of a new file."""
    return mode & PERMISSIONS & ~mask
