"""Room for a change that is longer than what it replaces, in code that cannot be assembled anew.

The rest of the function is assembled elsewhere, from the changed instruction on, and a jump leads there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arch.model import Arch
from asm.assembler import AsmError, assemble
from asm.operands import Imm, Mem
from asm.program import Program
from asm.statement import Statement
from sweep.mutate import Insn, Mutant, targets

CAVE, CAVE_SIZE = 0x4D00_0000, 0x1000
"""Where the rest goes: near enough for a jump, and far from any program."""


def detour(arch: Arch, program: Program, insns: Sequence[Insn], mutant: Mutant) -> dict[int, bytes] | None:
    """Address -> bytes that put a mutant into a program; None if it cannot be done.

    ``insns``: those of the program. A jump into the first bytes that the detour overwrites cannot be.
    """
    start = mutant.at[0].address
    function = [insn for insn in insns if program.at(insn.address) == program.at(start)]
    rest = [insn for insn in function if insn.address >= start]
    try:
        jump = _assembled(arch, [f"jmp {CAVE:#x}"], start, {})
        code = _assembled(arch, _lines(rest, mutant), CAVE, _elsewhere(rest))
    except AsmError:
        return None
    entered = any(start < target < start + len(jump) for target in targets(function))
    if entered or rest[-1].end - start < len(jump) or len(code) > CAVE_SIZE:
        return None
    return {start: jump, CAVE: code}


def _lines(rest: Sequence[Insn], mutant: Mutant) -> list[str]:
    """The rest of a function, each instruction behind a label, with the mutant in place of its first ones."""
    kept = [insn for insn in rest if insn not in mutant.at]
    here = {insn.address for insn in kept}
    lines = list(mutant.texts)
    for insn in kept:
        text = insn.text
        for operand in insn.operands:
            if isinstance(operand, Imm) and operand.value in here:
                text = text.replace(hex(operand.value), f".at_{operand.value:x}")
            elif isinstance(operand, Mem) and operand.base == "rip":
                text = text[: text.index("[")] + f"[rip + to_{insn.end + operand.displacement:x}]"
        lines += [f".at_{insn.address:x}:", text]
    return lines


def _elsewhere(rest: Sequence[Insn]) -> dict[str, int]:
    """Names for what instructions point at relative to themselves."""
    ends = [(insn.end, o) for insn in rest for o in insn.operands if isinstance(o, Mem) and o.base == "rip"]
    return {f"to_{end + memory.displacement:x}": end + memory.displacement for end, memory in ends}


def _assembled(arch: Arch, lines: Sequence[str], base: int, gates: Mapping[str, int]) -> bytes:
    statements = [Statement("detour", 1, line) for line in lines]
    return assemble(statements, arch, base=base, gates=gates).segments[0].data
