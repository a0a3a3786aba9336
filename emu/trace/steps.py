"""A recording read as steps: what each instruction did, and what the ledger says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from asm.readback import disassemble
from emu.trace.ledger import Account, Entry, columns_of, ledger_of, part_of
from emu.trace.model import Event, Recording, after


class Access(NamedTuple):
    """One memory access; ``size`` in bytes. ``value`` is what a write stored, 0 for a read."""

    step: int
    address: int
    size: int
    value: int
    write: bool


@dataclass(frozen=True)
class Step:
    """One executed instruction. ``changed``: register -> new value, without PC. ``sp_change`` in bytes.

    ``account``: before it; ``then``: after it, before anybody else changed anything.
    """

    number: int
    thread: str
    pc: int
    where: str
    code: bytes
    text: str
    account: Entry
    then: Entry
    sp_change: int
    changed: Mapping[str, int]
    accesses: tuple[Access, ...]
    events: tuple[Event, ...]
    notes: tuple[str, ...]


def steps(recording: Recording, first: int = 0, end: int | None = None) -> Iterator[Step]:
    """The steps of a range that have rows, in order. One that ended in a stop shows the registers as they were then."""
    ledger, reader = ledger_of(recording, first), _Reader(recording)
    previous: Entry | None = None
    for low, high in recording.pieces(first, recording.steps if end is None else end):
        part = part_of(recording, low, high)
        rows, (then, known) = recording.rows(low, high), after(recording, low, high)
        accesses, at = part.accesses.tolist(), 0
        events = recording.events(low, high)
        numbers = recording.numbers(low, high)
        bounds = np.searchsorted(part.accesses["step"], np.stack([numbers, numbers + np.uint64(1)])).tolist()
        for before, later in ledger.accounts(part, columns_of(recording.header, then)):
            for row in range(len(before.steps)):
                step = reader.step(
                    before, later, row, rows[at].tolist(), then[at].tolist() if known[at] else rows[at].tolist(),
                    accesses[bounds[0][at] : bounds[1][at]], events, previous,
                )
                yield step
                previous, at = step.account, at + 1


class _Reader:
    """Makes steps; what stands at an address is read once."""

    def __init__(self, recording: Recording) -> None:
        self._recording, self._header = recording, recording.header
        self._seen: dict[int, tuple[str, bytes, str]] = {}
        self._pc, self._sp = self._header.column("pc"), self._header.column("sp")
        registers = set(self._header.arch.registers) - {self._header.arch.roles["pc"]}
        self._shown = [(n, name) for n, name in enumerate(self._header.columns) if name in registers]

    def step(
        self, before: Account, later: Account, row: int, values: Sequence[int], then: Sequence[int],
        accesses: Sequence[tuple[int, int, int, int, int]], events: Sequence[Event], previous: Entry | None,
    ) -> Step:
        """The step of one row: ``values`` before it, ``then`` after it."""
        assert self._pc is not None
        assert self._sp is not None
        number, account, after_it = int(before.steps[row]), before.entry(row), later.entry(row)
        here = tuple(event for event in events if event.step == number)
        where, code, text = self._at(values[self._pc])
        thread = before.names.get(int(before.threads[row]))
        return Step(
            number=number, thread=thread.name if thread else "?", pc=values[self._pc], where=where,
            code=code, text=text, account=account, then=after_it, sp_change=then[self._sp] - values[self._sp],
            changed={name: then[n] for n, name in self._shown if then[n] != values[n]},
            accesses=tuple(Access(s, a, size, value, write != 0) for s, a, value, size, write in accesses),
            events=here, notes=(*_notes(account, previous, after_it), *stops(here)),
        )

    def _at(self, pc: int) -> tuple[str, bytes, str]:
        if pc not in self._seen:
            data = self._recording.code(pc, 16)
            _, code, text = next(disassemble(self._header.arch, data, pc), (0, b"", "?"))
            self._seen[pc] = self._header.program.describe(pc), code, text
        return self._seen[pc]


def stops(events: Sequence[Event]) -> Iterator[str]:
    """Why the run stopped, of the events of a step."""
    for event in events:
        if event.data.get("stop"):
            yield f"stop: {event.data['stop']}"


def _notes(now: Entry, previous: Entry | None, then: Entry) -> Iterator[str]:
    """What a reader must not miss about a step: from ``now`` (before it) to ``then`` (after it)."""
    if then.g != now.g:
        yield f"switch {now.g}→{then.g}"
    if then.stack != now.stack:
        yield f"SP: {now.stack or 'nowhere'}→{then.stack or 'nowhere'}"
    if then.guard != now.guard or (previous is None and now.guard != "normal"):
        yield f"guard={then.guard}"
    if not then.stack:
        yield "! SP in no stack"
    elif then.low and not now.low:
        yield "! SP below guard"
