"""A trace as JSON lines; `emu/trace/schema.md` says what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator

from emu.progress import Progress
from emu.trace.model import Event, Header, Recording
from emu.trace.steps import Step
from emu.views.trace.choice import Choice
from emu.views.trace.items import Again, Shown, items
from emu.views.trace.summary import summary
from emu.views.trace.text import ending

_EVENTS = {  # kinds of events, and what is given of each; what is not known is null
    "gate": ("name", "stop"), "syscall": ("name", "number", "arguments", "text", "result", "stop"),
    "signal": ("number", "name", "handler"), "switch": ("from", "to"), "guard": ("g", "value", "state"),
}
_WORDS = frozenset({"from", "to", "g", "value", "arguments", "handler"})  # what is an address or a word


def json_lines(recording: Recording, choice: Choice, progress: Progress | None = None) -> Iterator[str]:
    """What the trace is of, the chosen steps, then how it ended; words as hex strings, sizes and depths in bytes."""
    found = items(recording, choice, progress)  # refuses what cannot be chosen before anything is written
    yield _line({"kind": "trace", **_header(recording)})
    for item in found:
        if isinstance(item, Shown):
            yield _line({"kind": "step", **_step(recording.header, item)})
            yield from (_line({"kind": "check", **_check(check)}) for check in item.checks)
        elif isinstance(item, Again):
            yield _line({"kind": "again", **_again(item)})
        else:
            yield _line(_event(item))
    for event in ending(recording):
        yield _line({"kind": "end", **{key: event.data[key] for key in ("scene", "outcome", "end", "steps")}})


def json_summary(recording: Recording, progress: Progress | None = None) -> Iterator[str]:
    """What the trace is of, and the summary."""
    yield _line({"kind": "trace", **_header(recording)})
    yield _line({"kind": "summary", **summary(recording, progress).record})


def _line(record: dict[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _header(recording: Recording) -> dict[str, object]:
    header = recording.header
    return {
        "arch": header.arch_name, "name": header.name, "sha256": header.sha256, "go": header.go,
        "entered": header.entered, "command": list(header.command), "columns": list(header.columns),
        "steps": recording.steps, "damage": str(recording.damage) if recording.damage else None,
    }


def _step(header: Header, shown: Shown) -> dict[str, object]:
    step, account = shown.step, shown.step.account
    return {
        "step": step.number, "thread": step.thread, "g": account.g,
        "stack": account.stack, "depth": account.depth, "size": account.size, "dsp": step.sp_change,
        "pc": hex(step.pc), "at": step.where, "bytes": step.code.hex(), "instruction": step.text,
        "changed": {name: hex(value) for name, value in step.changed.items()},
        "memory": [
            {"address": hex(a.address), "at": header.names.describe(a.address), "size": a.size, "write": a.write,
             "value": hex(a.value) if a.write else None}
            for a in step.accesses
        ],
        "guard": account.guard, "switching": account.switching, "notes": [*step.notes, *shown.notes],
        "events": list(_events(step)),
    }


def _events(step: Step) -> Iterator[dict[str, object]]:
    return (_event(event) for event in step.events if event.kind in _EVENTS)


def _event(event: Event) -> dict[str, object]:
    data = {key: event.data.get(key) for key in _EVENTS[event.kind]}
    for key in _WORDS & data.keys():
        word = data[key]
        data[key] = [hex(value) for value in word] if isinstance(word, list) else None if word is None else hex(word)
    return {"kind": event.kind, "step": event.step, "thread": event.thread, **data}


def _check(event: Event) -> dict[str, object]:
    keys = ("name", "ok", "expected", "found", "role", "step")
    return {key: event.data[key] for key in keys}


def _again(item: Again) -> dict[str, object]:
    turns = item.turns
    return {
        "first": turns.first, "last": turns.last, "period": turns.period, "times": turns.times + 1,
        "differs": {name: [hex(old), hex(new)] for name, (old, new) in item.differs.items()},
    }
