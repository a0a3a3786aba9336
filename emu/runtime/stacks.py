"""Stacks of goroutines: mapped when they are made, unmapped when they are freed, no address ever used twice.

So whatever still points to a freed stack faults at its first use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from emu.machine import PAGE
from emu.process import Process, Region, poison
from emu.runtime.failures import Throw

# Away from the other regions of a process; the arena grows upwards.
_ARENA = {4: 0x6000_0000, 8: 0xC8_0000_0000}


@dataclass(frozen=True)
class Stack:
    """A stack or segment, from ``lo`` up to ``hi``. What is mapped above, to the end of the page, is not its own."""

    lo: int
    hi: int
    region: Region

    @property
    def size(self) -> int:
        return self.hi - self.lo

    def __contains__(self, address: int) -> bool:
        return self.lo <= address < self.hi


@lru_cache(maxsize=4)
def _page(word: int) -> bytes:
    return b"".join(poison(at, word).to_bytes(word, "little") for at in range(0, PAGE, word))


class Stacks:
    """Makes and frees the stacks of one process. ``live``: those that are mapped, by ``lo``."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._next = _ARENA[process.arch.word]
        self.live: dict[int, Stack] = {}

    def make(self, size: int, owner: str) -> Stack:
        """A poisoned stack of ``size`` bytes, with unmapped pages around it."""
        pages = -(-size // PAGE)
        region = Region(f"{owner} stack", self._next + PAGE, pages * PAGE)
        self._next = region.end + PAGE
        self._process.machine.map(region.address, region.size)
        self._process.machine.write(region.address, _page(self._process.arch.word) * pages)
        self._process.regions.append(region)
        stack = Stack(region.address, region.address + size, region)
        self.live[stack.lo] = stack
        return stack

    def free(self, lo: int, size: int) -> None:
        """Unmap the stack at ``lo``. Raises Throw if there is none of this size, or it was written beyond its top."""
        stack = self.live.get(lo)
        if stack is None or stack.size != size:
            raise Throw(f"free of a stack that is none: {size} bytes at {lo:#x}")
        beyond = stack.region.end - stack.hi
        if beyond and not _page(self._process.arch.word).endswith(self._process.machine.read(stack.hi, beyond)):
            raise Throw(f"{stack.region.name} was written above its top, {stack.hi:#x}")
        self._drop(stack)

    def _drop(self, stack: Stack) -> None:
        self._process.machine.unmap(stack.region.address, stack.region.size)
        self._process.regions.remove(stack.region)
        del self.live[stack.lo]

    def clear(self) -> None:
        """Unmap all of them, and start again at the same addresses."""
        for stack in list(self.live.values()):
            self._drop(stack)
        self._next = _ARENA[self._process.arch.word]
