"""JSON lines are what their schema says, and the schema's description names all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from assembled import ARCHES
from jsonschema import Draft202012Validator, ValidationError
from view_runs import LOOPS, called, check, edited, guard_address, recorded

from emu.trace.model import Event, Outside, Recording
from emu.trace.steps import steps
from emu.views.trace.choice import KINDS, Choice
from emu.views.trace.jsonlines import json_lines, json_summary

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
FOLDER = Path(__file__).parents[2] / "emu" / "trace"
SCHEMA = json.loads((FOLDER / "schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def checked(lines: list[str]) -> list[dict[str, Any]]:
    """The objects, each compared with the schema."""
    found = [json.loads(line) for line in lines]
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    for record in found:
        VALIDATOR.validate(record)
    return found


def eventful(arch: str) -> Recording:
    """A run in which everything happens that an event can say."""
    plain = recorded(arch, "rawVforkSyscall")
    word, last = plain.header.arch.word, plain.steps - 1
    special = next(iter(plain.header.special))
    return edited(
        plain, left_out=[(1, 3)], outside=[Outside(4, guard_address(plain, "g"), special.to_bytes(word, "little"))],
        events=[
            Event(1, "signal", 0, {"number": 23, "name": "SIGURG", "handler": 0x1000}),
            Event(2, "syscall", 0, {"name": "getpid", "number": 20}),
            Event(3, "syscall", 0, {"name": "close", "number": 6, "arguments": [3], "text": "close(3)", "result": -9}),
            Event(3, "switch", 0, {"from": 1, "to": 2}), Event(4, "signal", 0, {"number": 23, "name": "SIGURG"}),
            Event(4, "guard", 0, {"g": plain.header.stacks[0].g, "value": special, "state": "StackPreempt"}),
            Event(4, "gate", 0, {"name": "schedule"}),
            Event(last, "check", 0, check("carried", False, 5)),
        ],
    )


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@each
@pytest.mark.parametrize("routine", ["mcall", "systemstack", "morestack", "rawVforkSyscall", "gogo"])
def test_runs_of_routines(arch: str, routine: str) -> None:
    run = recorded(arch, routine)
    found = checked(list(json_lines(run, Choice())))
    assert [record["kind"] for record in found] == ["trace", *["step"] * run.steps, "end"]
    assert (found[0]["steps"], found[0]["command"], found[0]["damage"]) == (run.steps, ["trace", routine], None)
    for record, step in zip(found[1:-1], steps(run), strict=True):
        assert (record["step"], int(record["pc"], 16), record["at"]) == (step.number, step.pc, step.where)
        assert {name: int(value, 16) for name, value in record["changed"].items()} == step.changed
        assert [int(a["address"], 16) for a in record["memory"]] == [a.address for a in step.accesses]
        assert tuple(record["notes"]) == step.notes


@each
def test_every_kind(arch: str) -> None:
    run = eventful(arch)
    every = [
        *checked(list(json_lines(run, Choice()))), *checked(list(json_lines(run, Choice(only=frozenset(KINDS))))),
        *checked(list(json_lines(called(arch, LOOPS[arch]), Choice(fold=True)))), *checked(list(json_summary(run))),
    ]
    inner = [event for record in every if record["kind"] == "step" for event in record["events"]]
    kinds = {record["kind"] for record in (*every, *inner)}
    described = {name for name, body in SCHEMA["$defs"].items() if "kind" in body.get("properties", {})}
    assert kinds == described
    without_row = [r["kind"] for r in every if r["kind"] in ("signal", "syscall")]
    assert without_row == ["signal", "syscall"] * 2


@each
def test_summaries(arch: str) -> None:
    head, found = checked(list(json_summary(eventful(arch))))
    assert (head["kind"], found["kind"]) == ("trace", "summary")
    assert [failed["name"] for failed in found["failed"]] == ["carried"]
    assert {"name": "getpid", "times": 1, "first": 2} in found["syscalls"]
    assert {"name": "SIGURG", "times": 2, "first": 1} in found["signals"]
    assert found["writers"]
    checked(list(json_summary(recorded(arch, "systemstack"))))


def test_what_the_schema_refuses() -> None:
    record = json.loads(list(json_lines(recorded("386"), Choice()))[1])
    for change in ({"pc": 4096}, {"more": 1}, {"kind": "steps"}, {"bytes": "0"}, {"changed": {"eax": "0x0f"}}):
        with pytest.raises(ValidationError):
            VALIDATOR.validate(record | change)
    del record["guard"]
    with pytest.raises(ValidationError):
        VALIDATOR.validate(record)


def test_the_description_names_every_kind_and_key() -> None:
    rows = [line for line in (FOLDER / "schema.md").read_text().splitlines() if line.startswith("| ")][1:]
    told: dict[str, set[str]] = {}
    kind = ""
    for row in rows:
        first, keys, what = (cell.strip() for cell in row.strip("|").split("|", 2))
        kind = first.strip("`") or kind
        told.setdefault(kind, set()).update(part.strip("`") for part in keys.split(", "))
        told[kind].update(what.split("`")[1::2])
    events = {"gate", "syscall", "signal", "switch", "guard"}
    for name, body in SCHEMA["$defs"].items():
        keys = set(body.get("properties", {})) - {"kind"} - ({"step", "thread"} if name in events else set())
        if "kind" in body.get("properties", {}):
            assert name in told, name
            assert keys <= told[name], (name, keys - told[name])
    assert {"step", "thread"} <= told["guard"], "what all events have"
