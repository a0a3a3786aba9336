"""Crossings that Python judges: they are rare, and take more evidence than native code reads.

Each is stopped at its entry and where it leaves: asyncPreempt, copystack, rawVforkSyscall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from arch import golang
from arch.habits import habits
from asm.goelf import GoBinary
from asm.pclntab import FunctionTable
from asm.program import Program, Symbol
from emu.contracts import preempt, syscalls
from emu.contracts.effect import Effect, Entry
from emu.contracts.judge import Check, judge_moment
from emu.contracts.moved import Copy, moved
from emu.kernel.kernel import Kernel
from emu.kernel.table import Thread
from emu.live.borrowed import Borrowed
from emu.live.ends import ends
from emu.live.process import LiveProcess
from emu.live.watch.routines import find

_SNAPSHOT = 256  # bytes above SP that a contract may ask for later


@dataclass(frozen=True)
class _ByTable(Program):
    """A program whose places are named by Go's own table: that needs no pass over all symbols first."""

    functions: FunctionTable | None = None

    def describe(self, address: int) -> str:
        assert self.functions is not None
        return self.functions.describe(address)


@dataclass
class Entered:
    """The evidence at a routine's entry. ``memory``: words that may have changed when they are asked for."""

    entry: Entry
    facts: Mapping[str, int] = field(default_factory=dict)


