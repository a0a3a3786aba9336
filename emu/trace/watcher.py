"""Finds the events that show in rows: another g runs, the running g's guard word changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emu.trace.ledger import Account, Ledger, Part, columns_of, threads_of
from emu.trace.model import Event, Header, Numbers, Standing, following_rows
from emu.trace.pieces import Kept
from emu.trace.words import Flags


class Watcher:
    """Goes through the pieces of a run as they are made."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._ledger = Ledger(header, Standing.of(header), lambda _address, _step: None)
        self._last: dict[int, tuple[int, int, int]] = {}  # thread -> step, g and guard word after it

    def events(self, piece: Kept) -> Iterator[Event]:
        """The events of the next piece."""
        then, _ = following_rows(piece.turns, piece.rows, piece.cuts, len(piece.rows))
        part = Part(
            piece.first, piece.turns, columns_of(self._header, piece.rows), piece.accesses, piece.outside, piece.changes
        )
        for before, after in self._ledger.accounts(part, columns_of(self._header, then)):
            for thread in threads_of(before.threads):
                yield from self._changes(thread, before, after)

    def _changes(self, thread: int, before: Account, after: Account) -> Iterator[Event]:
        """What changed between each two states of a thread: before a step, after it, before the next one."""
        mine = before.threads == thread
        steps = np.repeat(before.steps[mine], 2).astype(np.int64)
        g, word = _woven(before.running, after.running, mine), _woven(before.word, after.word, mine)
        state = _woven(before.guard.astype(np.uint64), after.guard.astype(np.uint64), mine)
        step, last_g, last_word = self._last.get(thread, (int(steps[0]) - 1, int(g[0]), int(word[0])))
        steps = np.concatenate([[step], steps])
        other_g = np.diff(np.concatenate([np.array([last_g], np.uint64), g])) != 0
        other_word = np.diff(np.concatenate([np.array([last_word], np.uint64), word])) != 0
        for at in np.flatnonzero(other_g | other_word).tolist():
            if other_g[at]:
                old = last_g if at == 0 else int(g[at - 1])
                yield Event(int(steps[at]), "switch", thread, {"from": old, "to": int(g[at])})
            else:
                data = {"g": int(g[at]), "value": int(word[at]), "state": before.states[int(state[at])]}
                yield Event(int(steps[at]), "guard", thread, data)
        self._last[thread] = int(steps[-1]), int(g[-1]), int(word[-1])


def _woven(before: Numbers, after: Numbers, mine: Flags) -> Numbers:
    """What was before and after each step of a thread, in turn."""
    return np.stack([before[mine], after[mine]], axis=1).reshape(-1)
