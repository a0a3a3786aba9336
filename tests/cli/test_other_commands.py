"""`stackcarry trace`, `show`, `list` and `asm`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from runner import Run

import arch as arches
from arch import golang


def test_trace_shows_the_switch(run: Run) -> None:
    ran = run("trace", "mcall", "--arch", "arm")
    assert ran.code == 0
    steps = [line for line in ran.out.splitlines() if line[:5].strip().isdigit()]
    assert [int(line[:5]) for line in steps] == list(range(len(steps)))
    assert any("switch g→g0" in line for line in steps)
    assert any("SP: g stack→g0 stack" in line for line in steps)
    assert ran.out.splitlines()[-1].endswith("its contract holds")


def test_trace_as_json(run: Run) -> None:
    ran = run("trace", "gogo", "--arch", "386", "--era", "2014", "--json")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    head, *steps, end = rows
    assert (head["kind"], head["arch"], head["entered"]) == ("trace", "386", "gogo, resume")
    assert {row["kind"] for row in steps} == {"step"}
    assert (end["kind"], end["outcome"], end["steps"]) == ("end", "ended", len(steps))
    keys = {"step", "g", "stack", "depth", "size", "dsp", "pc", "at", "bytes", "instruction", "changed", "memory"}
    assert all(keys <= row.keys() for row in steps)


def test_trace_of_any_function_of_a_binary(run: Run, go_binary: Path) -> None:
    ran = run("trace", "runtime.newstack", "--elf", str(go_binary))
    assert ran.code == 3, "newstack reads a g that a plain call has not set up"
    assert "fault in runtime.newstack" in ran.out.splitlines()[-1]


def test_trace_that_does_not_end(run: Run, go_binary: Path) -> None:
    ran = run("trace", "main.main", "--elf", str(go_binary), "--steps", "40")
    assert ran.code == 124
    assert ran.out.splitlines()[-1].endswith("no end within 40 steps")
    assert len(ran.out.splitlines()) == 2 + 40 + 1


def test_trace_of_a_routine_over_budget(run: Run) -> None:
    assert run("trace", "mcall", "--arch", "386", "--steps", "3").code == 124


@pytest.mark.parametrize("scene", ["switch", "on g0"])
def test_trace_of_a_scene(run: Run, scene: str) -> None:
    assert run("trace", "mcall", "--arch", "amd64", "--scene", scene).code == 0


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_show_has_map_source_and_bytes(run: Run, arch: str) -> None:
    out = run("show", "mcall", "--arch", arch, "--era", "2017").out
    assert "g0" in out
    assert "//" in out, "the source with its comments"
    assert "mcall+0x" in out, "addresses"


def test_show_of_a_binary_names_branch_targets(run: Run, go_binary: Path) -> None:
    ran = run("show", "morestack", "--elf", str(go_binary))
    assert ran.code == 0
    assert "newstack" in ran.out


def test_list_names_everything(run: Run) -> None:
    rows = [json.loads(line) for line in run("list", "--json").out.splitlines()]
    assert [row["era"] for row in rows] == list(golang.ERAS)
    for row in rows:
        for arch, routines in row["routines"].items():
            assert set(golang.ERAS[row["era"]].routines[arch]) <= set(routines)
    assert "mcall" in run("list").out


def test_list_scenes(run: Run) -> None:
    out = run("list", "mcall").out
    assert "on g0" in out
    assert "modern" in out


def test_asm_lists_address_bytes_source(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.s"
    path.write_text("start:\n    mov eax, 10   // ten\n    ret\n")
    ran = run("asm", str(path), "--arch", "386", "--base", "0x8000")
    assert ran.code == 0, ran.err
    assert "8000" in ran.out
    assert "b80a000000" in ran.out
    assert "c3" in ran.out


def test_asm_with_an_eras_names(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "f.s"
    path.write_text("    mov rax, qword ptr [rbx + g.sched.sp]\n")
    assert run("asm", str(path), "--arch", "amd64").code == 2
    ran = run("asm", str(path), "--arch", "amd64", "--era", "modern", "--json")
    assert json.loads(ran.out.splitlines()[-1])["bytes"] == "488b4338"


@pytest.mark.parametrize(
    ("text", "arch"),
    [
        ("nop\nmov eax, [rbx\n", "amd64"),
        ("nop\npush 0x123456789\n", "amd64"),
        ("nop\n+\n", "386"),
        ("nop\n.incbin \"/etc/passwd\"\n", "arm"),
        ("nop\nldr r0, [r0, #4]!\n", "arm"),
        ("nop\nmov r0, #nowhere\n", "arm"),
    ],
)
def test_asm_names_file_and_line(run: Run, tmp_path: Path, text: str, arch: str) -> None:
    path = tmp_path / "bad.s"
    path.write_text(text)
    ran = run("asm", str(path), "--arch", arch)
    assert ran.code == 2
    assert f"{path}:2:" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_asm_reads_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("nop\n"))
    assert "90" in run("asm", "-", "--arch", "386").out


def test_asm_of_a_folder_or_of_binary_data(run: Run, tmp_path: Path) -> None:
    assert run("asm", str(tmp_path), "--arch", "386").code == 2
    (tmp_path / "data").write_bytes(bytes(range(256)))
    ran = run("asm", str(tmp_path / "data"), "--arch", "386")
    assert ran.code == 2
    assert "not a text file" in ran.err


def test_version_and_help() -> None:
    command = [sys.executable, "-m", "emu.cli"]
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    for name in ("check", "trace", "show", "list", "asm"):
        assert f"  {name} " in done.stdout


def test_completion_offers_names() -> None:
    for words, offered in (("stackcarry check --era ", "modern"), ("stackcarry check --arch a", "amd64"),
                           ("stackcarry check mca", "mcall")):
        environment = {**os.environ, "_STACKCARRY_COMPLETE": "bash_complete", "COMP_WORDS": words,
                       "COMP_CWORD": str(len(words.split(" ")) - 1)}
        script = "import sys; sys.argv=['stackcarry']; from emu.cli import cli; cli.main(prog_name='stackcarry')"
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert offered in done.stdout
