"""What happened in a run, in numbers: stacks and how deep they were, switches, guards, system calls, checks."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.progress import Progress
from emu.trace.findings import Finding, Findings, still_switching
from emu.trace.ledger import Account, threads_of
from emu.trace.model import Event, Recording, Stack
from emu.trace.steps import Reader, Stretch, stretches
from emu.trace.words import Places
from emu.views.trace.choice import checks_of, guard_writes
from emu.views.trace.text import ending

MOST_FINDINGS = 20  # that are kept; the others are counted
OUTSIDE = "outside"  # the place of what the guest did not do


@dataclass
class Counted:
    """How often something happened, and after which step first."""

    first: int
    times: int = 0


@dataclass
class Depth:
    """The deepest place of SP in a stack. ``left``: bytes from there down to the guard, None without a guard."""

    stack: Stack
    sp: int
    step: int
    steps: int = 0

    @property
    def left(self) -> int | None:
        return self.sp - self.stack.guard if self.stack.guard else None


@dataclass
class Summary:
    """Keys of the tables: ``switches`` (from, to, place), ``guards`` (g, from, to, place), ``writers`` (g, place,
    value), ``calls`` and ``signals`` (name). A place is the instruction's, or `OUTSIDE`."""

    steps: int
    stacks: dict[Stack, Depth] = field(default_factory=dict)
    switches: dict[tuple[str, ...], Counted] = field(default_factory=dict)
    guards: dict[tuple[str, ...], Counted] = field(default_factory=dict)
    writers: dict[tuple[str, ...], Counted] = field(default_factory=dict)
    calls: dict[tuple[str, ...], Counted] = field(default_factory=dict)
    signals: dict[tuple[str, ...], Counted] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    wrong: int = 0
    checks: int = 0
    failed: list[Mapping[str, Any]] = field(default_factory=list)
    end: str | None = None

    @property
    def record(self) -> dict[str, object]:
        """The same for JSON."""
        return {
            "steps": self.steps,
            "stacks": [
                {"name": stack.name, "g": stack.label, "size": stack.hi - stack.lo, "deepest": stack.hi - depth.sp,
                 "left": depth.left, "step": depth.step, "steps": depth.steps}
                for stack, depth in self.stacks.items()
            ],
            "switches": _records(self.switches, "from", "to", "at"),
            "guards": _records(self.guards, "g", "from", "to", "at"),
            "writers": _records(self.writers, "g", "at", "value"),
            "syscalls": _records(self.calls, "name"), "signals": _records(self.signals, "name"),
            "findings": [finding._asdict() for finding in self.findings], "wrong": self.wrong,
            "checks": self.checks,
            "failed": [{key: c[key] for key in ("name", "expected", "found", "step")} for c in self.failed],
            "end": self.end,
        }


def _records(table: Mapping[tuple[str, ...], Counted], *keys: str) -> list[dict[str, object]]:
    return [
        {**dict(zip(keys, names, strict=True)), "times": counted.times, "first": counted.first}
        for names, counted in table.items()
    ]


def summary(recording: Recording, progress: Progress | None = None) -> Summary:
    """The summary of a whole run. Memory does not grow with it."""
    return _Summing(recording).all(progress)


