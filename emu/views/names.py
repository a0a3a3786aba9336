"""Names for the numbers in an instruction's text."""

from __future__ import annotations

from asm.program import Program


def with_target(program: Program, text: str) -> str:
    """A branch with the name of where it leads; any other instruction as it is."""
    last = text.rpartition(" ")[2].lstrip("#")
    if not last.startswith("0x") or "," in text:
        return text
    name = program.describe(int(last, 16))
    return text if name.startswith("0x") else f"{text} <{name}>"
