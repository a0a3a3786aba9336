"""Finds out what the stack check of a function in a binary looks like, by running it.

With a guard that every check fails, and with one that none does: where the two runs part is the check, and what lies
before it is the call of a hook, if there is one. The frame follows from the guard that just passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from emu.contracts.judge import kept_by_callee
from emu.contracts.prologue import Function
from emu.runtime.world import World
from emu.scenes.hooked import distinct
from emu.target import OUTSIDE_GATES, Target

ENTRIES = ("morestack", "morestack_noctxt")
LONGEST = 120  # instructions of a prologue, with all that it spills


class Endless(Exception):
    """A function that calls itself before its stack check. ``step``: instructions executed until then."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


@dataclass(frozen=True)
class Way:
    """One run. ``pcs``: in the function itself. ``left``: the first address outside that was called, 0 if none was.

    ``entry``: of morestack, if that is where it ended. ``since``: instructions executed when the call outside returned.
    """

    pcs: tuple[int, ...]
    left: int
    entry: str
    since: int


class Probe:
    """Runs the prologue of one function of a target."""

    def __init__(self, target: Target, name: str) -> None:
        self.target, self.arch = target, target.arch
        self.symbol = target.program.symbol(name)
        outside = {gate: at for gate, at in target.program.gates.items() if gate in OUTSIDE_GATES}
        self.world = World(replace(target, program=replace(target.program, gates=outside)))
        self._guard = target.era.layout(target.arch).guard.removeprefix("g.")
        self._entries = {s.address: name for name in ENTRIES if (s := target.routines[name]) is not None}
        self._internal = target.arch.internal if target.era.internal.get(target.arch.name) else None

    def look(self) -> tuple[Function, int, int] | None:
        """The function; the address of its body; that of its hook, 0 if it has none. None if there is no stack check.

        Raises Endless.
        """
        passing, failing = self.way(0), self.fails()
        if not failing.entry or passing.entry:
            return None
        body = next((a for a, b in zip(passing.pcs, (*failing.pcs, 0), strict=False) if a != b), 0)
        abi0 = self._internal is not None and bool(self.way(self.arch.mask, spoil_g=True).entry)
        spills, arguments = self._survivors(body)
        beyond = self._beyond()
        hook = self.target.program.at(failing.left) if failing.left else None
        function = Function(
            beyond + self.target.era.guards.small, ctxt=failing.entry == ENTRIES[0], abi0=abi0, borders=True,
            symbol=self.symbol.name, spills=spills, hook=hook.name if hook else "", arguments=arguments,
        )
        return function, body, failing.left

    def fails(self) -> Way:
        """The run with a guard that every check fails. Raises Endless."""
        return self.way(self.arch.mask)

    def way(self, guard: int, spoil_g: bool = False) -> Way:
        """Run from the entry to morestack, or to the second call, or for `LONGEST` instructions.

        ``spoil_g``: the register that repeats g holds something else, as code of the stack ABI may find it. Raises
        Endless if the function calls itself although no check lets it through.
        """
        world, process, symbol = self.world, self.world.process, self.symbol
        world.reset()
        world.g[self._guard] = guard
        distinct(world)
        for number, address in enumerate(range(process.role("sp"), world.stacks["g"].end, self.arch.word)):
            process.set_word(address, 1 + number % 0x7F)  # where arguments are spilled; those that fit a byte, too
        world.enter(symbol.name)
        if spoil_g and self._internal is not None:
            process.set_registers({self._internal.g: process.register_poison(self._internal.g)})
        sp, pcs, left, since = process.role("sp"), list[int](), 0, 0
        while len(pcs) < LONGEST:
            pc = process.role("pc")
            if pc in self._entries and self._from_check(sp):
                return Way(tuple(pcs), left, self._entries[pc], since)
            if not symbol.address <= pc < symbol.address + symbol.size:
                if left:
                    break
                left, since = pc, process.machine.recorder.steps
                process.return_from_call(set(self.arch.registers))
                continue
            if pc == symbol.address and pcs:
                if guard == self.arch.mask:  # no check has let it through
                    raise Endless(f"{symbol.name} calls itself before its stack check", len(pcs))
                break
            pcs.append(pc)
            if process.run(1).kind not in ("budget", "exit"):
                break
        return Way(tuple(pcs), left, "", since)

    def _from_check(self, sp: int) -> bool:
        """Whether morestack is called by this function and before it has a frame."""
        process, call = self.world.process, self.arch.call
        at = process.role("sp")
        back = process.word(at) if call.return_on_stack else process.role("link")
        depth = self.arch.word if call.return_on_stack else 0
        return sp - at == depth and self.symbol.address < back < self.symbol.address + self.symbol.size

    def _beyond(self) -> int:
        """Bytes below SP at which the check looks: SP less the lowest guard that fails."""
        passes, fails = 0, self.arch.mask
        while fails - passes > 1:
            middle = (passes + fails) // 2
            if self.way(middle).entry:
                fails = middle
            else:
                passes = middle
        return self._sp - fails

    @property
    def _sp(self) -> int:
        stack = self.world.stacks["g"]
        return stack.end - stack.size // 2

    def _survivors(self, body: int) -> tuple[int, tuple[str, ...]]:
        """What the function keeps while its stack grows: words above its return PC, and registers.

        These are its arguments: what it needs after the growth it needs after the hook. None under the stack ABI.
        """
        if self._internal is None:
            return 0, ()
        way, process = self.fails(), self.world.process
        before, caller_sp = self._arguments(), self._sp + self.arch.word
        ends = [w.address + w.size for w in process.machine.recorder.writes if w.step >= way.since]
        spills = -(-max(0, max(ends, default=0) - caller_sp) // self.arch.word)
        for name in self._internal.floats:
            process.machine.set_vector(name, self.arch.mask)
        process.return_from_call(kept_by_callee(self.world))
        self.world.g[self._guard] = 0
        for _ in range(LONGEST):
            if process.role("pc") == body:
                break
            process.run(1)
        return spills, tuple(name for name, value in self._arguments().items() if value == before[name])

    def _arguments(self) -> dict[str, int]:
        """What the registers for arguments hold now."""
        assert self._internal is not None
        registers, vector = self.world.process.machine.registers(), self.world.process.machine.vector
        found = {name: registers[name] for name in self._internal.arguments}
        return found | {name: vector(name) for name in self._internal.floats}
