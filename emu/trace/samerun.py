"""Two runs of the same program row by row: the first step before which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np

from emu.errors import BadInput
from emu.trace.model import Numbers, Recording, Rows
from emu.trace.pages import PAGE

MOST_WORDS = 16  # of memory that are told


class Difference(NamedTuple):
    """The first difference of two runs: the states before ``step`` differ, or only one of them has it.

    ``threads``: who ran it. ``registers``: name -> value in A and B. ``memory``: address -> word in A and B, None
    where it is not known; the first `MOST_WORDS` that differ. ``ended``: ``A`` or ``B``, the run that has no such step.
    """

    step: int
    threads: tuple[int, int]
    registers: Mapping[str, tuple[int, int]]
    memory: Mapping[int, tuple[int | None, int | None]]
    ended: str


def check_same(a: Recording, b: Recording) -> None:
    """Raise BadInput if the runs are not of one program, or not recorded alike."""
    for what, mine, its in (
        ("architectures", a.header.arch_name, b.header.arch_name),
        ("programs", a.header.sha256, b.header.sha256),
        ("columns", list(a.header.columns), list(b.header.columns)),
    ):
        if mine != its:
            raise BadInput(f"--rows compares runs of the same program: these have different {what}; leave --rows out")


def first_difference(a: Recording, b: Recording) -> Difference | None:
    """The first difference of two runs that `check_same` lets pass; None if there is none."""
    common = min(a.steps, b.steps)
    if a.outside(-1, 0) != b.outside(-1, 0):
        return _told(a, b, 0)
    for low, high in a.pieces(0, common):
        step = _within(a, b, low, high)
        if step is not None:
            return _told(a, b, step)
    ends = a.state(common), b.state(common)
    if a.steps != b.steps or ends[0].registers != ends[1].registers:
        return _told(a, b, common)
    return None


def _within(a: Recording, b: Recording, low: int, high: int) -> int | None:
    """The first step of a range that begins otherwise, or behind something else that was written."""
    found = [
        _unlike(_rows(a, low, high), _rows(b, low, high), 0),
        _unlike(_writes(a, low, high), _writes(b, low, high), 1),
    ]
    outside = a.outside(low, high), b.outside(low, high)
    if outside[0] != outside[1]:
        apart = (pair for pair in zip(*outside, strict=False) if pair[0] != pair[1])
        one = next(apart, outside[0][len(outside[1]) :] or outside[1][len(outside[0]) :])
        found.append(min(write.step for write in one) + 1)
    return min((step for step in found if step is not None), default=None)


def _rows(recording: Recording, low: int, high: int) -> Rows:
    """Step, thread and registers of each row."""
    turns = recording.turns(low, high)
    counts = np.array([turn.end - turn.first for turn in turns], np.int64)
    threads = np.repeat(np.array([turn.thread for turn in turns], np.uint64), counts)
    return np.column_stack([recording.numbers(low, high), threads, recording.rows(low, high)])


def _writes(recording: Recording, low: int, high: int) -> Rows:
    found = recording.accesses(low, high)
    found = found[found["write"] != 0]
    return np.column_stack([found[name].astype(np.uint64) for name in ("step", "address", "value", "size")])


def _unlike(a: Rows, b: Rows, later: int) -> int | None:
    """The step in the first column of the first line that differs, plus ``later``."""
    count = min(len(a), len(b))
    unlike = np.flatnonzero((a[:count] != b[:count]).any(axis=1))
    at = int(unlike[0]) if len(unlike) else count
    steps: list[Numbers] = [lines[at : at + 1, 0] for lines in (a, b)]
    return min((int(step[0]) + later for step in steps if len(step)), default=None)


def _told(a: Recording, b: Recording, step: int) -> Difference:
    one, other = a.state(step), b.state(step)
    registers = {
        name: (value, other.registers[name]) for name, value in one.registers.items() if value != other.registers[name]
    }
    ended = "A" if step >= a.steps and step < b.steps else "B" if step >= b.steps and step < a.steps else ""
    memory = dict(islice(_words(a, b, step), MOST_WORDS))
    return Difference(step, (one.thread, other.thread), registers, memory, ended)


def _words(a: Recording, b: Recording, step: int) -> Iterator[tuple[int, tuple[int | None, int | None]]]:
    """Words of memory that differ before a step, ascending."""
    one, other, word = a.state(step).memory, b.state(step).memory, a.header.layout.word
    for page in sorted({*one.pages(), *other.pages()}):
        if one.read(page, PAGE) == other.read(page, PAGE):
            continue
        for address in range(page, page + PAGE, word):
            values = one.word(address), other.word(address)
            if values[0] != values[1]:
                yield address, values
