"""What a vfork child leaves in the stack that it was lent, and who reads it after the parent woke.

The rule: the parent reads no byte that its child wrote last. It is watched from the call of clone until no byte that
the child wrote last is left at or above the parent's SP: what is below SP has to be written before it can be read.
That is asked wherever one of the frames that stood there at the fork is returned to, the innermost first: usually
nothing is left when the caller of the function that forked has the CPU again.

Seen are accesses by the code of those frames that the parent returns through and of the helpers that copy memory for
it, by any other code that is first translated meanwhile, and by the kernel for either. What the child wrote by other
code is found by comparing the stack with what it was; who wrote it is not known then. Accesses with SP on another
stack, such as those of the runtime that moves this one, do not count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from asm.goelf import GoBinary
from asm.pclntab import Function
from asm.program import Symbol
from emu.callbacks import access_callback
from emu.contracts.judge import Check
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.live.process import LiveProcess
from emu.live.stackwalk import Frame, walk

_HELPERS = ("runtime.duffcopy", "runtime.duffzero", "runtime.memmove", "runtime.memclrNoHeapPointers")
_FORKS = 32  # what is translated anew for each adds up in the engine's room for code, which is emptied now and then
_WATCHED = 3  # frames whose code is made to tell: the system call's stub, who calls it, and who called that


class Stale(NamedTuple):
    """A read of a byte that the child wrote last: by the instruction at ``writer``, 0 if that was not seen."""

    address: int
    reader: int
    writer: int


@dataclass(eq=False)
class Loan:
    """A stack that is lent. ``lo``, ``hi``: its bounds. ``was``: its bytes from ``sp`` on, when it was lent.

    ``wrote``: address -> PC of the child's instruction that wrote this byte last. ``own``: bytes that the kernel has
    written for the parent meanwhile. ``back``: whether the parent runs again. ``frames``: those of the fork.
    """

    thread: Thread
    g: int
    lo: int
    hi: int
    sp: int
    was: bytes
    frames: list[Frame]
    hook: int = 0
    back: bool = False
    wrote: dict[int, int] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)

    def shift(self, by: int, lo: int) -> None:
        """The stack has moved."""
        self.lo, self.hi, self.sp = lo, self.hi + by, self.sp + by
        self.wrote = {address + by: pc for address, pc in self.wrote.items()}
        self.frames = [frame._replace(sp=frame.sp + by) for frame in self.frames]

    def place(self, address: int) -> str:
        """``function's frame+offset``, counted from SP in that function."""
        inner = [frame for frame in self.frames if frame.sp <= address]
        return f"{inner[-1].function}'s frame+{address - inner[-1].sp:#x}" if inner else f"{address:#x}"


