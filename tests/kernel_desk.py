"""System calls made from Python on behalf of a guest that does not run: for tests of what they answer."""

from __future__ import annotations

from kernel_guest import Guest

from arch.linux import O_CLOEXEC
from arch.structs import Layout
from emu.kernel import Thread
from emu.kernel.table import Task

SCRATCH = 0x200000
HERE = -100  # AT_FDCWD


class Desk:
    """One thread of one guest, and memory that texts and structures are put into.

    A call's arguments are ints (negative ones too) and texts or bytes, which are stored with a NUL byte and passed by
    address.
    """

    def __init__(self, arch: str) -> None:
        self.guest = Guest(arch, "leave\n")
        self.arch, self.kernel = self.guest.arch, self.guest.kernel
        self.thread: Thread = self.kernel.main
        self.guest.process.machine.map(SCRATCH, 0x80000)
        self._next = SCRATCH

    @property
    def task(self) -> Task:
        return self.thread.task

    def put(self, data: bytes) -> int:
        """Store bytes; their address."""
        address = self._next
        self.guest.process.write(address, data)
        self._next += -(-len(data) // 16) * 16 + 16
        return address

    def get(self, address: int, size: int) -> bytes:
        return self.guest.process.machine.read(address, size)

    def call(self, name: str, *arguments: int | str | bytes) -> int | None:
        """The result of a system call; None if the thread is blocked in it, or has ended."""
        self._next = max(self._next, SCRATCH + 0x100)
        words = [self._word(argument) for argument in arguments]
        result = self.kernel._call(self.thread, name, [*words, *[0] * (6 - len(words))])
        if result is not None and result >= 0:
            return result & self.arch.mask
        return result

    def _word(self, argument: int | str | bytes) -> int:
        if isinstance(argument, int):
            return argument & self.arch.mask
        data = argument.encode("utf-8", "surrogateescape") if isinstance(argument, str) else argument
        return self.put(data + b"\0")

    def done(self, name: str, *arguments: int | str | bytes) -> int:
        """The result of a call that must not fail or wait."""
        result = self.call(name, *arguments)
        assert result is not None
        assert result >= 0, (name, arguments, result)
        return result

    def wide(self, value: int, before: int) -> tuple[int, ...]:
        """A 64-bit argument after ``before`` others, as the arch passes it."""
        if self.arch.word == 8:
            return (value,)
        pad = (0,) if self.arch.name == "arm" and before % 2 else ()
        return (*pad, value & 0xFFFF_FFFF, value >> 32)

    def woken(self) -> int | None:
        """The answer that a blocked thread gets now, None while it waits."""
        self.kernel.runnable()
        answer, self.thread.answer = self.thread.answer, None
        return answer

    # what programs do all day

    def write_file(self, path: str, data: bytes, flags: int = 0x241) -> None:
        descriptor = self.done("openat", HERE, path, flags, 0o644)
        assert self.call("write", descriptor, data, len(data)) == len(data)
        self.done("close", descriptor)

    def read_file(self, path: str, size: int = 4096) -> bytes:
        descriptor = self.done("openat", HERE, path, O_CLOEXEC, 0)
        data = self.read(descriptor, size)
        self.done("close", descriptor)
        return data

    def read(self, descriptor: int, size: int = 4096) -> bytes:
        address = self.put(bytes(size))
        return self.get(address, self.done("read", descriptor, address, size))

    def struct(
        self, layout: Layout, name: str, *before: int | str | bytes, after: tuple[int, ...] = ()
    ) -> dict[str, int]:
        """The structure that a call stores."""
        address = self.put(b"\xff" * layout.size)
        self.done(name, *before, address, *after)
        return layout.unpack(self.get(address, layout.size))
