"""`stackcarry check --elf FILE FUNCTION`: functions that are no rows of the matrix."""

from __future__ import annotations

import json

import pytest
import toolchain
from runner import Run

HOOKED = ("-gcflags=-d=maymorestack=main.hook", "-asmflags=-d=maymorestack=main.hook")


@pytest.fixture
def program(goarch: str) -> str:
    return str(toolchain.build("newest", goarch, toolchain.PROGRAM / "hooked", *HOOKED))


def test_a_closure_loses_its_context_on_arm(run: Run, program: str, goarch: str) -> None:
    ran = run("check", "--elf", program, "main.adder.func1", "main.deep", "gogo")
    assert ran.code == (1 if goarch == "arm" else 0), ran.err
    failures = [line for line in ran.out.splitlines() if line.startswith("FAIL ")]
    assert bool(failures) == (goarch == "arm")
    assert all(" arm main.adder.func1, " in line and " → ctxt at " in line for line in failures)
    rows = [line.split()[0] for line in ran.out.splitlines() if line.startswith(("main.", "gogo"))]
    assert rows == ["gogo", "main.adder.func1", "main.deep"]


def test_json_and_only_what_was_asked_for(run: Run, program: str) -> None:
    rows = [json.loads(line) for line in run("check", "--elf", program, "main.huge", "--json").out.splitlines()]
    assert {row["routine"] for row in rows[:-1]} == {"main.huge"}
    assert rows[-1]["failed"] == 0
    assert rows[-1]["checks"] == len(rows) - 1


@pytest.mark.parametrize(
    ("name", "says"), [("main.leaf", "has no stack check"), ("main.deeb", "did you mean main.deep")]
)
def test_what_cannot_be_checked_is_refused(run: Run, program: str, name: str, says: str) -> None:
    ran = run("check", "--elf", program, name)
    assert ran.code == 2
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_without_a_file_only_routines_have_names(run: Run) -> None:
    ran = run("check", "main.deep")
    assert ran.code == 2
    assert "no routine 'main.deep'" in ran.err