class Borrowed:
    """Watches the loans of one process. ``loans``: how many there were; ``bytes``: left by children, at waking.

    ``out``: the loans that are watched now.
    """

    def __init__(self, kernel: Kernel, process: LiveProcess, binary: GoBinary) -> None:
        self._kernel, self._process, self._binary = kernel, process, binary
        self._machine = process.machine
        self._callback: Any = access_callback(self._access)
        self.out: list[Loan] = []
        self._stale: list[tuple[Loan, Stale]] = []
        self.loans = self.bytes = 0

    # what happens to a loan

    def lend(self, thread: Thread, g: int, lo: int, hi: int) -> None:
        """``thread`` is about to make the call of clone, on the stack between ``lo`` and ``hi`` of its ``g``."""
        sp = self._process.role("sp")
        frames = list(walk(self._process, self._binary))
        loan = Loan(thread, g, lo, hi, sp, self._machine.read(sp, hi - sp), frames)
        self._stop(loan)
        if not self.out:
            self._kernel.witnesses.append(self)
        self.out.append(loan)
        self._hook(loan)
        self.loans += 1

    def returned(self, thread: Thread) -> None:
        """``thread`` has its result: the child, if there was one, does not use its stack any more."""
        for loan in self.out:
            if loan.thread is thread and not loan.back:
                loan.back = True
                self._compare(loan)
                self._look(loan)
                self.bytes += len(loan.wrote)
        self._close()

    def moved(self, g: int, lo: int, by: int) -> None:
        """The stack of ``g`` is elsewhere now, ``by`` bytes further on at its top."""
        for loan in self.out:
            if loan.g == g:
                loan.shift(by, lo)
                self._machine.unhook(loan.hook)
                self._hook(loan)

    def _compare(self, loan: Loan) -> None:
        now = self._machine.read(loan.sp, loan.hi - loan.sp)
        for offset, (before, after) in enumerate(zip(loan.was, now, strict=True)):
            address = loan.sp + offset
            if before != after and address not in loan.own:
                loan.wrote.setdefault(address, 0)

    def _look(self, loan: Loan) -> None:
        """Forget what is below SP."""
        sp = self._process.role("sp")
        loan.wrote = {address: pc for address, pc in loan.wrote.items() if address >= sp}

    def _close(self) -> None:
        for loan in [loan for loan in self.out if loan.back and not loan.wrote]:
            self.out.remove(loan)
            self._machine.unhook(loan.hook)
            self._retranslate(loan)
            if not self.out:
                self._kernel.witnesses.remove(self)
                if self.loans % _FORKS == 0:
                    self._machine.forget_translations()

    def close(self) -> None:
        """The process is gone, and nobody will give anything back."""
        if self.out:
            self.out.clear()
            self._kernel.witnesses.remove(self)

    # where the engine tells

    def _hook(self, loan: Loan) -> None:
        loan.hook = self._machine.hook("access", self._callback, 0, loan.lo, loan.hi - 1)
        self._retranslate(loan)

    def _retranslate(self, loan: Loan) -> None:
        """The engine asks for hooks of accesses only while it translates."""
        for symbol in self._code(loan):
            self._machine.forget_code(symbol.address, symbol.size)

    def _code(self, loan: Loan) -> Iterator[Symbol | Function]:
        symbols = self._binary.program.symbols
        for frame in loan.frames[:_WATCHED]:
            function = self._binary.functions.at(frame.pc)
            if function is not None:
                yield function
        yield from (symbols[name] for name in _HELPERS if name in symbols)

    def _stop(self, loan: Loan) -> None:
        """Look at the loan when the next frame further out is returned to."""
        sp = self._process.role("sp")
        outer = next((frame for frame in loan.frames[2:] if frame.sp > sp), None)
        if outer and outer.pc not in self._process.at:
            self._machine.breakpoint(outer.pc)
            self._machine.forget_code(outer.pc, 1)
            self._process.at[outer.pc] = self._left  # it stays: the next fork comes by there too

    def _left(self, thread: Thread) -> None:
        sp = self._process.role("sp")
        for loan in self.out:
            if loan.back and loan.lo <= sp < loan.hi and thread.lender is not loan.thread:
                self._look(loan)
                self._stop(loan)
        self._close()

    # accesses

    def _access(self, address: int, size: int, write: bool) -> None:
        machine, roles = self._machine, self._machine.arch.roles
        sp, pc = machine.register(roles["sp"]), machine.register(roles["pc"])
        for loan in self.out:
            if loan.lo <= sp < loan.hi:
                self._account(loan, not loan.back, pc, range(address, address + size), write)

    def ran(self, thread: Thread) -> None:
        """`Witness.ran`; whoever runs whole programs does not ask."""

    def touched(self, thread: Thread, address: int, size: int, write: bool) -> None:
        """`Witness.touched`."""
        if thread.process is not self._process:
            return
        pc = thread.process.role("pc")
        for loan in self.out:
            if loan.lo <= address < loan.hi:
                self._account(loan, thread.lender is loan.thread, pc, range(address, address + size), write)

    def _account(self, loan: Loan, child: bool, pc: int, where: range, write: bool) -> None:
        if write and child:
            loan.wrote.update(dict.fromkeys(where, pc))
        elif write:
            for address in where:
                loan.wrote.pop(address, None)
            if not loan.back:
                loan.own.update(where)
        elif loan.back and not child:
            bad = [address for address in where if address in loan.wrote]
            if bad:
                self._stale.append((loan, Stale(bad[0], pc, loan.wrote[bad[0]])))
                self._account(loan, child, pc, where, write=True)  # told once
                live = self._machine.live
                live.limit = live.blocks  # stop at the next block

    def checks(self) -> Iterator[Check]:
        """The reads that broke the rule since this was asked last."""
        describe = self._binary.functions.describe
        for loan, stale in self._stale:
            writer = f"at {describe(stale.writer)}" if stale.writer else "at a place that was not seen"
            found = f"written last by its vfork child, {writer}, and read at {describe(stale.reader)}"
            name, expected = f"{loan.place(stale.address)} is the parent's own", "written last by the parent"
            yield Check(name, False, expected, found, 0, moment="after the child")
        self._stale.clear()
