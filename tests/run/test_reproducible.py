"""The same command gives the same bytes; another seed gives another schedule and the same result."""

from __future__ import annotations

import pytest
from whole import PROGRAMS, Ran, command, process, watched

SCHEDULED = ("threads", "sync", "gc")


@pytest.mark.parametrize("name", SCHEDULED)
def test_the_same_command_twice(name: str, goarch: str) -> None:
    """Once in a process of its own, whose hashes have another seed."""
    program = PROGRAMS[name]
    path = program.build("newest", goarch)
    ran = process("run", "--summary", "--json", str(path), *program.args, stdin=program.stdin)
    assert command("run", "--summary", "--json", str(path), *program.args, stdin=program.stdin) == ran
    assert '"digest": "' in ran.err


@pytest.mark.parametrize("name", SCHEDULED)
def test_seeds(name: str, goarch: str) -> None:
    runs = [watched(PROGRAMS[name], "newest", goarch, "--seed", seed) for seed in ("1", "2", "3")]
    assert {(ran.code, ran.out) for ran in runs} == {(runs[0].code, runs[0].out)}
    assert runs[0].code == PROGRAMS[name].code
    assert len({_digest(ran) for ran in runs}) == len(runs)


SETTINGS = [("--ncpu", "1"), ("--ncpu", "4"), ("--slice", "100"), ("--slice", "5000")]


@pytest.mark.parametrize("options", SETTINGS, ids=" ".join)
def test_processors_and_slices(options: tuple[str, ...], goarch: str) -> None:
    ran = watched(PROGRAMS["sync"], "newest", goarch, *options)
    assert (ran.code, ran.out) == (0, watched(PROGRAMS["sync"], "newest", goarch).out)


def _digest(ran: Ran) -> str:
    (summary,) = ran.summary["summary"]
    digest: str = summary["digest"]
    return digest
