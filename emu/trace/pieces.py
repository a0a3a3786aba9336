"""A run in pieces: what happened in some steps, and the memory pages that were written in them.

Pieces are cut where the number of a step is a multiple of `BUCKET`, so that the same run gives the same pieces
however it was handed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from emu.trace.model import ACCESS, STANDING, Accesses, Event, Numbers, Outside, Rows, Standing, Turn
from emu.trace.pages import Page

BUCKET = 1 << 16  # steps
FEW = 1 << 14  # records; with fewer a piece goes on beyond the end of its bucket
MOST_OUTSIDE = 1 << 24  # bytes written from outside, after which a piece ends wherever it is


class Piece(Protocol):
    """Steps ``first`` up to ``end``; what happened before the first step of all stands in a piece of no steps."""

    first: int
    end: int

    @property
    def turns(self) -> Sequence[Turn]: ...
    def column(self, number: int) -> Numbers:
        """One column of the rows."""
    @property
    def rows(self) -> Rows: ...
    @property
    def cuts(self) -> tuple[Numbers, Rows]: ...
    @property
    def accesses(self) -> Accesses: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def changes(self) -> Sequence[Event]:
        """The events of `STANDING`."""
    @property
    def outside(self) -> Sequence[Outside]: ...
    @property
    def standing(self) -> Standing:
        """Stacks, structs and threads at the piece's start; not to be changed."""
    @property
    def pages(self) -> Mapping[int, Page]:
        """Pages that were written in this piece, as they are at its end."""
    @property
    def code(self) -> Mapping[int, bytes]:
        """Pages of code that ran here for the first time."""


def numbers_of(turns: Sequence[Turn]) -> Numbers:
    """The steps that have rows: those of the turns."""
    if not turns:
        return np.empty(0, np.uint64)
    return np.concatenate([np.arange(turn.first, turn.end, dtype=np.uint64) for turn in turns])


@dataclass
class Kept:
    """A piece that is kept in memory."""

    first: int
    end: int
    turns: Sequence[Turn]
    rows: Rows
    cuts: tuple[Numbers, Rows]
    accesses: Accesses
    events: Sequence[Event]
    outside: Sequence[Outside]
    standing: Standing
    pages: Mapping[int, Page] = field(default_factory=dict)
    code: Mapping[int, bytes] = field(default_factory=dict)

    def column(self, number: int) -> Numbers:
        return self.rows[:, number]

    @property
    def changes(self) -> Sequence[Event]:
        return [event for event in self.events if event.kind in STANDING]


def no_accesses() -> Accesses:
    """An empty array of accesses."""
    return np.empty(0, ACCESS)
