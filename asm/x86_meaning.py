"""Whether x86 bytes, as Capstone reads them, mean what was written."""

from __future__ import annotations

from asm.operands import Decoded, Imm, Instruction, Mem, Operand, Reg
from asm.x86_syntax import ALIASES, PREFIXES, REGISTERS, SEGMENTS, SIZE_NAMES

_STRINGS = {stem + size for stem in ("movs", "cmps", "stos", "lods", "scas", "ins", "outs") for size in "bwdq"}
_STACK = {"push", "pop", "call", "ret", "jmp", "lcall", "ljmp", "lret", "enter", "leave"}
_WORD_SIZED = {"push", "pop", "call", "jmp"}
_SIZELESS = {"lea", "fxsave", "fxrstor", "fxsave64", "fxrstor64", "lgdt", "sgdt", "lidt", "sidt", "invlpg", "clflush", "prefetcht0", "prefetcht1",
             "prefetcht2", "prefetchnta", "prefetchw", "prefetch", "xsave", "xrstor", "fnsave", "frstor", "fnstenv", "fldenv"}  # fmt: skip
_SHIFTS = {"shl", "shr", "sar", "rol", "ror", "rcl", "rcr"}
_SWAPPED = {"xchg", "test"}


def differences(insn: Instruction, read: Decoded, word: int) -> str | None:
    """Why the encoding does not mean what was written; None if it does."""
    if _plain(insn.mnemonic) != _plain(read.mnemonic):
        if insn.mnemonic not in ("pushf", "popf") or read.mnemonic[:-1] != insn.mnemonic:
            return "another instruction"
    if b"\x66" in read.flags and _plain(insn.mnemonic) in _STACK and not _is_16_bit(insn, word):
        return "16 bits of stack or of address"
    written = _completed(insn, read)
    if len(written) != len(read.operands):
        return "other operands"
    why = _compare(written, read.operands, insn, word)
    if why and _plain(insn.mnemonic) in _SWAPPED and not _compare(written[::-1], read.operands, insn, word):
        return None
    return why


def _plain(mnemonic: str) -> str:
    *prefix, name = mnemonic.split()
    return " ".join([PREFIXES[p] for p in prefix] + [ALIASES.get(name, name)])


def _is_16_bit(insn: Instruction, word: int) -> bool:
    return any(
        (isinstance(o, Reg) and o.name not in SEGMENTS and REGISTERS[word].get(o.name) == 2) or (isinstance(o, Mem) and o.size == 2)
        for o in insn.operands
    )


def _completed(insn: Instruction, read: Decoded) -> tuple[Operand, ...]:
    """The operands as Capstone counts them: implied ones put in."""
    written, name = insn.operands, _plain(insn.mnemonic.split()[-1])
    if not written and name in _STRINGS and all(_usual_string(o) for o in read.operands):
        return read.operands
    if name in _SHIFTS and len(written) == 1:
        return (*written, Imm(1))
    if name == "imul" and len(written) == 2 and isinstance(written[1], Imm):
        return (written[0], *written)
    return written


def _usual_string(operand: Operand) -> bool:
    """Whether it is an operand that a string instruction has when nothing is written."""
    if isinstance(operand, Mem):
        return operand.base in ("rsi", "rdi", "esi", "edi") and not operand.index and not operand.displacement
    return isinstance(operand, Reg) and operand.name in ("al", "ax", "eax", "rax", "dx")


def _compare(written: tuple[Operand, ...], read: tuple[Operand, ...], insn: Instruction, word: int) -> str | None:
    first = written[0] if written else None
    name = _plain(insn.mnemonic)
    bits = 8 * (
        REGISTERS[word][first.name] if isinstance(first, Reg) else first.size if isinstance(first, Mem) else word if name == "push" else 0
    )
    widths = [word] if name in _WORD_SIZED else [REGISTERS[word][o.name] for o in written if isinstance(o, Reg) and name not in _SHIFTS]
    for mine, its in zip(written, read, strict=True):
        if isinstance(mine, Imm) and isinstance(its, Imm):
            if not _same_number(mine.value, its.value, bits, 8 * word if insn.relative else 0):
                return f"the number {its.value:#x}"
        elif isinstance(mine, Mem) and isinstance(its, Mem):
            if why := _compare_memory(mine, its, name, widths):
                return why
        elif not (isinstance(mine, Reg) and isinstance(its, Reg) and mine.name == its.name):
            return "other operands"
    return None


def _same_number(mine: int, its: int, bits: int, target_bits: int) -> bool:
    if mine == its:
        return True
    if target_bits:
        return (mine - its) % (1 << target_bits) == 0
    return bits > 0 and (mine - its) % (1 << bits) == 0 and -(1 << (bits - 1)) <= mine < 1 << bits


def _default_segment(base: str) -> str:
    return "ss" if base in ("esp", "ebp", "rsp", "rbp") else "ds"


def _compare_memory(mine: Mem, its: Mem, name: str, widths: list[int]) -> str | None:
    default = _default_segment(mine.base)
    if (mine.segment or default) != (its.segment or default):
        return f"segment {its.segment or default}"
    if mine[2:] != its[2:]:
        swapped = its._replace(base=its.index, index=its.base)
        if mine.scale != 1 or mine[2:] != swapped[2:] or default != _default_segment(its.base):
            return "another address"
    if name in _SIZELESS or mine.size == its.size:
        return None
    if mine.size:
        return f"an access of {its.size} bytes"
    return None if its.size in widths else f"an access of {its.size} bytes, which must be written: {SIZE_NAMES.get(its.size, '?')} ptr"
