"""Builds of all kinds: other models of the CPU, stripped ones; and those that cannot work, refused with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import toolchain
from whole import ENVIRONMENT, FOLDER, PROGRAMS, command, run_file, watched

HELLO = PROGRAMS["hello"]
MODELS = [
    ("386", "GO386", "softfloat"),
    ("arm", "GOARM", "5"),
    ("arm", "GOARM", "6"),
    ("amd64", "GOAMD64", "v2"),
]  # fmt: skip


@pytest.mark.parametrize(("goarch", "variable", "value"), MODELS)
@pytest.mark.parametrize("name", ["hello", "preempt"])
def test_models(name: str, goarch: str, variable: str, value: str) -> None:
    program = replace(PROGRAMS[name], settings=((variable, value),))
    ours = watched(program, "newest", goarch)
    assert (ours.code, ours.out) == (program.code, watched(PROGRAMS[name], "newest", goarch).out)
    assert crossings(ours.summary) > 0


@pytest.mark.parametrize("version", toolchain.VERSIONS)
@pytest.mark.parametrize("name", ["hello", "panics"])
def test_stripped(name: str, version: str, goarch: str) -> None:
    ours = watched(replace(PROGRAMS[name], flags=("-ldflags=-s -w",)), version, goarch)
    whole = watched(PROGRAMS[name], version, goarch)
    assert (ours.code, ours.out) == (whole.code, whole.out)
    assert crossings(ours.summary) == crossings(whole.summary) > 0


def test_without_checks(goarch: str) -> None:
    ours = watched(HELLO, "newest", goarch, "--no-check")
    assert (ours.code, ours.out) == (0, watched(HELLO, "newest", goarch).out)
    assert crossings(ours.summary) == 0


def test_an_hour_of_virtual_time(goarch: str) -> None:
    short, long = PROGRAMS["timers"], replace(PROGRAMS["timers"], args=("1h",))
    expected = watched(short, "newest", goarch).out.replace(b"slept 1ms", b"slept 1h0m0s")
    ran = watched(long, "newest", goarch)
    assert (ran.code, ran.out) == (4, expected)


@pytest.mark.parametrize(("last", "code"), [("die", 128 + 15), ("kill", 128 + 9)])
def test_ended_by_a_signal(last: str, code: int, goarch: str) -> None:
    ran = watched(replace(PROGRAMS["signals"], args=(last,)), "newest", goarch)
    assert (ran.code, ran.out) == (code, watched(PROGRAMS["signals"], "newest", goarch).out)


def test_preemptions_of_a_hooked_build_are_counted(goarch: str) -> None:
    (summary,) = watched(PROGRAMS["hooked"], "newest", goarch).summary["summary"]
    assert summary["hook_preemptions"] > 500
    assert summary["hook_lost"] == 0


def test_the_environment() -> None:
    path = PROGRAMS["arguments"].build("newest", "amd64")
    ran = run_file(path, options=("--env", "NAME=a value", "--env", "EMPTY="))
    assert b'environment "NAME=a value"\n' in ran.out
    assert b'environment "EMPTY="\n' in ran.out
    names = dict(line.split(b"=", 1) for line in command("run", str(path)).out.splitlines())
    assert {name.removeprefix(b'environment "').decode() for name in names} == set(ENVIRONMENT)


def test_cgo_may_be_on_where_no_c_code_is() -> None:
    ran = watched(replace(PROGRAMS["code 121"], settings=(("CGO_ENABLED", "1"),)), "newest", "amd64")
    assert ran.code == 121
    assert crossings(ran.summary) > 0


@pytest.mark.parametrize(("flags", "settings", "reason"), [
    (("-buildmode=pie",), {}, "position-independent (PIE)"),
    ((), {"GOAMD64": "v3"}, "built with GOAMD64=v3; the emulated CPU has no AVX"),
], ids=["PIE", "v3"])  # fmt: skip
def test_builds_that_are_refused(flags: tuple[str, ...], settings: dict[str, str], reason: str) -> None:
    ran = command("run", str(toolchain.build("newest", "amd64", FOLDER / "exitcodes", *flags, **settings)), "0")
    assert (ran.code, ran.out) == (125, b"")
    assert reason in ran.err


# Offset, size and value of what is written over a program for 386 (ELF's header: type at 16, machine at 18; the first
# program header, which is PT_PHDR, at 52).
PATCHES = {
    "MIPS": (18, 2, 8, "supported are 386, amd64, arm"),
    "64-bit ARM": (18, 2, 183, "supported are 386, amd64, arm"),
    "a shared library": (16, 2, 3, "shared library"),
    "dynamic": (52, 4, 3, "dynamically linked"),
}


@pytest.mark.parametrize("kind", PATCHES)
def test_files_that_are_refused(kind: str, tmp_path: Path) -> None:
    offset, size, value, reason = PATCHES[kind]
    data = bytearray(toolchain.build("newest", "386", FOLDER / "exitcodes").read_bytes())
    data[offset : offset + size] = value.to_bytes(size, "little")
    path = tmp_path / "program"
    path.write_bytes(data)
    ran = command("run", str(path), "0")
    assert (ran.code, ran.out) == (125, b"")
    assert reason in ran.err


@pytest.mark.parametrize("what", ["missing", "folder", "text", "script", "empty", "object"])
def test_no_program_at_all(what: str, tmp_path: Path) -> None:
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    contents = {"text": b"hello\n", "script": b"#!/bin/sh\necho\n", "empty": b"", "object": header}
    path = tmp_path if what == "folder" else tmp_path / what
    if what in contents:
        path.write_bytes(contents[what])
    ran = command("run", str(path))
    assert ran.code == 125
    assert str(path) in ran.err
    assert ran.out == b""


def crossings(summary: dict[str, list[dict[str, dict[str, int]]]]) -> int:
    """How many crossings a run's summary counts, over all routines."""
    (line,) = summary["summary"]
    return sum(line["crossings"].values())
