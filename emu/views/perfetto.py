"""A trace for viewers of the Trace Event Format, such as Perfetto: JSON with one event a line.

The format: "Trace Event Format", https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
(the JSON object form). Time is in steps: one step stands where the format has a microsecond. There is a counter of
SP for each stack (bytes from its top), an asynchronous slice for each time that a g runs, and an instant for each
switch, change of a guard, system call, signal and failed check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from emu.errors import BadInput
from emu.progress import Progress
from emu.trace.ledger import Account
from emu.trace.model import Event, Recording, Stack
from emu.trace.steps import Stretch, stretches
from emu.views.trace.choice import checks_of
from emu.views.trace.line import told
from emu.views.trace.text import gs_of

_PROCESS = 1
Record = dict[str, Any]


def trace_events(recording: Recording, first: int = 0, end: int | None = None) -> Iterator[str]:
    """The text of the file, in parts, for the steps ``first`` up to ``end``. Raises BadInput if none is recorded."""
    end = recording.steps if end is None else min(end, recording.steps)
    if first >= end or not recording.turns(first, end):
        raise BadInput(f"no step is recorded between {first} and {end}: the run has {recording.steps}")
    header = recording.header
    about = {"entered": header.entered, "arch": header.arch_name, "program": header.name, "time": "1 us is 1 step"}
    yield f'{{"displayTimeUnit": "ns", "otherData": {json.dumps(about, ensure_ascii=False)}, "traceEvents": [\n'
    comma = ""
    for record in _Events(recording, first, end).all():
        yield comma + json.dumps({**record, "pid": _PROCESS}, ensure_ascii=False)
        comma = ",\n"
    yield "\n]}\n"


class _Events:
    """Makes the events of a range."""

    def __init__(self, recording: Recording, first: int, end: int) -> None:
        self._recording, self._first, self._end = recording, first, end
        self._depths: dict[Stack, int] = {}
        self._running: tuple[int, int] | None = None  # thread and address of the g whose slice is open
        self._behind = first  # the step behind the newest row
        self._labels = gs_of(recording)
        self._threads: set[int] = set()

    def all(self) -> Iterator[Record]:
        yield {"ph": "M", "name": "process_name", "tid": 0, "args": {"name": self._recording.header.entered}}
        past = self._first
        with Progress("steps") as progress:
            for stretch in stretches(self._recording, self._first, self._end):
                self._labels |= dict(stretch.before.gs)  # an address may come to be another g
                (low, high), events = stretch.piece, list[Event]()
                if high > past:
                    events = [*self._recording.events(past, low), *chain.from_iterable(stretch.events.values())]
                    past = high
                yield from self._names(stretch)
                found = [*self._counters(stretch), *self._slices(stretch), *self._instants(events)]
                yield from sorted(found, key=lambda record: record["ts"])
                progress.count(int(stretch.before.steps[-1]))
        yield from self._instants(self._recording.events(past, self._end))
        yield from self._close(self._behind)
        for step, checks in checks_of(self._recording).items():
            yield from self._failed(step, checks)

    def _names(self, stretch: Stretch) -> Iterator[Record]:
        """Names of threads that are new."""
        for number in np.unique(stretch.before.threads).tolist():
            if number not in self._threads:
                self._threads.add(number)
                thread = stretch.before.names.get(number)
                name = thread.name if thread else f"thread {number}"
                yield {"ph": "M", "name": "thread_name", "tid": number, "args": {"name": name}}

    def _counters(self, stretch: Stretch) -> Iterator[Record]:
        """SP of each stack where it changes: before each row, and after the last one."""
        yield from self._depths_of(stretch.before, slice(None), 0)
        yield from self._depths_of(stretch.later, slice(len(stretch) - 1, None), 1)

    def _depths_of(self, account: Account, rows: slice, later: int) -> Iterator[Record]:
        places, sp, steps = account.stack[rows], account.sp[rows], account.steps[rows]
        for number in [n for n in np.unique(places).tolist() if n >= 0]:
            stack = account.stacks[number]
            mine = np.flatnonzero(places == number)
            depth = stack.hi - sp[mine].astype(np.int64)
            moved = np.flatnonzero(np.diff(depth, prepend=self._depths.get(stack, -1)))
            self._depths[stack] = int(depth[-1])
            for at in moved.tolist():
                yield {
                    "ph": "C", "name": f"SP in {stack.name}", "ts": int(steps[mine[at]]) + later, "tid": 0,
                    "args": {"depth": int(depth[at])},
                }

    def _slices(self, stretch: Stretch) -> Iterator[Record]:
        """Which g runs: a slice ends where another g or thread goes on, or where steps have no rows."""
        account = stretch.before
        steps, g = account.steps, np.where(account.g >= 0, account.running, 0)
        other = (np.diff(g) != 0) | (np.diff(account.threads) != 0) | (np.diff(steps) != 1)
        for row in [0, *(np.flatnonzero(other) + 1).tolist()]:
            now = int(account.threads[row]), int(g[row])
            since = int(steps[row - 1]) + 1 if row else self._behind
            if now != self._running or since != int(steps[row]):
                yield from self._close(since)
                if now[1]:
                    self._running = now
                    yield self._slice("b", int(steps[row]))
        self._behind = int(steps[-1]) + 1

    def _close(self, step: int) -> Iterator[Record]:
        if self._running is not None:
            yield self._slice("e", step)
            self._running = None

    def _slice(self, phase: str, step: int) -> Record:
        assert self._running is not None
        thread, g = self._running
        return {"ph": phase, "cat": "g", "id": hex(g), "name": self._labels[g], "ts": step, "tid": thread, "args": {}}

    def _instants(self, events: Iterable[Event]) -> Iterator[Record]:
        """What happened right after a step."""
        for event in events:
            if not self._first <= event.step < self._end:
                continue
            if event.kind == "switch":
                name = f"switch {self._g(event.data['from'])}→{self._g(event.data['to'])}"
            elif event.kind == "guard":
                name = f"guard={event.data['state']} of {self._g(event.data['g'])}"
            elif not (name := ", ".join(told([event], self._recording.header.arch.mask))):
                continue
            yield self._instant(event.kind, name, event.step, event.thread)

    def _failed(self, step: int, checks: Iterable[Event]) -> Iterator[Record]:
        for check in checks:
            if self._first <= step < self._end and not check.data["ok"]:
                name = f"failed: {check.data['name']}: expected {check.data['expected']}, found {check.data['found']}"
                yield self._instant("check", name, step, check.thread)

    def _instant(self, kind: str, name: str, step: int, thread: int) -> Record:
        args = {"after step": step}
        return {"ph": "i", "s": "t", "cat": kind, "name": name, "ts": step + 1, "tid": thread, "args": args}

    def _g(self, address: int) -> str:
        return self._labels.get(address, "?")
