"""Where a recorded run crosses between stacks: stretches of steps inside the routines that switch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from arch import golang
from emu.trace.model import Recording

_ROUTINES = {name for era in golang.ERAS.values() for names in era.routines.values() for name in names}
_SWITCHING = _ROUTINES | {"asmcgocall"}
# What a routine calls to have a part of its work done; called by others, it is no crossing.
_HELPERS = {"gosave_systemstack_switch", "setg", "save_g", "save_gm", "load_g"}


class Span(NamedTuple):
    """Steps ``first`` up to ``end`` of one thread that follow each other without a stop.

    ``routine``: the one that the first of them belongs to. ``entered``: it begins with that routine; otherwise it
    goes on after something else ran.
    """

    first: int
    end: int
    thread: int
    routine: str
    entered: bool


def bare(symbol: str) -> str:
    """A symbol without its package and ABI: ``runtime.gogo.abi0`` is ``gogo``."""
    return symbol.removesuffix(".abi0").rpartition(".")[2]


def spans(recording: Recording) -> list[Span]:
    """The stretches inside the switching routines; of a run that has none, the whole run cut at its stops."""
    found = list(_inside(recording, everything=False))
    return found or list(_inside(recording, everything=True))


def _inside(recording: Recording, *, everything: bool) -> Iterator[Span]:
    """``everything``: of a run of some other function, all that ran counts as that function's."""
    stops = {int(step) for step in recording.cuts(0, recording.steps)[0]}
    names = _Names(recording)
    found: Span | None = None
    for step, thread, pc in _steps(recording, names, everything=everything):
        goes_on = found is not None and (found.end, found.thread) == (step, thread) and step - 1 not in stops
        name, start = names.at(pc)
        if goes_on and found is not None and (everything or name in _SWITCHING or name in _HELPERS):
            found = found._replace(end=step + 1)
            continue
        if found is not None:
            yield found
        found = Span(step, step + 1, thread, name, start) if everything or name in _SWITCHING else None
    if found is not None:
        yield found


def _steps(recording: Recording, names: _Names, *, everything: bool) -> Iterator[tuple[int, int, int]]:
    """Step, thread and PC of every row that may belong to a stretch."""
    column = recording.header.column("pc")
    assert column is not None
    for low, high in recording.pieces(0, recording.steps):
        pcs, row = recording.rows(low, high, [column])[:, 0], 0
        places = np.unique(pcs)
        wanted = [everything or names.at(place)[0] in _SWITCHING | _HELPERS for place in places.tolist()]
        mask = np.isin(pcs, places[np.array(wanted, np.bool_)])
        for turn in recording.turns(low, high):
            count = turn.end - turn.first
            for at in np.flatnonzero(mask[row : row + count]).tolist():
                yield turn.first + at, turn.thread, int(pcs[row + at])
            row += count


class _Names:
    """The function at a PC by its bare name, and whether it begins there; looked up once."""

    def __init__(self, recording: Recording) -> None:
        self._program = recording.header.program
        self._seen: dict[int, tuple[str, bool]] = {}

    def at(self, pc: int) -> tuple[str, bool]:
        if pc not in self._seen:
            symbol = self._program.at(pc)
            self._seen[pc] = (bare(symbol.name), symbol.address == pc) if symbol else (hex(pc), False)
        return self._seen[pc]
