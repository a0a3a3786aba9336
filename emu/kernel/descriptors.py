"""The system calls on descriptors. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.linux import O_CLOEXEC, Errno
from emu.kernel import memory
from emu.kernel.errors import Refused
from emu.kernel.files import Reader
from emu.kernel.memory import c_int
from emu.kernel.table import Thread


def pipe2(thread: Thread, address: int, flags: int) -> int:
    """A pipe: two C ints are stored, the descriptor to read from and the one to write to."""
    if c_int(flags) & ~O_CLOEXEC:
        thread.kernel.refuse(f"pipe2 with flags {c_int(flags) & ~O_CLOEXEC:#x}")
        raise Refused(Errno.EINVAL)
    files, closing = thread.task.files, bool(flags & O_CLOEXEC)
    reader = Reader()
    first = files.open(reader, closing)
    try:
        second = files.open(reader.writer, closing)
    except Refused:
        files.close(first)
        raise
    try:
        memory.store(thread, address, first.to_bytes(4, "little") + second.to_bytes(4, "little"))
    except Refused:
        files.close(first)
        files.close(second)
        raise
    return 0


def pipe(thread: Thread, address: int) -> int:
    return pipe2(thread, address, 0)


def read(thread: Thread, descriptor: int, address: int, size: int) -> int | None:
    """Waits while there is nothing to read and someone could write."""
    stream = thread.task.files.stream(c_int(descriptor))

    def until() -> int | None:
        data = stream.read(size)
        if data is None:
            return None
        memory.store(thread, address, data)
        return len(data)

    memory.check(thread, address, min(size, 1))  # before a byte is taken
    return _wait(thread, f"bytes from descriptor {c_int(descriptor)}", until)


def write(thread: Thread, descriptor: int, address: int, size: int) -> int | None:
    """All of it: waits while there is no room and someone could read."""
    stream = thread.task.files.stream(c_int(descriptor))
    left = bytearray(memory.load(thread, address, size))

    def until() -> int | None:
        while left:
            taken = stream.write(bytes(left))
            if taken is None:
                return None
            del left[:taken]
        return size

    return _wait(thread, f"room in descriptor {c_int(descriptor)}", until)


def _wait(thread: Thread, waits_for: str, until: Callable[[], int | None]) -> int | None:
    result = until()
    if result is None:
        thread.block(waits_for, until)
    return result


def close(thread: Thread, descriptor: int) -> int:
    thread.task.files.close(c_int(descriptor))
    return 0


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


CALLS: Mapping[str, Callable[..., int | None]] = {
    "pipe2": pipe2, "pipe": pipe, "read": read, "write": write, "close": close, "dup2": dup2, "dup3": dup3,
}
