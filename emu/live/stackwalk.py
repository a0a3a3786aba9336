"""The guest's call stack, by Go's own table of frame sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from asm.goelf import GoBinary
from emu.live.process import LiveProcess

MOST = 40  # frames
_SWITCHES = frozenset({"runtime.mcall", "runtime.morestack", "runtime.systemstack"})
_OUTERMOST = frozenset({
    "runtime.goexit", "runtime.mstart", "runtime.rt0_go", "runtime.mcall", "runtime.morestack", "runtime.systemstack",
    "runtime.asmcgocall", "runtime.clone", "runtime.sigreturn__sigaction",
})


class Frame(NamedTuple):
    """One call. ``pc``: where it is, or where its callee returns to."""

    function: str
    file: str
    line: int
    pc: int
    sp: int


def walk(process: LiveProcess, binary: GoBinary, left: int = 0) -> Iterator[Frame]:
    """From where the CPU stands outwards, as far as the stack makes sense.

    ``left``: a g whose stack was left; it follows behind the frame of the routine that left it.
    """
    last = None
    link = process.role("link") if "link" in process.arch.roles else 0
    for last in _walk(process, binary, process.role("pc"), process.role("sp"), link):
        yield last
    if last is not None and last.function in _SWITCHES and left and binary.layout is not None:
        saved = (left + binary.layout[f"g.sched.{field}"] for field in ("pc", "sp", "lr"))
        try:
            pc, sp, link = (process.word(address) for address in saved)
        except ValueError:
            return
        yield from _walk(process, binary, pc, sp, link)


def _walk(process: LiveProcess, binary: GoBinary, pc: int, sp: int, link: int) -> Iterator[Frame]:
    """``link``: the return PC of an innermost function that has not saved it."""
    arch, table, innermost = process.arch, binary.functions, True
    for _ in range(MOST):
        function = table.at(pc if innermost else pc - 1)
        depth = table.depth(pc if innermost else pc - 1)
        if function is None or depth is None:
            return
        file, line = table.line(pc if innermost else pc - 1) or ("?", 0)
        yield Frame(function.name, file, line, pc, sp)
        if function.name in _OUTERMOST and not (innermost and pc == function.address):  # who has left no stack yet
            return
        try:
            if arch.call.return_on_stack:
                pc, sp = process.word(sp + depth), sp + depth + arch.word
            else:
                pc = process.word(sp) if depth else link
                sp += depth
        except ValueError:
            return
        innermost = False
