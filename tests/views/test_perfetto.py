"""Traces for viewers of trace events: the structure that the format asks for, and that what is in it is so.

The format is described in "Trace Event Format",
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: an object with `traceEvents`; every
event has a phase; counters (C), nestable asynchronous slices (b, e; matched by category and id), instants (i, with
a scope) and metadata (M) have what is below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from assembled import ARCHES
from jsonschema import Draft202012Validator
from view_runs import check, edited, recorded

from emu.errors import BadInput
from emu.trace.model import Event, Recording
from emu.trace.steps import steps
from emu.views.perfetto import trace_events

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])


def _event(phase: list[str], required: list[str], **properties: Any) -> dict[str, Any]:
    common = {
        "ph": {"enum": phase}, "pid": {"type": "integer"}, "tid": {"type": "integer"},
        "name": {"type": "string", "minLength": 1}, "args": {"type": "object"},
    }
    needed = ["ph", "pid", "name", *required]
    return {"type": "object", "required": needed, "properties": common | properties, "additionalProperties": False}


TIME = {"ts": {"type": "number", "minimum": 0}}
FORMAT = {
    "type": "object", "required": ["traceEvents"], "additionalProperties": False,
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]}, "otherData": {"type": "object"},
        "traceEvents": {"type": "array", "items": {"oneOf": [
            _event(["M"], ["args"], name={"enum": ["process_name", "thread_name"]}, args={
                "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}},
            }),
            _event(["C"], ["ts", "args"], **TIME, args={
                "type": "object", "minProperties": 1, "additionalProperties": {"type": "number"},
            }),
            _event(["b", "e"], ["ts", "cat", "id"], **TIME, cat={"type": "string"}, id={"type": "string"}),
            _event(["i"], ["ts", "s", "tid"], **TIME, cat={"type": "string"}, s={"enum": ["g", "p", "t"]}),
        ]}},
    },
}


def written(recording: Recording, *bounds: int) -> list[dict[str, Any]]:
    """The events, of the structure that the format has."""
    found = json.loads("".join(trace_events(recording, *bounds)))
    Draft202012Validator(FORMAT).validate(found)
    events: list[dict[str, Any]] = found["traceEvents"]
    return events


def runs(events: list[dict[str, Any]]) -> list[tuple[str, int, int]]:
    """What ran from when to when: slices begin and end in turn, each with the id and name it began with."""
    found, opened = [], None
    for event in events:
        if event["ph"] == "b":
            assert opened is None
            opened = event
        elif event["ph"] == "e":
            assert opened is not None
            assert (opened["cat"], opened["id"], opened["name"]) == (event["cat"], event["id"], event["name"])
            found.append((event["name"], opened["ts"], event["ts"]))
            opened = None
    assert opened is None
    return found


@each
@pytest.mark.parametrize("routine", ["mcall", "systemstack", "morestack", "rawVforkSyscall", "gogo"])
def test_it_says_what_the_steps_say(arch: str, routine: str) -> None:
    run = recorded(arch, routine)
    events = written(run)
    ran = [name for name, first, end in runs(events) for _ in range(first, end)]
    assert ran == [step.account.g for step in steps(run)]
    depths: dict[str, dict[int, int]] = {}
    for event in events:
        if event["ph"] == "C":
            depths.setdefault(event["name"], {})[event["ts"]] = event["args"]["depth"]
    for step in steps(run):
        of_stack = depths[f"SP in {step.account.stack}"]
        assert of_stack[max(ts for ts in of_stack if ts <= step.number)] == step.account.depth
    told = [event["name"] for event in events if event["ph"] == "i" and event["cat"] == "switch"]
    assert told == [note for step in steps(run) for note in step.notes if note.startswith("switch ")]
    calls = [event for event in events if event.get("cat") == "syscall"]
    assert len(calls) == sum(event.kind == "syscall" for event in run.events(-1, run.steps))


@each
def test_times_never_go_back_and_threads_have_names(arch: str) -> None:
    events = written(edited(recorded(arch, "systemstack"), times=2_000))
    times = [event["ts"] for event in events if "ts" in event]
    assert times == sorted(times)
    named = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert named == {0: "m"}
    assert len(runs(events)) == 4001, "there and back, and the last turn joins the next one's first"


@each
def test_steps_without_rows_are_nobody_s(arch: str) -> None:
    plain = recorded(arch)
    run = edited(plain, left_out=[(3, 6)], events=[
        Event(4, "signal", 0, {"number": 23, "name": "SIGURG"}),
        Event(plain.steps - 1, "check", 0, check("carried", False, 1)),
    ])
    events = written(run)
    assert [(first, end) for _, first, end in runs(events)][:2] == [(0, 3), (6, runs(events)[1][2])]
    instants = {event["name"]: event["ts"] for event in events if event["ph"] == "i"}
    assert instants["signal SIGURG"] == 5
    assert instants["failed: carried: expected one, found two"] == 2


@each
def test_a_part_of_a_run(arch: str) -> None:
    run = recorded(arch)
    events = written(run, 4, 9)
    assert (min(e["ts"] for e in events if "ts" in e), max(e["ts"] for e in events if "ts" in e)) == (4, 9)
    with pytest.raises(BadInput, match=f"no step is recorded between {run.steps} and {run.steps}"):
        written(run, run.steps)


def test_the_command(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "emu.cli"]
    path = tmp_path / "mcall.trace"
    subprocess.run([*command, "trace", "mcall", "--arch", "arm", "-o", str(path)], check=True, timeout=60)
    subprocess.run([*command, "export", str(path), "--to", "perfetto"], check=True, timeout=60)
    assert json.loads((tmp_path / "mcall.json").read_text())["traceEvents"] == written(recorded("arm"))
