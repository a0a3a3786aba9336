"""Operands as both sides of the comparison see them: what was written, and what the bytes mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from asm.expr import ExprError


class Refused(ValueError):
    """An instruction that is not assembled; the message says why."""


class Reg(NamedTuple):
    """A register, shifted on arm: ``shift`` is a kind (``lsl``) and ``amount`` a number or a register."""

    name: str
    shift: str = ""
    amount: int | str = 0


class Imm(NamedTuple):
    """A number, or the target of a branch. ``size``: bytes the encoding gives it, where that is known."""

    value: int
    size: int = 0


@dataclass(frozen=True, slots=True)
class Mem:
    """x86 memory. ``size``: bytes accessed, 0 when not written. ``displacement`` is signed."""

    size: int
    segment: str
    base: str
    index: str
    scale: int
    displacement: int


@dataclass(frozen=True, slots=True)
class ArmMem:
    """arm memory. ``mode``: ``offset``, ``pre`` or ``post`` (writeback). ``sign`` belongs to ``index``."""

    base: str
    index: str
    sign: int
    shift: str
    amount: int
    displacement: int
    mode: str


class RegList(NamedTuple):
    """Registers in braces, in order; ``user`` for a trailing ``^``."""

    names: tuple[str, ...]
    user: bool = False


class Word(NamedTuple):
    """An operand known by name only: a coprocessor, a status register, a barrier."""

    name: str


Operand: TypeAlias = Reg | Imm | Mem | ArmMem | RegList | Word


class Instruction(NamedTuple):
    """A parsed statement. ``text`` goes to the engine; ``relative``: the bytes depend on the address.

    ``code``: bytes that are ours, where Keystone's would be wrong or it has none.
    ``reach``: set where an operand is relative to the instruction's end; takes the length of the bytes and gives
    the instruction with the right displacement. ``ends``: control never runs on to the next instruction.
    """

    mnemonic: str
    operands: tuple[Operand, ...]
    text: str
    relative: bool = False
    ends: bool = False
    reach: Callable[[int], Instruction] | None = None
    code: bytes = b""


EVEX = b"\x62"
"""The first byte of an encoding that needs AVX-512."""


class Decoded(NamedTuple):
    """What Capstone makes of the bytes, and its text for it.

    ``flags``: prefix bytes on x86, EVEX among them; ``!`` (writeback) and ``^`` on arm.
    """

    mnemonic: str
    operands: tuple[Operand, ...]
    flags: bytes
    text: str


class Values(Protocol):
    """What parsing an operand needs to know: names, and where the instruction stands."""

    address: int

    def value(self, text: str) -> int:
        """The value of an expression. ExprError if it has none."""

    def lookup(self, name: str) -> int:
        """The value of a name. ExprError if it has none."""

    def weight(self, name: str) -> int:
        """1 if the name is an address (a label or a gate), else 0."""

    def pool(self, text: str) -> int:
        """The address of the literal pool's word that holds an expression."""


_PAIRS = {"[": "]", "{": "}", "(": ")"}


def split(text: str) -> list[str]:
    """Operands at the commas outside brackets and strings. ExprError if brackets do not match."""
    if not text:
        return []
    if not any(sign in text for sign in '[{("'):
        return [part.strip() for part in text.split(",")]
    parts: list[str] = []
    closing: list[str] = []
    start = 0
    quoted = escaped = False
    for index, sign in enumerate(text):
        if quoted:
            quoted, escaped = escaped or sign != '"', sign == "\\" and not escaped
        elif sign == '"':
            quoted = True
        elif sign in _PAIRS:
            closing.append(_PAIRS[sign])
        elif sign in "]})":
            if not closing or closing.pop() != sign:
                raise ExprError(f"a {sign} that nothing opens")
        elif sign == "," and not closing:
            parts.append(text[start:index].strip())
            start = index + 1
    if closing:
        raise ExprError(f"a {closing[-1]} is missing")
    if quoted:
        raise ExprError('a " is never closed')
    parts.append(text[start:].strip())
    return parts
