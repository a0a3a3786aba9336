"""A recording read as steps: what each instruction did, and what the ledger says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from asm.readback import disassemble
from emu.trace.ledger import Account, Columns, Entry, columns, ledger_of, part_of
from emu.trace.model import Accesses, Event, Header, Numbers, Outside, Recording, Rows, after
from emu.trace.words import Flags, Places

LONGEST = 16  # bytes; no arch has a longer instruction


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


class Stretch:
    """Rows of a piece that follow each other while the stacks stay the same: arrays, and steps for who looks at them.

    ``before``, ``later``: the accounts before and after each row. ``events``: those of the piece, by step.
    """

    def __init__(self, piece: _Piece, at: int, before: Account, later: Account, is_first: bool) -> None:
        self._piece, self._at, self._is_first = piece, at, is_first
        self.before, self.later, self.events = before, later, piece.events

    def __len__(self) -> int:
        return len(self.before.steps)

    @property
    def piece(self) -> tuple[int, int]:
        """The steps of the piece: the first, and the one it ends before."""
        return self._piece.low, self._piece.high

    @property
    def pc(self) -> Numbers:
        """PC of each row."""
        return self._piece.pc[self._at : self._at + len(self)]

    @property
    def accesses(self) -> Accesses:
        """The accesses of all its steps."""
        bounds = self._piece.bounds[:, self._at : self._at + len(self)]
        return self._piece.accesses[int(bounds[0, 0]) : int(bounds[1, -1])]

    @property
    def touches(self) -> Flags:
        """Which rows' instructions access memory."""
        bounds = self._piece.bounds[:, self._at : self._at + len(self)]
        found: Flags = bounds[1] > bounds[0]
        return found

    @property
    def outside(self) -> Sequence[Outside]:
        """What others than the guest wrote in the course of its steps."""
        first, last = int(self.before.steps[0]), int(self.before.steps[-1])
        return [write for write in self._piece.outside if first <= write.step <= last]

    def step(self, row: int) -> Step:
        """The step of a row."""
        return self._piece.step(self.before, self.later, row, self._at + row, self._is_first and row == 0)


def stretches(recording: Recording, first: int = 0, end: int | None = None) -> Iterator[Stretch]:
    """A range of a recording, in order. Only what the ledger needs is read, as long as nobody asks for a step."""
    header, reader, ledger = recording.header, Reader(recording), ledger_of(recording, first)
    is_first = True
    for low, high in recording.pieces(first, recording.steps if end is None else end):
        piece, at = _Piece(recording, reader, low, high), 0
        then = _columns_after(recording, header, low, high)
        for before, later in ledger.accounts(part_of(recording, low, high), then):
            yield Stretch(piece, at, before, later, is_first)
            at, is_first = at + len(before.steps), False


def steps(recording: Recording, first: int = 0, end: int | None = None) -> Iterator[Step]:
    """The steps of a range that have rows, in order. One that ended in a stop shows the registers as they were then."""
    for stretch in stretches(recording, first, end):
        for row in range(len(stretch)):
            yield stretch.step(row)


def _columns_after(recording: Recording, header: Header, low: int, high: int) -> Columns:
    """What the ledger needs of the states after each row."""
    wanted = [number for role in ("sp", header.g_register or "g", "guard")
              if (number := header.column(role)) is not None]
    found, _ = after(recording, low, high, wanted)
    return columns(header, lambda number: found[:, wanted.index(number)])


