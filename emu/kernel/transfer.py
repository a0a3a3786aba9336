"""The calls that move bytes from one open file to another. Sources: sendfile(2), copy_file_range(2), splice(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import O_APPEND, SEEK_CUR, SEEK_SET, SPLICE_F_NONBLOCK
from arch.linux import Errno
from emu.kernel import memory, signals
from emu.kernel.descriptors import of, put_all, wait
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.opened import OpenDirectory, Opened, OpenFile
from emu.kernel.pipes import CAPACITY, Reader, Writer
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


def _seen(stream: Stream, size: int) -> bytes | None:
    """What could be taken out of one end of splice, left where it is; None if there is nothing yet."""
    from emu.kernel.sockets.socket import Socket

    if isinstance(stream, Reader):
        nothing = b"" if not stream.writer.users else None
        return bytes(stream.held[:size]) or nothing
    if isinstance(stream, Socket):
        received = stream.receive(size, peek=True)
        return None if received is None else received.data
    return stream.read_at(size, stream.seek(0, SEEK_CUR))


def splice(
    thread: Thread, source: int, source_at: int, target: int, target_at: int, size: int, flags: int
) -> int | None:
    """Into a pipe or out of one; the other end is a pipe, a stream's socket, a file at its position or a device."""
    from emu.kernel.sockets.socket import Socket

    first, second = of(thread, source), of(thread, target)
    if not (isinstance(first, Reader) or isinstance(second, Writer)) or source_at or target_at:
        raise Refused(Errno.EINVAL)
    for end in (first, second):
        stream = isinstance(end, Socket) and not end.inbox.records
        if not (stream or isinstance(end, Reader | Writer | Opened)):
            raise Refused(Errno.EINVAL)
    if not first.reads or not second.writes:
        raise Refused(Errno.EBADF)

    def until() -> int | None:
        data = _seen(first, min(size, CAPACITY))
        if not data:
            return None if data is None else 0
        try:
            taken = second.write(data)
        except Refused as refused:
            if refused.errno == Errno.EPIPE:
                signals.broken_pipe(thread)
            raise
        if taken is not None:
            first.read(taken)
        return taken

    waits = not flags & SPLICE_F_NONBLOCK and first.waits and second.waits
    return wait(thread, "bytes to be spliced", waits, until)


def tee(thread: Thread, source: int, target: int) -> int:
    """Not between any files here: programs then copy by themselves."""
    of(thread, source)
    of(thread, target)
    return -Errno.EINVAL


CALLS: Mapping[str, Callable[..., int | None]] = {
    "copy_file_range": copy_file_range, "sendfile": sendfile, "splice": splice, "tee": tee,
}
