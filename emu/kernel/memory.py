"""Guest memory as the kernel touches it: what is not mapped is EFAULT, never an exception of Python's."""

from __future__ import annotations

from collections.abc import Iterator

from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.machine import PAGE
from emu.process import Process


def _pages(address: int, size: int) -> Iterator[tuple[int, int]]:
    """A range cut at page borders: (address, size)."""
    end = address + size
    while address < end:
        border = min(end, (address // PAGE + 1) * PAGE)
        yield address, border - address
        address = border


def load(process: Process, address: int, size: int) -> bytes:
    """``size`` bytes of the guest. A page at a time: an absurd size fails at the first page that is not there."""
    try:
        return b"".join(process.machine.read(start, count) for start, count in _pages(address, size))
    except ValueError:
        raise Refused(Errno.EFAULT) from None


def store(process: Process, address: int, data: bytes) -> None:
    """Write to the guest, all of it or nothing."""
    load(process, address, len(data))
    process.write(address, data)


def string(process: Process, address: int, limit: int, too_long: Errno) -> str:
    """The text that ends with a NUL byte; ``too_long`` when there is none within ``limit`` bytes."""
    found = b""
    while len(found) < limit:
        start = address + len(found)
        found += load(process, start, min(PAGE - start % PAGE, limit - len(found)))
        if b"\0" in found:
            return found[: found.index(0)].decode("utf-8", "backslashreplace")
    raise Refused(too_long)


def strings(process: Process, address: int, most: int, limit: int) -> tuple[str, ...]:
    """The texts that a vector of pointers names, up to its null pointer; E2BIG when there are too many."""
    found: list[str] = []
    word = process.arch.word
    while pointer := process.arch.unpack(load(process, address + len(found) * word, word)):
        if len(found) == most:
            raise Refused(Errno.E2BIG)
        found.append(string(process, pointer, limit, Errno.E2BIG))
    return tuple(found)
