"""Who wrote each byte of guest memory last, and which reads of a stack see what a vfork child has left there.

The rule, for any guest: after it wakes, the parent reads no byte of its stack that its vfork child wrote last.
"""

from __future__ import annotations

from dataclasses import dataclass

from emu.kernel import Kernel, Thread
from emu.process import Process, Region


@dataclass(frozen=True)
class Touch:
    """One access: whose, at which instruction (of all that the machine executed), with which PC and SP."""

    tid: int
    step: int
    pc: int
    sp: int


@dataclass(frozen=True)
class Stale:
    """A read of what a vfork child wrote last: ``size`` bytes at ``address``, the first of them by ``writer``."""

    address: int
    size: int
    reader: Touch
    writer: Touch


class Shadow:
    """Follows a kernel's threads on one machine, from now on until `close`.

    What a machine executes comes from its record, which is not to be cleared meanwhile, and what the kernel touches
    for a thread from the kernel. What Python writes otherwise (a stack that the runtime copies) is not seen.
    ``stale``: the reads that break the rule, in order. ``left``: vfork child's tid -> how many bytes of the stack
    that it shared it had written last, when its parent woke. ``steps``: instructions followed.
    """

    def __init__(self, kernel: Kernel, process: Process) -> None:
        self._kernel, self._process = kernel, process
        self._recorder = process.machine.recorder
        self._names = process.arch.registers
        self._sp, self._pc = (self._names.index(process.arch.roles[role]) for role in ("sp", "pc"))
        self._wrote: dict[int, tuple[Thread, int]] = {}
        self._last: dict[Thread, int] = {}
        self._shared: dict[Thread, Region | None] = {}
        self._seen, self._begun = len(self._recorder.accesses), self._recorder.steps
        self._unrecorded = self._begun - len(self._recorder.rows)
        self.stale: list[Stale] = []
        self.left: dict[int, int] = {}
        self._recorder.rows_wanted = self._recorder.reads_wanted = True
        kernel.witnesses.append(self)

    def close(self) -> None:
        """Follow no longer."""
        self._recorder.rows_wanted = self._recorder.reads_wanted = False
        self._kernel.witnesses.remove(self)

    @property
    def steps(self) -> int:
        return self._recorder.steps - self._begun

    # what the kernel tells

    def ran(self, thread: Thread) -> None:
        """`Witness.ran`."""
        if thread.process is not self._process:
            return
        new = self._recorder.accesses[self._seen :]
        self._seen += len(new)
        self._last[thread] = self._recorder.steps - 1
        if thread.lender is not None and thread not in self._shared:
            sp = self._touch(thread.lender, self._last[thread.lender]).sp
            self._shared[thread] = self._process.region(sp)
        for child, stack in self._shared.items():
            if child.lender is thread and child.tid not in self.left and stack is not None:
                self.left[child.tid] = sum(writer is child and at in stack for at, (writer, _) in self._wrote.items())
        for access in new:
            self._account(thread, access.step, access.address, access.size, access.write)

    def touched(self, thread: Thread, address: int, size: int, write: bool) -> None:
        """`Witness.touched`."""
        if thread.process is self._process and thread in self._last:
            self._account(thread, self._last[thread], address, size, write)

    def _account(self, thread: Thread, step: int, address: int, size: int, write: bool) -> None:
        if write:
            for byte in range(address, address + size):
                self._wrote[byte] = (thread, step)
            return
        bad = [byte for byte in range(address, address + size) if self._is_stale(byte, thread)]
        if bad:
            writer, when = self._wrote[bad[0]]
            self.stale.append(Stale(bad[0], len(bad), self._touch(thread, step), self._touch(writer, when)))

    def _is_stale(self, address: int, reader: Thread) -> bool:
        """Whether a byte of a stack was written last by a child that ``reader`` had lent it to, or by its child."""
        child = self._wrote.get(address, (reader, 0))[0]
        while child is not reader and child.lender is not None:
            if child.lender is reader:
                stack = self._shared.get(child)
                return stack is not None and address in stack
            child = child.lender
        return False

    def _touch(self, thread: Thread, step: int) -> Touch:
        row = self._recorder.rows[step - self._unrecorded]
        return Touch(thread.tid, step, row[self._pc], row[self._sp])
