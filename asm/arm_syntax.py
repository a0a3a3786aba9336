"""arm statements: UAL in, names put in, canonical text for Keystone out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from asm import expr
from asm.operands import ArmMem, Imm, Instruction, Operand, Refused, Reg, RegList, Values, Word, split

_CONDITIONS = {
    "": "", "al": "", "eq": "eq", "ne": "ne", "hs": "hs", "cs": "hs", "lo": "lo", "cc": "lo", "mi": "mi", "pl": "pl",
    "vs": "vs", "vc": "vc", "hi": "hi", "ls": "ls", "ge": "ge", "lt": "lt", "gt": "gt", "le": "le",
}  # fmt: skip
"""A condition as written -> its one name ("" for always)."""
_FLAGGED = frozenset(
    "and eor sub rsb add adc sbc rsc orr mov bic mvn lsl lsr asr ror rrx mul mla umull umlal smull smlal".split()
)
_PLAIN = frozenset(
    """
    tst teq cmp cmn b bl bx blx svc swi bkpt udf nop yield wfe wfi sev dmb dsb isb clrex pld adr movw movt
    ldr ldrb ldrh ldrsb ldrsh ldrd str strb strh strd swp swpb mrs msr mrc mcr mrrc mcrr
    ldrex ldrexb ldrexh ldrexd strex strexb strexh strexd push pop
    ldm ldmia ldmib ldmda ldmdb ldmfd ldmfa ldmed ldmea stm stmia stmib stmda stmdb stmfd stmfa stmed stmea
    clz rev rev16 revsh rbit sxtb sxth uxtb uxth ubfx sbfx bfi bfc mls usat ssat
    vpush vpop vldr vstr vldm vldmia vldmdb vstm vstmia vstmdb vmov vmrs vmsr
    vadd vsub vmul vdiv vmla vmls vneg vabs vsqrt vcmp vcmpe vcvt vcvtr
    """.split()
)
_SAME = {
    "ldmia": "ldm", "ldmfd": "ldm", "ldmea": "ldmdb", "ldmed": "ldmib", "ldmfa": "ldmda", "stmia": "stm",
    "stmea": "stm", "stmfd": "stmdb", "stmfa": "stmib", "stmed": "stmda", "swi": "svc", "vldm": "vldmia",
    "vstm": "vstmia",
}  # fmt: skip
_SHIFTS = ("lsl", "lsr", "asr", "ror")
_LITERAL = {"ldr", "ldrb", "ldrh", "ldrsb", "ldrsh"}
_COPROCESSOR = {"mrc", "mcr", "mrrc", "mcrr"}
BY_TEXT = {"dmb", "dsb", "isb", "mrs", "msr", "vmrs", "vmsr"}
_WORD32 = 1 << 32


class Mnemonic(NamedTuple):
    """A mnemonic taken apart: the plain one, whether it sets flags, its condition ("" for always)."""

    base: str
    flags: bool
    condition: str


def _mnemonics() -> dict[str, Mnemonic]:
    """Every spelling; no two instructions share one."""
    return {
        base + flag + name: Mnemonic(_SAME.get(base, base), bool(flag), condition)
        for base in sorted(_FLAGGED | _PLAIN)
        for flag in (("", "s") if base in _FLAGGED else ("",))
        for name, condition in _CONDITIONS.items()
    }


_TRANSFERS = {"vldr", "vstr", "vpush", "vpop", "vldmia", "vldmdb", "vstmia", "vstmdb"}
_MNEMONICS = _mnemonics()


def mnemonic(text: str) -> Mnemonic | None:
    """A mnemonic taken apart; None if there is none. A data type (``.f64``) stays with the base if it matters."""
    head, dot, suffix = text.partition(".")
    found = _MNEMONICS.get(head)
    if found is None or not dot:
        return found
    if found.base in _TRANSFERS:
        return found
    return found._replace(base=found.base + dot + suffix) if found.base.startswith("v") else None


REGISTERS = {f"r{n}": f"r{n}" for n in range(13)} | {
    "sp": "sp", "lr": "lr", "pc": "pc", "r13": "sp", "r14": "lr", "r15": "pc",
    "sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12",
}  # fmt: skip
"""Every spelling of a register -> the one used here."""
REGISTERS |= {f"{kind}{n}": f"{kind}{n}" for kind, count in (("s", 32), ("d", 32), ("q", 16)) for n in range(count)}
_ORDER = list(dict.fromkeys(REGISTERS.values()))

_HEAD = re.compile(r"([A-Za-z][\w.]*)(?:\s+(.*))?", re.DOTALL)
_SHIFT = re.compile(r"(lsl|lsr|asr|ror)\s*(.+)|rrx", re.IGNORECASE)
_MEMORY = re.compile(r"\[([^\[\]]*)\]\s*(!?)")
_LIST = re.compile(r"\{([^{}]*)\}\s*(\^?)")
_COPROCESSOR_WORD = re.compile(r"p(1[0-5]|\d)|c(1[0-5]|\d)")
_STATUS_WORD = re.compile(
    r"(c|s)psr(_[cxsf]{1,4})?|apsr(_nzcvq|_nzcv|_f)?|fpscr|fpexc|fpsid|sy|st|ish|ishst|nsh|nshst|osh|oshst"
)


def _number(text: str, values: Values) -> int:
    value = values.value(text[1:] if text.startswith("#") else text)
    if not -(1 << 31) <= value < _WORD32:
        raise Refused(f"{value:#x} does not fit into a word")
    return value


def _shift(text: str, values: Values) -> tuple[str, int | str] | None:
    """(kind, amount) of ``lsl #2`` or ``lsl r3``; None if the operand is no shift."""
    match = _SHIFT.fullmatch(text)
    if not match or text.lower() in REGISTERS:
        return None
    if not match.group(1):
        return "rrx", 0
    amount = match.group(2)
    return match.group(1).lower(), REGISTERS.get(amount.lower()) or _number(amount, values)


