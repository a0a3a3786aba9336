"""A walk over the frames of a goroutine that does not run, from the newest to the oldest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asm.guests import Function, Guests
from emu.process import Process
from emu.runtime.failures import Throw


@dataclass(frozen=True)
class Frame:
    """``entry``: SP at the function's entry. ``made``: it has its frame; otherwise it is still in its stack check."""

    function: Function
    size: int
    entry: int
    made: bool

    @property
    def bottom(self) -> int:
        """The lowest address of the frame."""
        return self.entry - self.size if self.made else self.entry


def walk(
    process: Process, guests: Guests, ends: Iterable[int], pc: int, sp: int, link: int, made: bool
) -> Iterator[Frame]:
    """The frames from ``pc`` and ``sp`` on, until a return PC is one of ``ends``.

    ``made`` is about the newest one; ``link`` is its return PC where a call leaves that in a register. Raises Throw
    for a return PC that leads into no guest function.
    """
    on_stack, word = process.arch.call.return_on_stack, process.arch.word
    ends = frozenset(ends)
    while pc not in ends:
        symbol = guests.program.at(pc)
        if symbol is None:
            raise Throw(f"unexpected return pc {process.program.describe(pc)}")
        size = guests.frames[symbol.name]
        frame = Frame(guests.functions[symbol.name], size, sp + size if made else sp, made)
        yield frame
        if on_stack:
            pc, sp = process.word(frame.entry), frame.entry + word
        else:
            pc, sp = process.word(frame.bottom) if made else link, frame.entry
        made = True
