"""x86 (386 and amd64) statements: Intel syntax in, canonical text for Keystone out."""

from __future__ import annotations

import re
from collections.abc import Callable

from asm import expr
from asm.operands import Imm, Instruction, Mem, Operand, Reg, Refused, Values, split


SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "tbyte": 10, "xmmword": 16, "ymmword": 32}
SIZE_NAMES = {size: name for name, size in SIZES.items()}
SEGMENTS = {"cs", "ds", "es", "fs", "gs", "ss"}
_LOW_BYTES = {4: "al cl dl bl", 8: "al cl dl bl spl bpl sil dil"}


def _registers(word: int) -> dict[str, int]:
    """Register name -> size in bytes."""
    sizes: dict[str, int] = dict.fromkeys("ah ch dh bh".split(), 1) | dict.fromkeys(_LOW_BYTES[word].split(), 1)
    for name in "ax cx dx bx sp bp si di".split():
        sizes[name], sizes["e" + name] = 2, 4
        if word == 8:
            sizes["r" + name] = 8
    if word == 8:
        for n in range(8, 16):
            sizes |= {f"r{n}": 8, f"r{n}d": 4, f"r{n}w": 2, f"r{n}b": 1}
        sizes["rip"] = 8
    for n in range(16 if word == 8 else 8):
        sizes |= {f"xmm{n}": 16, f"ymm{n}": 32}
    for n in range(8):
        sizes |= {f"mm{n}": 8, f"st({n})": 10, f"cr{n}": word, f"dr{n}": word}
    return sizes | dict.fromkeys(SEGMENTS, 2) | {"st": 10}


REGISTERS = {word: _registers(word) for word in (4, 8)}

_CONDITIONS = (
    ("e z", "ne nz", "b c nae", "ae nb nc", "be na", "a nbe", "p pe", "np po", "l nge", "ge nl", "le ng", "g nle", "s", "ns", "o", "no")
)
ALIASES = {
    stem + other: stem + names.split()[0] for names in _CONDITIONS for other in names.split()[1:] for stem in ("j", "set", "cmov")
} | {
    "sal": "shl", "movabs": "mov", "fwait": "wait", "xlat": "xlatb", "pushal": "pushad", "popal": "popad", "iret": "iretd",
    "sysretq": "sysret", "retn": "ret",
}  # fmt: skip
"""Names of one instruction -> the one name both sides are compared by."""

EXTRA = frozenset(ALIASES.values())
"""Names that Capstone has another word for."""

_BRANCHES = {"j" + names.split()[0] for names in _CONDITIONS} | {"jmp", "call", "loop", "loope", "loopne", "jecxz", "jrcxz"}
PREFIXES = {"lock": "lock", "rep": "rep", "repe": "rep", "repz": "rep", "repne": "repne", "repnz": "repne"}

FIXED = {
    (4, "push cs"): "0e", (4, "pushf"): "9c", (4, "popf"): "9d", (8, "pushf"): "9c", (8, "popf"): "9d",
    (4, "endbr32"): "f30f1efb", (8, "endbr64"): "f30f1efa",
    (4, "movsd"): "a5", (8, "movsd"): "a5", (4, "rep movsd"): "f3a5", (8, "rep movsd"): "f3a5",
}  # fmt: skip
"""(word, canonical text) -> bytes of what Keystone gets wrong or does not know."""

_HEAD = re.compile(r"([A-Za-z][A-Za-z0-9]*)(?:\s+(.*))?", re.DOTALL)
_MEMORY = re.compile(r"(?:(\w+)\s+ptr\s+)?(?:(\w\w)\s*:\s*)?\[([^\[\]]*)\]", re.IGNORECASE)


def _memory(match: re.Match[str], values: Values, word: int) -> tuple[Mem, int | None]:
    """A memory operand, and the address it must reach if it is rip-relative to one."""
    size_name, segment, inside = (match.group(1) or "").lower(), (match.group(2) or "").lower(), match.group(3)
    if size_name and size_name not in SIZES:
        raise Refused(f"{size_name} ptr is no size: there are {', '.join(SIZES)}")
    if segment and segment not in SEGMENTS:
        raise Refused(f"{segment} is no segment register")
    table, base, index, scale, total, addresses = REGISTERS[word], "", "", 1, 0, 0
    for sign, term in expr.terms(expr.parse(inside)):
        register, factor = _scaled(term, values, table)
        if not register:
            total += sign * expr.evaluate(term, values.lookup)
            addresses += sign * expr.weight(term, values.weight) if "rip" in inside.lower() else 0
        elif sign < 0:
            raise Refused(f"{register} cannot be subtracted in an address")
        elif factor == 1 and not base:
            base = register
        elif not index and factor in (1, 2, 4, 8):
            index, scale = register, factor
        else:
            raise Refused(f"[{inside}] is no address: at most one base and one index times 1, 2, 4 or 8")
    if index in ("esp", "rsp") and scale == 1:
        base, index = index, base
    if base == "rip" and addresses:
        if addresses != 1 or index:
            raise Refused(f"[{inside}] is no address")
        return Mem(SIZES.get(size_name, 0), segment, base, index, scale, 0), total
    return Mem(SIZES.get(size_name, 0), segment, base, index, scale, _displacement(total, word)), None


