"""Whether arm bytes, as Capstone reads them, mean what was written.

Both sides are brought to one form first: an instruction that has several names (``push``, ``stmdb sp!``) or
that Keystone rightly turns into its twin (``mov #-1``, ``mvn #0``) compares equal to itself and to nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from asm.arm_syntax import BY_TEXT, Mnemonic, mnemonic
from asm.operands import ArmMem, Decoded, Imm, Instruction, Operand, Reg, RegList

_WORD = 1 << 32
_SHIFTS = {"lsl", "lsr", "asr", "ror"}
_THREE = {"add", "sub", "and", "orr", "eor", "adc", "sbc", "rsb", "rsc", "bic"}
_BLOCK = {"ldm", "ldmib", "ldmda", "ldmdb", "stm", "stmib", "stmda", "stmdb", "vldmia", "vldmdb", "vstmia", "vstmdb"}
_STACK = {"push", "pop", "vpush", "vpop"}
_STATUS = {"cpsr_f": "apsr_nzcvq", "cpsr": "apsr", "apsr_f": "apsr_nzcvq", "": "sy"}
_INVERTED = {"mvn": "mov", "bic": "and", "sbc": "adc"}
_NEGATED = {"sub": "add", "cmn": "cmp"}

Meaning: TypeAlias = tuple[Mnemonic, tuple[Operand, ...]]


def differences(insn: Instruction, read: Decoded) -> str | None:
    """Why the encoding does not mean what was written; None if it does."""
    name, its_name = mnemonic(insn.mnemonic), mnemonic(read.mnemonic)
    if not name or not its_name:
        return "another instruction"
    if name.base in BY_TEXT:
        if name != its_name:
            return "another instruction"
        return None if _shown(insn.text) == _shown(read.text) else "other operands"
    mine, its = _meaning(name, insn.operands), _meaning(its_name, _gathered(its_name, read))
    if mine == its:
        return None
    if mine[0] != its[0]:
        return "another instruction"
    for one, other in zip(mine[1], its[1], strict=False):
        if one != other and isinstance(one, Imm) and isinstance(other, Imm):
            return f"the number {other.value:#x}"
    return "other operands"


def _shown(text: str) -> list[str]:
    """The operands of a statement as text, status registers and barriers by their one name."""
    return [_STATUS.get(part.strip(), part.strip()) for part in text.partition(" ")[2].split(",")]


def _gathered(name: Mnemonic, read: Decoded) -> tuple[Operand, ...]:
    """Capstone's operands in the shape of written ones: lists, writeback and post-index put together."""
    operands, writeback = list(read.operands), b"!" in read.flags
    registers = [o.name for o in operands if isinstance(o, Reg)]
    if name.base in _STACK and len(registers) == len(operands):
        return (RegList(tuple(registers)),)
    if name.base in _BLOCK and len(registers) == len(operands):
        return Reg(registers[0], "!" if writeback else ""), RegList(tuple(registers[1:]), b"^" in read.flags)
    if len(operands) > 1 and isinstance(memory := operands[-2], ArmMem):
        last = operands.pop()
        if isinstance(last, Imm):
            operands[-1] = replace(memory, mode="post", displacement=last.value)
        elif isinstance(last, Reg) and not isinstance(last.amount, str):
            sign, index = (-1 if last.name.startswith("-") else 1), last.name.lstrip("-")
            by = replace(memory, mode="post", index=index, sign=sign)
            operands[-1] = replace(by, shift=last.shift, amount=last.amount)
    return tuple(operands)


def _meaning(name: Mnemonic, written: tuple[Operand, ...]) -> Meaning:
    """The one form of an instruction."""
    operands = tuple(Imm(o.value % _WORD) if isinstance(o, Imm) else o for o in written)
    base = name.base
    if base == "movw":
        base = "mov"
    if base in _SHIFTS | {"rrx"}:
        base, operands = "mov", _shifted(base, operands)
    elif base in _THREE and len(operands) == 2:
        operands = (operands[0], *operands)
    elif base in ("mcr", "mrc") and len(operands) == 5:
        operands = (*operands, Imm(0))
    if operands and isinstance(last := operands[-1], Imm):
        if base in _INVERTED:
            base, operands = _INVERTED[base], (*operands[:-1], Imm(last.value ^ (_WORD - 1)))
        elif base in _NEGATED and last.value not in (0, _WORD >> 1):
            base, operands = _NEGATED[base], (*operands[:-1], Imm(-last.value % _WORD))
    return _stack_form(name._replace(base=base), operands)


def _shifted(kind: str, operands: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """The operands of ``mov`` for those of a shift instruction."""
    if len(operands) == 2 and isinstance(operands[1], Reg) and operands[1].shift:
        return operands
    if kind == "rrx" and len(operands) == 2 and isinstance(operands[1], Reg):
        return operands[0], Reg(operands[1].name, "rrx", 0)
    if len(operands) == 2:
        operands = (operands[0], *operands)
    if len(operands) == 3 and isinstance(source := operands[1], Reg):
        if isinstance(by := operands[2], Imm):
            return operands[0], Reg(source.name, kind, by.value) if by.value else source
        if isinstance(by, Reg) and not by.shift:
            return operands[0], Reg(source.name, kind, by.name)
    return operands


def _stack_form(name: Mnemonic, operands: tuple[Operand, ...]) -> Meaning:
    """``push`` and ``pop`` for the four other ways to write them."""
    first, last = (operands[0], operands[1]) if len(operands) == 2 else (None, None)
    if first == Reg("sp", "!") and isinstance(last, RegList) and not last.user:
        short = {"stmdb": "push", "ldm": "pop", "vstmdb": "vpush", "vldmia": "vpop"}.get(name.base)
        if short:
            return name._replace(base=short), (last,)
    if isinstance(first, Reg) and isinstance(last, ArmMem) and last.base == "sp" and not last.index:
        short = {("str", "pre", -4): "push", ("ldr", "post", 4): "pop"}.get((name.base, last.mode, last.displacement))
        if short:
            return name._replace(base=short), (RegList((first.name,)),)
    return name, operands
