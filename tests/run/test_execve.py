"""A program that executes itself: its processes begin, talk, wait, are killed and end as they do on the host."""

from __future__ import annotations

import pytest
import toolchain
from whole import Program, Ran, reference, watched

SCENES = {
    scene.split()[0]: Program("reexec", code, tuple(scene.split()))
    for scene, code in {
        "start": 0, "descriptors": 0, "wait": 0, "kill": 0, "group": 0, "session": 0, "family": 0, "orphan": 0,
        "exec": 5, "threads": 6, "files": 0, "scripts": 0, "texts": 0, "deadline 300ms": 0, "many 20": 0,
        "pipeline": 0, "stuck": 0, "ignored": 0, "series 5": 0,
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_is_as_on_the_host(scene: str, goarch: str) -> None:
    _same(scene, "newest", goarch)


@pytest.mark.parametrize("scene", ["start", "kill", "threads", "files"])
def test_the_oldest_toolchain(scene: str, goarch: str) -> None:
    _same(scene, "1.21", goarch)


def _same(scene: str, version: str, goarch: str) -> None:
    program = SCENES[scene]
    ours = watched(program, version, goarch)
    assert ours.code == program.code, (ours.out, ours.err, ours.summary.get("broken"))
    (summary,) = ours.summary["summary"]
    assert [why for why in summary["unknown"] if not (scene == "files" and why.startswith("execve of "))] == []
    assert "broken" not in ours.summary
    # What an emulator of the host's executes is the host's affair: an architecture that the host has answers for all.
    theirs = reference(program, version, goarch if goarch != "arm" else "amd64")
    if theirs is not None:
        assert (ours.code, ours.out, ours.err) == (theirs.code, theirs.out, theirs.err)


@pytest.mark.parametrize("scene", SCENES)
def test_the_arches_agree(scene: str) -> None:
    first, *others = (watched(SCENES[scene], "newest", goarch) for goarch in toolchain.GOARCHES)
    for other in others:
        assert (other.code, other.out, other.err) == (first.code, first.out, first.err)


def test_the_processes_are_counted_and_checked(goarch: str) -> None:
    (one,), (six,) = (_series(goarch, count).summary["summary"] for count in (0, 5))
    assert (one["processes"], six["processes"]) == (1, 6)
    assert six["crossings"]["mcall"] > 5 * one["crossings"]["mcall"] > 0
    assert len([name for name in six["distance"] if name.startswith("process ")]) == 5


def _series(goarch: str, count: int) -> Ran:
    return watched(Program("reexec", args=("series", str(count))), "newest", goarch)


def test_a_long_deadline_passes_at_once(goarch: str) -> None:
    ours = watched(Program("reexec", args=("deadline", "20h")), "newest", goarch)
    assert (ours.code, ours.out) == (0, watched(SCENES["deadline"], "newest", goarch).out)
    (summary,) = ours.summary["summary"]
    assert 40 * 3600e9 < summary["virtual_ns"] < 41 * 3600e9
    assert summary["blocks"] < 30_000_000


