"""Locks on files: whole ones of flock, ranges of fcntl. Sources: flock(2), fcntl(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

from arch.files import (
    F_RDLCK,
    F_UNLCK,
    F_WRLCK,
    LOCK_EX,
    LOCK_NB,
    LOCK_SH,
    LOCK_UN,
    SEEK_CUR,
    SEEK_END,
    SEEK_SET,
    LockCommand,
)
from arch.linux import Errno
from arch.structs import FLOCK
from emu.kernel import memory
from emu.kernel.errors import Refused
from emu.kernel.files import Files, Node, Stream
from emu.kernel.memory import c_int
from emu.kernel.table import Thread

_MOST = 4096  # locks on one file
_END = 1 << 63  # of every range that has none


class Lock(NamedTuple):
    """A lock on the bytes from ``start`` to ``end``. ``owner``: a process's descriptors, or an open file.

    ``whole``: it is one of flock, which takes no notice of the others.
    """

    owner: Files | Stream
    exclusive: bool
    start: int
    end: int
    pid: int
    whole: bool = False

    def held(self, node: Node) -> bool:
        """Whether its owner still has the file open."""
        if isinstance(self.owner, Stream):
            return self.owner.users > 0
        return any(slot.stream.node is node for slot in self.owner.slots.values())

    def excludes(self, other: Lock) -> bool:
        overlap = self.start < other.end and other.start < self.end and self.whole == other.whole
        return overlap and self.owner is not other.owner and (self.exclusive or other.exclusive)


_LOCKS: WeakKeyDictionary[Node, list[Lock]] = WeakKeyDictionary()


def _held(node: Node) -> list[Lock]:
    return [lock for lock in _LOCKS.get(node, []) if lock.held(node)]


def closed(files: Files, node: Node) -> None:
    """A process has closed a descriptor: with the first one that it closes its locks on the file are gone."""
    if node in _LOCKS:
        _LOCKS[node] = [lock for lock in _LOCKS[node] if lock.owner is not files]


def _change(node: Node, lock: Lock, locks: bool) -> int | None:
    """Lock a range or free it; None if someone else's lock is in the way."""
    held = _held(node)
    if locks and any(other.excludes(lock) for other in held):
        return None
    left: list[Lock] = []
    for other in held:
        same = other.owner is lock.owner and other.whole == lock.whole
        left += _without(other, lock.start, lock.end) if same else [other]
    if len(left) >= _MOST:
        raise Refused(Errno.ENOLCK)
    _LOCKS[node] = [*left, lock] if locks else left
    return 0


def _without(lock: Lock, start: int, end: int) -> list[Lock]:
    """What is left of a lock outside of a range."""
    parts = ((lock.start, min(lock.end, start)), (max(lock.start, end), lock.end))
    return [Lock(lock.owner, lock.exclusive, a, b, lock.pid, lock.whole) for a, b in parts if a < b]


def _changed(thread: Thread, stream: Stream, lock: Lock, kind: int, waits: bool) -> int | None:
    def until() -> int | None:
        return _change(stream.node, lock, kind != F_UNLCK)

    result = until()
    if result is None:
        if not waits:
            raise Refused(Errno.EAGAIN)
        thread.block("a lock", until)
    return result


def flock(thread: Thread, descriptor: int, operation: int) -> int | None:
    stream = thread.task.files.stream(c_int(descriptor))
    wanted = c_int(operation) & ~LOCK_NB
    if wanted not in (LOCK_SH, LOCK_EX, LOCK_UN):
        raise Refused(Errno.EINVAL)
    lock = Lock(stream, wanted == LOCK_EX, 0, _END, thread.pid, whole=True)
    return _changed(thread, stream, lock, F_UNLCK if wanted == LOCK_UN else F_WRLCK, not operation & LOCK_NB)


def _range(stream: Stream, row: dict[str, int]) -> tuple[int, int]:
    """The bytes that a struct flock means."""
    starts = {SEEK_SET: 0, SEEK_END: stream.node.size}
    if row["whence"] == SEEK_CUR:
        starts[SEEK_CUR] = stream.seek(0, SEEK_CUR)
    if row["whence"] not in starts:
        raise Refused(Errno.EINVAL)
    start = starts[row["whence"]] + row["start"]
    end = start + row["len"] if row["len"] else _END
    start, end = min(start, end), max(start, end)
    if start < 0:
        raise Refused(Errno.EINVAL)
    return start, end


def fcntl(thread: Thread, stream: Stream, command: LockCommand, address: int) -> int | None:
    """A command of fcntl on locks; the argument points at a struct flock."""
    layout = FLOCK[thread.kernel.arch.name]
    row = layout.unpack(memory.load(thread, address, layout.size))
    if row["type"] not in (F_RDLCK, F_WRLCK, F_UNLCK):
        raise Refused(Errno.EINVAL)
    if command.of_file and row["pid"]:
        raise Refused(Errno.EINVAL)
    start, end = _range(stream, row)
    owner = stream if command.of_file else thread.task.files
    lock = Lock(owner, row["type"] == F_WRLCK, start, end, -1 if command.of_file else thread.pid)
    if command.tells:
        return _told(thread, stream.node, lock, row, address)
    if (row["type"] == F_RDLCK and not stream.reads) or (row["type"] == F_WRLCK and not stream.writes):
        raise Refused(Errno.EBADF)
    return _changed(thread, stream, lock, row["type"], command.waits)


def _told(thread: Thread, node: Node, lock: Lock, row: dict[str, int], address: int) -> int:
    """Tell of a lock that is in the way."""
    other = next((other for other in _held(node) if other.excludes(lock)), None)
    if other is None:
        row["type"] = F_UNLCK
    else:
        size = 0 if other.end == _END else other.end - other.start
        row = {
            "type": F_WRLCK if other.exclusive else F_RDLCK, "whence": SEEK_SET, "start": other.start, "len": size,
            "pid": other.pid,
        }  # fmt: skip
    memory.store(thread, address, FLOCK[thread.kernel.arch.name].pack(**row))
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {"flock": flock}
