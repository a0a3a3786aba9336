"""Two runs side by side: what each carries, paired by meaning.

Crossings are paired in order, by routine. Within one, effects are paired by their place; several at the same place by
the longest common run of sources. Two stores in another order are no difference, for they are independent of each
other; a store that one run makes before it changes g or SP, and the other after, is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from emu.trace.conventions import lacking
from emu.trace.effects import Effect
from emu.trace.meaning import Passage
from emu.trace.model import Header

SAME, OTHER, ONLY_A, ONLY_B, MOVED = "=", "|", "<", ">", "~"
# A signal between two stores sees which of these is already another.
_POINTS = {"switch g": "the running g", "load SP": "the stack"}


class Pair(NamedTuple):
    """An effect of either run, or one of each at the same place. ``mark``: `SAME`, `OTHER` (from another source),
    `ONLY_A`, `ONLY_B`, or `MOVED` (before a switch here, after it there).

    ``lacks``: why the other run has no such place; empty where it could carry that.
    """

    mark: str
    a: Effect | None
    b: Effect | None
    note: str = ""
    lacks: str = ""


class Crossing(NamedTuple):
    """A passage of either run, or one of each, and their effects."""

    a: Passage | None
    b: Passage | None
    pairs: tuple[Pair, ...]

    @property
    def differs(self) -> bool:
        """Whether one carries what the other does not."""
        return any(pair.mark != SAME for pair in self.pairs)


def crossings(a: Sequence[Passage], b: Sequence[Passage], headers: tuple[Header, Header]) -> Iterator[Crossing]:
    """All crossings of both runs in order."""
    for one, other in _matched([_key(p) for p in a], [_key(p) for p in b]):
        mine, its = None if one is None else a[one], None if other is None else b[other]
        yield Crossing(mine, its, tuple(_pairs(mine, its, headers)))


def shared(crossing: Crossing) -> Crossing:
    """A crossing without the effects that the other run has no place for."""
    return crossing._replace(pairs=tuple(pair for pair in crossing.pairs if not pair.lacks))


def _key(passage: Passage) -> tuple[str, bool]:
    return passage.span.routine, passage.span.entered


def _matched(a: Sequence[object], b: Sequence[object]) -> Iterator[tuple[int | None, int | None]]:
    """Numbers of items that belong together, in order; what has no like is paired with what stands in its place."""
    low, high = 0, 0
    while low < min(len(a), len(b)) and a[low] == b[low]:
        yield low, low
        low += 1
    while high < min(len(a), len(b)) - low and a[-1 - high] == b[-1 - high]:
        high += 1
    middle = SequenceMatcher(None, a[low : len(a) - high], b[low : len(b) - high], autojunk=False)
    for _, a0, a1, b0, b1 in middle.get_opcodes():
        for number in range(max(a1 - a0, b1 - b0)):
            yield low + a0 + number if a0 + number < a1 else None, low + b0 + number if b0 + number < b1 else None
    for number in range(high, 0, -1):
        yield len(a) - number, len(b) - number


def _pairs(a: Passage | None, b: Passage | None, headers: tuple[Header, Header]) -> Iterator[Pair]:
    mine, its = list(a.effects) if a else [], list(b.effects) if b else []
    partner: dict[int, int] = {}
    for place in dict.fromkeys(effect.place.text for effect in (*mine, *its)):
        here = [number for number, effect in enumerate(mine) if effect.place.text == place]
        there = [number for number, effect in enumerate(its) if effect.place.text == place]
        sources = [mine[n].source.text for n in here], [its[n].source.text for n in there]
        partner |= {here[x]: there[y] for x, y in _matched(*sources) if x is not None and y is not None}
    points = _points(mine, its, partner)
    for one, other in _in_order(len(mine), len(its), partner):
        if other is None:
            assert one is not None
            yield _single(ONLY_A, mine[one], headers[1], b is None)
        elif one is None:
            yield _single(ONLY_B, its[other], headers[0], a is None)
        else:
            yield _double(mine[one], its[other], points)


def _in_order(a: int, b: int, partner: dict[int, int]) -> Iterator[tuple[int | None, int | None]]:
    """All of A in its order; what is only in B stands behind what is before it there."""
    order: list[tuple[int | None, int | None]] = [(number, partner.get(number)) for number in range(a)]
    place = 0
    for number in range(b):
        at = next((at for at, (_, other) in enumerate(order) if other == number), None)
        if at is None:
            order.insert(place, (None, number))
            at = place
        place = at + 1
    yield from order


def _single(mark: str, effect: Effect, other: Header, absent: bool) -> Pair:
    lacks = lacking(effect.place, other) or lacking(effect.source, other)
    note = "no such crossing" if absent else lacks
    return Pair(mark, effect if mark == ONLY_A else None, effect if mark == ONLY_B else None, note, lacks)


def _points(a: Sequence[Effect], b: Sequence[Effect], partner: dict[int, int]) -> list[tuple[str, int, int]]:
    """The last change of g and of the stack, where both runs make it: its name, and the step in either."""
    found = {
        _POINTS[a[one].kind]: (a[one].step, b[other].step)
        for one, other in sorted(partner.items()) if a[one].kind in _POINTS and b[other].kind == a[one].kind
    }
    return [(name, *steps) for name, steps in found.items()]


def _double(a: Effect, b: Effect, points: Sequence[tuple[str, int, int]]) -> Pair:
    if a.source.text != b.source.text and not (a.alike and a.alike == b.alike):
        return Pair(OTHER, a, b)
    if a.written and b.written and a.kind not in _POINTS:
        for name, in_a, in_b in points:
            if (a.step < in_a) != (b.step < in_b):
                early, late = ("A", "B") if a.step < in_a else ("B", "A")
                return Pair(MOVED, a, b, f"{early} does this before {name} changes, {late} after")
    return Pair(SAME, a, b)
