"""Memory accesses of Python that stands for guest code: a generator yields each one and is sent what it found.

So a routine is written once. The ordinary runtime takes it to its end with `finish`; the explorer of interleavings
stops it before each access, and needs no more than the values it was sent to come back to where it stood.
Therefore a routine may depend on nothing else that changes, and change nothing else.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

from arch.runtimes import WIDTHS
from emu.process import Process
from emu.runtime.failures import Deadlock
from emu.runtime.struct import Struct

Kind = Literal["read", "write", "swap", "until"]
Value: TypeAlias = int | bytes | bool | None
T = TypeVar("T")
Accesses: TypeAlias = Generator["Access", Any, T]


@dataclass(frozen=True)
class Access:
    """One access, done at once and undivided.

    ``read``: gives the number of ``size`` bytes at ``address``, or with ``whole`` the bytes themselves. ``write``:
    stores ``value``. ``swap``: stores it if ``expected`` is there, and gives whether it was. ``until``: waits for
    ``expected`` to be there, and then stores ``value``, if that is not None.
    """

    kind: Kind
    address: int
    size: int
    value: int | bytes | None = None
    expected: int = 0
    whole: bool = False

    @property
    def stores(self) -> bool:
        """Whether it may change memory."""
        return self.kind != "read" and self.value is not None

    def able(self, found: bytes) -> bool:
        """Whether it need not wait, ``found`` being at its address."""
        return self.kind != "until" or int.from_bytes(found, "little") == self.expected


def perform(process: Process, access: Access) -> Value:
    """Do an access that need not wait. Raises ValueError if the address is not mapped."""
    machine = process.machine
    found = machine.read(access.address, access.size)
    match = int.from_bytes(found, "little") == access.expected
    if access.value is not None and (access.kind == "write" or match):
        value, size = access.value, access.size
        stored = value if isinstance(value, bytes) else (value % (1 << 8 * size)).to_bytes(size, "little")
        machine.write(access.address, stored)
    if access.kind == "read":
        return found if access.whole else int.from_bytes(found, "little")
    return match if access.kind == "swap" else None


def finish(process: Process, routine: Accesses[T]) -> T:
    """Take a routine to its end, nobody else doing anything meanwhile. Raises Deadlock if it waits for someone."""
    sent: Value = None
    while True:
        try:
            access = routine.send(sent)
        except StopIteration as end:
            result: T = end.value
            return result
        if not access.able(process.machine.read(access.address, access.size)):
            raise Deadlock(f"waits for {access.expected} at {access.address:#x}, which nobody will store")
        sent = perform(process, access)


# to be used with ``yield from``


def _width(struct: Struct, field: str) -> int:
    return WIDTHS.get(f"{struct.kind}.{field}", struct.layout.word)


def get(struct: Struct, field: str) -> Accesses[int]:
    """Read a field, as wide as it is."""
    found: int = yield Access("read", struct.at(field), _width(struct, field))
    return found


def put(struct: Struct, field: str, value: int) -> Accesses[None]:
    """Write a field, as wide as it is."""
    yield Access("write", struct.at(field), _width(struct, field), value)


def read(address: int, size: int) -> Accesses[int]:
    """Read a number of ``size`` bytes."""
    found: int = yield Access("read", address, size)
    return found


def read_bytes(address: int, size: int) -> Accesses[bytes]:
    """Read bytes."""
    found: bytes = yield Access("read", address, size, whole=True)
    return found


def write(address: int, size: int, value: int) -> Accesses[None]:
    """Write a number of ``size`` bytes."""
    yield Access("write", address, size, value)


def write_bytes(address: int, value: bytes) -> Accesses[None]:
    """Write bytes."""
    yield Access("write", address, len(value), value)


def swap(address: int, size: int, expected: int, value: int) -> Accesses[bool]:
    """Compare and swap; whether it did."""
    done: bool = yield Access("swap", address, size, value, expected)
    return done


def until(address: int, size: int, expected: int) -> Accesses[None]:
    """Wait for a number to be there."""
    yield Access("until", address, size, None, expected)


def acquire(address: int, size: int) -> Accesses[None]:
    """Wait for 0, and store 1 at once. The opposite is to write 0."""
    yield Access("until", address, size, 1, 0)