class _Piece:
    """Steps ``low`` up to ``high``: what is read at once, and whole rows once somebody asks for a step."""

    def __init__(self, recording: Recording, reader: Reader, low: int, high: int) -> None:
        self._recording, self._reader, self.low, self.high = recording, reader, low, high
        self.events: dict[int, list[Event]] = {}
        for event in recording.events(low, high):
            self.events.setdefault(event.step, []).append(event)

    @cached_property
    def pc(self) -> Numbers:
        """PC of each row."""
        return self._recording.rows(self.low, self.high, [self._reader.pc])[:, 0]

    @cached_property
    def accesses(self) -> Accesses:
        """All accesses, in order."""
        return self._recording.accesses(self.low, self.high)

    @cached_property
    def outside(self) -> Sequence[Outside]:
        """Writes by others than the guest."""
        return self._recording.outside(self.low, self.high)

    @cached_property
    def bounds(self) -> Places:
        """Where the accesses of each row begin and end."""
        numbers = self._recording.numbers(self.low, self.high)
        edges = np.searchsorted(self.accesses["step"], np.stack([numbers, numbers + np.uint64(1)]))
        return edges.astype(np.int64)

    @cached_property
    def _rows(self) -> tuple[Rows, Rows, Flags]:
        return self._recording.rows(self.low, self.high), *after(self._recording, self.low, self.high)

    def step(self, before: Account, later: Account, row: int, at: int, is_first: bool) -> Step:
        """The step of the row ``row`` of two accounts, which is row ``at`` of the piece."""
        rows, then, known = self._rows
        values = rows[at].tolist()
        accesses = self.accesses[int(self.bounds[0, at]) : int(self.bounds[1, at])].tolist()
        events = tuple(self.events.get(int(before.steps[row]), ()))
        return self._reader.step(
            before, later, row, values, then[at].tolist() if known[at] else values, accesses, events, is_first
        )


class Reader:
    """Makes steps; what stands at an address is read once. ``pc``: the number of its column."""

    def __init__(self, recording: Recording) -> None:
        self._recording, self._header = recording, recording.header
        self._seen: dict[int, tuple[str, bytes, str]] = {}
        pc, sp = self._header.column("pc"), self._header.column("sp")
        assert pc is not None, "every row has PC"
        assert sp is not None, "every row has SP"
        self.pc, self._sp = pc, sp
        registers = set(self._header.arch.registers) - {self._header.arch.roles["pc"]}
        self._shown = [(n, name) for n, name in enumerate(self._header.columns) if name in registers]

    def step(
        self, before: Account, later: Account, row: int, values: Sequence[int], then: Sequence[int],
        accesses: Sequence[tuple[int, int, int, int, int]], events: tuple[Event, ...], is_first: bool,
    ) -> Step:
        """The step of one row: ``values`` before it, ``then`` after it."""
        number, account, after_it = int(before.steps[row]), before.entry(row), later.entry(row)
        where, code, text = self.at(values[self.pc])
        thread = before.names.get(int(before.threads[row]))
        return Step(
            number=number, thread=thread.name if thread else "?", pc=values[self.pc], where=where,
            code=code, text=text, account=account, then=after_it, sp_change=then[self._sp] - values[self._sp],
            changed={name: then[n] for n, name in self._shown if then[n] != values[n]},
            accesses=tuple(Access(s, a, size, value, write != 0) for s, a, value, size, write in accesses),
            events=events, notes=(*_notes(account, is_first, after_it), *stops(events), *_between(later, row, events)),
        )

    def at(self, pc: int) -> tuple[str, bytes, str]:
        """What stands at an address: symbol+offset, the instruction's bytes, its text."""
        if pc not in self._seen:
            data = self._recording.code(pc, LONGEST)
            _, code, text = next(disassemble(self._header.arch, data, pc), (0, b"", "?"))
            self._seen[pc] = self._header.program.describe(pc), code, text
        return self._seen[pc]


def stops(events: Sequence[Event]) -> Iterator[str]:
    """Why the run stopped, of the events of a step."""
    for event in events:
        if event.data.get("stop"):
            yield f"stop: {event.data['stop']}"


def _notes(now: Entry, is_first: bool, then: Entry) -> Iterator[str]:
    """What a reader must not miss about a step: from ``now`` (before it) to ``then`` (after it)."""
    if then.g != now.g:
        yield f"switch {now.g}→{then.g}"
    if then.stack != now.stack:
        yield f"SP: {now.stack or 'nowhere'}→{then.stack or 'nowhere'}"
    if then.guard != now.guard or (is_first and now.guard != "normal"):
        yield f"guard={then.guard}"
    if not then.stack:
        yield "! SP in no stack"
    elif then.low and not now.low:
        yield "! SP below guard"


def _between(later: Account, row: int, events: Sequence[Event]) -> Iterator[str]:
    """Whom others than the instruction let run before the next step."""
    g, labels = int(later.running[row]), dict(later.gs)
    for event in events:
        if event.kind == "switch" and event.data["to"] != g:
            g, old = event.data["to"], g
            yield f"then switch {labels.get(old, '?')}→{labels.get(g, '?')}"
