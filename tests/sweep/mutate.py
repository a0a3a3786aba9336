"""One changed instruction at a time: the operators, on an instruction's text as it is read back from its bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from arch.model import Arch
from asm import readback
from asm.assembler import AsmError, assemble
from asm.operands import ArmMem, Imm, Mem, Operand
from asm.statement import Statement

OPERATORS = ("nop", "displacement up", "displacement down", "register", "swap")

_LONGEST = 16  # bytes that an instruction may have


@dataclass(frozen=True)
class Insn:
    """An instruction of an unchanged program. ``text`` can be assembled again; ``shown`` is what people know it by."""

    address: int
    code: bytes
    text: str
    shown: str
    operands: tuple[Operand, ...]

    @property
    def end(self) -> int:
        return self.address + len(self.code)


@dataclass(frozen=True)
class Mutant:
    """``texts`` instead of the instructions ``at``, which are neighbours; what is left over becomes no-ops."""

    operator: str
    at: tuple[Insn, ...]
    texts: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The instructions that are changed, as their source has them."""
        return " ; ".join(insn.shown for insn in self.at)

    @property
    def change(self) -> str:
        """What stands there instead."""
        return " ; ".join(self.texts) or "nop"

    @property
    def size(self) -> int:
        return sum(len(insn.code) for insn in self.at)


def read(arch: Arch, code: bytes, address: int, shown: str = "") -> Insn | None:
    """The instruction that ``code`` starts with; None if it is none."""
    found = next(readback.disassemble(arch, code[:_LONGEST], address), None)
    decoded = readback.reader(arch).read(found[1], address) if found else None
    if found is None or decoded is None:
        return None
    text = _arm_text(decoded.text) if arch.isa == "arm" else decoded.text
    return Insn(address, found[1], text, shown or text, decoded.operands)


def _arm_text(text: str) -> str:
    """Capstone's text with its memory operand where it hides one."""
    text = re.sub(r"^push(\w*) \{(\w+)\}$", r"str\1 \2, [sp, #-4]!", text)
    return re.sub(r"^pop(\w*) \{(\w+)\}$", r"ldr\1 \2, [sp], #4", text)


def mutants(arch: Arch, insn: Insn) -> Iterator[Mutant]:
    """Every change of one instruction alone."""
    yield Mutant("nop", (insn,), ())
    for operator, by in (("displacement up", arch.word), ("displacement down", -arch.word)):
        text = _displaced(arch, insn, by)
        if text is not None:
            yield Mutant(operator, (insn,), (text,))
    for text in _renamed(arch, insn.text):
        yield Mutant("register", (insn,), (text,))


def swap(arch: Arch, first: Insn, second: Insn) -> Mutant:
    """The two in the other order."""
    down, up = len(second.code), len(first.code)
    return Mutant("swap", (first, second), (_moved(arch, second, -up), _moved(arch, first, down)))


def _displaced(arch: Arch, insn: Insn, by: int) -> str | None:
    """The text with ``by`` added to the displacement of the memory operand; None if there is none."""
    if arch.isa == "arm":
        return _arm_displaced(insn.text, by)
    memory = next((operand for operand in insn.operands if isinstance(operand, Mem)), None)
    if memory is None:
        return None
    if not memory.base and not memory.index:
        return re.sub(r"\[[^\]]*\]", f"[{memory.displacement + by}]", insn.text)
    return insn.text.replace("]", f" {'-' if by < 0 else '+'} {abs(by)}]")


_ARM_MEMORY = re.compile(r"\[(\w+)(?:, #(-?\w+))?\](!?)(?:, #(-?\w+))?$")


def _arm_displaced(text: str, by: int) -> str | None:
    match = _ARM_MEMORY.search(text)
    if match is None:
        return None
    base, offset, writeback, after = match.groups()
    if after is not None:
        memory = f"[{base}], #{int(after, 0) + by}"
    else:
        memory = f"[{base}, #{int(offset or '0', 0) + by}]{writeback}"
    return text[: match.start()] + memory


def _moved(arch: Arch, insn: Insn, by: int) -> str:
    """The text of an instruction that will stand ``by`` bytes further on and mean the same."""
    relative = any(isinstance(o, (Mem, ArmMem)) and o.base in ("rip", "pc") for o in insn.operands)
    return (_displaced(arch, insn, -by) or insn.text) if relative else insn.text


# Registers in the order of their numbers; sp and pc are replaced, but replace nothing.
_SETS = {
    "x86": (
        "rax rcx rdx rbx rsp rbp rsi rdi", "r8 r9 r10 r11 r12 r13 r14 r15", "eax ecx edx ebx esp ebp esi edi",
        "r8d r9d r10d r11d r12d r13d r14d r15d", "al cl dl bl", "xmm0 xmm1 xmm2 xmm3 xmm4 xmm5 xmm6 xmm7",
        "xmm8 xmm9 xmm10 xmm11 xmm12 xmm13 xmm14 xmm15",
    ),
    "arm": ("r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 r11 r12 sp lr pc",),
}
_NEVER_NEW = {"rsp", "esp", "sp", "pc"}
_ROWS = {isa: [row.split() for row in rows] for isa, rows in _SETS.items()}
_REGISTER = {
    isa: re.compile(r"(?<=[\s\[{,(*-])(?:" + "|".join(n for row in rows for n in row) + r")(?![\w.])")
    for isa, rows in _ROWS.items()
}


def _renamed(arch: Arch, text: str) -> Iterator[str]:
    """The text with one register after the other replaced by the next one that the instruction does not name."""
    found = list(_REGISTER[arch.isa].finditer(text))
    used = {match[0] for match in found}
    for match in found:
        row = next(row for row in _ROWS[arch.isa] if match[0] in row)
        start = row.index(match[0])
        new = next(name for name in row[start + 1 :] + row[:start] if name not in used | _NEVER_NEW)
        yield text[: match.start()] + new + text[match.end() :]


def encode(arch: Arch, mutant: Mutant) -> bytes | None:
    """The bytes of a mutant, as many as before or more; None if it has no encoding."""
    code = b""
    for text in mutant.texts:
        try:
            code += _encode(arch, text, mutant.at[0].address + len(code), mutant.at)
        except AsmError:
            return None
    return code + arch.nop * ((mutant.size - len(code)) // len(arch.nop))


def _encode(arch: Arch, text: str, address: int, before: tuple[Insn, ...]) -> bytes:
    """One instruction at ``address``; the bytes that it had ``before``, if they still mean the same there."""
    for insn in before:
        if insn.text == text:
            same = read(arch, insn.code, address)
            if same is not None and same.text == text:
                return insn.code
    return assemble([Statement("mutant", 1, text)], arch, base=address).segments[0].data


def targets(insns: list[Insn]) -> set[int]:
    """Numbers that stand in instructions: no pair may be swapped whose second one's address is among them."""
    return {operand.value for insn in insns for operand in insn.operands if isinstance(operand, Imm)}
