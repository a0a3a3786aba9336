"""What a run's ledger shows to be wrong: SP where no stack is, beyond the red zone, on another g's stack for too long,
and guard words that mean nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from emu.trace.ledger import OTHER, Account, accounts, columns_of, ledger_of, part_of, threads_of
from emu.trace.model import Limits, Recording, after
from emu.trace.words import Flags, Places


class Finding(NamedTuple):
    """Something wrong from step ``first`` on, in ``steps`` steps of a thread that follow each other.

    ``kind``: ``nowhere`` (SP in no stack), ``switching`` (SP in a stack that is not the running g's for more steps
    than a switch takes, or when the run ends), ``red`` (SP farther below the guard than unchecked code may go), or
    ``guard`` (a guard word that is neither the normal one nor a special value).
    """

    kind: str
    first: int
    steps: int
    thread: int
    what: str


@dataclass
class _Stretch:
    """Steps of a thread that follow each other, in which something holds."""

    first: int
    steps: int
    what: str


class Findings:
    """Collects findings from the accounts of a run, in order. A stretch may go on from one part to the next.

    Where steps were not recorded, stretches end.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[tuple[int, str], _Stretch] = {}
        self._next = 0

    def add(self, account: Account) -> Iterator[Finding]:
        """Judge the next part; gives the findings whose stretch is over."""
        steps = account.steps
        gaps = np.flatnonzero(np.diff(steps) != 1) + 1
        edges = [0, *gaps.tolist(), len(steps)]
        for low, high in pairwise(edges):
            if int(steps[low]) != self._next:
                yield from self.close()
            for thread in threads_of(account.threads[low:high]):
                rows = np.flatnonzero(account.threads[low:high] == thread) + low
                for kind, holds in self._wrong(account, rows):
                    yield from self._stretches(account, thread, kind, rows, holds)
            self._next = int(steps[high - 1]) + 1

    def _wrong(self, account: Account, rows: Places) -> Iterator[tuple[str, Flags]]:
        """What may be wrong, and in which rows it holds. Before a thread has any g nobody says where SP must be."""
        stack, g = account.stack[rows], account.g[rows]
        runs = account.running[rows] != 0
        yield "nowhere", stack < 0
        yield "switching", runs & (stack >= 0) & account.switching[rows]
        lowest = np.maximum(account.normal[rows], np.uint64(self._limits.red)) - np.uint64(self._limits.red)
        yield "red", account.low[rows] & (account.sp[rows] < lowest)
        yield "guard", (g >= 0) & (account.guard[rows] == OTHER) & (account.normal[rows] != 0)

    def _stretches(
        self, account: Account, thread: int, kind: str, rows: Places, holds: Flags
    ) -> Iterator[Finding]:
        """Follow where something holds: stretches that end here are findings, one may stay open."""
        key = thread, kind
        if key in self._open and not (len(holds) and holds[0]):
            yield from self._over(key)
        if not holds.any():
            return
        edges = np.flatnonzero(np.diff(holds, prepend=False, append=False)).reshape(-1, 2)
        if kind == "switching":  # most are what every switch takes
            border = (edges[:, 0] == 0) | (edges[:, 1] == len(rows))
            edges = edges[border | (edges[:, 1] - edges[:, 0] > self._limits.switching)]
        for first, end in edges.tolist():
            if key in self._open and first == 0:
                self._open[key].steps += end - first
            else:
                row = int(rows[first])
                self._open[key] = _Stretch(int(account.steps[row]), end - first, _told(account, row, kind))
            if end < len(rows):
                yield from self._over(key)

    def _over(self, key: tuple[int, str]) -> Iterator[Finding]:
        stretch = self._open.pop(key)
        if key[1] != "switching" or stretch.steps > self._limits.switching:
            yield Finding(key[1], stretch.first, stretch.steps, key[0], stretch.what)

    def close(self, ended: Collection[int] = ()) -> Iterator[Finding]:
        """The end of the run, or of what was recorded in one go. Threads that ``ended`` must not be switching."""
        for thread, kind in sorted(self._open):
            stretch = self._open[thread, kind]
            if kind == "switching" and thread in ended and stretch.steps <= self._limits.switching:
                yield Finding(kind, stretch.first, stretch.steps, thread, f"{stretch.what}, when the run ends")
            yield from self._over((thread, kind))


def _told(account: Account, row: int, kind: str) -> str:
    """A finding in words, from its first row."""
    entry, sp = account.entry(row), int(account.sp[row])
    if kind == "nowhere":
        return f"SP {sp:#x} is in no stack, while {entry.g} runs"
    if kind == "switching":
        return f"SP is in {entry.stack}, while {entry.g} runs"
    if kind == "red":
        return f"SP is {int(account.normal[row]) - sp} bytes below the guard of {entry.stack}"
    return f"the guard word of {entry.g} is {int(account.word[row]):#x}"


def findings(recording: Recording) -> Iterator[Finding]:
    """All that is wrong in a run, in the order in which it is over. Memory does not grow with the run."""
    judge = Findings(recording.header.limits)
    for account in accounts(recording):
        yield from judge.add(account)
    yield from judge.close(still_switching(recording))


def still_switching(recording: Recording) -> set[int]:
    """The thread that ran last, if the run came to its end and left g and SP apart."""
    last = recording.steps - 1
    endings = [event.data["outcome"] for event in recording.events(last, last + 1) if event.kind == "end"]
    if last < 0 or endings not in (["ended"], ["failed"]):
        return set()
    then, known = after(recording, last, last + 1)
    parts = ledger_of(recording, last).accounts(part_of(recording, last, last + 1), columns_of(recording.header, then))
    return {int(later.threads[-1]) for _, later in parts if known.all() and later.switching[-1]}
