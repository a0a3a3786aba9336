"""Runs a contract on unknowns: what it reads, where it branches, and what it demands, as terms.

A contract is a function of an `Entry`. Given an entry whose registers and words are `Term`s it yields its effect
in terms of them; each comparison that it branches on is a condition, and it is run once for either answer. So the
contracts of `emu.contracts` need not be written a second time for crossings in a running program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from arch.golang import Era
from arch.habits import Habits
from arch.layout import Layout
from arch.model import Arch
from asm.program import Program
from emu.contracts.effect import Effect, Entry

TLS, ZERO, MOVED = "tls", "zero", "moved"  # bases that are no registers
_MOST_PATHS = 64  # of one contract; more means that it loops over an unknown


class Word(NamedTuple):
    """The word that is read, at entry, at ``base`` + ``offset``."""

    base: Base
    offset: int


Base = str | Word
"""What a term counts from: a register by name, `TLS` (the thread's TLS base), `ZERO`, or a word of memory."""


class Term:
    """``base`` + ``offset``, plus the bytes by which the stack has moved if ``moved``; the explorer compares it."""

    __slots__ = ("_ask", "base", "moved", "offset")

    def __init__(self, ask: Callable[[Condition], bool], base: Base, offset: int = 0, moved: bool = False) -> None:
        self._ask, self.base, self.offset, self.moved = ask, base, offset, moved

    def _shifted(self, other: object, sign: int) -> Any:
        if isinstance(other, int):
            return Term(self._ask, self.base, self.offset + sign * other, self.moved)
        if isinstance(other, Term) and other.base == MOVED and sign == 1:
            return Term(self._ask, self.base, self.offset, True)
        return NotImplemented

    def __add__(self, other: object) -> Any:
        return self._shifted(other, 1)

    def __radd__(self, other: object) -> Any:
        return self._shifted(other, 1)

    def __sub__(self, other: object) -> Any:
        if isinstance(other, Term) and (other.base, other.moved) == (self.base, self.moved):
            return self.offset - other.offset
        return self._shifted(other, -1)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Term):
            same = (self.base, self.offset) == (other.base, other.offset)
            return same or self._ask(Condition(self.base, self.offset, other.base, other.offset))
        return isinstance(other, int) and self._ask(Condition(self.base, self.offset, ZERO, other))

    def __ge__(self, other: int) -> bool:
        return self._ask(Condition(self.base, self.offset, ZERO, other, order=True))

    def __bool__(self) -> bool:
        return not self.__eq__(0)

    def __hash__(self) -> int:
        return hash((self.base, self.offset))

    def __format__(self, _spec: str) -> str:
        return "…"


class Condition(NamedTuple):
    """Whether two terms are equal or, asked for ``order``, whether the left one is at least the right one."""

    left: Base
    left_offset: int
    right: Base
    right_offset: int
    order: bool = False


class At(str):
    """The name of a moment whose address is a term."""

    term: Term

    def __new__(cls, term: Term) -> At:
        made = super().__new__(cls, "…")
        made.term = term
        return made


class Path(NamedTuple):
    """One way through a contract: its effect if every condition has the truth that stands beside it."""

    conditions: tuple[tuple[Condition, bool], ...]
    effect: Effect


@dataclass
class _Explorer:
    """Answers a contract's questions: first as ``known`` says, then yes."""

    known: list[tuple[Condition, bool]]
    asked: list[tuple[Condition, bool]] = field(default_factory=list)

    def ask(self, condition: Condition) -> bool:
        for seen, truth in self.asked:
            if seen == condition:
                return truth
        truth = self.known[len(self.asked)][1] if len(self.asked) < len(self.known) else True
        self.asked.append((condition, truth))
        return truth


class _Names:
    """Stands for a program: a place that is a term is named by the term."""

    def __init__(self, program: Program) -> None:
        self.gates, self.symbols, self._program = program.gates, program.symbols, program

    def __contains__(self, name: str) -> bool:
        return name in self._program

    def describe(self, address: Term | int) -> str:
        return At(address) if isinstance(address, Term) else self._program.describe(address)


class Subject(NamedTuple):
    """What the contracts are explored for: a program of one arch and release."""

    arch: Arch
    era: Era
    habits: Habits
    layout: Layout
    program: Program


def paths(subject: Subject, contract: Callable[[Entry], Any]) -> Iterator[Path]:
    """Every way through a contract. Raises RuntimeError for one that has too many."""
    known: list[tuple[Condition, bool]] = []
    for _ in range(_MOST_PATHS):
        explorer = _Explorer(known)
        effect = contract(_entry(subject, explorer.ask))
        yield Path(tuple(explorer.asked), effect)
        known = explorer.asked
        while known and not known[-1][1]:
            known = known[:-1]
        if not known:
            return
        known = [*known[:-1], (known[-1][0], False)]
    raise RuntimeError("a contract branches too often on what is not known before a run")


def _entry(subject: Subject, ask: Callable[[Condition], bool]) -> Entry:
    """An entry of unknowns. Its types are those of a contract's arithmetic, not of an int."""

    def word(address: Term | int) -> Term:
        base, offset = (address.base, address.offset) if isinstance(address, Term) else (ZERO, address)
        return Term(ask, Word(base, offset))

    registers = {name: Term(ask, name) for name in subject.arch.registers}
    return Entry(
        arch=subject.arch, era=subject.era, habits=subject.habits, layout=subject.layout,
        program=cast(Program, _Names(subject.program)), registers=cast(Mapping[str, int], registers),
        word=cast(Callable[[int], int], word), tls_base=cast(int, Term(ask, TLS)),
        facts=cast(Mapping[str, int], {"moved": Term(ask, MOVED)}),
    )
