"""The account of stack pointer and guard: for each step, which stack SP is in, whose it should be, the guard's state.

Made from recorded rows and writes alone, as arrays, piece by piece: so any trace can be judged after its run, and
in bounded memory. A piece is cut where stacks come and go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emu.trace.model import Accesses, Event, Header, Numbers, Outside, Recording, Rows, Stack, Standing, Thread, Turn
from emu.trace.pieces import numbers_of
from emu.trace.words import Flags, Places, Timeline, Words

NORMAL, OTHER, UNKNOWN = 0, 1, 2  # states of a guard; the special values follow
_STATES = ("normal", "other", "?")


@dataclass(frozen=True)
class Entry:
    """One step's account. ``stack``: name of the stack SP is in ('' if in none), ``depth``/``size`` in bytes.

    ``g``: name of the running g ('?' if it is none that is known). ``guard``: ``normal``, the name of a special
    value (``StackPreempt``), ``other``, or ``?`` where the trace does not say. ``low``: SP is below the normal guard.
    ``switching``: g and SP disagree, as they must for a few instructions of every switch.
    """

    stack: str
    depth: int
    size: int
    g: str
    guard: str
    low: bool
    switching: bool


@dataclass(frozen=True)
class Account:
    """Entries as arrays, one item a row. ``stack``, ``g``: numbers in ``stacks``, ``gs``; -1 for none.

    ``running``: the address that stands for g. ``guard``: `NORMAL`, `OTHER`, `UNKNOWN`, or the number of a special
    value after them; ``word``: the guard word; ``normal``: what it is when nothing special is stored in it (0: there
    is none).
    """

    steps: Numbers
    threads: Places
    sp: Numbers
    stack: Places
    g: Places
    running: Numbers
    guard: Places
    word: Numbers
    normal: Numbers
    low: Flags
    switching: Flags
    stacks: Sequence[Stack]
    gs: Sequence[tuple[int, str]]
    states: Sequence[str]
    names: Mapping[int, Thread]

    def entry(self, row: int) -> Entry:
        """One row's entry."""
        stack, g = int(self.stack[row]), int(self.g[row])
        here = self.stacks[stack] if stack >= 0 else None
        return Entry(
            stack=here.name if here else "", depth=here.hi - int(self.sp[row]) if here else 0,
            size=here.hi - here.lo if here else 0, g=self.gs[g][1] if g >= 0 else "?",
            guard=self.states[self.guard[row]], low=bool(self.low[row]), switching=bool(self.switching[row]),
        )


def _number(addresses: Numbers, wanted: Numbers) -> Places:
    """Where each wanted one stands among ascending addresses; -1 for those that do not."""
    if not len(addresses):
        return np.full(len(wanted), -1, np.int64)
    place = np.minimum(np.searchsorted(addresses, wanted), len(addresses) - 1)
    return np.where(addresses[place] == wanted, place, -1).astype(np.int64)


def threads_of(threads: Places) -> list[int]:
    """The threads in an array of their numbers."""
    if len(threads) and np.all(threads == threads[0]):
        return [int(threads[0])]  # nearly always
    return [int(thread) for thread in np.unique(threads)]


class _Stacks:
    """The stacks of some moment, sorted, so that an SP finds its own. They do not overlap: the newer one holds."""

    def __init__(self, standing: Standing) -> None:
        kept: list[Stack] = []
        for stack in standing.stacks.values():
            kept = [old for old in kept if old.hi <= stack.lo or stack.hi <= old.lo]
            kept.append(stack)
        self.all = sorted(kept, key=lambda stack: stack.lo)
        self.lo = np.array([stack.lo for stack in self.all], np.uint64)
        self.hi = np.array([stack.hi for stack in self.all], np.uint64)
        self.owner = np.array([stack.g for stack in self.all], np.uint64)
        self.guard = np.array([stack.guard for stack in self.all], np.uint64)
        gs = {s.address: s.label for s in standing.structs.values() if s.kind == "g"}
        gs = {stack.g: stack.label for stack in self.all if stack.g} | gs
        self.gs = sorted(gs.items())
        self.addresses = np.array([address for address, _ in self.gs], np.uint64)
        guards = {stack.g: stack.guard for stack in self.all if stack.g}
        self.normal = np.array([guards.get(address, 0) for address, _ in self.gs] or [0], np.uint64)

    def of(self, sp: Numbers, g: Numbers) -> Places:
        """The stack each SP is in. At the very top of one (nothing is pushed yet) it belongs to it still,
        and where that is the bottom of the next one, to the one that is the running g's."""
        if not self.all:
            return np.full(len(sp), -1, np.int64)
        place = np.searchsorted(self.lo, sp, side="right").astype(np.int64) - 1
        inside = (place >= 0) & (sp <= self.hi[place])
        below = np.maximum(place - 1, 0)
        top = (place > 0) & (self.hi[below] == sp) & (self.owner[below] == g)
        found: Places = np.where(top, below, np.where(inside, place, -1))
        return found


class Columns(NamedTuple):
    """SP of each row; the g and its guard word, where rows hold them."""

    sp: Numbers
    g: Numbers | None
    guard: Numbers | None

    def cut(self, part: slice) -> Columns:
        """The same for some of the rows."""
        return Columns(self.sp[part], *(None if c is None else c[part] for c in (self.g, self.guard)))


def columns_of(header: Header, rows: Rows) -> Columns:
    """The same of whole rows."""
    return columns(header, lambda number: rows[:, number])


class Part(NamedTuple):
    """What the ledger needs of a range of steps: its turns, columns of its rows, writes, and events of `STANDING`."""

    first: int
    turns: Sequence[Turn]
    columns: Columns
    accesses: Accesses
    outside: Sequence[Outside]
    changes: Sequence[Event]