class _Summing:
    """Goes through a run once."""

    def __init__(self, recording: Recording) -> None:
        self._recording, self._header = recording, recording.header
        self._found = Summary(recording.steps)
        self._reader, self._judge = Reader(recording), Findings(recording.header.limits)
        self._names: dict[Hashable, int] = {}
        self._last: dict[int, tuple[int, int]] = {}  # thread -> g and state of its guard after its newest step

    def all(self, progress: Progress | None) -> Summary:
        found, past = self._found, 0
        for stretch in stretches(self._recording):
            low, high = stretch.piece
            if high > past:
                self._called(self._recording.events(past, low))
                self._called(event for events in stretch.events.values() for event in events)
                past = high
            self._stacks(stretch)
            self._changes(stretch)
            self._writers(stretch)
            self._wrong(self._judge.add(stretch.before))
            if progress is not None:
                progress.count(int(stretch.before.steps[-1]))
        self._wrong(self._judge.close(still_switching(self._recording)))
        self._called(self._recording.events(past, self._recording.steps))
        for check in (event.data for events in checks_of(self._recording).values() for event in events):
            found.checks += 1
            if not check["ok"]:
                found.failed.append(check)
        found.end = next((f"{e.data['scene']}: {e.data['end']}" for e in ending(self._recording)), None)
        return found

    def _called(self, events: Iterable[Event]) -> None:
        for event in events:
            if event.kind in ("syscall", "signal"):
                table = self._found.calls if event.kind == "syscall" else self._found.signals
                _count(table, (event.data["name"],), event.step)

    def _wrong(self, findings: Iterator[Finding]) -> None:
        for finding in findings:
            self._found.wrong += 1
            if len(self._found.findings) < MOST_FINDINGS:
                self._found.findings.append(finding)

    def _stacks(self, stretch: Stretch) -> None:
        counts = np.bincount(stretch.before.stack + 1, minlength=len(stretch.before.stacks) + 1)
        for account in (stretch.before, stretch.later):
            for number in _present(account.stack):
                stack = account.stacks[number]
                mine = np.flatnonzero(account.stack == number)
                row = int(mine[np.argmin(account.sp[mine])])
                sp, step = int(account.sp[row]), int(account.steps[row])
                depth = self._found.stacks.setdefault(stack, Depth(stack, sp, step))
                if sp < depth.sp:
                    depth.sp, depth.step = sp, step
        for number, stack in enumerate(stretch.before.stacks):
            if counts[number + 1]:
                self._found.stacks[stack].steps += int(counts[number + 1])

    def _changes(self, stretch: Stretch) -> None:
        """Other gs, and other states of the guard of the same g: by an instruction, or between two."""
        before, later = stretch.before, stretch.later
        states = before.states
        g, then_g = (self._gs(account) for account in (before, later))
        for thread in threads_of(before.threads):
            mine = np.flatnonzero(before.threads == thread)
            last = self._last.get(thread, (int(g[mine[0]]), int(before.guard[mine[0]])))
            self._last[thread] = int(then_g[mine[-1]]), int(later.guard[mine[-1]])
            old_g = np.concatenate([[last[0]], then_g[mine[:-1]]])
            old_guard = np.concatenate([[last[1]], later.guard[mine[:-1]]])
            for rows, pc, olds, news, shift in (
                (mine, stretch.pc[mine], (g[mine], before.guard[mine]), (then_g[mine], later.guard[mine]), 0),
                (mine, None, (old_g, old_guard), (g[mine], before.guard[mine]), 1),
            ):
                switched, changed = olds[0] != news[0], (olds[0] == news[0]) & (olds[1] != news[1])
                for row, times, place in _groups(switched, pc, olds[0], news[0]):
                    names = self._g_name(int(olds[0][row])), self._g_name(int(news[0][row])), self._place(place)
                    _count(self._found.switches, names, int(before.steps[rows[row]]) - shift, times)
                for row, times, place in _groups(changed, pc, olds[0], olds[1], news[1]):
                    key = (self._g_name(int(olds[0][row])), states[olds[1][row]], states[news[1][row]])
                    _count(self._found.guards, (*key, self._place(place)), int(before.steps[rows[row]]) - shift, times)

    def _gs(self, account: Account) -> Places:
        """The g of each row, by numbers that hold for the whole run."""
        numbers = [self._names.setdefault(label, len(self._names)) for _, label in account.gs]
        return np.array([*numbers, self._names.setdefault("?", len(self._names))], np.int64)[account.g]

    def _g_name(self, number: int) -> str:
        return str([*self._names][number])

    def _place(self, pc: int | None) -> str:
        return OUTSIDE if pc is None else self._reader.at(pc)[0]

    def _writers(self, stretch: Stretch) -> None:
        steps, special = stretch.before.steps, self._header.special
        for step, label, value, by_guest in guard_writes(self._header.guard_offset, self._header.arch.word, stretch):
            place = OUTSIDE
            if by_guest:
                place = self._place(int(stretch.pc[int(np.searchsorted(steps, np.uint64(step)))]))
            named = "a part" if value is None else special.get(value, f"{value:#x}")
            _count(self._found.writers, (label, place, named), step)


def _present(numbers: Places) -> list[int]:
    return [int(n) for n in np.flatnonzero(np.bincount(numbers + 1)) - 1 if n >= 0]


def _count(table: dict[tuple[str, ...], Counted], key: tuple[str, ...], step: int, times: int = 1) -> None:
    table.setdefault(key, Counted(step)).times += times


def _groups(
    chosen: NDArray[np.bool_], pc: NDArray[np.uint64] | None, *columns: Places
) -> Iterator[tuple[int, int, int | None]]:
    """The chosen rows in groups that are the same in all columns: the first row, how many there are, and their PC."""
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return
    keys: Sequence[Any] = [column[rows].astype(np.uint64) for column in columns]
    keys = [*keys, pc[rows]] if pc is not None else keys
    _, first, counts = np.unique(np.stack(keys, axis=1), axis=0, return_index=True, return_counts=True)
    for at, times in sorted(zip(first.tolist(), counts.tolist(), strict=True)):
        row = int(rows[at])
        yield row, times, None if pc is None else int(pc[row])
