"""The sweep: every mutant of a subject, killed by a check or not."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

from asm.statement import AsmError, Statement
from sweep.detour import detour
from sweep.mutate import OPERATORS, Insn, Mutant, encode, mutants, swap, targets
from sweep.order import observable
from sweep.subject import Case, Subject, cover, insns_of, patched

_MANY = 50  # programs assembled anew, between two collections of garbage


@dataclass(frozen=True)
class Survivor:
    """A mutant that no check noticed. ``executed``: whether any scene gets there at all."""

    routine: str
    operator: str
    shown: str
    change: str
    executed: bool


@dataclass
class Tally:
    """What became of the mutants, by operator. The unobservable and the unencodable ones were not tried."""

    tried: Counter[str] = field(default_factory=Counter)
    killed: Counter[str] = field(default_factory=Counter)
    unobservable: int = 0
    unencodable: list[str] = field(default_factory=list)
    survivors: list[Survivor] = field(default_factory=list)


class Sweep:
    """One subject's sweep: what it executes is found out once, then each mutant runs only where it is executed.

    AssertionError if the unchanged subject fails a check.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.arch, self.program = subject.target.arch, subject.target.program
        self.coverage = cover(subject.cases)
        self.insns = insns_of(subject.target, self.coverage.steps)
        self.tally = Tally()
        self._rebuilds = 0

    def run(self, operators: Iterable[str] = OPERATORS) -> Tally:
        """Try every mutant of the given operators."""
        wanted = set(operators)
        for mutant in self._mutants("swap" in wanted):
            if mutant.operator in wanted:
                self._try(mutant)
        return self.tally

    def _mutants(self, swaps: bool) -> Iterator[Mutant]:
        for insn in self.insns:
            yield from mutants(self.arch, insn)
        if swaps:
            yield from (swap(self.arch, first, second) for first, second in self._pairs())

    def _pairs(self) -> Iterator[tuple[Insn, Insn]]:
        """Neighbours one of which writes memory, SP or g, and which are executed from the first one on."""
        entered = targets(self.insns) | {symbol.address for symbol in self.program.symbols.values()}
        moves, steps = self.coverage.moves, self.coverage.steps
        for first, second in pairwise(self.insns):
            together = first.end == second.address and second.address not in entered
            if together and first.address in steps and {first.address, second.address} & moves:
                yield first, second

    def _try(self, mutant: Mutant) -> None:
        """Count one mutant: killed, survived, of the same effect in either order, or without an encoding."""
        address = mutant.at[0].address
        routine, executed = self._routine(address), address in self.coverage.steps
        where = self._where(address, routine)
        code = encode(self.arch, mutant)
        if code is None:
            killed = None
        elif len(code) > mutant.size:
            killed = self._killed_elsewhere(mutant, where)
        elif mutant.operator == "swap" and not self._observable(mutant, code):
            self.tally.unobservable += 1
            return
        else:
            killed = self._killed({address: code}, where)
        if killed is None:
            self.tally.unencodable.append(f"{self.program.describe(address)}: {mutant.shown} -> {mutant.change}")
            return
        self.tally.tried[mutant.operator] += 1
        self.tally.killed[mutant.operator] += killed
        if not killed:
            self.tally.survivors.append(Survivor(routine, mutant.operator, mutant.shown, mutant.change, executed))

    def _killed(self, patches: Mapping[int, bytes], where: list[int]) -> bool:
        with patched(self.subject.process, patches):
            return not _hold(self.subject.cases, where)

    def _killed_elsewhere(self, mutant: Mutant, where: list[int]) -> bool | None:
        """The same for a mutant that takes more room than there is; None if it cannot be had."""
        if self.subject.again is not None:
            cases = self._rebuilt(mutant)
            return None if cases is None else not _hold(cases, where)
        same = replace(mutant, texts=tuple(insn.text for insn in mutant.at))
        plain, changed = (detour(self.arch, self.program, self.insns, m) for m in (same, mutant))
        if plain is None or changed is None or self._killed(plain, where):
            return None  # the way round alone is noticed
        return self._killed(changed, where)

    def _where(self, address: int, routine: str) -> list[int]:
        """The cases that execute an instruction; if none does, those of its routine, which may read it."""
        executed = [index for index, _ in self.coverage.steps.get(address, ())]
        return executed or [index for index, case in enumerate(self.subject.cases) if case.row == routine]

    def _observable(self, mutant: Mutant, code: bytes) -> bool:
        address = mutant.at[0].address
        seen = self.coverage.steps[address]
        return any(observable(self.subject.cases[index], step, address, code) for index, step in seen)

    def _routine(self, address: int) -> str:
        symbol = self.program.at(address)
        assert symbol is not None
        return symbol.name.removesuffix(".abi0").rsplit(".", 1)[-1]

    @cached_property
    def _statement_at(self) -> dict[int, int]:
        """Address of an instruction -> its index among the statements."""
        texts = [statement.text for statement in self.subject.statements]
        indexes = [index for index, text in enumerate(texts) if not text.endswith(":") and not text.startswith(".")]
        return dict(zip(sorted(self.program.lines), indexes, strict=True))

    def _rebuilt(self, mutant: Mutant) -> list[Case] | None:
        """The cases of a program assembled anew with the mutant in it; None if there can be none."""
        statements = list(self.subject.statements)
        places = [self._statement_at[insn.address] for insn in mutant.at]
        texts = mutant.texts if len(places) == 1 else [statements[place].text for place in reversed(places)]
        for place, text in zip(places, texts, strict=True):
            old = statements[place]
            statements[place] = Statement(old.file, old.line, text, old.origin)
        self._rebuilds += 1
        if self._rebuilds % _MANY == 0:
            gc.collect()  # an engine with hooks is a cycle
        assert self.subject.again is not None
        try:
            return self.subject.again(statements)
        except AsmError:
            return None


def _hold(cases: list[Case], where: list[int]) -> bool:
    return all(cases[index].holds for index in where)