def columns(header: Header, column: Callable[[int], Numbers]) -> Columns:
    """The columns that the ledger needs; ``column`` gives one by number."""
    sp = header.column("sp")
    assert sp is not None, "every row has SP"
    g = header.index.get(header.g_register or "g")
    guard = header.column("guard")
    return Columns(column(sp), None if g is None else column(g), None if guard is None else column(guard))


def part_of(recording: Recording, first: int, end: int) -> Part:
    """A range of a recording; with ``first`` 0 also what was before the first step."""
    since = first if first else -1
    return Part(
        first, recording.turns(first, end),
        columns(recording.header, lambda number: recording.rows(first, end, [number])[:, 0]),
        recording.accesses(first, end), recording.outside(since, end), recording.changes(since, end),
    )


class Ledger:
    """Follows g, SP and the guard words through a run, one part after the other.

    ``standing``: stacks, structs and threads before the first part. ``look``: gives the word at an address before
    the part that begins at a step, None where that is not known.
    """

    def __init__(self, header: Header, standing: Standing, look: Callable[[int, int], int | None]) -> None:
        self._header, self._look = header, look
        self._standing = standing.copy()
        self._words = Words(header.layout.word)
        self._special = np.array(sorted(header.special), np.uint64)
        self._states = (*_STATES, *(header.special[value] for value in sorted(header.special)))

    def accounts(self, part: Part, then: Columns | None = None) -> Iterator[tuple[Account, Account]]:
        """The accounts before each row and (given the columns ``then``, after each) after it, cut where stacks change.

        Without ``then`` both are the same.
        """
        self._follow(part)
        line = self._words.take(part.first, part.accesses, part.outside)
        steps = numbers_of(part.turns)
        threads = np.concatenate(
            [np.empty(0, np.int64), *(np.full(t.end - t.first, t.thread, np.int64) for t in part.turns)]
        )
        edges = [int(np.searchsorted(steps, np.uint64(max(e.step + 1, 0)))) for e in part.changes]
        at = 0
        for change, edge in zip([None, *part.changes], [*edges, len(steps)], strict=True):
            if change is not None:
                self._standing.apply(change)
            if edge > at:
                rows, stacks = slice(at, edge), _Stacks(self._standing)
                before = self._account(line, stacks, steps[rows], threads[rows], part.columns.cut(rows), False)
                later = before
                if then is not None:
                    later = self._account(line, stacks, steps[rows], threads[rows], then.cut(rows), True)
                yield before, later
                at = edge

    def _follow(self, part: Part) -> None:
        """Follow the words of everything there is in this part."""
        there = self._standing.copy()
        for event in part.changes:
            there.apply(event)
        gs = {struct.address for struct in there.structs.values() if struct.kind == "g"}
        gs |= {stack.g for stack in there.stacks.values() if stack.g}
        wanted = [g + self._header.guard_offset for g in gs] if part.columns.guard is None else []
        if part.columns.g is None:
            wanted += [thread.g_word for thread in there.threads.values() if thread.g_word is not None]
        new = self._words.missing(wanted)
        self._words.follow({address: self._look(address, part.first) for address in new})

    def _account(
        self, line: Timeline, stacks: _Stacks, steps: Numbers, threads: Places, found: Columns, after: bool
    ) -> Account:
        g_value = found.g if found.g is not None else self._g_words(line, steps, threads, after)
        g, stack = _number(stacks.addresses, g_value), stacks.of(found.sp, g_value)
        if found.guard is not None:
            word, known = found.guard, np.ones(len(steps), np.bool_)
        else:
            numbers = np.array(
                [self._words.number(address + self._header.guard_offset) for address, _ in stacks.gs] or [-1], np.int64
            )
            word, known = line.at(np.where(g >= 0, numbers[g], -1), steps, after)
        own = (stack >= 0) & (g >= 0)
        own[own] = stacks.owner[stack[own]] == g_value[own]
        normal = np.where(own, stacks.guard[stack] if stacks.all else 0, stacks.normal[g])
        return Account(
            steps=steps, threads=threads, sp=found.sp, stack=stack, g=g, running=g_value, word=word, normal=normal,
            guard=self._state(word, known, g, normal), low=own & (found.sp < normal), switching=~own,
            stacks=stacks.all, gs=stacks.gs, states=self._states, names=dict(self._standing.threads),
        )

    def _g_words(self, line: Timeline, steps: Numbers, threads: Places, after: bool) -> Numbers:
        """The running g by each thread's own word."""
        words = np.full(len(steps), -1, np.int64)
        for number in threads_of(threads):
            thread = self._standing.threads.get(number)
            words[threads == number] = self._words.number(thread.g_word if thread else None)
        return line.at(words, steps, after)[0]

    def _state(self, word: Numbers, known: Flags, g: Places, normal: Numbers) -> Places:
        special = _number(self._special, word)
        state = np.where(special >= 0, special + len(_STATES), np.where(word == normal, NORMAL, OTHER))
        return np.where(g < 0, OTHER, np.where(known, state, UNKNOWN)).astype(np.int64)


def ledger_of(recording: Recording, first: int) -> Ledger:
    """A ledger that begins at ``first``, one of the recording's piece borders or any other step."""

    def look(address: int, step: int) -> int | None:
        return recording.state(step).memory.word(address) if step else None

    standing = recording.state(first).standing if first else Standing.of(recording.header)
    return Ledger(recording.header, standing, look)


def accounts(recording: Recording, first: int = 0, end: int | None = None) -> Iterator[Account]:
    """The account before each row of a range, in parts that follow each other: memory does not grow with the run."""
    ledger = ledger_of(recording, first)
    for low, high in recording.pieces(first, recording.steps if end is None else end):
        for before, _ in ledger.accounts(part_of(recording, low, high)):
            yield before
