"""Whole Go programs end under `stackcarry run` as they do on the host, and nothing that they carry is lost."""

from __future__ import annotations

import pytest
import toolchain
from whole import PROGRAMS, Ran, plain, reference, watched


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_as_it_does_on_the_host(name: str, goarch: str) -> None:
    ours = watched(PROGRAMS[name], "newest", goarch)
    _same(name, ours, reference(PROGRAMS[name], "newest", goarch))
    _checked(ours)


@pytest.mark.parametrize("name", ["hello", "threads", "signals", "preempt", "profile", "panics", "nil", "exec", "gc"])
def test_the_oldest_toolchain(name: str, goarch: str) -> None:
    ours = watched(PROGRAMS[name], "1.21", goarch)
    _same(name, ours, reference(PROGRAMS[name], "1.21", goarch))
    _checked(ours)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_arches_agree(name: str) -> None:
    first, *others = (watched(PROGRAMS[name], "newest", goarch) for goarch in toolchain.GOARCHES)
    for other in others:
        assert (other.code, other.out) == (first.code, first.out)


def _same(name: str, ours: Ran, theirs: Ran | None) -> None:
    assert ours.code == PROGRAMS[name].code, (ours.err, ours.summary.get("broken"))
    if theirs is not None:
        assert theirs.code == PROGRAMS[name].code, theirs.err
        assert ours.out == theirs.out
        assert plain(ours.err) == plain(theirs.err)


def _checked(ran: Ran) -> None:
    (summary,) = ran.summary["summary"]
    assert sum(summary["crossings"].values()) > 0
    assert summary["unknown"] == {}
    assert "broken" not in ran.summary
