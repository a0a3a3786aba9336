"""System calls made from Python on an address space of a whole program that does not run."""

from __future__ import annotations

import pytest

import arch as arches
from asm.program import Program
from emu.kernel import mapping, waits
from emu.kernel.clock import SECOND
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.live.process import LiveProcess
from emu.live.space import READ, WRITE, Room
from emu.machine import PAGE

each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)
HERE = 0x40_0000
SIZE = 16 * PAGE
MOST = 1 << 20
PRIVATE, FIXED, ANONYMOUS, NO_REPLACE = 2, 0x10, 0x20, 0x10_0000
WAIT, WAKE, REQUEUE, WAIT_BITS, WAKE_BITS, OURS, REAL = 0, 1, 3, 9, 10, 0x80, 0x100
RW = READ | WRITE


class Desk:
    """A kernel over an address space, and calls from Python."""

    def __init__(self, arch: str) -> None:
        self.arch = arches.get(arch)
        self.process = LiveProcess(self.arch, Program(arch, (), {}), Room(MOST))
        self.space = self.process.space
        self.space.map(HERE, SIZE, RW)
        self.kernel = Kernel(self.process)
        for module in (mapping, waits):
            self.kernel.add(module.CALLS)
        self.main = self.kernel.main

    def call(self, name: str, *words: int, thread: Thread | None = None) -> int | None:
        given = [word & self.arch.mask for word in words]
        return self.kernel._call(thread or self.main, name, [*given, *[0] * (6 - len(words))])

    def thread(self) -> Thread:
        return self.kernel.new_thread(self.main.task)

    def time(self, nanoseconds: int, width: int | None = None, at: int = HERE + PAGE) -> int:
        """Where a timespec stands."""
        width = width or self.arch.word
        seconds, rest = divmod(nanoseconds, SECOND)
        self.process.machine.write(at, seconds.to_bytes(width, "little") + rest.to_bytes(width, "little"))
        return at

    def read_time(self, address: int, width: int) -> tuple[int, int]:
        data = self.process.machine.read(address, 2 * width)
        return int.from_bytes(data[:width], "little"), int.from_bytes(data[width:], "little")

    def sleep(self, thread: Thread, address: int = HERE, bits: int | None = None, timeout: int = 0) -> None:
        """Let a thread wait for a word that is 0."""
        operation = WAIT if bits is None else WAIT_BITS
        assert self.call("futex", address, operation | OURS, 0, timeout, 0, bits or 0, thread=thread) is None
        assert thread.state == "blocked"

    def awake(self) -> list[int]:
        """The threads that can run, by their number from the first on."""
        return [thread.tid - self.main.tid for thread in self.kernel.runnable()]

    def mmap(self, address: int, size: int, protection: int = RW, flags: int = 0) -> int | None:
        name = "mmap" if self.arch.word == 8 else "mmap2"
        return self.call(name, address, size, protection, PRIVATE | ANONYMOUS | flags, -1, 0)
