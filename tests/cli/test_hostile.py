"""What surrounds the command: outputs that fail, settings that are odd, binaries that are not for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import toolchain
from runner import Run

from asm import cache, goelf

COMMAND = f"{sys.executable} -m emu.cli"


def shell(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A shell script in which $S is the command."""
    environment = {**os.environ, "S": COMMAND, **variables}
    return subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("words", ["check mcall --era modern", "trace mcall --arch arm", "list mcall", "show mcall"])
@pytest.mark.parametrize("where", [">&-", ">/dev/full"])
def test_an_output_that_cannot_be_written(words: str, where: str) -> None:
    done = shell(f"$S {words} {where}")
    assert done.returncode == 2
    assert "the output cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough() -> None:
    done = shell("set -o pipefail; $S check mcall | head -1")
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_closed_input() -> None:
    done = shell("$S asm - --arch arm <&-")
    assert done.returncode == 2
    assert "standard input is closed" in done.stderr


def test_text_without_end() -> None:
    done = shell("ulimit -v 2000000; $S asm /dev/zero --arch arm")
    assert done.returncode == 2
    assert "more than 4 MiB" in done.stderr


@pytest.mark.parametrize(("name", "value"), [("COLUMNS", "abc"), ("COLUMNS", "0"), ("PYTHONIOENCODING", "ascii")])
def test_odd_settings(name: str, value: str) -> None:
    done = shell("$S check mcall --era modern --explain", **{name: value})
    assert done.returncode == 0
    assert done.stderr == ""


def test_every_function_can_be_shown(run: Run, go_binary: Path) -> None:
    symbols = goelf.load(go_binary).program.symbols
    names = sorted(name for name in symbols if name.startswith("runtime.m"))
    assert len(names) > 50
    for name in names[::7]:
        assert run("show", name, "--elf", str(go_binary)).code in (0, 2), name


def test_data_is_no_function(run: Run, go_binary: Path) -> None:
    for command in ("show", "trace"):
        ran = run(command, "runtime.g0", "--elf", str(go_binary))
        assert ran.code == 2
        assert "data, not a function" in ran.err


def test_a_binary_has_its_own_era(run: Run, go_binary: Path) -> None:
    assert run("trace", "mcall", "--elf", str(go_binary), "--era", "2011").code == 2
    assert run("show", "mcall", "--elf", str(go_binary), "--era", "modern").code == 2


def test_steps_are_counted_over_all_stops(run: Run) -> None:
    def shown(out: str) -> int:
        return sum(line[:5].strip().isdigit() for line in out.splitlines())

    steps = shown(run("trace", "mcall", "--arch", "arm").out)
    assert run("trace", "mcall", "--arch", "arm", "--steps", str(steps)).code == 0
    short = run("trace", "mcall", "--arch", "arm", "--steps", str(steps - 1))
    assert short.code == 124
    assert shown(short.out) == steps - 1


def test_floating_point_is_on_for_arm(run: Run) -> None:
    binary = toolchain.build("newest", "arm", toolchain.PROGRAM)
    ran = run("trace", "runtime.asyncPreempt", "--elf", str(binary), "--json")
    assert '"vmrs' in ran.out
    assert "illegal instruction" not in ran.out


@pytest.mark.parametrize(
    ("goarch", "flags", "settings", "said"),
    [
        ("amd64", (), {"GOAMD64": "v3"}, "built with GOAMD64=v3; the emulated CPU has no AVX"),
        ("arm", ("-ldflags=-T 0x50001000",), {}, "link it elsewhere"),
    ],
)
def test_a_binary_that_is_refused(
    run: Run, goarch: str, flags: tuple[str, ...], settings: dict[str, str], said: str
) -> None:
    ran = run("check", "--elf", str(toolchain.build("newest", goarch, toolchain.SMALL, *flags, **settings)))
    assert ran.code == 2
    assert said in ran.err


def test_a_cache_entry_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    assert cache.read(tmp_path, "pipe") is None
    assert cache.read(tmp_path, "zero") is None


@pytest.mark.parametrize(
    ("variable", "words", "code"),
    [
        ("STACKCARRY_LIVE", ("run",), 125), ("STACKCARRY_RECORDER", ("run",), 125),
        ("STACKCARRY_RECORDER", ("trace", "main.main", "--elf"), 2), ("STACKCARRY_RECORDER", ("check", "--elf"), 2),
    ],
)  # fmt: skip
def test_a_build_that_does_not_exist(
    run: Run, go_binary: Path, monkeypatch: pytest.MonkeyPatch, variable: str, words: tuple[str, ...], code: int
) -> None:
    monkeypatch.setenv(variable, "bogus")
    ran = run(*words, str(go_binary))
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"stackcarry: {variable} is c or ")
    assert ran.err.endswith(", not 'bogus'\n")
