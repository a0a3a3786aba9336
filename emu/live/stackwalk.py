"""The guest's call stack, by Go's own table of frame sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from asm.goelf import GoBinary
from emu.live.process import LiveProcess

MOST = 40  # frames
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


def walk(process: LiveProcess, binary: GoBinary) -> Iterator[Frame]:
    """From where the CPU stands outwards, as far as the stack makes sense."""
    arch, table = process.arch, binary.functions
    pc, sp, innermost = process.role("pc"), process.role("sp"), True
    for _ in range(MOST):
        function = table.at(pc if innermost else pc - 1)
        depth = table.depth(pc if innermost else pc - 1)
        if function is None or depth is None:
            return
        file, line = table.line(pc if innermost else pc - 1) or ("?", 0)
        yield Frame(function.name, file, line, pc, sp)
        if function.name in _OUTERMOST:
            return
        try:
            if arch.call.return_on_stack:
                pc, sp = process.word(sp + depth), sp + depth + arch.word
            else:
                pc = process.word(sp) if depth else process.role("link")
                sp += depth
        except ValueError:
            return
        innermost = False
