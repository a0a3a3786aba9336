"""Pipes with a path. Sources: mknod(2), fifo(7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from arch.files import O_PATH, POLLHUP, S_IFIFO, S_IFMT, S_IFREG
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.nodes import Member, Regular
from emu.kernel.opened import PathOnly
from emu.kernel.paths import name_at
from emu.kernel.pipes import Pipes, Reader
from emu.kernel.virtual import Tree, permissions

if TYPE_CHECKING:
    from emu.kernel.table import Task, Thread


class Fifo(Member):
    """A pipe's file. ``pipe``: what is in it while someone has it open; ``came``: how many have read, and written."""

    def __init__(self, tree: Tree, mode: int, pipes: Pipes) -> None:
        super().__init__(tree, S_IFIFO | mode)
        self._pipes = pipes
        self.pipe: Reader | None = None
        self.came = [0, 0]

    def open(self, task: Task, status: int) -> Stream:  # noqa: ARG002
        if status & O_PATH:
            return PathOnly(status, self)
        if self.pipe is None:
            self.pipe = self._pipes.new(0)
        end = End(self, self.pipe, status)
        if not end.reads and not end.waits and not self.pipe.users:
            end.released()
            raise Refused(Errno.ENXIO)
        return end

    def left(self) -> None:
        """One end is closed; with the last one what is in the pipe is lost."""
        if self.pipe is not None and not self.pipe.users and not self.pipe.writer.users:
            self.pipe = None


class End(Stream):
    """An open file of a `Fifo`, for reading or writing or both."""

    def __init__(self, node: Fifo, pipe: Reader, status: int) -> None:
        super().__init__(status, node)
        self._fifo, self._pipe = node, pipe
        self._found = list(node.came)
        self._alone = not pipe.writer.users
        for side, stream in self._sides():
            stream.users += 1
            node.came[side] += 1

    def _sides(self) -> list[tuple[int, Stream]]:
        ends: list[tuple[bool, Stream]] = [(self.reads, self._pipe), (self.writes, self._pipe.writer)]
        return [(side, stream) for side, (used, stream) in enumerate(ends) if used]

    @property
    def opened(self) -> bool:
        """Whether open may return: the other side is there, or has been."""
        if not self.waits or (self.reads and self.writes):
            return True
        side, other = (1, self._pipe.writer) if self.reads else (0, self._pipe)
        return bool(other.users) or self._fifo.came[side] != self._found[side]

    @property
    def changes(self) -> int:  # type: ignore[override]
        return sum(stream.changes for _, stream in self._sides())

    def read(self, size: int) -> bytes | None:
        return self._pipe.read(size) if self.reads else super().read(size)

    def write(self, data: bytes) -> int | None:
        return self._pipe.writer.write(data) if self.writes else super().write(data)

    def ready(self) -> int:
        events = 0
        for _, stream in self._sides():
            events |= stream.ready()
        nobody_yet = self._alone and self._fifo.came[1] == self._found[1]
        return events & ~POLLHUP if nobody_yet else events

    def released(self) -> None:
        for _, stream in self._sides():
            stream.users -= 1
        self._pipe.changes += 1
        self._pipe.writer.changes += 1
        self._fifo.left()


def mknodat(thread: Thread, descriptor: int, path: int, mode: int, _device: int) -> int:
    """A FIFO or an empty file; devices are nobody's to make."""
    tree, task = thread.kernel.tree, thread.task
    place, kind = name_at(thread, descriptor, path), mode & S_IFMT or S_IFREG
    allowed = permissions(mode, task.umask)
    if kind not in (S_IFIFO, S_IFREG):
        raise Refused(Errno.EPERM)
    node = Fifo(tree, allowed, thread.kernel.pipes) if kind == S_IFIFO else Regular(tree, allowed)
    tree.new(place, node, task)
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {"mknodat": mknodat}
