"""The JSON lines of `run` are what their schema says, and the schema's description names all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import toolchain
import whole
from here import Here
from jsonschema import Draft202012Validator, ValidationError

from arch import ARCHES
from asm.goelf import load
from emu.live.loop import Limits
from emu.live.run import Settings, open_program
from emu.live.storm import storm
from emu.views.live import Report

FOLDER = whole.HOME / "emu" / "views"
SCHEMA = json.loads((FOLDER / "live.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
ILLEGAL = {"386": b"\x0f\x0b", "amd64": b"\x0f\x0b", "arm": b"\xf0\x00\xf0\xe7"}  # ud2, udf


def _hello(goarch: str) -> Path:
    return whole.PROGRAMS["hello"].build("newest", goarch)


def said(path: Path, *args: str, options: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """All lines of a run, each compared with the schema."""
    found = [row for rows in whole.run_file(path, *args, options=options).summary.values() for row in rows]
    for row in found:
        VALIDATOR.validate(row)
    return found


def _changed(path: Path, place: int, code: bytes, into: Path) -> Path:
    """The program with other code at an address."""
    (segment,) = (s for s in load(path).program.segments if s.address <= place < s.address + len(s.data))
    data = bytearray(path.read_bytes())
    begin = place - segment.address
    at = data.index(segment.data[begin : begin + 64])
    data[at : at + len(code)] = code
    into.write_bytes(data)
    return into


def _routine(path: Path, name: str) -> int:
    return next(s.address for s in load(path).program.symbols.values() if s.name.removesuffix(".abi0") == name)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_who_exits(goarch: str) -> None:
    (summary,) = said(whole.PROGRAMS["threads"].build("newest", goarch))
    assert (summary["kind"], summary["outcome"], summary["status"]) == ("summary", "ended", 3 << 8)
    assert summary["calls"]
    assert summary["distance"]


@pytest.mark.parametrize(
    ("options", "outcome"), [(("--steps", "30000"), "budget"), (("--time", "1e-12"), "time")]
)
def test_who_does_not_end(goarch: str, options: tuple[str, ...], outcome: str) -> None:
    ending, summary = said(_hello(goarch), options=options)
    assert (ending["kind"], ending["outcome"]) == ("ending", outcome)
    assert ending["waiting"]
    assert (summary["outcome"], summary["status"]) == (outcome, None)


def test_who_is_killed(goarch: str, tmp_path: Path) -> None:
    path = _hello(goarch)
    nowhere = _changed(path, load(path).entry, ILLEGAL[goarch], tmp_path / "illegal")
    ending, summary = said(nowhere)
    assert (ending["outcome"], ending["signal"], ending["address"]) == ("killed", "SIGILL", None)
    assert int(ending["pc"], 16) == load(path).entry
    assert (summary["outcome"], summary["status"]) == ("ended", 4)


def test_a_broken_crossing(goarch: str, tmp_path: Path) -> None:
    path = _hello(goarch)
    nothing = _changed(path, _routine(path, "runtime.mcall"), ARCHES[goarch].nop * 4, tmp_path / "broken")
    broken, summary = said(nothing)
    assert (broken["kind"], summary["outcome"], summary["status"]) == ("broken", "broken", None)
    assert {row["routine"] for row in broken["last"]} <= summary["crossings"].keys()
    assert len(broken["last"]) == 8


def test_what_is_refused_or_unchecked(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"nothing")
    (refused,) = said(path)
    assert refused["kind"] == "refused"
    release = load(_hello("arm")).go.encode()
    path.write_bytes(_hello("arm").read_bytes().replace(release, b"go1.37.3".ljust(len(release), b"0")))
    assert [row["kind"] for row in said(path)] == ["unchecked", "summary"]


def test_a_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toolchain.build("newest", "386", whole.FOLDER / "hello")
    dies = _changed(path, _routine(path, "runtime.doSigPreempt"), ILLEGAL["386"], tmp_path / "dies")
    campaign = storm(open_program(str(dies)), (), Settings(limits=Limits(100_000_000, seed=0)))
    campaign.jobs = campaign.jobs[:2]
    assert not Report(True, None).storm(campaign, Here())
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    for row in found:
        VALIDATOR.validate(row)
    assert [row["kind"] for row in found] == ["difference", "difference", "storm"]
    Report(False, False).storm(campaign, Here())
    said = capsys.readouterr().err
    assert f"{campaign.unheard} that ran only while the program had no handler for SIGURG" in said


def test_what_the_schema_refuses() -> None:
    (summary,) = said(_hello("386"))
    for change in ({"digest": 1}, {"more": 1}, {"kind": "sum"}, {"status": "0"}, {"distance": {"g1": 2}}):
        with pytest.raises(ValidationError):
            VALIDATOR.validate(summary | change)
    del summary["memory"]
    with pytest.raises(ValidationError):
        VALIDATOR.validate(summary)


def test_the_description_names_every_kind_and_key() -> None:
    rows = [line for line in (FOLDER / "live.md").read_text().splitlines() if line.startswith("| ")][1:]
    told: dict[str, set[str]] = {}
    kind = ""
    for row in rows:
        first, keys, what = (cell.strip() for cell in row.strip("|").split("|", 2))
        kind = first.strip("`") or kind
        told.setdefault(kind, set()).update(keys.split("`")[1::2], what.split("`")[1::2])
    bodies = [body["properties"] for body in SCHEMA["$defs"].values() if "properties" in body]
    for body in bodies:
        if "kind" in body:
            name = body["kind"]["const"]
            assert body.keys() - {"kind"} <= told[name], (name, body.keys() - told[name])
        else:
            assert body.keys() <= told["broken"], body.keys() - told["broken"]
    assert told.keys() == {body["kind"]["const"] for body in bodies if "kind" in body}
