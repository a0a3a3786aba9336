"""The calls that move bytes from one open file to another. Sources: sendfile(2), copy_file_range(2), splice(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import O_APPEND, SEEK_CUR, SEEK_SET
from arch.linux import Errno
from emu.kernel import memory
from emu.kernel.descriptors import of, put_all
from emu.kernel.errors import Refused
from emu.kernel.opened import OpenDirectory, OpenFile
from emu.kernel.table import Thread

_MOST = 1 << 20  # bytes that one call moves


def copy_file_range(thread: Thread, source: int, from_: int, target: int, to: int, size: int, flags: int) -> int:
    """Between two files; each end at its position, or at the offset that is pointed at."""
    first, second = of(thread, source), of(thread, target)
    if any(isinstance(end, OpenDirectory) for end in (first, second)):
        raise Refused(Errno.EISDIR)
    if flags or not (isinstance(first, OpenFile) and isinstance(second, OpenFile)):
        raise Refused(Errno.EINVAL)
    offsets = [int.from_bytes(memory.load(thread, at, 8), "little") if at else None for at in (from_, to)]
    size = min(size, _MOST)
    if first.node is second.node:
        ends = zip((first, second), offsets, strict=True)
        start, other = (end.seek(0, SEEK_CUR) if offset is None else offset for end, offset in ends)
        if abs(start - other) < size:
            raise Refused(Errno.EINVAL)
    data = first.read(size) if offsets[0] is None else first.read_at(size, offsets[0])
    done = second.write(data) if offsets[1] is None else second.write_at(data, offsets[1])
    for at, offset in zip((from_, to), offsets, strict=True):
        if offset is not None:
            memory.store(thread, at, (offset + done).to_bytes(8, "little"))
    return done


def sendfile(thread: Thread, target: int, source: int, offset_at: int, size: int) -> int | None:
    """From a file's position, or from the offset that is pointed at; what was sent moves it, and nothing more."""
    stream, file = of(thread, target), of(thread, source)
    if not isinstance(file, OpenFile) or stream.status & O_APPEND:
        raise Refused(Errno.EINVAL)
    place = int.from_bytes(memory.load(thread, offset_at, 8), "little") if offset_at else file.seek(0, SEEK_CUR)
    data = file.read_at(min(size, _MOST), place)
    if not data:
        return 0

    def take(piece: bytes) -> int | None:
        nonlocal place
        taken = stream.write(piece)
        if taken is None:
            return None
        place += taken
        if offset_at:
            memory.store(thread, offset_at, place.to_bytes(8, "little"))
        else:
            file.seek(place, SEEK_SET)
        return taken

    return put_all(thread, target, data, take, stream.waits)


def splice(thread: Thread, source: int, _from: int, target: int) -> int:
    """Not between these kinds of files, as Linux answers for many: programs then copy by themselves."""
    of(thread, source)
    of(thread, target)
    return -Errno.EINVAL


def tee(thread: Thread, source: int, target: int) -> int:
    """As splice."""
    return splice(thread, source, 0, target)


CALLS: Mapping[str, Callable[..., int | None]] = {
    "copy_file_range": copy_file_range, "sendfile": sendfile, "splice": splice, "tee": tee,
}
