"""The instructions of a program's trampolines, for campaigns that do something at each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import arch as arches
from asm.goelf import GoBinary
from asm.program import Symbol
from asm.readback import disassemble
from emu.live.watch.routines import HELPERS, find

NAMES = ("mcall", "gogo", "morestack", "morestack_noctxt", "systemstack", "asyncPreempt", "rawVforkSyscall")
_LITERAL = re.compile(r"\[pc, #(-?\w+)\]")  # a word in the text that is loaded, and no instruction
_AHEAD = 8  # bytes by which PC is ahead of the instruction that reads it


class Instruction(NamedTuple):
    """``text``: as it is read back from its bytes."""

    address: int
    code: bytes
    text: str


def routines(binary: GoBinary) -> list[Symbol]:
    """The trampolines that a program has, and what they call or jump to before they leave for good; by address."""
    symbols = binary.program.symbols
    found = [binary.routines.get(name) or find(binary, name) for name in NAMES]
    found += [symbols.get(name) for name in HELPERS]
    return sorted({symbol for symbol in found if symbol is not None}, key=lambda symbol: symbol.address)


def instructions(binary: GoBinary, symbol: Symbol) -> Iterator[Instruction]:
    """The instructions of a routine, in order, without the words that it loads from its own text."""
    code = binary.program.read(symbol.address, symbol.size)
    words: set[int] = set()
    for address, data, text in disassemble(arches.get(binary.arch), code, symbol.address):
        if address in words:
            continue
        words |= {address + _AHEAD + int(match[1], 0) for match in _LITERAL.finditer(text)}
        yield Instruction(address, data, text)
