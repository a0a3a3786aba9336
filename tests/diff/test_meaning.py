"""Runs of different arches, eras and releases say the same where they mean the same, and differ as history says."""

from __future__ import annotations

import pytest
import toolchain
import traced
from assembled import ARCHES

from arch import golang
from emu import target as targets
from emu.check import world_of
from emu.routines import ROUTINES
from emu.rows import rows
from emu.trace import align
from emu.trace.meaning import passages

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])

_ONLY_AMD64 = [
    "< g.sched.bp ← frame pointer", "< argument 0 in a register ← g", "< g's second register ← g0",
    "< frame pointer ← 0",
]


@pytest.mark.parametrize("era", golang.ERAS)
@each
def test_the_same_run_twice(arch: str, era: str) -> None:
    """In every scene of every routine."""
    target = targets.of_era(era, arch)
    for routine in rows(target):
        if routine not in ROUTINES or target.routines.get(routine) is None:
            continue
        for scene in ROUTINES[routine].scenes(world_of(target)):
            twice = [traced.trace(target, routine, scene.name) for _ in range(2)]
            assert traced.differences(*twice) == [], (routine, scene.name)
            assert all(passage.effects for passage in passages(twice[0])), (routine, scene.name)


def test_what_mcall_carries() -> None:
    passage = passages(traced.of_era("arm", "mcall"))[0]
    assert passage.title == "mcall → fn"
    assert [effect.text for effect in passage.effects] == [
        "save: g.sched.sp ← caller's SP",
        "save: g.sched.pc ← return PC",
        "clear: g.sched.lr ← 0",
        "switch g: running g ← g0",
        "load SP: SP ← g0.sched.sp - 2 words",
        "argument: argument 0 ← g",
        "set: closure context ← own argument 0",
        "set: return PC ← a PC in mcall",
        "jump: PC ← [own argument 0]",
    ]


def test_what_a_system_call_carries() -> None:
    first, then = passages(traced.of_era("arm", "RawSyscall", "2017"))
    assert [effect.text for effect in first.effects][-1] == "kernel: number of the call ← own argument 0"
    assert "kernel: argument 2 of the call ← own argument 3" in [effect.text for effect in first.effects]
    assert "store: own argument 4 ← result of the call" in [effect.text for effect in then.effects]
    assert [effect.text for effect in then.effects][-1] == "jump: PC ← return PC"


@pytest.mark.parametrize(
    ("routine", "a", "b", "known"),
    [
        ("mcall", "amd64", "arm", ["> g.sched.lr ← 0", *_ONLY_AMD64]),
        ("mcall", "386", "arm", ["> g.sched.lr ← 0"]),
        ("mcall", "386", "amd64", [text.replace("<", ">") for text in _ONLY_AMD64]),
        ("gogo", "amd64", "arm", [
            "< g's second register ← buf.g", "> return PC ← buf.lr", "< frame pointer ← buf.bp", "> buf.lr ← 0",
            "< buf.bp ← 0",
        ]),
        ("morestack", "386", "arm", ["> g.sched.lr ← f's return PC", "> link word ← 0"]),
        ("morestack", "386", "amd64", ["> g.sched.bp ← frame pointer", "> frame pointer ← 0"]),
    ],
)
def test_arches(routine: str, a: str, b: str, known: list[str]) -> None:
    """They differ in what one of them has no place for, and in nothing else."""
    runs = traced.of_era(a, routine), traced.of_era(b, routine)
    found = traced.differences(*runs)
    assert traced.shown(found) == known
    assert all(pair.lacks for pair in found)
    assert not any(align.shared(crossing).differs for crossing in traced.compared(*runs))


@pytest.mark.parametrize("routine", ["mcall", "gogocall", "gosave"])
def test_arches_of_2011_are_alike(routine: str) -> None:
    runs = [traced.of_era(arch, routine, "2011") for arch in ARCHES]
    assert [traced.shown(traced.differences(runs[0], run)) for run in runs] == [[], [], []]


@each
def test_morestack_of_2017_and_today(arch: str) -> None:
    """The closure context was an argument of newstack, and is saved now; g.sched.g is written no more."""
    found = traced.shown(traced.differences(traced.of_era(arch, "morestack", "2017"), traced.of_era(arch, "morestack")))
    expected = {
        "> g.sched.ctxt ← closure context", "| SP ← g0.sched.sp - 2 words | g0.sched.sp - 1 word",
        "< argument 0 ← closure context",
    }
    expected |= {"386": {"< g.sched.g ← g"}, "amd64": {"< g.sched.g ← g", "> frame pointer ← 0"}}.get(arch, set())
    assert set(found) == expected


def test_a_field_that_is_gone() -> None:
    pairs = traced.differences(traced.of_era("386", "gogo", "2014"), traced.of_era("386", "gogo"))
    assert traced.shown(pairs) == ["< result ← buf.ret", "< buf.ret ← 0"]
    assert [pair.lacks for pair in pairs] == ["no field gobuf.ret in modern"] * 2


@pytest.mark.parametrize(
    ("routine", "known"),
    [
        ("mcall", ["| frame pointer ← caller's SP - 2 words | 0"]),
        ("morestack", ["| frame pointer ← g0.sched.bp | 0"]),
        ("gogo", ["< result ← buf.ret", "< buf.ret ← 0"]),
        ("systemstack", ["< g.sched.ret ← 0"]),
    ],
)
@each
def test_two_releases(arch: str, routine: str, known: list[str]) -> None:
    """Since Go 1.25 the frame pointer is cleared on the way to g0; there is no gobuf.ret any more."""
    old, new = (
        traced.trace(targets.of_binary(str(toolchain.build(version, arch, toolchain.PROGRAM))), routine)
        for version in ("1.21", "newest")
    )
    if "fp" not in old.header.arch.roles:
        known = [text for text in known if "frame pointer" not in text]
    assert traced.shown(traced.differences(old, new)) == known
    assert traced.shown(traced.differences(new, traced.of_era(arch, routine))) == []


def test_crossings_of_a_longer_run() -> None:
    """runtime.Gosched crosses by mcall after steps of its own."""
    runs = [
        traced.trace(targets.of_binary(str(toolchain.build("newest", arch, toolchain.PROGRAM))), "runtime.Gosched")
        for arch in ("amd64", "arm")
    ]
    found = passages(runs[0])
    assert [passage.title for passage in found] == ["mcall → gosched_m"]
    assert found[0].span.first > 0
    assert found[0].span.end < runs[0].steps
    assert traced.shown(traced.differences(*runs)) == ["> g.sched.lr ← 0", *_ONLY_AMD64]


def test_crossings_that_only_one_run_has() -> None:
    pairs = traced.differences(traced.of_era("386", "mcall"), traced.of_era("386", "mcall", scene="on g0"))
    assert "< PC ← badmcall2" in traced.shown(pairs)
    assert pairs[-1].note == "no such crossing"
