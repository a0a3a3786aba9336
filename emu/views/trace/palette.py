"""Colours for values: that of the region they point to, the same in every view of a run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from emu.trace.model import Recording, Stack, Standing

_STACKS = ("cyan", "green", "bright_blue", "bright_cyan", "bright_green", "blue")
_CODE, _DATA = "yellow", "magenta"


class Span(NamedTuple):
    """Addresses ``lo`` up to ``hi``, what lies there, and its colour."""

    lo: int
    hi: int
    name: str
    colour: str


class _Spans:
    """Spans by address."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.all = sorted(spans)
        self._lows = [span.lo for span in self.all]

    def find(self, value: int) -> Span | None:
        place = bisect_right(self._lows, value) - 1
        return self.all[place] if place >= 0 and value < self.all[place].hi else None


class Palette:
    """Colours of values at a step. Steps are asked for in order: stacks come, go and move.

    Stacks have colours in the order in which the run made them; code has one, all other memory has one.
    """

    def __init__(self, recording: Recording) -> None:
        header = recording.header
        self._changes, self._next = [e for e in recording.changes(-1, recording.steps) if e.kind == "stack"], 0
        names = [stack.name for stack in header.stacks] + [event.data["name"] for event in self._changes]
        self._colours = {name: _STACKS[n % len(_STACKS)] for n, name in enumerate(dict.fromkeys(names))}
        self._standing = Standing.of(header)
        self._gates = frozenset(header.program.gates.values())
        fixed = [*header.segments, *(region for region in header.regions if region.kind != "stack")]
        self._fixed = _Spans(
            Span(r.address, r.address + r.size, r.name, _CODE if r.kind == "code" else _DATA) for r in fixed
        )
        self._stacks = self._now()

    def _now(self) -> _Spans:
        return _Spans(self._span(stack) for stack in self._standing.stacks.values())

    def _span(self, stack: Stack) -> Span:
        return Span(stack.lo, stack.hi, stack.name, self._colours[stack.name])

    def before(self, step: int) -> None:
        """Go on to what there is before a step."""
        old = self._next
        while self._next < len(self._changes) and self._changes[self._next].step < step:
            self._standing.apply(self._changes[self._next])
            self._next += 1
        if self._next > old:
            self._stacks = self._now()

    def of(self, value: int) -> str:
        """The colour of a value; none if it points nowhere."""
        if value in self._gates:
            return _CODE
        found = self._stacks.find(value) or self._fixed.find(value)
        return found.colour if found else ""

    def legend(self) -> list[Span]:
        """What there is at the run's begin or has come since, by address."""
        return sorted([*self._stacks.all, *self._fixed.all])
