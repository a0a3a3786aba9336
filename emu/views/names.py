"""Names for the numbers in an instruction's text."""

from __future__ import annotations

import re

from asm.program import Program

_NEAR = re.compile(r"(?<=[d-gs]s:\[)0x[89a-f](?:[0-9a-f]{7}|[0-9a-f]{15})(?=\])")  # below a segment's begin
_TARGET = re.compile(r"\S+ #?(0x[0-9a-f]+)")


def with_target(program: Program, text: str) -> str:
    """A branch with the name of where it leads; ``fs:[-8]`` for what is below a segment's begin; else as it is."""
    text = _NEAR.sub(lambda found: str(int(found[0], 16) - (1 << 4 * len(found[0]) - 8)), text)
    target = _TARGET.fullmatch(text)
    name = program.describe(int(target[1], 16)) if target else "0x"
    return text if name.startswith("0x") else f"{text} <{name}>"
