"""Data directives: ``.byte .short .long .quad .word .ascii .asciz .zero .align``."""

from __future__ import annotations

import re

from arch.model import Arch
from asm.expr import ExprError
from asm.operands import Refused, Values, split

_SIZES = {".byte": 1, ".short": 2, ".hword": 2, ".long": 4, ".int": 4, ".quad": 8}
DIRECTIVES = (*_SIZES, ".word", ".ascii", ".asciz", ".zero", ".align", ".set", ".macro", ".pool")
MOST = 1 << 20
"""Bytes one directive may make."""

_STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)")
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", '"': '"', "\\": "\\"}


def make(name: str, rest: str, values: Values, arch: Arch) -> bytes:
    """The bytes of a directive at ``values.address``. Raises Refused or ExprError."""
    if not rest and name in DIRECTIVES:
        raise Refused(f"{name} of what?")
    if name in (".ascii", ".asciz"):
        end = b"\0" if name == ".asciz" else b""
        return b"".join(_string(part) + end for part in split(rest))
    if name == ".zero":
        return bytes(_count(rest, values, MOST))
    if name == ".align":
        return _padding(_count(rest, values, 4096), values.address, arch)
    if name == ".word" and arch.isa != "arm":
        raise Refused(".word has different sizes in different assemblers: write .short, .long or .quad")
    size = 4 if name == ".word" else _SIZES.get(name)
    if not size:
        raise Refused(f"there is no directive {name}; there are {' '.join(DIRECTIVES)}")
    return b"".join(_number(part, size, values) for part in split(rest))


def _number(text: str, size: int, values: Values) -> bytes:
    value, bits = values.value(text), 8 * size
    if not -(1 << (bits - 1)) <= value < 1 << bits:
        raise Refused(f"{value:#x} does not fit into {size} bytes")
    return (value % (1 << bits)).to_bytes(size, "little")


def _count(text: str, values: Values, most: int) -> int:
    value = values.value(text)
    if not 0 <= value <= most:
        raise Refused(f"{value} is not between 0 and {most}")
    return value


def _padding(alignment: int, address: int, arch: Arch) -> bytes:
    """No-ops up to a multiple of ``alignment`` bytes (zeros where no instruction can stand)."""
    if alignment < 1 or alignment & (alignment - 1):
        raise Refused(f".align counts bytes and takes a power of two, not {alignment}")
    gap = -address % alignment
    zeros = min(gap, -address % arch.alignment)
    return bytes(zeros) + arch.nop * ((gap - zeros) // len(arch.nop)) + bytes((gap - zeros) % len(arch.nop))


def _string(text: str) -> bytes:
    match = _STRING.fullmatch(text)
    if not match:
        raise ExprError(f"{text} is no string in double quotes")

    def plain(found: re.Match[str]) -> str:
        escape = found.group(1)
        if escape[0] == "x":
            return chr(int(escape[1:], 16))
        if escape not in _PLAIN_ESCAPES:
            raise ExprError(f'\\{escape} is no escape: there are \\n \\t \\r \\0 \\\\ \\" and \\xHH')
        return _PLAIN_ESCAPES[escape]

    return _ESCAPE.sub(plain, match.group(1)).encode("latin-1")
