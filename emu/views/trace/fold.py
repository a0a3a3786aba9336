"""Loops in a run: the same instructions in the same state of the ledger, over and over."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from emu.trace.model import Numbers
from emu.trace.steps import Stretch
from emu.trace.words import Places

LONGEST = 1024  # steps of a turn; longer loops are not found
_WORTH = 2  # more steps than these must be left out
_ALONE = np.uint64(1 << 63)  # in the key of a step that must be shown
_LOUD = frozenset({"syscall", "signal", "stop", "end"})  # events that make a step one to be shown


class Turns(NamedTuple):
    """Steps that are left out: ``first`` to ``last``, ``times`` more turns of ``period`` steps each.

    ``shown``: the first step of the turn that was shown; ``newest``: that of the last turn.
    """

    first: int
    last: int
    period: int
    times: int
    shown: int
    newest: int


Shown = int  # a step that is shown
Token = Shown | Turns


class Keys:
    """Numbers for rows: the same number, the same instruction of the same thread, in the same state of the ledger."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def _number(self, thing: Hashable) -> int:
        return self._numbers.setdefault(thing, len(self._numbers))

    def of(self, stretch: Stretch, rows: Places, alone: Sequence[int]) -> Numbers:
        """The keys of some rows; steps that stand ``alone`` are like no other."""
        account = stretch.before
        stacks = np.array([*(self._number(stack) for stack in account.stacks), self._number("no stack")], np.uint64)
        gs = np.array([*(self._number(g) for g in account.gs), self._number("no g")], np.uint64)
        parts = (stacks[account.stack[rows]], gs[account.g[rows]], account.guard[rows], account.low[rows])
        state = np.zeros(len(rows), np.uint64)
        for part in parts:  # each is made one number before the next is added: no number grows too large
            state = self._made(state << np.uint64(32) | part.astype(np.uint64), "state")
        state = self._made(state << np.uint64(32) | account.threads[rows].astype(np.uint64), "thread")
        keys: Numbers = self._made(stretch.pc[rows], "pc") << np.uint64(31) | state
        steps = account.steps[rows]
        loud = [step for step, events in stretch.events.items() if any(e.kind in _LOUD for e in events)]
        apart = np.isin(steps, np.array([*loud, *alone], np.uint64))
        keys[apart] = steps[apart] | _ALONE
        return keys

    def _made(self, values: Numbers, what: str) -> Numbers:
        """Small numbers instead of large ones."""
        found, places = np.unique(values, return_inverse=True)
        return np.array([self._number((what, value)) for value in found.tolist()] or [0], np.uint64)[places]


class Folder:
    """Finds loops in keys that come part by part. A loop may go on from one part to the next."""

    def __init__(self) -> None:
        self._cycle: Numbers = np.empty(0, np.uint64)  # keys of a turn, while a loop goes on at a part's end
        self._phase = self._count = 0  # place in the turn; steps left out
        self._shown, self._steps = 0, np.empty(0, np.uint64)  # first step of the turn shown; the newest left out

    def feed(self, keys: Numbers, steps: Numbers) -> Iterator[Token]:
        """The next rows that are chosen: their keys and steps, ascending."""
        at = 0
        if len(self._cycle):
            at = self._go_on(keys, steps)
            if at == len(keys):
                return
            yield from self.close()
        following = _following(keys)
        yield from self._folded(keys, steps, following, np.flatnonzero(_may_begin(keys, following)), at, len(keys))

    def close(self) -> Iterator[Token]:
        """The loop that went on, if any, is over."""
        if len(self._cycle):
            yield from _left_out(self._shown, self._steps, self._count, len(self._cycle))
            self._cycle, self._count = self._cycle[:0], 0

    def _go_on(self, keys: Numbers, steps: Numbers) -> int:
        """How many rows still belong to the loop."""
        period = len(self._cycle)
        expected = np.resize(np.roll(self._cycle, -self._phase), len(keys))
        other = np.flatnonzero(keys != expected)
        count = int(other[0]) if len(other) else len(keys)
        self._hold(steps[:count], period)
        self._phase = (self._phase + count) % period
        return count

    def _hold(self, steps: Numbers, period: int) -> None:
        """More steps are left out; of the oldest nothing more needs to be known than the very first."""
        self._count += len(steps)
        held = np.concatenate([self._steps, steps])
        self._steps = held if len(held) <= 3 * period else np.concatenate([held[:1], held[-3 * period + 1 :]])

    def _folded(
        self, keys: Numbers, steps: Numbers, following: Places, begins: Places, low: int, high: int
    ) -> Iterator[Token]:
        """Rows ``low`` up to ``high``; loops may begin at ``begins``. Of the turn that is shown, its own loops are
        folded as well."""
        at = low
        for start in begins[slice(*np.searchsorted(begins, [low, high]))].tolist():
            period = int(following[start]) - start
            if start < at or start + 2 * period > high:
                continue
            if not np.array_equal(keys[start : start + period], keys[start + period : start + 2 * period]):
                continue
            yield from steps[at:start].tolist()
            yield from self._folded(keys, steps, following, begins, start, start + period)
            at = start + period + _same(keys, start, period, high)
            gone, shown = steps[start + period : at], int(steps[start])
            if at == len(keys):
                self._cycle, self._phase = keys[start : start + period], len(gone) % period
                self._shown, self._steps, self._count = shown, gone[:0], 0
                self._hold(gone, period)
                return
            yield from _left_out(shown, gone, len(gone), period)
        yield from steps[at:high].tolist()


def _left_out(shown: int, steps: Numbers, count: int, period: int) -> Iterator[Token]:
    """Whole turns of ``count`` steps, and the rest of them shown. Of the steps at least the first and the newest are
    given; all, if they are not more than three turns."""
    rest = count % period if count - count % period > _WORTH else count
    if rest < count:
        newest = steps[: len(steps) - rest]
        yield Turns(
            int(steps[0]), int(newest[-1]), period, count // period, shown, int(newest[-period])
        )
    yield from steps[len(steps) - rest :].tolist()


def _following(keys: Numbers) -> Places:
    """Where each key stands the next time; itself if it does not."""
    order = np.argsort(keys, kind="stable")
    found = np.arange(len(keys), dtype=np.int64)
    again = keys[order[1:]] == keys[order[:-1]]
    found[order[:-1][again]] = order[1:][again]
    return found


def _may_begin(keys: Numbers, following: Places) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where a loop may begin: what comes next is the same the next time, too."""
    places = np.arange(len(keys))
    period = following - places
    ahead, then = np.minimum(places + 1, len(keys) - 1), np.minimum(following + 1, len(keys) - 1)
    found: np.ndarray[tuple[int], np.dtype[np.bool_]] = (
        (period > 0) & (period <= LONGEST) & ((period == 1) | (keys[ahead] == keys[then]))
    )
    return found


def _same(keys: Numbers, start: int, period: int, high: int) -> int:
    """How many rows behind the first turn are as those one turn before them."""
    at, window = start + period, 2 * period
    while at < high:
        end = min(at + window, high)
        other = np.flatnonzero(keys[at:end] != keys[at - period : end - period])
        if len(other):
            return at + int(other[0]) - start - period
        at, window = end, window * 2
    return high - start - period
