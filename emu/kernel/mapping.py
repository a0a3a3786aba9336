"""The system calls on memory. They need a process whose memory is a `Space`. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from arch.linux import Errno
from emu.kernel import memory
from emu.kernel.descriptors import of
from emu.kernel.errors import Refused
from emu.kernel.opened import OpenFile
from emu.kernel.table import Thread
from emu.live.process import LiveProcess
from emu.live.space import READ, WRITE, NoMemory, Space, pages
from emu.machine import PAGE

_PRIVATE, _KIND = 2, 15
_FIXED, _ANONYMOUS, _FIXED_NOREPLACE = 0x10, 0x20, 0x10_0000
_DONTNEED, _FREE = 4, 8
_ADVICE = frozenset(range(26))  # known to Linux; all but two change nothing that a guest could see
_PROTECTIONS = 7


def _space(thread: Thread) -> Space:
    return cast(LiveProcess, thread.process).space


def mmap(thread: Thread, address: int, size: int, protection: int, flags: int, descriptor: int, offset: int) -> int:
    """Memory of zeros, or what a file holds now. The 32-bit call of this number takes a pointer: nobody makes it."""
    if thread.kernel.arch.word == 4:
        thread.kernel.refuse("mmap by a pointer to its arguments")
        raise Refused(Errno.ENOSYS)
    return _map(thread, address, size, protection, flags, descriptor, offset)


def _map(thread: Thread, address: int, size: int, protection: int, flags: int, descriptor: int, offset: int) -> int:
    if not size or address % PAGE or offset % PAGE:
        raise Refused(Errno.EINVAL)
    data = _content(thread, size, flags, descriptor, offset) if not flags & _ANONYMOUS else b""
    space, size = _space(thread), pages(size)
    if address + size > thread.kernel.arch.mask:
        raise Refused(Errno.ENOMEM)
    try:
        if flags & _FIXED_NOREPLACE and space.find(size, address) != address:
            raise Refused(Errno.EEXIST)
        if not flags & (_FIXED | _FIXED_NOREPLACE):
            address = space.find(size, address)
        space.map(address, size, protection & _PROTECTIONS or (READ if data else 0))
        if data:
            thread.process.machine.memory.write(address, data)
            space.protect(address, size, protection & _PROTECTIONS)
    except NoMemory:
        raise Refused(Errno.ENOMEM) from None
    return address


def _content(thread: Thread, size: int, flags: int, descriptor: int, offset: int) -> bytes:
    """What is mapped of a file: a copy, so that only who keeps changes to himself may have it."""
    stream = of(thread, descriptor)
    if not isinstance(stream, OpenFile):
        raise Refused(Errno.ENODEV)
    if flags & _KIND != _PRIVATE:
        thread.kernel.refuse("mmap of a file that is shared")
        raise Refused(Errno.ENODEV)
    if not stream.reads:
        raise Refused(Errno.EACCES)
    return stream.read_at(size, offset)


def mmap2(thread: Thread, address: int, size: int, protection: int, flags: int, descriptor: int, offset: int) -> int:
    """mmap with the offset in units of 4096 bytes."""
    return _map(thread, address, size, protection, flags, descriptor, offset * PAGE)


def munmap(thread: Thread, address: int, size: int) -> int:
    if address % PAGE or not size:
        raise Refused(Errno.EINVAL)
    _space(thread).unmap(address, pages(size))
    return 0


def mprotect(thread: Thread, address: int, size: int, protection: int) -> int:
    if address % PAGE:
        raise Refused(Errno.EINVAL)
    try:
        if size and not _space(thread).protect(address, pages(size), protection & _PROTECTIONS):
            raise Refused(Errno.ENOMEM)
    except NoMemory:
        raise Refused(Errno.ENOMEM) from None
    return 0


def madvise(thread: Thread, address: int, size: int, advice: int) -> int:
    """Advice to forget is taken at once: the pages read as zeros again."""
    if address % PAGE or advice not in _ADVICE:
        raise Refused(Errno.EINVAL)
    if advice in (_DONTNEED, _FREE) and size and not _space(thread).forget(address, pages(size)):
        raise Refused(Errno.ENOMEM)
    return 0


def mincore(thread: Thread, address: int, size: int, vector: int) -> int:
    """All that is mapped is said to be in memory."""
    if address % PAGE:
        raise Refused(Errno.EINVAL)
    space = _space(thread)
    if any(space.area(page) is None for page in range(address, address + size, PAGE)):
        raise Refused(Errno.ENOMEM)
    memory.store(thread, vector, b"\1" * (pages(size) // PAGE))
    return 0


def brk(thread: Thread, address: int) -> int:
    """Move the end of the program's data; the end as it then is."""
    process = cast(LiveProcess, thread.process)
    space, end = process.space, process.end
    if address < process.start_of_heap or address > end + (1 << 28):
        return end
    new, old = pages(address), pages(end)
    try:
        if new > old:
            if space.find(new - old, old) != old:
                return end
            space.map(old, new - old, READ | WRITE, "heap")
        elif new < old:
            space.unmap(new, old - new)
    except NoMemory:
        return end
    process.end = address
    return address


CALLS: Mapping[str, Callable[..., int | None]] = {
    "mmap": mmap, "mmap2": mmap2, "munmap": munmap, "mprotect": mprotect, "madvise": madvise, "mincore": mincore,
    "brk": brk,
}
