"""The goroutines and stacks that a recorded run of a whole program has met, and what a trace says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from arch.golang import Guards
from arch.layout import Layout
from emu.live.process import LiveProcess
from emu.trace.model import Numbers

Note = Callable[[int, str, int, Mapping[str, Any]], None]  # step, kind of event, thread, data


class Met(NamedTuple):
    """A g as it was met: its name, its stack's bounds, and its guard word when nothing special is stored in it."""

    label: str
    lo: int
    hi: int
    guard: int


class Seen(NamedTuple):
    """Some rows of one thread: their steps, the running g of each, SP and the guard word."""

    thread: int
    steps: Numbers
    g: Numbers
    sp: Numbers
    guard: Numbers


class Goroutines:
    """Reads the structs of a g when rows show it running, and tells what is new of it.

    A row's g is looked at when its rows are handed over, at the latest when another thread runs: what has changed
    by then is told where the rows first show it, or behind them.
    """

    def __init__(self, process: LiveProcess, layout: Layout, guards: Guards, note: Note) -> None:
        self._process, self._layout, self._guards, self._note = process, layout, guards, note
        self._special = {value & process.arch.mask for value in guards.special.values()}
        self._met: dict[int, Met] = {}
        self._ms: dict[int, str] = {}

    def look(self, seen: Seen) -> None:
        """Tell what is new of all that some rows show. Raises nothing for a g that is none."""
        gs, first = np.unique(seen.g, return_index=True)
        for at in np.argsort(first).tolist():
            for g in self._with_its_m(int(gs[at]), seen, int(seen.steps[first[at]]) - 1):
                self._look(g, seen)

    def _with_its_m(self, g: int, seen: Seen, step: int) -> Iterator[int]:
        """A g, and those of the m that runs it: SP may be on their stacks."""
        yield g
        m = self._word(g, "g.m") if g else 0
        if not m:
            return
        label = f"m@{self._owner(m, seen.thread)}"
        if self._ms.get(m) != label:
            self._ms[m] = label
            self._note(step, "struct", seen.thread, {"kind": "m", "address": m, "label": label})
        yield self._word(m, "m.g0")
        yield self._word(m, "m.gsignal")

    def _look(self, g: int, seen: Seen) -> None:
        now = self._read(g, seen.thread) if g else None
        old = self._met.get(g)
        if now is None or now == old:
            return
        self._met[g] = now
        step = self._when(g, old, now, seen)
        if old is None or old.label != now.label:
            if old is not None and old.lo < old.hi:
                self._note(step, "stack", seen.thread, {"name": old.label, "gone": True})
            self._note(step, "struct", seen.thread, {"kind": "g", "address": g, "label": now.label})
        if now.lo < now.hi:
            self._note(step, "stack", seen.thread, {"name": now.label, "g": g, **now._asdict()})

    def _when(self, g: int, old: Met | None, now: Met, seen: Seen) -> int:
        """The step after which it was so."""
        mine = np.flatnonzero(seen.g == np.uint64(g))
        sp, guard = seen.sp[mine], seen.guard[mine]
        first = int(seen.steps[0]) - 1
        if old is None:
            return first
        if old.label != now.label:  # it was another goroutine's until it was switched to
            return max(first, int(seen.steps[mine[0]]) - 2) if len(mine) else first
        if (old.lo, old.hi) != (now.lo, now.hi):
            inside = (sp >= np.uint64(now.lo)) & (sp <= np.uint64(now.hi))
            before = (sp >= np.uint64(old.lo)) & (sp <= np.uint64(old.hi))
            shows = mine[(inside & ~before) | (guard == np.uint64(now.guard))]
        else:
            shows = mine[guard == np.uint64(now.guard)]
        return int(seen.steps[shows[0]]) - 1 if len(shows) else int(seen.steps[-1])

    def _read(self, g: int, thread: int) -> Met | None:
        goid = int.from_bytes(self._bytes(g + self._layout["g.goid"], 8), "little")
        lo, hi = self._word(g, "g.stack.lo"), self._word(g, "g.stack.hi")
        guard = lo + self._guards.guard
        if goid:
            return Met(f"g{goid}", lo, hi, guard)
        m = self._word(g, "g.m")
        role = next((role for role in ("g0", "gsignal") if m and self._word(m, f"m.{role}") == g), None)
        if role is None:
            return self._met.get(g) or Met(f"g@{g:#x}", lo, hi, guard)
        word = self._word(g, self._layout.guard)
        return Met(f"{role}@{self._owner(m, thread)}", lo, hi, guard if word in self._special else word)

    def _owner(self, m: int, thread: int) -> int:
        """The thread of an m: as it says itself, once it does."""
        return self._word(m, "m.procid") or thread

    def _bytes(self, address: int, size: int) -> bytes:
        try:
            return self._process.machine.read(address, size)
        except ValueError:
            return b""

    def _word(self, struct: int, field: str) -> int:
        """A field of a struct; 0 where nothing is mapped."""
        return self._process.arch.unpack(self._bytes(struct + self._layout[field], self._process.arch.word))