def _register(text: str) -> str:
    name = REGISTERS.get(text.strip().lower())
    if not name:
        raise Refused(f"{text.strip()} is no register")
    return name


def _register_list(text: str) -> RegList:
    match = _LIST.fullmatch(text)
    if not match:
        raise Refused(f"{text} is no register list")
    names: list[str] = []
    for part in match.group(1).split(","):
        first, dash, last = part.partition("-")
        names += _run(_register(first), _register(last)) if dash else [_register(first)]
    places = [_ORDER.index(name) for name in names]
    if places != sorted(set(places)):
        raise Refused(f"{text}: registers must stand in ascending order, each once")
    return RegList(tuple(names), bool(match.group(2)))


def _run(first: str, last: str) -> list[str]:
    """The registers from ``first`` to ``last``, which must be of one kind."""
    run = _ORDER[_ORDER.index(first) : _ORDER.index(last) + 1]
    kinds = {"r" if name in ("sp", "lr", "pc") else name[0] for name in run}
    if len(kinds) != 1:
        raise Refused(f"{first}-{last} is no range of registers")
    return run


def _memory(text: str, values: Values) -> ArmMem:
    """``[base]``, ``[base, #n]``, ``[base, -index, lsl #2]``, each with ``!`` or without."""
    match = _MEMORY.fullmatch(text)
    parts = split(match.group(1)) if match else []
    if not match or not 1 <= len(parts) <= 3:
        raise Refused(f"{text} is no memory operand: write [base, #offset] or [base, index, lsl #2]")
    mode = "pre" if match.group(2) else "offset"
    return _offset(ArmMem(_register(parts[0]), "", 1, "", 0, 0, mode), parts[1:], values)


