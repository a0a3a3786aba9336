"""What the guests' file tree is made of: files, folders, links, devices, programs.

A node opens itself: another kind of file or folder is another class of node, and no other place changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from arch.files import ACCESS_MODE, O_PATH, O_RDONLY, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import Node, Stream
from emu.kernel.opened import OpenDirectory, OpenFile, PathOnly

if TYPE_CHECKING:
    from emu.kernel.programs import Main
    from emu.kernel.table import Task
    from emu.kernel.virtual import Tree

COST = 1024  # bytes that a file, folder or link counts for beside what it holds
LARGEST = (1 << 63) - 1  # bytes of a file


class Member(Node):
    """A node of a tree. ``cost``: what it counts for beside what it holds; what is there from the start is free."""

    cost = 0

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
            self.tree.give(self.cost)


class Regular(Member):
    """A file. ``opens``: how many open files refer to it. What is there from the start does not count as filled."""

    def __init__(self, tree: Tree, mode: int, data: bytes = b"") -> None:
        super().__init__(tree, S_IFREG | mode)
        self._data: bytes | bytearray = data
        self._filled = 0
        self.opens = 0

    @property
    def altered(self) -> bool:
        """Whether a guest has written to it."""
        return isinstance(self._data, bytearray)

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
        if size > LARGEST:
            raise Refused(Errno.EINVAL)
        kept = self._own(size)
        self._reserve(size)
        if size < len(kept):
            del kept[size:]
        kept.extend(bytes(size - len(kept)))
        self.touch()

    def _own(self, most: int = LARGEST) -> bytearray:
        """Its bytes, ``most`` of them if they are to be changed for the first time."""
        if not isinstance(self._data, bytearray):
            size = min(self.size, most)
            self.tree.take(size)
            try:
                self._data, self._filled = bytearray(self.read(0, size)), size
            except Refused:
                self.tree.give(size)
                raise
        return self._data

    def _reserve(self, size: int) -> None:
        if size > self._filled:
            self.tree.take(size - self._filled)
        else:
            self.tree.give(self._filled - size)
        self._filled = size

    def free_if_unused(self) -> None:
        if not self.links and not self.opens:
            self.tree.give(self.cost + self._filled)
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

    def held(self, name: str) -> Member | None:
        """What its maker or a guest has put in it under a name."""
        return self._entries.get(name)

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
