"""Stack barriers: the walk over a goroutine's frames that knows of them, and putting them in and taking them out.

A goroutine's frames are found by the guests that made them. The routines are generators of accesses (`emu.access`): who
walks while another puts barriers in sees what a walker sees. Sources: the facts of gentraceback, scanstack and
gcRemoveStackBarriers at 87f97c73d37d. What is left out: inlining, defers, and a walk that starts in a stack check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from arch import barriers
from asm.guests import Guests
from emu.access import Accesses, get, put, read, write
from emu.process import Region
from emu.runtime.failures import Throw
from emu.runtime.struct import Struct
from emu.runtime.world import World

_SWITCH = "systemstack"


@dataclass(frozen=True)
class Start:
    """Where a walk begins. ``link``: the return PC of a function without a frame, if calls leave it in a register."""

    pc: int
    sp: int
    link: int = 0


@dataclass(frozen=True)
class Frame:
    """``number``: 0 for the innermost. ``slot``: where its return PC is kept; ``back``: what that is, or was before
    there was a barrier. ``fp``: the caller's SP at the call. ``saved``: the return PC is in the slot, in no register.
    """

    number: int
    function: str
    slot: int
    back: int
    fp: int
    saved: bool


Visit: TypeAlias = Callable[[Frame], Accesses[None]]


@dataclass(frozen=True)
class Barriers:
    """The barriers of one goroutine. ``top``: where its first function returns to."""

    world: World
    guests: Guests
    g: Struct
    top: int

    @property
    def code(self) -> int:
        """The address of stackBarrier."""
        return self.world.program.symbol("stackBarrier").address

    def reserve(self, stack: Region) -> int:
        """Make room for the entries above the stack, as who allocates it does. The stack's new end."""
        size = self.g.layout.sizes["stkbar"]
        most = barriers.most(stack.size)
        end = stack.end - most * size
        self.g["stack.hi"] = self.g["stkbar.array"] = end
        self.g["stkbar.cap"] = most
        self.g["stkbar.len"] = self.g["stkbarPos"] = 0
        return end

    def entries(self) -> dict[int, str]:
        """The words of the entries, with names."""
        size, word, first = self.g.layout.sizes["stkbar"], self.world.arch.word, self.g["stkbar.array"]
        numbers = range(self.g["stkbar.cap"])
        fields = (("savedLRPtr", 0), ("savedLRVal", word))
        return {first + n * size + at: f"stkbar[{n}].{field}" for n in numbers for field, at in fields}

    def _entry(self, array: int, number: int) -> Struct:
        size = self.g.layout.sizes["stkbar"]
        return Struct(self.g.process, self.g.layout, "stkbar", array + number * size, f"stkbar[{number}]")

    # walking

    def traceback(self, start: Start, visit: Visit | None = None, on: Struct | None = None) -> Accesses[list[Frame]]:
        """gentraceback: the frames from ``start`` on. ``visit`` is called for each, once its return PC is known.

        ``on``: the g whose stack that is; from g0's it goes on to the goroutine's, where systemstack has left that.
        It looks at the slice of barriers once, when it comes to a stack. Raises Throw.
        """
        on_stack, word = self.world.arch.call.return_on_stack, self.world.arch.word
        array, next_one, length = yield from self._copy(on or self.g)
        frames: list[Frame] = []
        pc, sp = start.pc, start.sp
        while pc != self.top:
            function, size = self._frame(pc)
            if function == _SWITCH:
                array, next_one, length = yield from self._copy(self.g)
                sp = yield from get(self.g, "sched.sp")
            slot, saved = (sp + size, True) if on_stack else (sp, size > 0)
            back = (yield from read(slot, word)) if saved else start.link
            if back == self.code:
                if next_one >= length:
                    known = f"the walk's copy of g.stkbar has no entry {next_one}"
                    raise Throw(f"index out of range: {function} returns to stackBarrier, and {known}")
                entry = self._entry(array, next_one)
                if (place := (yield from get(entry, "savedLRPtr"))) != slot:
                    raise Throw(
                        f"missed stack barrier: {function} returns to stackBarrier, but the next barrier is in "
                        f"{self._owner(frames, place)}"
                    )
                back = yield from get(entry, "savedLRVal")
                next_one += 1
            fp = slot + word if on_stack else sp + size
            frames.append(Frame(len(frames), function, slot, back, fp, saved))
            if visit is not None:
                yield from visit(frames[-1])
            pc, sp = back, fp
        if visit is not None and next_one < length:
            raise Throw("traceback has leftover stack barriers")
        return frames

    def _copy(self, g: Struct) -> Accesses[tuple[int, int, int]]:
        """Where the entries are, the first that was not yet hit, and how many there are."""
        array, length = (yield from get(g, "stkbar.array")), (yield from get(g, "stkbar.len"))
        return array, (yield from get(g, "stkbarPos")), length

    def _frame(self, pc: int) -> tuple[str, int]:
        """The function that a PC is in, and the size of its frame; a gate has none."""
        symbol = self.world.program.at(pc)
        system = self.world.habits.system
        if symbol is not None and symbol.name == _SWITCH and system is not None:
            return _SWITCH, self.world.arch.word if self.world.arch.name in system.frame else 0
        if symbol is not None and symbol.name in self.guests.frames:
            return symbol.name, self.guests.frames[symbol.name]
        gates = {at: name for name, at in self.guests.gates.items()}
        if pc in gates:
            return gates[pc], 0
        raise Throw(f"unexpected return pc {self.world.describe(pc)}")

    def _owner(self, frames: list[Frame], slot: int) -> str:
        return next((frame.function for frame in frames if frame.slot == slot), self.world.describe(slot))

    # the collector

    def scanstack(self, start: Start, first: int = barriers.FIRST) -> Accesses[None]:
        """Walk the stack of a goroutine that is stopped, and put barriers in: one at most between ``first``, twice
        ``first``, … bytes above its SP. What scanning finds is of no interest here. Raises Throw.
        """
        pos, length = (yield from get(self.g, "stkbarPos")), (yield from get(self.g, "stkbar.len"))
        if pos or length:
            raise Throw("g already has stack barriers")
        offset = first

        def visit(frame: Frame) -> Accesses[None]:
            nonlocal offset
            if frame.number and frame.fp > start.sp + offset and (yield from self._install(frame)):
                offset *= 2

        yield from self.traceback(start, visit)

    def _install(self, frame: Frame) -> Accesses[bool]:
        """The entry, then the slice's length, then the return PC; whether there is a return PC to replace."""
        if not (frame.back and frame.saved):
            return False
        g = self.g
        array, length = (yield from get(g, "stkbar.array")), (yield from get(g, "stkbar.len"))
        if length == (yield from get(g, "stkbar.cap")):
            raise Throw("no room for a stack barrier")
        entry = self._entry(array, length)
        yield from put(entry, "savedLRPtr", frame.slot)
        yield from put(entry, "savedLRVal", frame.back)
        yield from put(g, "stkbar.len", length + 1)
        yield from write(frame.slot, self.world.arch.word, self.code)
        return True

    def remove(self) -> Accesses[None]:
        """gcRemoveStackBarriers: every return PC is again what it was, where it was not yet used. Raises Throw."""
        g, word = self.g, self.world.arch.word
        array, length = (yield from get(g, "stkbar.array")), (yield from get(g, "stkbar.len"))
        for number in range((yield from get(g, "stkbarPos")), length):
            entry = self._entry(array, number)
            slot = yield from get(entry, "savedLRPtr")
            if (yield from read(slot, word)) != self.code:
                raise Throw(f"stack barrier lost: stkbar[{number}]")
            yield from write(slot, word, (yield from get(entry, "savedLRVal")))
        yield from put(g, "stkbarPos", 0)
        yield from put(g, "stkbar.len", 0)
