"""`stackcarry check`: the matrix, its JSON, selections, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runner import Run

import arch as arches
from arch import golang
from emu import check as checking
from emu import target as targets


def test_matrix_has_every_era_and_arch(run: Run) -> None:
    ran = run("check", "mcall", "gogo")
    assert ran.code == 0, ran.err
    for era in golang.ERAS:
        assert f"era {era}" in ran.out
    rows = [line.split() for line in ran.out.splitlines() if line.startswith("mcall")]
    assert [row.count("ok") for row in rows] == [len(arches.ARCHES)] * len(golang.ERAS)
    assert " 0 failed" in ran.out


def test_json_lines_have_the_documented_keys(run: Run) -> None:
    ran = run("check", "--era", "modern", "--arch", "arm", "mcall", "--json")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    checks, summary = rows[:-1], rows[-1]
    assert {row["kind"] for row in checks} == {"check"}
    needed = {"kind", "era", "arch", "routine", "name", "ok", "expected", "found", "step", "file", "go"}
    assert all(needed <= row.keys() for row in checks)
    assert (summary["kind"], summary["checks"], summary["failed"]) == ("summary", len(checks), 0)
    assert {(row["era"], row["arch"], row["routine"]) for row in checks} == {("modern", "arm", "mcall")}


def test_same_command_same_bytes(run: Run) -> None:
    words = ("check", "--era", "2014", "morestack", "gogo", "--json")
    assert run(*words).out == run(*words).out


def test_a_failed_check_ends_with_1_and_says_what(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    target = targets.of_era("modern", "amd64")
    world = checking.World(target)
    symbol = target.program.symbol("mcall")
    # the store of the caller's SP into g.sched.sp, found by what it writes, becomes no-ops
    monkeypatch.setattr(checking, "world_of", lambda _target: world)
    place = next(a for a, line in target.program.lines.items() if symbol.address <= a and "g.sched.sp" in line.text)
    following = min(a for a in target.program.lines if a > place)
    world.process.patch(place, target.arch.nop * (following - place))
    ran = run("check", "--era", "modern", "--arch", "amd64", "mcall")
    assert ran.code == 1
    assert "FAIL era modern amd64 mcall, switch: caller's SP → g.sched.sp at fn" in ran.out
    assert "expected 0x" in ran.out
    world.process.unpatch()
    assert run("check", "--era", "modern", "--arch", "amd64", "mcall").code == 0


def test_explain_puts_the_arches_side_by_side(run: Run) -> None:
    ran = run("check", "--era", "2017", "mcall", "--explain")
    assert ran.code == 0
    heading = next(line for line in ran.out.splitlines() if line.startswith("role"))
    assert heading.split()[1:] == list(arches.ARCHES)
    assert "g.sched.sp" in ran.out


def test_releases_and_prefixes_are_names_too(run: Run) -> None:
    plain = run("check", "--era", "2017", "--arch", "386", "mcall").out
    assert run("check", "--era", "go1.9", "--arch", "386", "runtime.mcall").out == plain


def test_nothing_selected(run: Run) -> None:
    ran = run("check", "--era", "2011", "systemstack")
    assert ran.code == 5
    assert "nothing selected" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "mcal"), "did you mean mcall"),
        (("check", "--era", "2019"), "there are 2011, 2014, 2017, modern"),
        (("check", "--arch", "mips"), "no architecture 'mips'; there are 386, amd64, arm"),
        (("check", "--nonsense"), "No such option"),
        (("nonsense",), "No such command"),
        (("check", "--elf", "no-such-file"), "no-such-file"),
        (("trace", "mcall"), "--arch"),
        (("trace", "nosuch", "--arch", "arm"), "no function 'nosuch'"),
        (("trace", "mcall", "--arch", "arm", "--scene", "swich"), "did you mean 'switch'"),
        (("trace", "mcall", "--arch", "arm", "--steps", "0"), "--steps"),
        (("show", "nosuch"), "no function 'nosuch'"),
        (("list", "nosuch"), "no routine 'nosuch'"),
        (("asm", "no-such-file", "--arch", "arm"), "no-such-file"),
    ],
)
def test_bad_usage_is_one_clear_line(run: Run, words: tuple[str, ...], said: str) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.out + ran.err


def test_an_elf_that_is_none(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("not an ELF")
    ran = run("check", "--elf", str(path))
    assert ran.code == 2
    assert str(path) in ran.err
    assert len(ran.err.splitlines()) == 1


def test_an_elf_of_another_arch(run: Run, go_binary: Path, goarch: str) -> None:
    other = next(name for name in arches.ARCHES if name != goarch)
    ran = run("check", "--elf", str(go_binary), "--arch", other)
    assert ran.code == 2
    assert f"a program for {goarch}, not for {other}" in ran.err


@pytest.mark.parametrize(("flag", "colours"), [("--color", True), ("--no-color", False)])
def test_colour_by_flag(run: Run, flag: str, colours: bool) -> None:
    assert ("\x1b[" in run("check", "--era", "modern", "mcall", flag).out) is colours


def test_colour_by_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in run("check", "--era", "modern", "mcall").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run("check", "--era", "modern", "mcall").out
