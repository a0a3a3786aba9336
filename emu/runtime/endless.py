"""Recognizes a function that calls itself until its stack is used up, by what it left on it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.session import Session

_MANY = 16  # return PCs into one function, nothing but these on the newest part of the stack


def recursion_of(session: Session) -> str:
    """Which function has called itself, from where and how often, if that has used up its stack; else ""."""
    process, stack = session.process, session.current.stack
    if process.role("sp") - session.era.guards.small >= stack.lo:
        return ""
    word = session.arch.word
    values = (process.word(address) for address in range(stack.lo, stack.hi, word))
    backs = Counter(value for value in values if session.guests.program.at(value) is not None)
    if not backs:
        return ""
    back, times = backs.most_common(1)[0]
    if times < _MANY:
        return ""
    name = session.function_at(back)
    where = session.world.describe(back)
    return f"{name} calls itself without end: {times} return PCs {where} fill the stack, and SP leaves it"
