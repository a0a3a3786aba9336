"""The guests' file tree: it lives in memory, is bounded, and has nothing of the host's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from arch.files import MOST_LINKS, NAME_MAX, PATH_MAX, PERMISSIONS
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import Node
from emu.kernel.nodes import COST, Directory, Link, Member

if TYPE_CHECKING:
    from emu.kernel.table import Task

ROOM = 64 << 20  # bytes that guests may fill


class Place(NamedTuple):
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
        self.take(COST)
        try:
            place.parent.put(place.name, node)
        except Refused:
            self.give(COST)
            raise
        node.cost, node.owner, node.group = COST, task.owner, task.owner_group
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
        above, _, name = path.rstrip("/").rpartition("/")
        self.folder(above).put(name, node)
        return node

    def folder(self, path: str) -> Directory:
        """The folder at a path, made for nothing as those on the way are if it is not there."""
        at = self.root
        for name in filter(None, path.split("/")):
            found = at.held(name)
            if not isinstance(found, Directory):
                found = Directory(self, 0o755, at)
                at.put(name, found)
            at = found
        return at

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
