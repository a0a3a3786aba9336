"""Takes in a run as it happens and gives it on in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from emu.trace import pages
from emu.trace.model import ACCESS, Accesses, Bytes, Event, Header, Outside, Rows, Sink, Standing, Turn
from emu.trace.pieces import BUCKET, FEW, MOST_OUTSIDE, Kept, no_accesses

Code = Callable[[int, int], bytes]  # bytes of the program at an address; none where there are none
Open = Callable[[Header, Code], Sink]  # how a run that is about to begin gets its sink


class Collector:
    """A `Sink` that makes pieces. It keeps the memory that is known, and what is not yet a whole piece.

    ``emit`` gets each piece. ``code`` gives the program's bytes. ``watch`` finds events in a piece's rows
    (switches, changes of guards) for those who record without seeing them.
    """

    def __init__(
        self, header: Header, emit: Callable[[Kept], None], code: Code,
        watch: Callable[[Kept], Iterable[Event]] | None = None,
    ) -> None:
        self._columns, self._emit, self._code, self._watch = len(header.columns), emit, code, watch
        self._pc = header.column("pc")
        self._memory: dict[int, pages.Page] = {}
        self._ran: set[int] = set()
        self._first = self._seen = 0  # where the next piece begins; the step after the last that is known of
        self._standing = Standing.of(header)
        self._begun = False
        self._edge = BUCKET
        self._rows: list[tuple[Turn, Rows]] = []
        self._accesses: list[Accesses] = []
        self._cuts: list[tuple[int, Sequence[int]]] = []
        self._events: list[Event] = []
        self._outside: list[Outside] = []
        self._outside_size = 0

    # what comes in

    def add_rows(self, first: int, thread: int, rows: Bytes) -> None:
        """Rows of consecutive steps of one thread, 8 bytes a column."""
        found = np.frombuffer(bytes(rows), "<u8").reshape(-1, self._columns)
        if len(found):
            self._reached(first, first + len(found))
            self._rows.append((Turn(first, first + len(found), thread), found))

    def add_numbered(self, thread: int, numbers: Bytes, rows: Bytes) -> None:
        """Rows of one thread with the steps (8 bytes each) they belong to, ascending: what ran in some ranges only."""
        steps = np.frombuffer(bytes(numbers), "<u8")
        found = np.frombuffer(bytes(rows), "<u8").reshape(len(steps), self._columns)
        edges = [0, *(np.flatnonzero(np.diff(steps) != 1) + 1).tolist(), len(steps)]
        for low, high in pairwise(edges):
            if low < high:
                first = int(steps[low])
                self._reached(first, first + high - low)
                self._rows.append((Turn(first, first + high - low, thread), found[low:high]))

    def add_accesses(self, accesses: Bytes) -> None:
        """Records of `ACCESS`, ascending by step."""
        found = np.frombuffer(bytes(accesses), ACCESS)
        if len(found):
            self._reached(int(found["step"][0]), int(found["step"][-1]) + 1)
            self._accesses.append(found)

    def add_cut(self, step: int, registers: Sequence[int]) -> None:
        """The row as ``step`` left it, where no row goes on from it: at every stop, and at the end."""
        self._reached(step, step + 1)
        self._cuts.append((step, registers))

    def add_event(self, step: int, kind: str, thread: int, data: Mapping[str, Any]) -> None:
        """An event after ``step``."""
        self._reached(step, step + 1)
        self._events.append(Event(step, kind, thread, data))

    def add_memory(self, step: int, address: int, data: bytes) -> None:
        """Bytes of memory that stand there after ``step`` (-1: before the first), not written by the guest."""
        self._reached(step, step + 1)
        self._outside.append(Outside(step, address, bytes(data)))
        self._outside_size += len(data)
        if self._outside_size >= MOST_OUTSIDE:
            self._buckets()
            self._close(self._seen)

    def close(self, steps: int) -> None:
        """The run is over, after so many steps."""
        self._reached(steps, steps)
        self._buckets()
        self._close(steps)

    # pieces

    def _reached(self, first: int, end: int) -> None:
        """Something of steps ``first`` up to ``end`` comes: what is before ``first`` may be whole now."""
        if first < self._first - 1:
            raise ValueError(f"step {first} comes too late: steps up to {self._first} are written")
        if not self._begun and end > 0:
            self._begun = True
            if self._events or self._outside:
                self._close(0)
        if first >= self._seen:
            self._buckets()
        self._seen = max(self._seen, end)

    def _buckets(self) -> None:
        """Close at the buckets' ends that lie behind, wherever there is enough for a piece."""
        while self._edge <= self._seen:
            if self._count(self._edge) >= FEW:
                self._close(self._edge)
            ahead = self._next() // BUCKET * BUCKET
            self._edge = max(self._edge + BUCKET, min(ahead, self._seen // BUCKET * BUCKET))

    def _next(self) -> int:
        """Where the first row waits that lies behind the edge (a long stretch without any is passed over)."""
        behind = [turn.first for turn, _ in self._rows if turn.end > self._edge]
        return behind[0] if behind else self._seen

    def _count(self, edge: int) -> int:
        rows = sum(max(0, min(turn.end, edge) - turn.first) for turn, _ in self._rows)
        accesses = sum(int(np.searchsorted(a["step"], np.uint64(edge))) for a in self._accesses)
        return rows + accesses + sum(event.step < edge for event in self._events)

    def _close(self, end: int) -> None:
        """Give on all before step ``end`` as a piece."""
        accesses = np.concatenate([no_accesses(), *self._accesses])
        upto = int(np.searchsorted(accesses["step"], np.uint64(end)))
        turns, rows, left = _split(self._rows, end)
        piece = Kept(
            first=self._first, end=end, turns=turns, rows=np.concatenate([_none(self._columns), *rows]),
            cuts=_cuts([c for c in self._cuts if c[0] < end], self._columns),
            accesses=accesses[:upto], events=[e for e in self._events if e.step < end],
            outside=[o for o in self._outside if o.step < end], standing=self._standing.copy(),
        )
        for event in piece.events:
            self._standing.apply(event)
        self._rows, self._accesses = left, [accesses[upto:]] if upto < len(accesses) else []
        self._cuts = [c for c in self._cuts if c[0] >= end]
        self._events = [e for e in self._events if e.step >= end]
        self._outside = [o for o in self._outside if o.step >= end]
        self._outside_size = sum(len(o.data) for o in self._outside)
        self._first = end
        if self._watch is not None:
            piece.events = sorted([*self._watch(piece), *piece.events], key=lambda event: event.step)
        piece.pages, piece.code = self._written(piece), self._run(piece)
        self._emit(piece)

    def _written(self, piece: Kept) -> dict[int, pages.Page]:
        """Bring the memory up to the piece's end; copies of the pages that changed."""
        changed = pages.touched(piece.accesses, piece.outside)
        here = {address: self._memory.setdefault(address, pages.unknown()) for address in changed}
        pages.write(here, piece.accesses, piece.outside)
        return {address: (content.copy(), known.copy()) for address, (content, known) in here.items()}

    def _run(self, piece: Kept) -> dict[int, bytes]:
        """Code of the pages that were not run before; an instruction may reach into the page behind."""
        if self._pc is None or not len(piece.rows):
            return {}
        pc = piece.rows[:, self._pc]
        both = np.unique(np.concatenate([pc, pc + np.uint64(16)]) & ~np.uint64(pages.PAGE - 1))
        new = [page for page in both.tolist() if page not in self._ran]
        self._ran.update(new)
        found = {page: self._code(page, pages.PAGE) for page in new}
        return {page: data for page, data in found.items() if data}


def _split(
    waiting: Sequence[tuple[Turn, Rows]], end: int
) -> tuple[list[Turn], list[Rows], list[tuple[Turn, Rows]]]:
    """Turns and rows before ``end`` (turns that follow each other made one), and what is left."""
    turns: list[Turn] = []
    rows: list[Rows] = []
    left: list[tuple[Turn, Rows]] = []
    for turn, found in waiting:
        at = min(max(end - turn.first, 0), len(found))
        if at:
            rows.append(found[:at])
            goes_on = bool(turns) and turns[-1].thread == turn.thread and turns[-1].end == turn.first
            first = turns.pop().first if goes_on else turn.first
            turns.append(Turn(first, turn.first + at, turn.thread))
        if at < len(found):
            left.append((Turn(turn.first + at, turn.end, turn.thread), found[at:]))
    return turns, rows, left


def _none(columns: int) -> Rows:
    return np.empty((0, columns), np.uint64)


def _cuts(cuts: Sequence[tuple[int, Sequence[int]]], columns: int) -> tuple[np.ndarray[Any, Any], Rows]:
    steps = np.array([step for step, _ in cuts], np.uint64)
    return steps, np.array([list(row) for _, row in cuts], np.uint64).reshape(-1, columns)
