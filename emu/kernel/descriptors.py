"""The system calls on descriptors. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import (
    F_DUPFD,
    F_DUPFD_CLOEXEC,
    F_GETFD,
    F_GETFL,
    F_GETPIPE_SZ,
    F_SETFD,
    F_SETFL,
    F_SETPIPE_SZ,
    FD_CLOEXEC,
    FIOCLEX,
    FIONBIO,
    FIONCLEX,
    FIONREAD,
    IOV_MAX,
    LOCK_COMMANDS,
    O_CLOEXEC,
    O_NONBLOCK,
    RW_MAX,
    SETTABLE,
    WIDE_ARGUMENT,
)
from arch.linux import Errno
from arch.structs import IOVEC
from emu.kernel import locks, memory, signals
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.memory import c_int
from emu.kernel.opened import OpenDirectory, OpenFile
from emu.kernel.pipes import CAPACITY, Reader, Writer
from emu.kernel.table import Thread

_PIECE = 1 << 20  # bytes that are given to a stream at once; no message is longer


def of(thread: Thread, descriptor: int) -> Stream:
    """What a descriptor in a register refers to."""
    return thread.task.files.stream(c_int(descriptor))


def wide(thread: Thread, words: tuple[int, ...], before: int) -> int:
    """A signed 64-bit argument in ``words``, which follow ``before`` other arguments: a register, or two of them."""
    count, alignment = WIDE_ARGUMENT[thread.kernel.arch.name]
    start = -before % alignment
    low, *high = words[start : start + count]
    value = low | (high[0] << 32 if high else 0)
    return (value ^ 1 << 63) - (1 << 63)


# pipes


def pipe2(thread: Thread, address: int, flags: int) -> int:
    """A pipe: two C ints are stored, the descriptor to read from and the one to write to."""
    if c_int(flags) & ~(O_CLOEXEC | O_NONBLOCK):
        thread.kernel.refuse(f"pipe2 with flags {c_int(flags) & ~(O_CLOEXEC | O_NONBLOCK):#x}")
        raise Refused(Errno.EINVAL)
    files, closing = thread.task.files, bool(flags & O_CLOEXEC)
    memory.check(thread, address, 8)
    reader = thread.kernel.pipes.new(flags & O_NONBLOCK)
    first = files.open(reader, closing)
    try:
        second = files.open(reader.writer, closing)
    except Refused:
        files.close(first)
        raise
    memory.store(thread, address, first.to_bytes(4, "little") + second.to_bytes(4, "little"))
    return 0


def pipe(thread: Thread, address: int) -> int:
    return pipe2(thread, address, 0)


# bytes


def _some(thread: Thread, descriptor: int, size: int, put: Callable[[bytes], None]) -> int | None:
    """Read, and wait while there is nothing to read and someone could write."""
    stream = of(thread, descriptor)

    def until() -> int | None:
        data = stream.read(min(size, RW_MAX))
        if data is None:
            return None
        put(data)
        return len(data)

    return wait(thread, f"bytes from descriptor {c_int(descriptor)}", stream.waits, until)


def _all(thread: Thread, descriptor: int, data: bytes) -> int | None:
    stream = of(thread, descriptor)
    return put_all(thread, descriptor, data, stream.write, stream.waits)


def put_all(
    thread: Thread, descriptor: int, data: bytes, take: Callable[[bytes], int | None], waits: bool,
    quietly: bool = False,
) -> int | None:
    """Write all of it by ``take``, which is as `Stream.write`; wait while there is no room and someone could read.

    Without waiting: what there is room for. ``quietly``: no signal tells that nobody reads.
    """
    left = memoryview(data)

    def until() -> int | None:
        nonlocal left
        while True:
            try:
                taken = take(bytes(left[:_PIECE]))
            except Refused as refused:
                if refused.errno == Errno.EPIPE and not quietly:
                    signals.broken_pipe(thread)
                if len(left) < len(data):
                    return len(data) - len(left)
                raise
            if taken is None:
                return None if waits or len(left) == len(data) else len(data) - len(left)
            left = left[taken:]
            if not left:
                return len(data)

    return wait(thread, f"room in descriptor {c_int(descriptor)}", waits, until, lambda: len(data) - len(left))


def wait(
    thread: Thread, waits_for: str, waits: bool, until: Callable[[], int | None],
    part: Callable[[], int] | None = None, errno: Errno = Errno.EAGAIN,
) -> int | None:
    """Ask ``until``; if it has no answer yet block the thread, or refuse with ``errno`` if the call does not wait."""
    result = until()
    if result is None:
        if not waits:
            raise Refused(errno)
        thread.block(waits_for, until, part=part)
    return result


def read(thread: Thread, descriptor: int, address: int, size: int) -> int | None:
    memory.check(thread, address, min(size, 1))  # before a byte is taken
    return _some(thread, descriptor, size, lambda data: memory.store(thread, address, data))


def write(thread: Thread, descriptor: int, address: int, size: int) -> int | None:
    stream = of(thread, descriptor)
    return _all(thread, descriptor, memory.load(thread, address, min(size, stream.at_once)))


def pieces_of(thread: Thread, address: int, count: int) -> list[tuple[int, int]]:
    """The pieces of memory that readv and writev name: (address, size)."""
    if c_int(count) < 0 or c_int(count) > IOV_MAX:
        raise Refused(Errno.EINVAL)
    layout = IOVEC[thread.kernel.arch.name]
    rows = [layout.unpack(memory.load(thread, address + n * layout.size, layout.size)) for n in range(c_int(count))]
    if sum(row["len"] for row in rows) > RW_MAX:
        raise Refused(Errno.EINVAL)
    return [(row["base"], row["len"]) for row in rows]


def readv(thread: Thread, descriptor: int, vector: int, count: int) -> int | None:
    pieces = pieces_of(thread, vector, count)
    for address, size in pieces:
        memory.check(thread, address, min(size, 1))

    def put(data: bytes) -> None:
        for address, size in pieces:
            memory.store(thread, address, data[:size])
            data = data[size:]

    return _some(thread, descriptor, sum(size for _, size in pieces), put)


def writev(thread: Thread, descriptor: int, vector: int, count: int) -> int | None:
    of(thread, descriptor)
    data = b"".join(memory.load(thread, address, size) for address, size in pieces_of(thread, vector, count))
    return _all(thread, descriptor, data)


def _place(thread: Thread, words: tuple[int, ...]) -> int:
    """The offset that follows descriptor, address and size."""
    offset = wide(thread, words, 3)
    if offset < 0:
        raise Refused(Errno.EINVAL)
    return offset


def pread64(thread: Thread, descriptor: int, address: int, size: int, *words: int) -> int:
    stream, offset = of(thread, descriptor), _place(thread, words)
    data = stream.read_at(min(size, RW_MAX), offset)
    memory.store(thread, address, data)
    return len(data)


def pwrite64(thread: Thread, descriptor: int, address: int, size: int, *words: int) -> int:
    stream, offset = of(thread, descriptor), _place(thread, words)
    return stream.write_at(memory.load(thread, address, min(size, RW_MAX)), offset)


def lseek(thread: Thread, descriptor: int, offset: int, whence: int) -> int:
    arch = thread.kernel.arch
    return of(thread, descriptor).seek(arch.signed(offset & arch.mask), whence)


def llseek(thread: Thread, descriptor: int, high: int, low: int, result: int, whence: int) -> int:
    offset = ((high << 32 | low) ^ 1 << 63) - (1 << 63)
    memory.check(thread, result, 8)
    memory.store(thread, result, of(thread, descriptor).seek(offset, whence).to_bytes(8, "little"))
    return 0


def fsync(thread: Thread, descriptor: int) -> int:
    if not isinstance(of(thread, descriptor), OpenFile | OpenDirectory):
        raise Refused(Errno.EINVAL)
    return 0


def sync(_thread: Thread) -> int:
    return 0


# descriptors themselves


def close(thread: Thread, descriptor: int) -> int:
    files, node = thread.task.files, of(thread, descriptor).node
    files.close(c_int(descriptor))
    locks.closed(files, node)
    return 0


def dup(thread: Thread, descriptor: int) -> int:
    return thread.task.files.open(of(thread, descriptor))


def dup2(thread: Thread, old: int, new: int) -> int:
    """``new`` refers to what ``old`` does, and outlives execve; nothing happens if they are the same."""
    files = thread.task.files
    if c_int(old) == c_int(new):
        files.stream(c_int(old))
        return c_int(new)
    return files.duplicate(c_int(old), c_int(new))


def dup3(thread: Thread, old: int, new: int, flags: int) -> int:
    if c_int(old) == c_int(new) or c_int(flags) & ~O_CLOEXEC:
        raise Refused(Errno.EINVAL)
    return thread.task.files.duplicate(c_int(old), c_int(new), bool(flags & O_CLOEXEC))


def fcntl(thread: Thread, descriptor: int, command: int, argument: int) -> int | None:
    files, number, command = thread.task.files, c_int(descriptor), c_int(command)
    slot = files.slot(number)
    if command in (F_DUPFD, F_DUPFD_CLOEXEC):
        if not 0 <= c_int(argument) < files.most:
            raise Refused(Errno.EINVAL)
        return files.open(slot.stream, command == F_DUPFD_CLOEXEC, c_int(argument))
    if command == F_GETFD:
        return FD_CLOEXEC if slot.close_on_exec else 0
    if command == F_SETFD:
        files.mark(number, bool(argument & FD_CLOEXEC))
        return 0
    if command == F_GETFL:
        return slot.stream.status
    if command == F_SETFL:
        slot.stream.status = slot.stream.status & ~SETTABLE | argument & SETTABLE
        return 0
    if command in (F_GETPIPE_SZ, F_SETPIPE_SZ) and isinstance(slot.stream, Reader | Writer):
        return CAPACITY
    lock = LOCK_COMMANDS[thread.kernel.arch.name].get(command)
    if lock is not None:
        return locks.fcntl(thread, slot.stream, lock, argument)
    thread.kernel.refuse(f"fcntl {command}")
    raise Refused(Errno.EINVAL)


def ioctl(thread: Thread, descriptor: int, request: int, argument: int) -> int:
    """There is no terminal and no device: what is left are the flags of a descriptor and of an open file."""
    files, stream = thread.task.files, of(thread, descriptor)
    if request in (FIOCLEX, FIONCLEX):
        files.mark(c_int(descriptor), request == FIOCLEX)
    elif request == FIONBIO:
        on = any(memory.load(thread, argument, 4))
        stream.status = stream.status & ~O_NONBLOCK | (O_NONBLOCK if on else 0)
    elif request == FIONREAD and stream.unread is not None:
        memory.store(thread, argument, stream.unread.to_bytes(4, "little"))
    else:
        raise Refused(Errno.ENOTTY)
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {
    "pipe2": pipe2, "pipe": pipe, "read": read, "write": write, "readv": readv, "writev": writev,
    "pread64": pread64, "pwrite64": pwrite64, "lseek": lseek, "_llseek": llseek, "fsync": fsync, "fdatasync": fsync,
    "sync": sync, "close": close, "dup": dup, "dup2": dup2, "dup3": dup3, "fcntl": fcntl, "fcntl64": fcntl,
    "ioctl": ioctl,
}
