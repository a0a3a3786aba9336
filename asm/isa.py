"""What the assembler asks of an instruction set, for each of the two."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

from arch.model import Arch
from asm import arm_meaning, arm_syntax, x86_meaning, x86_syntax
from asm.operands import Decoded, Instruction, Values


class Isa(NamedTuple):
    """``registers``: every name of one.

    ``parse``: a statement's text -> Instruction. ``differences``: why bytes do not mean an instruction, or None.
    ``hint``: what may be wrong with an instruction that does not exist. ``wide``: a branch in its long form at an
    address.
    """

    registers: Collection[str]
    parse: Callable[[str, Values], Instruction]
    differences: Callable[[Instruction, Decoded], str | None]
    hint: Callable[[Instruction], str]
    wide: Callable[[Instruction, int], Instruction]


def isa(arch: Arch, mnemonics: frozenset[str]) -> Isa:
    """The instruction set of an architecture; ``mnemonics``: the names Capstone knows in it."""
    if arch.isa == "arm":
        return Isa(
            registers=arm_syntax.REGISTERS,
            parse=arm_syntax.parse,
            differences=arm_meaning.differences,
            hint=arm_syntax.hint,
            wide=lambda insn, _: insn,
        )
    word = arch.word
    return Isa(
        registers=x86_syntax.REGISTERS[word],
        parse=partial(x86_syntax.parse, word=word, known=mnemonics | x86_syntax.EXTRA),
        differences=partial(x86_meaning.differences, word=word),
        hint=x86_syntax.hint,
        wide=x86_syntax.wide,
    )
