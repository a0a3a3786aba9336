"""Whether x86 bytes, as Capstone reads them, mean what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from asm.operands import EVEX, Decoded, Imm, Instruction, Mem, Operand, Reg
from asm.x86_syntax import ALIASES, PREFIXES, REGISTERS, SEGMENTS, SIZE_NAMES, STRINGS

_STACK = {"push", "pop", "call", "ret", "jmp", "lcall", "ljmp", "lret", "enter", "leave", "pushf", "popf", "iret"}
_WORD_SIZED = {"push", "pop", "call", "jmp"}
_SHIFTS = {"shl", "shr", "sar", "rol", "ror", "rcl", "rcr"}
_SWAPPED = {"xchg", "test"}
_SIZELESS = {
    "lea", "nop", "fxsave", "fxrstor", "fxsave64", "fxrstor64", "lgdt", "sgdt", "lidt", "sidt", "invlpg", "clflush",
    "prefetch", "prefetchw", "prefetcht0", "prefetcht1", "prefetcht2", "prefetchnta", "xsave", "xrstor", "fnsave",
    "frstor", "fnstenv", "fldenv",
}  # fmt: skip
"""Instructions whose memory operand has no size of its own."""


def differences(insn: Instruction, read: Decoded, *, word: int) -> str | None:
    """Why the encoding does not mean what was written; None if it does."""
    name = _plain(insn.mnemonic)
    of_a_word = insn.mnemonic in ("pushf", "popf", "iret") and read.mnemonic[:-1] == insn.mnemonic
    if name != _plain(read.mnemonic) and not of_a_word:
        return "another instruction"
    if EVEX in read.flags:
        return "an encoding that few CPUs have"
    if b"\x66" in read.flags and name in _STACK and not _is_16_bit(insn, word):
        return "16 bits of stack or of address"
    written = _completed(insn, name, read)
    if len(written) != len(read.operands):
        return "other operands"
    why = _compare(written, read.operands, insn.relative, name, word)
    if why and name in _SWAPPED and not _compare(written[::-1], read.operands, False, name, word):
        return None
    return why


def _plain(mnemonic: str) -> str:
    """A mnemonic and its prefix by their one name."""
    prefix, _, name = mnemonic.rpartition(" ")
    name = ALIASES.get(name, name)
    return f"{PREFIXES.get(prefix, prefix)} {name}" if prefix else name


def _is_16_bit(insn: Instruction, word: int) -> bool:
    """Whether an operand of two bytes was written."""
    return any(
        REGISTERS[word].get(o.name) == 2 and o.name not in SEGMENTS if isinstance(o, Reg) else o.size == 2
        for o in insn.operands
        if isinstance(o, (Reg, Mem))
    )


def _completed(insn: Instruction, name: str, read: Decoded) -> tuple[Operand, ...]:
    """The operands as Capstone counts them: implied ones put in."""
    written = insn.operands
    if not written and name.rpartition(" ")[2] in STRINGS and all(_of_string(o) for o in read.operands):
        return read.operands
    if name in _SHIFTS and len(written) == 1:
        return (*written, Imm(1))
    if name == "imul" and len(written) == 2 and isinstance(written[1], Imm):
        return (written[0], *written)
    return written


def _of_string(operand: Operand) -> bool:
    """Whether it is an operand that a string instruction has when none is written."""
    if isinstance(operand, Mem):
        return operand.base in ("rsi", "rdi", "esi", "edi") and not operand.index and not operand.displacement
    return isinstance(operand, Reg) and operand.name in ("al", "ax", "eax", "rax", "dx")


def _compare(written: Sequence[Operand], read: Sequence[Operand], relative: bool, name: str, word: int) -> str | None:
    bits = 8 * _width(written, name, word)
    for mine, its in zip(written, read, strict=True):
        if isinstance(mine, Imm) and isinstance(its, Imm):
            if not _same_number(mine.value, its.value, bits, 8 * word if relative else 0):
                return f"the number {its.value:#x}"
        elif isinstance(mine, Mem) and isinstance(its, Mem):
            if why := _compare_memory(mine, its, name, _widths(written, name, word)):
                return why
        elif mine != its:
            return "other operands"
    return None


def _width(written: Sequence[Operand], name: str, word: int) -> int:
    """Bytes of the operand that a number is combined with; 0 if the number stands alone."""
    first = written[0] if written else None
    if isinstance(first, Reg):
        return REGISTERS[word][first.name]
    if isinstance(first, Mem):
        return first.size
    return word if name == "push" else 0


def _widths(written: Sequence[Operand], name: str, word: int) -> list[int]:
    """Sizes that a memory operand may have without being written."""
    if name in _WORD_SIZED:
        return [word]
    return [REGISTERS[word][o.name] for o in written if isinstance(o, Reg) and name not in _SHIFTS]


def _same_number(mine: int, its: int, bits: int, target_bits: int) -> bool:
    if target_bits:
        return (mine - its) % (1 << target_bits) == 0
    fits = bits > 0 and -(1 << (bits - 1)) <= mine < 1 << bits
    return mine == its or (fits and (mine - its) % (1 << bits) == 0)


def _default_segment(base: str) -> str:
    return "ss" if base in ("esp", "ebp", "rsp", "rbp") else "ds"


def _compare_memory(mine: Mem, its: Mem, name: str, widths: list[int]) -> str | None:
    segment = _default_segment(mine.base)
    if (mine.segment or segment) != (its.segment or segment):
        return f"segment {its.segment or segment}"
    place, its_place = replace(mine, size=0, segment=""), replace(its, size=0, segment="")
    if place != its_place:
        swapped = replace(its_place, base=its.index, index=its.base)
        if mine.scale != 1 or place != swapped or segment != _default_segment(its.base):
            return "another address"
    if name in _SIZELESS or mine.size == its.size:
        return None
    if mine.size:
        return f"an access of {its.size} bytes"
    if its.size in widths:
        return None
    return f"an access of {its.size} bytes, which must be written: {SIZE_NAMES.get(its.size, 'size')} ptr"
