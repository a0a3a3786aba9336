"""Real Go programs: what their own routines do is judged by the same contracts as ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import toolchain

from emu import target as targets
from emu.check import check
from emu.routines import ROUTINES
from emu.rows import rows
from emu.target import Target
from emu.views.matrix import describe


@pytest.fixture(scope="session")
def lifted(go_binary: Path) -> Target:
    return targets.of_binary(str(go_binary))


@pytest.fixture(scope="session")
def small(go_version: str, goarch: str) -> Path:
    """A program that starts no other, so that the linker dropped rawVforkSyscall."""
    return toolchain.build(go_version, goarch, toolchain.SMALL)


def _cli(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "emu.cli", *arguments], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )
    assert not done.stderr
    return done.returncode, done.stdout


def test_every_check_of_every_routine_holds(lifted: Target) -> None:
    results = list(check(lifted))
    assert [describe(result) for result in results if result.check and not result.check.ok] == []
    assert {result.routine for result in results if result.check} == set(rows(lifted))
    assert len(results) > 400


def test_no_routine_of_ours_is_missing_in_the_binary(lifted: Target, goarch: str) -> None:
    """All rows that our modern sources have are there too, none of them absent."""
    ours = [name for name in rows(targets.of_era("modern", goarch)) if name in ROUTINES]
    assert {"mcall", "gogo", "systemstack", "morestack", "morestack_noctxt", "rawVforkSyscall"} <= set(ours)
    assert set(ours) == {name for name in rows(lifted) if name in ROUTINES}
    assert all(lifted.routines[name] is not None for name in ours)


@pytest.mark.parametrize("go_version", ["newest"], indirect=True)
def test_the_same_checks_are_made_as_of_our_sources(lifted: Target, goarch: str) -> None:
    def names(target: Target) -> list[tuple[str, str, str, str]]:
        found = check(target, [name for name in rows(target) if name in ROUTINES])
        return sorted(
            (result.routine, result.scene, result.check.name, result.check.hole) for result in found if result.check
        )

    assert names(lifted) == names(targets.of_era("modern", goarch))


def test_arch_and_version_come_from_the_file(lifted: Target, go_version: str, goarch: str, go_binary: Path) -> None:
    assert (lifted.arch.name, lifted.era.name) == (goarch, "modern")
    assert lifted.go == toolchain.go_version(go_version)
    assert lifted.title == f"{go_binary} ({lifted.go})"
    assert lifted.vfork_inputs == {"1.21": 3, "newest": 4}[go_version]


def test_command_holds(go_binary: Path, goarch: str, go_version: str) -> None:
    code, text = _cli("check", "--elf", str(go_binary), "--json")
    *lines, summary = [json.loads(line) for line in text.splitlines()]
    assert code == 0
    assert {line["kind"] for line in lines} == {"check"}
    assert {(line["arch"], line["go"]) for line in lines} == {(goarch, toolchain.go_version(go_version))}
    assert {line["file"] for line in lines} == {str(go_binary)}
    assert all(line["ok"] for line in lines)
    assert (summary["checks"], summary["failed"], summary["absent"]) == (len(lines), 0, 0)


def test_dropped_routine_is_absent_and_never_passed(small: Path) -> None:
    target = targets.of_binary(str(small))
    assert target.routines["rawVforkSyscall"] is None
    results = [result for result in check(target) if result.routine == "rawVforkSyscall"]
    assert [result.check for result in results] == [None]
    assert all(result.check.ok for result in check(target) if result.check)


def test_command_says_absent(small: Path) -> None:
    code, text = _cli("check", "--elf", str(small), "--no-color")
    (line,) = [line for line in text.splitlines() if line.startswith("rawVforkSyscall")]
    assert (code, line.split()) == (0, ["rawVforkSyscall", "absent"])
    assert re.search(r", 0 failed, .*\d absent$", text.rstrip())


def test_command_that_could_check_nothing_does_not_say_that_all_holds(small: Path) -> None:
    code, text = _cli("check", "--elf", str(small), "--json", "rawVforkSyscall")
    line, summary = [json.loads(line) for line in text.splitlines()]
    assert (code, line["kind"], line["routine"]) == (5, "absent", "rawVforkSyscall")
    assert (summary["checks"], summary["absent"]) == (0, 1)