def _scaled(term: expr.Expr, values: Values, table: dict[str, int]) -> tuple[str, int]:
    """(register, factor) of a term of an address; ("", 0) if it is a number."""
    if isinstance(term, str) and term.lower() in table:
        return term.lower(), 1
    if isinstance(term, tuple):
        for register, factor in ((term[1], term[2]), (term[2], term[1])):
            if isinstance(register, str) and register.lower() in table:
                return register.lower(), expr.evaluate(factor, values.lookup)
    return "", 0


def _displacement(value: int, word: int) -> int:
    """A displacement as a signed number of 32 bits; Refused if it is none."""
    if word == 4 and -(1 << 31) <= value < 1 << 32:
        return (value + (1 << 31)) % (1 << 32) - (1 << 31)
    signed = value - (1 << 64) if 0 <= (1 << 64) - value <= 1 << 31 else value
    if not -(1 << 31) <= signed < 1 << 31:
        raise Refused(f"the displacement {value:#x} does not fit into 32 signed bits")
    return signed


def _show(operand: Operand, word: int) -> str:
    """The canonical text of an operand."""
    if isinstance(operand, Reg):
        return operand.name
    if isinstance(operand, Imm):
        return hex(operand.value)
    assert isinstance(operand, Mem)
    size = f"{SIZE_NAMES[operand.size]} ptr " if operand.size else ""
    segment = f"{operand.segment}:" if operand.segment else ""
    parts = [operand.base] if operand.base else []
    if operand.index:
        parts.append(f"{operand.index}*{operand.scale}")
    if not parts:  # absolute: without riz, Keystone makes it rip-relative on amd64
        absolute = hex(operand.displacement % (1 << 32)) if word == 4 else f"riz*1{operand.displacement:+#x}"
        return f"{size}{segment}[{absolute}]"
    offset = f"{operand.displacement:+#x}" if operand.displacement else ""
    return f"{size}{segment}[{'+'.join(parts)}{offset}]"


def canonical(mnemonic: str, operands: tuple[Operand, ...], word: int) -> str:
    """The text that is handed to Keystone."""
    return f"{mnemonic} {', '.join([_show(o, word) for o in operands])}" if operands else mnemonic


def parse(text: str, values: Values, word: int, known: Callable[[str], bool]) -> Instruction:
    """A statement with all names put in. ``known``: whether a mnemonic exists. Raises Refused or ExprError."""
    prefix = ""
    while True:
        match = _HEAD.fullmatch(text)
        if not match:
            raise Refused("no instruction: a statement starts with a mnemonic, a label or a directive")
        name, rest = match.group(1).lower(), match.group(2) or ""
        if name not in PREFIXES:
            break
        if prefix or not rest:
            raise Refused(f"{name} stands in front of one instruction, once")
        prefix, text = name, rest
    if not known(name) and name not in EXTRA and name not in ALIASES and (word, f"{prefix} {name}".strip()) not in FIXED:
        raise Refused(f"there is no instruction or macro {name}")
    target: int | None = None
    operands: list[Operand] = []
    for part in split(rest):
        operand, reach = _operand(part, values, word)
        operands.append(operand)
        target = reach if reach is not None else target
    mnemonic = f"{prefix} {name}" if prefix else name
    plain = ALIASES.get(name, name)
    relative = plain in _BRANCHES and len(operands) == 1 and isinstance(operands[0], Imm)
    if relative:
        operands[0] = Imm(_in_space(operands[0].value, word))  # type: ignore[union-attr]
    _refuse_high_byte(operands, word)
    fixed = tuple(operands)
    return Instruction(mnemonic, fixed, canonical(mnemonic, fixed, word), relative, target)


def _operand(part: str, values: Values, word: int) -> tuple[Operand, int | None]:
    table, name = REGISTERS[word], part.lower()
    if name in table:
        if name == "rip":
            raise Refused("rip stands in addresses only: [rip + label]")
        return Reg("st(0)" if name == "st" else name), None
    if part.endswith("]"):
        match = _MEMORY.fullmatch(part)
        if not match:
            raise Refused(f"{part} is no memory operand: write qword ptr fs:[base + index*8 + 16]")
        return _memory(match, values, word)
    value = values.value(part)
    if not -(1 << 63) <= value < 1 << (32 if word == 4 else 64):
        raise Refused(f"{value:#x} does not fit into a word")
    return Imm(value), None


def _in_space(target: int, word: int) -> int:
    if not 0 <= target < 1 << (8 * word):
        raise Refused(f"the target {target:#x} is no address")
    return target


def _refuse_high_byte(operands: list[Operand], word: int) -> None:
    """ah, bh, ch and dh have no encoding beside a REX prefix; Keystone ends the process on them."""
    names = [o.name for o in operands if isinstance(o, Reg)]
    high = [n for n in names if n in ("ah", "bh", "ch", "dh")]
    if not high or word == 4:
        return
    names += [part for o in operands if isinstance(o, Mem) for part in (o.base, o.index) if part.startswith("r") and part[1:2].isdigit()]
    wide = [n for n in names if n in ("spl", "bpl", "sil", "dil") or n.startswith("r")]
    if wide:
        raise Refused(f"{high[0]} cannot be used together with {wide[0]}")


def registers(word: int) -> dict[str, int]:
    """Names that mean a register."""
    return REGISTERS[word]
