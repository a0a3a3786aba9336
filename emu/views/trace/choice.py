"""Which steps of a trace are shown: found in arrays, so that those left out cost little."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from emu.errors import BadInput
from emu.trace.model import Event, Recording
from emu.trace.steps import Stretch
from emu.trace.words import Flags

KINDS: Mapping[str, str] = {
    "switches": "another g runs, or SP is in another stack", "guard": "a guard word is written or changes",
    "sys": "system calls and signals", "mem": "memory is read or written", "checks": "what a check is about",
}
_EVENTS = {"switch": "switches", "guard": "guard", "syscall": "sys", "signal": "sys"}


@dataclass(frozen=True)
class Choice:
    """Steps ``first`` up to ``end`` (None: the last). ``only``: of `KINDS`, all if empty; ``follow``: a g or a stack,
    by name. ``fold``: loops are shown once. ``marked``: the step the reader asked for.
    """

    first: int = 0
    end: int | None = None
    only: frozenset[str] = frozenset()
    follow: str = ""
    fold: bool = False
    marked: int | None = None


def around(recording: Recording, step: int, context: int) -> tuple[int, int]:
    """The steps around one. Raises BadInput for a step that the run does not have."""
    if step >= recording.steps:
        raise BadInput(f"no step {step}: the run has {recording.steps}, the first is 0")
    return max(0, step - context), min(recording.steps, step + context + 1)


class Picker:
    """Finds the rows of a choice. Raises BadInput for a g or stack that the run never has.

    ``checks``: step -> the checks about it.
    """

    def __init__(self, recording: Recording, choice: Choice) -> None:
        self._choice, self._header = choice, recording.header
        self._word = recording.header.arch.word
        self.checks = checks_of(recording)
        if choice.follow:
            self._known(recording, choice.follow)

    @staticmethod
    def _known(recording: Recording, name: str) -> None:
        changes = recording.changes(-1, recording.steps)
        names = {struct.label for struct in recording.header.structs if struct.kind == "g"}
        names |= {event.data["label"] for event in changes if event.data.get("kind") == "g"}
        for stack in recording.header.stacks:
            names |= {stack.name, stack.label}
        for event in changes:
            if event.kind == "stack" and not event.data.get("gone"):
                names |= {event.data["name"], event.data["label"]}
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"no g and no stack {name!r}{hint}; there are: {', '.join(sorted(names))}")

    def rows(self, stretch: Stretch) -> Flags:
        """Which of its rows are chosen."""
        only = self._choice.only
        found = np.full(len(stretch), not only)
        if "switches" in only:
            found |= (stretch.later.g != stretch.before.g) | (stretch.later.stack != stretch.before.stack)
        if "guard" in only:
            found |= self._guard(stretch)
        if "mem" in only:
            found |= stretch.touches
        if "checks" in only:
            found |= _at(stretch, list(self.checks))
        if only:
            found |= _at(stretch, [s for s, events in stretch.events.items() if any(map(self.shows, events))])
        return found & self._followed(stretch) if self._choice.follow else found

    def shows(self, event: Event) -> bool:
        """Whether an event is of a chosen kind."""
        return _EVENTS.get(event.kind) in self._choice.only

    def _guard(self, stretch: Stretch) -> Flags:
        before, later = stretch.before, stretch.later
        written = [step for step, *_ in guard_writes(self._header.guard_offset, self._word, stretch)]
        found: Flags = _at(stretch, written) | (later.guard != before.guard) | (later.low != before.low)
        found |= (later.word != before.word) & (later.g == before.g)
        return found

    def _followed(self, stretch: Stretch) -> Flags:
        """Rows with SP in the stack, or (before or after them) the g running."""
        name, account = self._choice.follow, stretch.before
        stacks = [n for n, stack in enumerate(account.stacks) if name in (stack.name, stack.label)]
        gs = [n for n, (_, label) in enumerate(account.gs) if label == name]
        found: Flags = np.isin(account.stack, stacks) | np.isin(account.g, gs) | np.isin(stretch.later.g, gs)
        return found


def checks_of(recording: Recording) -> dict[int, list[Event]]:
    """The verdicts at a run's end by the step that they are about (the last one, if it was about the end)."""
    found: dict[int, list[Event]] = {}
    last = recording.steps - 1
    for event in recording.events(last, last + 1):
        if event.kind == "check":
            found.setdefault(min(max(int(event.data["step"]), 0), last), []).append(event)
    return found


def _at(stretch: Stretch, steps: list[int]) -> Flags:
    """The rows of some steps."""
    if not steps:
        return np.zeros(len(stretch), np.bool_)
    return np.isin(stretch.before.steps, np.array(steps, np.uint64))


class GuardWrite(NamedTuple):
    """A write to the guard word of a g, by the guest or by others. ``value``: None if it was not of just this word."""

    step: int
    g: str
    value: int | None
    by_guest: bool


def guard_writes(offset: int, word: int, stretch: Stretch) -> list[GuardWrite]:
    """All of a stretch, in order. ``offset``: of the guard word in a g; ``word``: its bytes."""
    if not stretch.before.gs:
        return []
    labels = [label for _, label in stretch.before.gs]
    starts = np.array([g for g, _ in stretch.before.gs], np.uint64) + np.uint64(offset)  # ascending, as the gs
    accesses = stretch.accesses
    address = accesses["address"]
    near = (accesses["write"] != 0) & (address < starts[-1] + np.uint64(word))
    near &= address + accesses["size"] > starts[0]
    writes = accesses[near]
    place = np.searchsorted(starts + np.uint64(word), writes["address"], side="right")  # no write is as long as a g
    hits = starts[place] < writes["address"] + writes["size"]
    whole = (writes["address"] == starts[place]) & (writes["size"] == word)
    found = [
        GuardWrite(int(step), labels[number], int(value) if just_it else None, True)
        for step, number, value, just_it in zip(
            writes["step"][hits], place[hits], writes["value"][hits], whole[hits], strict=True
        )
    ]
    for step, at, data in stretch.outside:
        for start, label in zip(starts.tolist(), labels, strict=True):
            if at <= start and start + word <= at + len(data):
                value = int.from_bytes(data[start - at : start - at + word], "little")
                found.append(GuardWrite(step, label, value, False))
    return sorted(found, key=lambda write: write.step)
