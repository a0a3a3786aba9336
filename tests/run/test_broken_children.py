"""Contracts that are broken in a test binary, by its own assembly, and in the children of programs that are sound."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import toolchain
from test_goexec import MODULE, go
from test_reports import _without
from whole import FOLDER, PROGRAMS, command, run_file

REPORT = "stackcarry: systemstack broke its contract: on entry: guard (legal for a goroutine) → g.stackguard0\n"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    return Path(shutil.copytree(toolchain.PROGRAM / "broken", tmp_path / "broken"))


def test_a_sound_module_passes(goarch: str, module: Path) -> None:
    code, out = go(goarch, module, "test", "-count=1", "-exec", MODULE, ".")
    assert code == 0, out


def test_a_spoiled_guard_fails_the_test(goarch: str, module: Path) -> None:
    code, out = go(goarch, module, "test", "-count=1", "-exec", MODULE, ".", "-spoil")
    assert code == 1
    assert out.count(REPORT) == 1
    assert re.search(r"expected 0x[0-9a-f]+, found 0x1234; goroutine \d+ on thread 1000, after", out), out
    assert "    goprog/broken.TestGuard  " in out
    assert out.endswith("FAIL\n")


@pytest.mark.parametrize("leave", ["yield", "sleep"])
def test_a_guard_that_would_be_mended_before_anyone_looks(leave: str, goarch: str, module: Path) -> None:
    """The scheduler writes a new guard before the goroutine runs again: the one that it leaves with is judged."""
    code, out = go(goarch, module, "test", "-count=1", "-exec", MODULE, ".", "-spoil", "-leave", leave)
    assert code == 1
    assert out.count(REPORT.replace("systemstack", "mcall")) == 1
    assert out.endswith("FAIL\n")


def test_the_exit_code_of_its_binary(goarch: str, module: Path) -> None:
    assert go(goarch, module, "test", "-c", "-o", "broken.test", ".")[0] == 0
    ran = command("run", str(module / "broken.test"), "-spoil")
    assert (ran.code, ran.err.count(REPORT)) == (121, 1)


def test_a_child_of_the_test_is_named(goarch: str, module: Path) -> None:
    code, out = go(goarch, module, "test", "-count=1", "-exec", MODULE, ".", "-children", "1")
    assert code == 1
    assert out.count(REPORT) == 1
    assert re.search(r"on thread \d+ of process 1\d+, /\S+/broken\.test, after", out), out


def test_past_two_broken_children(goarch: str, module: Path) -> None:
    """Each is told of where it is found first, and the test goes on to its end."""
    code, out = go(goarch, module, "test", "-count=1", "-v", "-exec", f"{MODULE} --keep-going", ".", "-children", "2")
    assert code == 1
    assert len(set(re.findall(r"on thread \d+ of process (\d+), ", out))) == 2
    assert re.findall(r"child (\d): PASS", out) == ["0", "1"]
    assert "PASS: TestChildren" in out
    assert out.endswith("FAIL\n")


def test_a_broken_program_is_found_below_a_sound_one(goarch: str, tmp_path: Path) -> None:
    store = {"386": "mov dword ptr [ebx + 4]", "amd64": "mov qword ptr [rbx + 8]", "arm": "str r3, [r8"}[goarch]
    broken = _without(PROGRAMS["hello"].build("newest", goarch), "morestack", store, tmp_path / "broken")
    broken.chmod(0o755)
    parent = toolchain.build("newest", goarch, FOLDER / "reexec")
    options = ("--dir", f"{tmp_path}:/given")
    ran = run_file(parent, "other", "/given/broken", options=options)
    assert ran.code == 121
    (found,) = ran.summary["broken"]
    assert (found["routine"], found["program"]) == ("morestack_noctxt", "/given/broken")
    assert found["thread"] > 1000
    sound = PROGRAMS["hello"].build("newest", goarch)
    (tmp_path / "broken").write_bytes(sound.read_bytes())
    ran = run_file(parent, "other", "/given/broken", options=options)
    assert (ran.code, ran.summary.get("broken"), ran.out.endswith(b"other <nil>\n")) == (0, None, True)
