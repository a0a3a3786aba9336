"""x86 statements (386 and amd64): Intel syntax in, names put in, canonical text for Keystone out."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from asm import expr
from asm.operands import Imm, Instruction, Mem, Operand, Refused, Reg, Values, split

SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "tbyte": 10, "xmmword": 16, "ymmword": 32}
SIZE_NAMES = {size: name for name, size in SIZES.items()}
SEGMENTS = frozenset({"cs", "ds", "es", "fs", "gs", "ss"})


def _registers(word: int) -> dict[str, int]:
    low = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")
    sizes = dict.fromkeys(low, 1) | dict.fromkeys(SEGMENTS, 2) | {"st": 10}
    for name in ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di"):
        sizes |= {name: 2, f"e{name}": 4} | ({f"r{name}": 8} if word == 8 else {})
    for n in range(8):
        sizes |= {f"mm{n}": 8, f"st({n})": 10, f"cr{n}": word, f"dr{n}": word}
    for n in range(2 * word):
        sizes |= {f"xmm{n}": 16, f"ymm{n}": 32}
    if word == 8:
        sizes |= dict.fromkeys(("spl", "bpl", "sil", "dil"), 1) | {"rip": 8}
        for n in range(8, 16):
            sizes |= {f"r{n}": 8, f"r{n}d": 4, f"r{n}w": 2, f"r{n}b": 1}
    return sizes


REGISTERS = {word: _registers(word) for word in (4, 8)}
"""Bytes of a word -> register name -> its size in bytes."""

_CONDITIONS = (
    ("e", "z"), ("ne", "nz"), ("b", "c", "nae"), ("ae", "nb", "nc"), ("be", "na"), ("a", "nbe"), ("p", "pe"),
    ("np", "po"), ("l", "nge"), ("ge", "nl"), ("le", "ng"), ("g", "nle"), ("s",), ("ns",), ("o",), ("no",),
)  # fmt: skip
_CODES = ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
"""Conditions in the order of their numbers in opcodes."""
ALIASES = {
    "sal": "shl", "movabs": "mov", "fwait": "wait", "xlat": "xlatb", "pushal": "pushad", "popal": "popad",
    "sysretq": "sysret", "retn": "ret", "loopz": "loope", "loopnz": "loopne",
} | {
    stem + other: stem + first for first, *others in _CONDITIONS for other in others for stem in ("j", "set", "cmov")
}  # fmt: skip
"""Names of one instruction -> the one name both sides are compared by."""

EXTRA = frozenset(ALIASES) | frozenset(ALIASES.values()) | {"pushf", "popf", "iret", "pushfd", "popfd", "iretd"}
"""Mnemonics that Capstone has another word for."""

PREFIXES = {"lock": "lock", "rep": "rep", "repe": "rep", "repz": "rep", "repne": "repne", "repnz": "repne"}
_BRANCHES = {f"j{first}" for first, *_ in _CONDITIONS} | {"jmp", "call", "loop", "loope", "loopne", "jecxz", "jrcxz"}

_UNSAFE = frozenset(
    """
    data16 data32 addr16 addr32 rex64 lock rep repe repne xacquire xrelease
    lds les lfs lgs lss lgdt sgdt lidt sidt fsetpm montmul
    xcryptcbc xcryptcfb xcryptctr xcryptecb xcryptofb xsha1 xsha256 xstore
    """.split()
)
"""Lone prefixes, on which Keystone hangs, and instructions that it encodes otherwise than other assemblers do."""

STRINGS = frozenset(
    stem + size for stem in ("movs", "cmps", "stos", "lods", "scas", "ins", "outs") for size in "bwdq"
) | {"xlatb"}
"""Instructions that are written without operands (``movsd`` and ``cmpsd`` have namesakes on vectors)."""

_FIXED = {"pushf": "9c", "popf": "9d", "iret": "cf", "movsd": "a5", "rep movsd": "f3a5"}
_OURS = {4: _FIXED | {"push cs": "0e", "endbr32": "f30f1efb"}, 8: _FIXED | {"endbr64": "f30f1efa"}}
"""Bytes of a word -> canonical text -> the encoding of what Keystone gets wrong or does not know."""

_ADDRESSING = {
    word: {n for n, size in table.items() if size in (4, word) and re.fullmatch(r"[er](..)|r\d+d?", n)}
    for word, table in REGISTERS.items()
}

_HEAD = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\s+(.*))?")
_MEMORY = re.compile(r"(?:(\w+)\s+ptr\s*)?(?:\b(\w\w)\s*:\s*)?\[([^\[\]]*)\]", re.IGNORECASE)


def parse(text: str, values: Values, *, word: int, known: Collection[str]) -> Instruction:
    """A statement with all names put in; ``known``: the mnemonics there are. Raises Refused or ExprError."""
    prefix, name, rest = _head(text)
    mnemonic = f"{prefix} {name}" if prefix else name
    if name not in known:
        raise Refused(f"there is no instruction or macro {name}")
    if name in _UNSAFE:
        raise Refused(f"{name} cannot be assembled safely")
    operands: list[Operand] = []
    target: int | None = None
    for part in split(rest):
        operand, address = _operand(part, values, word)
        operands.append(operand)
        target = address if target is None else target
    plain = ALIASES.get(name, name)
    if plain in STRINGS and operands and not any(isinstance(o, Reg) and o.name.startswith("xmm") for o in operands):
        raise Refused(f"{name} is written without operands")  # with them, Keystone may crash
    relative = plain in _BRANCHES and len(operands) == 1 and isinstance(operands[0], Imm)
    if relative:
        _refuse_outside(operands[0], word)
    if word == 8:
        _refuse_high_byte(operands)
    text = _canonical(mnemonic, operands, word)
    insn = Instruction(mnemonic, tuple(operands), text, relative, code=_ours(text, operands, word))
    if target is None:
        return insn
    start = target - values.address
    return insn._replace(reach=lambda length: _reaching(insn, start - length, word))


def _head(text: str) -> tuple[str, str, str]:
    """(prefix, mnemonic, the rest) of a statement."""
    prefix = ""
    while True:
        match = _HEAD.fullmatch(text)
        if not match:
            raise Refused("no instruction: a statement starts with a mnemonic, a label or a directive")
        name, rest = match.group(1).lower(), match.group(2) or ""
        if name not in PREFIXES:
            return prefix, name, rest
        if prefix or not rest:
            raise Refused(f"{name} stands in front of an instruction, and only once")
        prefix, text = name, rest


def _operand(part: str, values: Values, word: int) -> tuple[Operand, int | None]:
    """An operand, and the address that it must reach if it is relative to rip."""
    name = part.lower()
    if name in REGISTERS[word]:
        if name == "rip":
            raise Refused("rip stands in addresses only: [rip + label]")
        return Reg("st(0)" if name == "st" else name), None
    if part.endswith("]"):
        match = _MEMORY.fullmatch(part)
        if not match:
            raise Refused(f"{part} is no memory operand: write {'qd'[word == 4]}word ptr fs:[base + index*4 + 16]")
        return _memory(match, values, word)
    value = values.value(part)
    if not -(1 << 8 * word - 1) <= value < 1 << 8 * word:
        raise Refused(f"{value:#x} does not fit into a word")
    return Imm(value), None


def _memory(match: re.Match[str], values: Values, word: int) -> tuple[Mem, int | None]:
    size, segment, inside = (match.group(1) or "").lower(), (match.group(2) or "").lower(), match.group(3)
    if size and size not in SIZES:
        raise Refused(f"{size} ptr is no size: there are {', '.join(SIZES)}")
    if segment and segment not in SEGMENTS:
        raise Refused(f"{segment} is no segment register")
    base, index, scale, total = "", "", 1, 0
    numbers: list[tuple[int, expr.Expr]] = []
    for sign, term in expr.terms(expr.parse(inside)):
        register, factor = _scaled(term, values, REGISTERS[word])
        if not register:
            total += sign * expr.evaluate(term, values.lookup)
            numbers.append((sign, term))
        elif sign > 0 and factor == 1 and not base:
            base = register
        elif sign > 0 and factor in (1, 2, 4, 8) and not index:
            index, scale = register, factor
        else:
            raise Refused(f"[{inside}] is no address: it takes one base and one index times 1, 2, 4 or 8")
    if index in ("esp", "rsp") and scale == 1:
        base, index = index, base
    if not {base, index} - {""} <= _ADDRESSING[word]:
        raise Refused(f"[{inside}] is no address: not every register can make one")
    to_address = base == "rip" and sum(sign * expr.weight(term, values.weight) for sign, term in numbers) == 1
    target = total if to_address else None
    displacement = 0 if target is not None else _displacement(total, word)
    return Mem(SIZES.get(size, 0), segment, base, index, scale, displacement), target


def _scaled(term: expr.Expr, values: Values, table: Collection[str]) -> tuple[str, int]:
    """(register, factor) of a term of an address; ("", 0) if it is a number."""
    if isinstance(term, str) and term.lower() in table:
        return term.lower(), 1
    if isinstance(term, tuple):
        for register, factor in ((term[1], term[2]), (term[2], term[1])):
            if isinstance(register, str) and register.lower() in table:
                return register.lower(), expr.evaluate(factor, values.lookup)
    return "", 0


def _displacement(value: int, word: int) -> int:
    """A displacement as a signed number of 32 bits. On 386 addresses wrap, on amd64 the number is extended."""
    space = 1 << 8 * word
    signed = value - space if space >> 1 <= value < space else value
    if not -(1 << 31) <= signed < 1 << 31:
        raise Refused(f"the displacement {value:#x} does not fit into 32 signed bits")
    return signed


def _reaching(insn: Instruction, displacement: int, word: int) -> Instruction:
    """``insn`` with the displacement of its rip-relative operand."""
    checked = _displacement(displacement, word)
    operands = tuple(
        replace(o, displacement=checked) if isinstance(o, Mem) and o.base == "rip" else o for o in insn.operands
    )
    return Instruction(insn.mnemonic, operands, _canonical(insn.mnemonic, operands, word))


def _refuse_outside(target: Operand, word: int) -> None:
    if isinstance(target, Imm) and not 0 <= target.value < 1 << 8 * word:
        raise Refused(f"the target {target.value:#x} is no address")


def _refuse_high_byte(operands: Collection[Operand]) -> None:
    """ah, bh, ch and dh have no encoding beside a REX prefix; Keystone ends the process on them."""
    names = [o.name for o in operands if isinstance(o, Reg)]
    high = [n for n in names if n in ("ah", "bh", "ch", "dh")]
    if not high:
        return
    inside = [n for o in operands if isinstance(o, Mem) for n in (o.base, o.index) if n[1:2].isdigit()]
    wide = [n for n in names if n in ("spl", "bpl", "sil", "dil") or n.startswith("r")] + inside
    if wide:
        raise Refused(f"{high[0]} cannot be used together with {wide[0]}")


def _canonical(mnemonic: str, operands: Collection[Operand], word: int) -> str:
    """The text that is handed to Keystone. Numbers are hex: for decimal ones it reads stray memory."""
    return f"{mnemonic} {', '.join([_show(o, word) for o in operands])}" if operands else mnemonic


def _ours(text: str, operands: Sequence[Operand], word: int) -> bytes:
    """The bytes of what Keystone gets wrong or does not know; none if it may be asked."""
    if text in _OURS[word]:
        return bytes.fromhex(_OURS[word][text])
    if text.startswith("push ") and isinstance(number := operands[0], Imm):
        space = 1 << 8 * word
        value = number.value - space if number.value >= space >> 1 else number.value
        if -128 <= value < 128:
            return b"\x6a" + value.to_bytes(1, "little", signed=True)
        if -(1 << 31) <= value < 1 << 31:
            return b"\x68" + value.to_bytes(4, "little", signed=True)
    return b""


def _show(operand: Operand, word: int) -> str:
    if isinstance(operand, Reg):
        return operand.name
    if isinstance(operand, Imm):
        return hex(operand.value)
    assert isinstance(operand, Mem)
    size = f"{SIZE_NAMES[operand.size]} ptr " if operand.size else ""
    segment = f"{operand.segment}:" if operand.segment else ""
    parts = [operand.base] if operand.base else []
    if operand.index:
        parts.append(f"{operand.index}*{operand.scale:#x}")
    if not parts:  # absolute: without riz, Keystone makes it relative to rip on amd64
        inside = hex(operand.displacement % (1 << 32)) if word == 4 else f"riz*0x1{operand.displacement:+#x}"
    else:
        inside = "+".join(parts) + (f"{operand.displacement:+#x}" if operand.displacement else "")
    return f"{size}{segment}[{inside}]"


def wide(insn: Instruction, address: int) -> Instruction:
    """A jump that reaches 2 GiB whatever its target; other branches have one size only."""
    name, target = ALIASES.get(insn.mnemonic, insn.mnemonic), insn.operands[0]
    opcode = b"\xe9" if name == "jmp" else bytes([0x0F, 0x80 + _CODES.index(name[1:])]) if name[1:] in _CODES else b""
    if not opcode or not isinstance(target, Imm):
        return insn
    distance = (target.value - address - len(opcode) - 4) % (1 << 32)
    return insn._replace(code=opcode + distance.to_bytes(4, "little"))


def hint(insn: Instruction) -> str:
    """What may be wrong with an instruction that does not exist."""
    if any(isinstance(o, Mem) and not o.size for o in insn.operands):
        return "; does the memory operand need a size, such as dword ptr?"
    return ""