def _offset(memory: ArmMem, parts: list[str], values: Values) -> ArmMem:
    """``memory`` with its offset: a number, or an index register that may be shifted."""
    if not parts:
        return memory
    sign = -1 if parts[0].startswith("-") else 1
    index = REGISTERS.get(parts[0].lstrip("+-").strip().lower())
    if not index:
        if len(parts) > 1:
            raise Refused(f"{', '.join(parts)} is no offset")
        return replace(memory, displacement=_number(parts[0], values))
    shift, amount = "", 0
    if len(parts) > 1:
        found = _shift(parts[1], values)
        if not found or isinstance(found[1], str) or len(parts) > 2:
            raise Refused(f"{', '.join(parts[1:])} is no shift of an index")
        shift, amount = (found[0], found[1]) if found[0] == "rrx" or found[1] else ("", 0)
    return replace(memory, index=index, sign=sign, shift=shift, amount=amount)


def _operands(parts: list[str], name: Mnemonic, values: Values) -> list[Operand]:
    found: list[Operand] = []
    words = _COPROCESSOR_WORD if name.base in _COPROCESSOR else _STATUS_WORD if name.base in BY_TEXT else None
    for at, part in enumerate(parts):
        shift = _shift(part, values)
        if part.startswith("{"):
            found.append(_register_list(part))
        elif part.startswith("["):
            memory = _memory(part, values)
            if rest := parts[at + 1 :]:
                if memory.mode == "pre" or memory.index or memory.displacement:
                    raise Refused(f"{', '.join(rest)} cannot follow {part}")
                memory = _offset(replace(memory, mode="post"), rest, values)
            return [*found, memory]
        elif shift:
            if not found or not isinstance(found[-1], Reg) or found[-1].shift:
                raise Refused(f"{part} must follow a register")
            kind, amount = shift
            found[-1] = Reg(found[-1].name, kind, amount) if kind == "rrx" or amount else found[-1]
        elif part.endswith("!"):
            found.append(Reg(_register(part[:-1]), "!"))
        elif register := REGISTERS.get(part.lower()):
            found.append(Reg(register))
        elif words and words.fullmatch(part.lower()):
            found.append(Word(part.lower()))
        else:
            found.append(Imm(_number(part, values)))
    return found


def _literal(parts: list[str], name: Mnemonic, values: Values) -> list[Operand] | None:
    """``ldr rX, =EXPR`` and ``ldr rX, label`` as loads relative to pc; None for all else."""
    if name.base not in _LITERAL or len(parts) != 2 or parts[1][:1] in ("[", "#"):
        return None
    if parts[1].startswith("="):
        if name.base != "ldr":
            raise Refused("only ldr takes a literal")
        address = values.pool(parts[1][1:].strip())
    elif expr.weight(expr.parse(parts[1]), values.weight) == 1:
        address = values.value(parts[1])
    else:
        raise Refused(f"{parts[1]} is no address: write ={parts[1]} to load a number")
    reach = 255 if name.base in ("ldrh", "ldrsh", "ldrsb") else 4095
    distance = address - values.address - 8
    if not -reach <= distance <= reach:
        raise Refused(f"{parts[1]} lies {distance} bytes away and ldr reaches {reach}: put a .pool nearer")
    return [Reg(_register(parts[0])), ArmMem("pc", "", 1, "", 0, distance, "offset")]


def _show(operand: Operand, hashed: bool) -> str:
    """The canonical text of an operand; ``hashed``: numbers carry their #.

    Numbers are hex: for decimal ones Keystone reads stray memory.
    """
    if isinstance(operand, Reg):
        if operand.shift == "!":
            return operand.name + "!"
        if operand.shift == "rrx":
            return f"{operand.name}, rrx"
        amount = operand.amount if isinstance(operand.amount, str) else f"#{operand.amount:#x}"
        return f"{operand.name}, {operand.shift} {amount}" if operand.shift else operand.name
    if isinstance(operand, Imm):
        return f"#{operand.value:#x}" if hashed else hex(operand.value)
    if isinstance(operand, RegList):
        return "{" + ", ".join(operand.names) + "}" + "^" * operand.user
    if isinstance(operand, Word):
        return operand.name
    assert isinstance(operand, ArmMem)
    offset = f", #{operand.displacement:#x}" if operand.displacement else ""
    if operand.index:
        shift = {"": "", "rrx": ", rrx"}.get(operand.shift, f", {operand.shift} #{operand.amount:#x}")
        offset = f", {'-' if operand.sign < 0 else ''}{operand.index}{shift}"
    if operand.mode == "post":
        return f"[{operand.base}]{offset or ', #0x0'}"
    return f"[{operand.base}{offset}]{'!' * (operand.mode == 'pre')}"


