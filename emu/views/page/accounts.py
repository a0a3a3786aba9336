"""The ledger's account of every row, with one numbering of stacks and gs for the whole page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.trace.ledger import Account, columns, ledger_of, part_of
from emu.trace.model import Numbers, Recording, Rows, Stack, after
from emu.views.page.pack import lanes, number

Arrays = dict[str, NDArray[np.uint32]]


@dataclass
class Accounts:
    """Stacks and gs in the order in which they came, and for each row the account before and after it.

    In the arrays a stack and a g are their number and 1; 0 is none. Names ending in ``.then`` are after the row.
    """

    stacks: dict[Stack, int] = field(default_factory=dict)
    gs: dict[tuple[int, str], int] = field(default_factory=dict)
    states: tuple[str, ...] = ()
    arrays: Arrays = field(default_factory=dict)

    @property
    def record(self) -> dict[str, Any]:
        """What goes with the arrays: bounds and names."""
        return {
            "stacks": [
                {"name": s.name, "title": title, "label": s.label, "g": number(s.g), "lo": s.lo, "hi": s.hi,
                 "guard": number(s.guard)}
                for s, title in zip(self.stacks, self._titles(), strict=True)
            ],
            "gs": [[number(address), label] for address, label in self.gs],
            "states": list(self.states),
        }

    def _titles(self) -> Iterator[str]:
        """A name for each stack that no other has: one that was moved is the same by name, and another by place."""
        seen: Counter[str] = Counter()
        for stack in self.stacks:
            seen[stack.name] += 1
            again = seen[stack.name]
            yield stack.name if again == 1 else f"{stack.name.removesuffix(' stack')} #{again}"

    def add(self, account: Account, word: int) -> Arrays:
        """The arrays of some rows."""
        stacks = [self.stacks.setdefault(stack, len(self.stacks)) + 1 for stack in account.stacks]
        gs = [self.gs.setdefault((address, label), len(self.gs)) + 1 for address, label in account.gs]
        self.states = tuple(account.states)
        return {
            "stack": np.array([*stacks, 0], np.uint32)[account.stack], "g": np.array([*gs, 0], np.uint32)[account.g],
            "guard": account.guard.astype(np.uint32), "low": account.low.astype(np.uint32),
            **lanes("word", account.word, word),
        }


def accounts(recording: Recording, first: int, end: int) -> Accounts:
    """The accounts of the rows of the steps ``first`` up to ``end``."""
    found, header = Accounts(), recording.header
    for stack in recording.state(first).standing.stacks.values():
        found.stacks.setdefault(stack, len(found.stacks))
    ledger, parts = ledger_of(recording, first), list[Arrays]()
    for low, high in recording.pieces(first, end):
        then, _ = after(recording, low, high)
        for before, later in ledger.accounts(part_of(recording, low, high), columns(header, partial(_column, then))):
            one, other = (found.add(account, header.arch.word) for account in (before, later))
            parts.append(one | {_then(name): values for name, values in other.items()})
    found.arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return found


def _column(rows: Rows, number: int) -> Numbers:
    return rows[:, number]


def _then(name: str) -> str:
    """``stack`` -> ``stack.then``; ``word.0`` -> ``word.then.0``."""
    head, dot, lane = name.partition(".")
    return f"{head}.then{dot}{lane}"
