"""Machine code -> what it means. The only place that imports Capstone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import capstone
from capstone import arm_const, x86_const

from arch.model import Arch
from asm.operands import EVEX, ArmMem, Decoded, Imm, Mem, Operand, Reg, Word

_MODES = {
    ("x86", 32): (capstone.CS_ARCH_X86, capstone.CS_MODE_32),
    ("x86", 64): (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
    ("arm", 32): (capstone.CS_ARCH_ARM, capstone.CS_MODE_ARM),
}
_SHIFTS = {
    arm_const.ARM_SFT_ASR: "asr",
    arm_const.ARM_SFT_LSL: "lsl",
    arm_const.ARM_SFT_LSR: "lsr",
    arm_const.ARM_SFT_ROR: "ror",
    arm_const.ARM_SFT_RRX: "rrx",
}
_SHIFTS_BY_REGISTER = {
    arm_const.ARM_SFT_ASR_REG: "asr",
    arm_const.ARM_SFT_LSL_REG: "lsl",
    arm_const.ARM_SFT_LSR_REG: "lsr",
    arm_const.ARM_SFT_ROR_REG: "ror",
}
ARM_NAMES = {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12", "r13": "sp", "r14": "lr", "r15": "pc"}
"""Other names of arm registers -> the ones used here."""
_ARM_NAME = re.compile(rf"\b({'|'.join(ARM_NAMES)})\b")


class Reader:
    """Capstone for one instruction set, in detail mode."""

    def __init__(self, isa: str, bits: int) -> None:
        self.isa, self.bits = isa, bits
        self.engine = capstone.Cs(*_MODES[isa, bits])
        self.engine.detail = True
        self.registers = [self._register(n) for n in range(512)]

    def _register(self, number: int) -> str:
        name = self.engine.reg_name(number) or ""
        if self.isa == "arm":
            return ARM_NAMES.get(name, name)
        return "" if name in ("riz", "eiz") else name

    def mnemonics(self) -> frozenset[str]:
        """Names of all instructions that Capstone knows."""
        return frozenset(name for n in range(1, 2048) if (name := self.engine.insn_name(n)))

    def text(self, name: str, operands: str) -> str:
        """An instruction's text, with registers named as our sources name them."""
        if self.isa == "arm":
            operands = _ARM_NAME.sub(lambda match: ARM_NAMES[match[0]], operands)
        return f"{name} {operands}".strip()

    def read(self, code: bytes, address: int) -> Decoded | None:
        """The one instruction that ``code`` is; None if it is none, more than one, or has bytes to spare."""
        found = list(self.engine.disasm(code, address, 2))
        if len(found) != 1 or found[0].size != len(code):
            return None
        insn = found[0]
        text = self.text(insn.mnemonic, insn.op_str)
        if self.isa == "x86":
            far = insn.mnemonic in ("call", "jmp") and insn.op_str.startswith("ptr ")
            flags = bytes(insn.prefix).replace(b"\0", b"")
            if code[len(flags) :].startswith(EVEX) and insn.mnemonic != "bound":
                flags += EVEX
            return Decoded("l" * far + insn.mnemonic, tuple(self._x86(o) for o in insn.operands), flags, text)
        flags = b"!" * ("!" in text) + b"^" * insn.usermode  # its own flag for writeback is often wrong
        return Decoded(insn.mnemonic, tuple(self._arm(insn)), flags, text)

    def _x86(self, o: Any) -> Operand:
        if o.type == x86_const.X86_OP_REG:
            return Reg(self.registers[o.reg])
        if o.type == x86_const.X86_OP_IMM:
            return Imm(o.imm, o.size)
        names, m = self.registers, o.mem
        half = 1 << (self.bits - 1)  # an absolute address in the accumulator's short form comes without a sign
        displacement = (m.disp + half) % (2 * half) - half
        return Mem(o.size, names[m.segment], names[m.base], names[m.index], m.scale, displacement)

    def _arm(self, insn: Any) -> Iterator[Operand]:
        """Operands in Capstone's order; lists are separate registers, a post-index is an operand of its own."""
        for o in insn.operands:
            if o.type == arm_const.ARM_OP_REG:
                yield self._arm_register(o)
            elif o.type == arm_const.ARM_OP_IMM:
                yield Imm(-o.imm if o.subtracted else o.imm)
            elif o.type == arm_const.ARM_OP_MEM:
                yield self._arm_memory(o, insn)
            else:
                yield Word({arm_const.ARM_OP_PIMM: "p", arm_const.ARM_OP_CIMM: "c"}.get(o.type, "?") + str(o.imm))

    def _arm_register(self, o: Any) -> Reg:
        name, shift = ("-" if o.subtracted else "") + self.registers[o.reg], o.shift
        if shift.type in _SHIFTS_BY_REGISTER:
            return Reg(name, _SHIFTS_BY_REGISTER[shift.type], self.registers[shift.value])
        return Reg(name, _SHIFTS[shift.type], shift.value) if shift.type else Reg(name)

    def _arm_memory(self, o: Any, insn: Any) -> ArmMem:
        names, m = self.registers, o.mem
        mode = "pre" if "]!" in insn.op_str else "offset"
        index = names[m.index]
        sign = -1 if index and o.subtracted else 1
        return ArmMem(names[m.base], index, sign, _SHIFTS.get(o.shift.type, ""), o.shift.value, m.disp, mode)


@cache
def _reader(isa: str, bits: int) -> Reader:
    return Reader(isa, bits)


def reader(arch: Arch) -> Reader:
    """The reader for an architecture; one is made for each."""
    return _reader(arch.isa, arch.bits)


def disassemble(arch: Arch, code: bytes, address: int) -> Iterator[tuple[int, bytes, str]]:
    """Rows of (address, bytes, text), up to the first bytes that are none. Capstone's words, our registers."""
    found = reader(arch)
    for at, size, name, operands in found.engine.disasm_lite(code, address):
        yield at, code[at - address : at - address + size], found.text(name, operands)


def updates(arch: Arch, code: bytes, address: int) -> int:
    """Bytes of memory that the instruction at ``address`` reads and then writes with nothing to hold them meanwhile.

    0 for the others: those that only read or write, have a lock prefix, or exchange (which locks by itself).
    ``code`` may go on after the instruction.
    """
    insn = next(reader(arch).engine.disasm(code, address, 1), None)
    if arch.isa != "x86" or insn is None or insn.mnemonic == "xchg" or insn.prefix[0] == x86_const.X86_PREFIX_LOCK:
        return 0
    both = capstone.CS_AC_READ | capstone.CS_AC_WRITE
    compares = insn.mnemonic.startswith("cmpxchg")  # of which Capstone says that it only reads
    memory = (o for o in insn.operands if o.type == x86_const.X86_OP_MEM)
    return next((o.size for o in memory if compares or o.access == both), 0)


_EXCLUSIVES = {"ldrex": "load", "strex": "store", "clrex": "clear"}


def exclusive(arch: Arch, code: bytes, address: int) -> str:
    """What the instruction at ``address`` does with the exclusive monitor: ``load``, ``store``, ``clear`` or ""."""
    insn = next(reader(arch).engine.disasm(code, address, 1), None)
    return _EXCLUSIVES.get(insn.mnemonic[:5], "") if arch.isa == "arm" and insn is not None else ""