def parse(text: str, values: Values) -> Instruction:
    """A statement with all names put in. Raises Refused or ExprError."""
    match = _HEAD.fullmatch(text)
    if not match:
        raise Refused("no instruction: a statement starts with a mnemonic, a label or a directive")
    written = match.group(1).lower()
    name = mnemonic(written)
    if not name:
        raise Refused(f"there is no instruction or macro {written}")
    parts = split(match.group(2) or "")
    if not all(parts):
        raise Refused("an operand is missing")
    if name.base == "adr" and len(parts) == 2:
        return _address(parts, name, values)
    operands = tuple(_literal(parts, name, values) or _operands(parts, name, values))
    relative = name.base in ("b", "bl", "blx") and len(operands) == 1 and isinstance(operands[0], Imm)
    if relative and name.base == "blx":
        raise Refused("blx to a label switches to Thumb, which is not assembled here")
    hashed = not relative and name.base not in _COPROCESSOR
    handed, given = _encodable(written, name, operands)
    shown = ", ".join([_show(o, hashed) for o in given])
    return Instruction(written, operands, f"{handed} {shown}".rstrip(), relative, _ends(name, operands))


def _encodable(written: str, name: Mnemonic, operands: tuple[Operand, ...]) -> tuple[str, tuple[Operand, ...]]:
    """``sub`` of a negative number as ``add``; Keystone knows only the other direction."""
    last = operands[-1] if operands else None
    if name.base != "sub" or not isinstance(last, Imm) or not -(_WORD32 >> 1) < last.value < 0:
        return written, operands
    return "add" + "s" * name.flags + name.condition, (*operands[:-1], Imm(-last.value))


def _ends(name: Mnemonic, operands: tuple[Operand, ...]) -> bool:
    """Whether control never runs on. A call may be to what never returns, so it counts; so does a trap."""
    if name.condition:
        return False
    if name.base in ("b", "bl", "bx", "blx", "svc", "udf", "bkpt"):
        return True
    last = operands[-1] if operands else None
    stores = name.base.startswith(("str", "stm", "push", "cmp", "cmn", "tst", "teq"))
    return not stores and (operands[:1] == (Reg("pc"),) or (isinstance(last, RegList) and "pc" in last.names))


def _address(parts: list[str], name: Mnemonic, values: Values) -> Instruction:
    """``adr rX, label``: an addition to pc or a subtraction from it."""
    distance = values.value(parts[1]) - values.address - 8
    written, register = ("add" if distance >= 0 else "sub") + name.condition, _register(parts[0])
    operands = (Reg(register), Reg("pc"), Imm(abs(distance)))
    return Instruction(written, operands, f"{written} {register}, pc, #{abs(distance):#x}")


def hint(insn: Instruction) -> str:
    """What may be wrong with an instruction that does not exist."""
    for operand in insn.operands:
        if isinstance(operand, ArmMem) and abs(operand.displacement) > 255:
            return f"; can it reach an offset of {operand.displacement}?"
        if isinstance(operand, Imm) and not _rotated(operand.value):
            return f"; {operand.value:#x} is not eight bits rotated by an even count: use ldr rX, =NUMBER"
    return ""


def _rotated(value: int) -> bool:
    """Whether a number can stand in an instruction, itself or as its complement or negative."""
    words = [v % _WORD32 for v in (value, ~value, -value)]
    return any((word << turn | word >> 32 - turn) % _WORD32 < 256 for word in words for turn in range(0, 32, 2))
