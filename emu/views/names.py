"""Names for the numbers in an instruction's text."""

from __future__ import annotations

import re

from asm.program import Program

_TARGET = re.compile(r"\S+ #?(0x[0-9a-f]+)")


def with_target(program: Program, text: str) -> str:
    """A branch with the name of where it leads; any other instruction as it is."""
    target = _TARGET.fullmatch(text)
    name = program.describe(int(target[1], 16)) if target else "0x"
    return text if name.startswith("0x") else f"{text} <{name}>"
