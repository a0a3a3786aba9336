"""A recording made of pieces, whether they are in memory or in a file."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from emu.trace import pages
from emu.trace.model import Accesses, Damage, Event, Header, Numbers, Outside, Rows, Standing, State, Turn
from emu.trace.pages import PAGE, Page, PagedMemory
from emu.trace.pieces import Kept, Piece, no_accesses, numbers_of


class Recording:
    """The `Recording` of the model over pieces. Those who make one fill in what the pieces hold.

    ``piece``: gives a piece by number. ``ends``: of each piece the step it ends before. ``written``: page -> numbers
    of the pieces that wrote it; ``ran``: page of code -> number of the piece that keeps its bytes.
    """

    def __init__(self, header: Header) -> None:
        self.header = header
        self.damage: Damage | None = None
        self.ends: list[int] = []
        self.firsts: list[int] = []
        self.written: dict[int, list[int]] = {}
        self.ran: dict[int, int] = {}

    def piece(self, number: int) -> Piece:
        """A piece by its number."""
        raise NotImplementedError

    def _enter(self, first: int, end: int, written: Iterable[int], ran: Iterable[int]) -> None:
        """Take the next piece into the tables: its steps, the pages it wrote, and the code pages it keeps."""
        number = len(self.ends)
        self.firsts.append(first)
        self.ends.append(end)
        for page in written:
            self.written.setdefault(page, []).append(number)
        for page in ran:
            self.ran.setdefault(page, number)

    @property
    def steps(self) -> int:
        """How many steps the run had (as far as it is readable)."""
        return self.ends[-1] if self.ends else 0

    def _over(self, first: int, end: int) -> Sequence[Piece]:
        """The pieces with steps of a range."""
        low = bisect_right(self.ends, first)
        return [self.piece(number) for number in range(low, max(low, bisect_left(self.firsts, end)))]

    def _about(self, first: int, end: int) -> Sequence[Piece]:
        """The pieces with what happened in a range: the last of it may stand in the piece behind; with -1 also what
        was before the first step."""
        low = bisect_right(self.ends, first)
        return [self.piece(number) for number in range(low, max(low, bisect_right(self.firsts, end)))]

    def numbers(self, first: int, end: int) -> Numbers:
        """The steps in the range that have rows."""
        return numbers_of(self.turns(first, end))

    def turns(self, first: int, end: int) -> Sequence[Turn]:
        """Who ran: turns in order, cut to the range."""
        found: list[Turn] = []
        for piece in self._over(first, end):
            for turn in piece.turns:
                here = Turn(max(turn.first, first), min(turn.end, end), turn.thread)
                if here.first >= here.end:
                    continue
                if found and found[-1].end == here.first and found[-1].thread == here.thread:
                    here = Turn(found.pop().first, here.end, here.thread)
                found.append(here)
        return found

    def rows(self, first: int, end: int, columns: Sequence[int] | None = None) -> Rows:
        """The rows of `numbers`; with ``columns`` only these."""
        count = len(self.header.columns if columns is None else columns)
        parts: list[Rows] = [np.empty((0, count), np.uint64)]
        for piece in self._over(first, end):
            low, high = _places(numbers_of(piece.turns), piece, first, end)
            if low >= high:
                continue
            if columns is None:
                parts.append(piece.rows[low:high])
            else:
                parts.append(np.stack([piece.column(number)[low:high] for number in columns], axis=1))
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def cuts(self, first: int, end: int) -> tuple[Numbers, Rows]:
        """Steps that another row does not simply go on from, and the state after each."""
        steps: list[Numbers] = [np.empty(0, np.uint64)]
        rows: list[Rows] = [np.empty((0, len(self.header.columns)), np.uint64)]
        for piece in self._over(first, end):
            at, states = piece.cuts
            low, high = _places(at, piece, first, end)
            steps.append(at[low:high])
            rows.append(states[low:high])
        return np.concatenate(steps), np.concatenate(rows)

    def accesses(self, first: int, end: int) -> Accesses:
        """Memory accesses in order."""
        parts = [no_accesses()]
        for piece in self._over(first, end):
            low, high = _places(piece.accesses["step"], piece, first, end)
            parts.append(piece.accesses[low:high])
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def events(self, first: int, end: int) -> Sequence[Event]:
        """Events of steps in the range, in order; ``first`` -1 includes those before the first step."""
        return [event for piece in self._about(first, end) for event in piece.events if first <= event.step < end]

    def changes(self, first: int, end: int) -> Sequence[Event]:
        """Events that change what stacks, structs and threads there are."""
        return [event for piece in self._about(first, end) for event in piece.changes if first <= event.step < end]

    def outside(self, first: int, end: int) -> Sequence[Outside]:
        """What was written to memory by others than the guest, in order."""
        return [write for piece in self._about(first, end) for write in piece.outside if first <= write.step < end]

    def pieces(self, first: int, end: int) -> Sequence[tuple[int, int]]:
        """The range cut at pieces."""
        edges = sorted({first, end, *(edge for edge in self.ends if first < edge < end)})
        return [pair for pair in pairwise(edges) if pair[0] < pair[1]]

    def code(self, address: int, size: int) -> bytes:
        """Up to ``size`` bytes of the program, as far as they are kept: wherever something ran."""
        found = b""
        while len(found) < size:
            base = (address + len(found)) & -PAGE
            number = self.ran.get(base)
            part = self.piece(number).code[base][address + len(found) - base :] if number is not None else b""
            found += part[: size - len(found)]
            if not part or base + PAGE > address + len(found):
                break
        return found

    def state(self, step: int) -> State:
        """The state before ``step`` (or after the last, for `steps`). Raises IndexError for others."""
        if not 0 <= step <= self.steps:
            raise IndexError(f"no step {step}: the run has {self.steps}")
        thread, row = self._row(step)
        registers = dict(zip(self.header.columns, row, strict=True))
        memory = PagedMemory(self.header.layout.word, sorted(self.written), lambda page: self._page(page, step))
        return State(step, thread, registers, memory, self._standing(step))

    def _standing(self, step: int) -> Standing:
        """What stacks, structs and threads there are before a step: as at the start of its piece, and events since."""
        number = min(bisect_right(self.firsts, step) - 1, len(self.ends) - 1)
        if number < 0:
            return Standing.of(self.header)
        piece = self.piece(number)
        found = piece.standing.copy()
        for event in piece.changes:
            if event.step < step:
                found.apply(event)
        return found

    def _row(self, step: int) -> tuple[int, list[int]]:
        """The newest row or cut before (or of) a step, and its thread. Looks back as far as it must."""
        here = self.turns(step, step + 1)
        if here:
            return here[0].thread, self.rows(step, step + 1)[0].tolist()
        for number in range(min(bisect_left(self.ends, step), len(self.ends) - 1), -1, -1):
            piece = self.piece(number)
            turns = [turn for turn in piece.turns if turn.first < step]
            if not turns:
                continue
            last, (steps, states) = min(turns[-1].end, step) - 1, piece.cuts
            at = int(np.searchsorted(steps, np.uint64(step))) - 1
            if at >= 0 and steps[at] >= last:
                return turns[-1].thread, states[at].tolist()
            row = int(np.searchsorted(numbers_of(piece.turns), np.uint64(last)))
            return turns[-1].thread, piece.rows[row].tolist()
        return 0, [0] * len(self.header.columns)

    def _page(self, address: int, step: int) -> Page | None:
        """A page as it was before a step: as the last whole piece left it, and the writes since."""
        writers = self.written.get(address, [])
        before = [number for number in writers if self.ends[number] <= step]
        since = [number for number in writers[len(before) :] if self.firsts[number] <= step]
        if not before and not since:
            return None
        content, known = self.piece(before[-1]).pages[address] if before else pages.unknown()
        found = {address: (content.copy(), known.copy())}
        for number in since:
            piece = self.piece(number)
            upto = int(np.searchsorted(piece.accesses["step"], np.uint64(step)))
            pages.write(found, piece.accesses[:upto], [o for o in piece.outside if o.step < step])
        return found[address]


def _places(numbers: Numbers, piece: Piece, first: int, end: int) -> tuple[int, int]:
    """Where steps ``first`` up to ``end`` stand among a piece's ascending numbers."""
    if first <= piece.first and piece.end <= end:
        return 0, len(numbers)
    low, high = np.searchsorted(numbers, np.array([max(first, 0), max(end, 0)], np.uint64))
    return int(low), int(high)


class InMemory(Recording):
    """A recording in memory; a `Collector` gives it its pieces."""

    def __init__(self, header: Header) -> None:
        super().__init__(header)
        self._pieces: list[Kept] = []

    def add(self, piece: Kept) -> None:
        """The next piece."""
        self._pieces.append(piece)
        self._enter(piece.first, piece.end, piece.pages, piece.code)

    def piece(self, number: int) -> Piece:
        return self._pieces[number]
