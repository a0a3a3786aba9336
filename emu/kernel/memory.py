"""Guest memory as the kernel touches it: what is not mapped is EFAULT, never an exception of Python's.

All of it is done for a thread, and told to the kernel's witness: these accesses are not on the machine's record.
"""

from __future__ import annotations

from collections.abc import Iterator

from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.kernel.table import Thread
from emu.machine import PAGE


def c_int(word: int) -> int:
    """An argument of C's type int, in a register of any size."""
    return ((word & 0xFFFF_FFFF) ^ 0x8000_0000) - 0x8000_0000


def _pages(address: int, size: int) -> Iterator[tuple[int, int]]:
    """A range cut at page borders: (address, size)."""
    end = address + size
    while address < end:
        border = min(end, (address // PAGE + 1) * PAGE)
        yield address, border - address
        address = border


def check(thread: Thread, address: int, size: int) -> bytes:
    """Refuse a range that is not mapped: what it holds. An absurd size fails at the first page that is not there."""
    machine = thread.process.machine
    try:
        return b"".join(machine.read(start, count) for start, count in _pages(address, size))
    except ValueError:
        raise Refused(Errno.EFAULT) from None


def _tell(thread: Thread, address: int, size: int, write: bool) -> None:
    if size:
        for witness in thread.kernel.witnesses:
            witness.touched(thread, address, size, write)


def load(thread: Thread, address: int, size: int) -> bytes:
    """``size`` bytes of the guest."""
    data = check(thread, address, size)
    _tell(thread, address, size, write=False)
    return data


def store(thread: Thread, address: int, data: bytes) -> None:
    """Write to the guest, all of it or nothing."""
    check(thread, address, len(data))
    thread.process.write(address, data)
    _tell(thread, address, len(data), write=True)


def store_quietly(thread: Thread, address: int, value: int) -> None:
    """Store a C int for the guest if there is memory, as the kernel does where nobody can be told."""
    try:
        store(thread, address, (value & 0xFFFF_FFFF).to_bytes(4, "little"))
    except Refused:
        return


def octets(thread: Thread, address: int, limit: int, too_long: Errno) -> bytes:
    """The bytes before a NUL byte; ``too_long`` when there is none within ``limit`` bytes."""
    found = b""
    while len(found) < limit:
        start = address + len(found)
        found += check(thread, start, min(PAGE - start % PAGE, limit - len(found)))
        if b"\0" in found:
            text = found[: found.index(0)]
            _tell(thread, address, len(text) + 1, write=False)
            return text
    raise Refused(too_long)


def string(thread: Thread, address: int, limit: int, too_long: Errno) -> str:
    """The text that ends with a NUL byte, fit to be shown; ``too_long`` when there is none within ``limit`` bytes."""
    return octets(thread, address, limit, too_long).decode("utf-8", "backslashreplace")


def strings(thread: Thread, address: int, limit: int, room: int) -> tuple[str, ...]:
    """The texts that a vector of pointers names, up to its null pointer, whatever bytes they hold.

    E2BIG when one has no end within ``limit`` bytes, or all and their pointers take more than ``room``.
    """
    found: list[str] = []
    arch = thread.process.arch
    while pointer := arch.unpack(load(thread, address + len(found) * arch.word, arch.word)):
        text = octets(thread, pointer, limit, Errno.E2BIG)
        room -= len(text) + 1 + arch.word
        if room < 0:
            raise Refused(Errno.E2BIG)
        found.append(text.decode("utf-8", "surrogateescape"))
    return tuple(found)
