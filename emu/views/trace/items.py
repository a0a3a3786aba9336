"""What a view of a trace goes through: chosen steps, loops that are folded, events of steps that have no row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emu.progress import Progress
from emu.trace.model import Event, Recording
from emu.trace.steps import Step, Stretch, stretches
from emu.trace.words import Places
from emu.views.trace.choice import Choice, Picker, guard_writes
from emu.views.trace.fold import Folder, Keys, Token, Turns

TOLD = frozenset({"syscall", "signal", "switch", "guard"})  # events that are shown even without a row


@dataclass(frozen=True)
class Shown:
    """A step with what a view says beside it: ``notes``, and verdicts about it."""

    step: Step
    notes: tuple[str, ...]
    checks: tuple[Event, ...]


@dataclass(frozen=True)
class Again:
    """More turns of the loop that was just shown. ``differs``: register -> what it was before the turn that is shown,
    and before the last one."""

    turns: Turns
    differs: Mapping[str, tuple[int, int]]


Item = Shown | Again | Event


def items(recording: Recording, choice: Choice, progress: Progress | None = None) -> Iterator[Item]:
    """All that is chosen, in order."""
    return _Items(recording, choice, progress).all()


class _Items:
    def __init__(self, recording: Recording, choice: Choice, progress: Progress | None) -> None:
        self._recording, self._choice, self._progress = recording, choice, progress
        self._picker = Picker(recording, choice)
        verdicts = ((step, tuple(c for c in found if "checks" in choice.only or not c.data["ok"]))
                    for step, found in self._picker.checks.items())
        self._checks = {step: found for step, found in verdicts if found}
        self._folder, self._keys = Folder() if choice.fold else None, Keys()
        header = recording.header
        self._offset, self._word = header.guard_offset, header.arch.word
        self._read = choice.first  # up to here events are read
        self._waiting: deque[Event] = deque()  # of steps that have no row

    def all(self) -> Iterator[Item]:
        end = self._recording.steps if self._choice.end is None else min(self._choice.end, self._recording.steps)
        for stretch in stretches(self._recording, self._choice.first, end):
            self._without_rows(min(stretch.piece[1], end))
            for item in self._stretch(stretch, np.flatnonzero(self._picker.rows(stretch))):
                yield from self._before(item.step.number if isinstance(item, Shown) else item.turns.first)
                yield item
            if self._progress is not None:
                self._progress.count(int(stretch.before.steps[-1]))
        self._without_rows(end)
        yield from self._rest(self._folder.close() if self._folder else ())
        yield from self._before(end)

    def _stretch(self, stretch: Stretch, rows: Places) -> Iterator[Shown | Again]:
        outside = self._outside(stretch) if not self._choice.only or "guard" in self._choice.only else {}
        if self._folder is None:
            for row in rows.tolist():
                yield self._shown(stretch.step(row), outside)
            return
        every = stretch.before.steps
        first, keys = int(every[0]), self._keys.of(stretch, rows, [*self._checks, *outside])
        for token in self._folder.feed(keys, every[rows]):
            if isinstance(token, Turns) or token < first:
                yield from self._rest([token])
            else:
                yield self._shown(stretch.step(int(np.searchsorted(every, np.uint64(token)))), outside)

    def _rest(self, tokens: Iterable[Token]) -> Iterator[Shown | Again]:
        """Folded turns, and steps of a stretch that is past: read once more."""
        for token in tokens:
            if isinstance(token, Turns):
                yield Again(token, self._differs(token))
                continue
            for stretch in stretches(self._recording, token, token + 1):
                yield self._shown(stretch.step(0), self._outside(stretch))

    def _differs(self, turns: Turns) -> dict[str, tuple[int, int]]:
        header, read = self._recording.header, self._recording.rows
        one, other = (read(step, step + 1)[0].tolist() for step in (turns.shown, turns.newest))
        pairs = zip(header.columns, one, other, strict=True)
        return {name: (old, new) for name, old, new in pairs if old != new and name in header.arch.registers}

    def _outside(self, stretch: Stretch) -> dict[int, list[str]]:
        """Notes on guard words that others than the guest wrote, by step."""
        found: dict[int, list[str]] = {}
        special = self._recording.header.special
        for step, label, value, by_guest in guard_writes(self._offset, self._word, stretch):
            if not by_guest and value is not None:
                named = special.get(value, f"{value:#x}")
                found.setdefault(step, []).append(f"then {label}'s guard is written from outside: {named}")
        return found

    def _shown(self, step: Step, outside: Mapping[int, Sequence[str]]) -> Shown:
        return Shown(step, tuple(outside.get(step.number, ())), self._checks.get(step.number, ()))

    def _without_rows(self, end: int) -> None:
        """Read on to ``end``: the events of steps that have no row, as far as they are chosen, wait for their turn."""
        if self._choice.follow or end <= self._read:
            return
        events = self._recording.events(self._read, end)
        recorded = np.isin([event.step for event in events], self._recording.numbers(self._read, end))
        for event, has_row in zip(events, recorded.tolist(), strict=True):
            if not has_row and event.kind in TOLD and (self._picker.shows(event) or not self._choice.only):
                self._waiting.append(event)
        self._read = end

    def _before(self, step: int) -> Iterator[Event]:
        while self._waiting and self._waiting[0].step < step:
            yield self._waiting.popleft()