class Rare:
    """Watches one process. ``judged``: is given each check. ``counts``: crossings by routine."""

    def __init__(
        self, kernel: Kernel, process: LiveProcess, binary: GoBinary, judged: Callable[[Thread, str, Check], None]
    ) -> None:
        assert binary.layout is not None
        self._process, self._binary, self._judged = process, binary, judged
        self.arch, self.process = process.arch, process
        self.program = _ByTable(binary.arch, (), binary.program.symbols, functions=binary.functions)
        self._layout, self._era = binary.layout, golang.era(binary.go)
        self._habits = habits(self._era.name, binary.go)
        self.counts = {"asyncPreempt": 0, "copystack": 0, "rawVforkSyscall": 0}
        self.growths = self.shrinks = 0
        self._preempted: dict[int, Entered] = {}
        self._copying: dict[Thread, tuple[int, int, Copy]] = {}
        self._forking: dict[Thread, Entered] = {}
        self._answers: dict[Thread, int] = {}
        self._traps: frozenset[int] = frozenset()
        self.borrowed = Borrowed(kernel, process, binary)
        self._watch("asyncPreempt", find(binary, "asyncPreempt"), self._preempt, self._preempt_left)
        self._watch("copystack", binary.program.symbols.get("runtime.copystack"), self._copy, self._copy_left)
        self._watch("rawVforkSyscall", binary.routines["rawVforkSyscall"], self._fork, self._fork_left)

    def describe(self, address: int) -> str:
        """``symbol+offset``."""
        return self.program.describe(address)

    def _watch(
        self, name: str, symbol: Symbol | None, entered: Callable[[Thread], None], leaves: Callable[[Thread], None]
    ) -> None:
        if symbol is None:
            return
        self._stop(symbol.address, entered)
        found = ends(self.arch, self._binary.program, symbol)
        for address in found["returns"]:
            self._stop(address, leaves)
        if name == "rawVforkSyscall":
            self._traps = frozenset(found["traps"])
            for address in found["traps"]:
                self._stop(address, self._answered)

    def _stop(self, address: int, then: Callable[[Thread], None]) -> None:
        self._process.machine.breakpoint(address)
        self._process.at[address] = then

    # evidence

    def _enter(self, thread: Thread, facts: Mapping[str, int], answers: tuple[int, ...] = ()) -> Entry:
        registers = self._process.machine.registers()
        sp = registers[self.arch.roles["sp"]]
        try:
            kept = self._process.machine.read(sp, _SNAPSHOT)
        except ValueError:
            kept = b""

        def word(address: int) -> int:
            if sp <= address and address + self.arch.word <= sp + len(kept):
                return self.arch.unpack(kept[address - sp : address - sp + self.arch.word])
            return self._process.word(address)

        return Entry(
            arch=self.arch, era=self._era, habits=self._habits, layout=self._layout, program=self.program,
            registers=registers, word=word, tls_base=thread.tls, answers=answers,
            vfork_inputs=self._binary.vfork_inputs or 0, facts=facts,
        )

    def _g(self, thread: Thread) -> int:
        return self._enter(thread, {}).g

    def _judge(self, thread: Thread, routine: str, effect: Effect, number: int) -> None:
        moment = effect.moments[number]
        pc = self._process.role("pc")
        here = self.program.describe(pc)
        if moment.stop != "trap":
            arrived = moment.stop == here
            self._judged(thread, routine, Check(f"reaches {moment.stop}", arrived, moment.stop, here, 0, "control"))
        for check in judge_moment(self, moment, 0):
            self._judged(thread, routine, check)

    # asyncPreempt: it may end on another thread, but always for the same g

    def _preempt(self, thread: Thread) -> None:
        vectors = {name: self._process.machine.vector(name) for name in self.arch.vectors}
        entry = self._enter(thread, vectors)
        self._preempted[entry.g] = Entered(entry)

    def _preempt_left(self, thread: Thread) -> None:
        entered = self._preempted.pop(self._g(thread), None)
        if entered is None:
            return
        effect = preempt.async_preempt(entered.entry)
        self._process.machine.leave_block()
        self.counts["asyncPreempt"] += 1
        self._judge(thread, "asyncPreempt", effect, 0)

    # copystack

    def _stack(self, g: int) -> Copy:
        offset, word = self._layout, self._process.word
        lo, hi, sp = (word(g + offset[name]) for name in ("g.stack.lo", "g.stack.hi", "g.sched.sp"))
        used = self._process.machine.read(sp, hi - sp) if lo <= sp <= hi else b""
        return Copy(lo, hi, word(g + offset[self._layout.guard]), sp, used)

    def _copy(self, thread: Thread) -> None:
        internal = self.arch.internal
        if internal is not None:
            g, size = (self._process.machine.register(name) for name in internal.arguments[:2])
        else:
            at = self._process.role("sp") + self.arch.call.first_argument
            g, size = self._process.word(at), self._process.word(at + self.arch.word)
        self._copying[thread] = (g, size, self._stack(g))

    def _copy_left(self, thread: Thread) -> None:
        found = self._copying.pop(thread, None)
        if found is None:
            return
        g, size, old = found
        self.counts["copystack"] += 1
        self.growths += size > old.hi - old.lo
        self.shrinks += size < old.hi - old.lo
        new = self._stack(g)
        for check in moved(self.arch, self._era.guards, old, new, size):
            self._judged(thread, "copystack", check)
        self.borrowed.moved(g, new.lo, new.hi - old.hi)

    # rawVforkSyscall: the child returns first, on the parent's stack

    def _fork(self, thread: Thread) -> None:
        self._forking[thread] = Entered(self._enter(thread, {}))

    def at_trap(self, thread: Thread) -> None:
        """To be called before a system call is handled."""
        entered = self._forking.get(thread)
        if entered is not None and self._process.role("pc") in self._traps:  # no handler's call on the way there
            self._judge(thread, "rawVforkSyscall", self._vfork(entered, 0), 0)
            entry = entered.entry
            lo, hi = (entry.field(entry.g, name) for name in ("g.stack.lo", "g.stack.hi"))
            self.borrowed.lend(thread, entry.g, lo, hi)

    def _answered(self, thread: Thread) -> None:
        self._answers[thread] = self._process.role("result")
        if thread.lender is None:
            self.borrowed.returned(thread)

    def stopped(self, thread: Thread) -> None:
        """To be called whenever a thread has stopped, whatever for."""
        for check in self.borrowed.checks():
            self._judged(thread, "rawVforkSyscall", check)

    def _fork_left(self, thread: Thread) -> None:
        entered = self._forking.pop(thread, None)
        if entered is None and thread.lender is not None:
            entered = self._forking.get(thread.lender)
        answer = self._answers.pop(thread, None)
        if entered is None or answer is None:
            return
        effect = self._vfork(entered, answer)
        self._process.machine.leave_block()
        self.stopped(thread)
        self.counts["rawVforkSyscall"] += 1
        self._judge(thread, "rawVforkSyscall", effect, 1)

    def _vfork(self, entered: Entered, answer: int) -> Effect:
        return syscalls.vfork(entered.entry._replace(answers=(answer,)))
