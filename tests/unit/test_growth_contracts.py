"""Contracts of morestack, its variants, lessstack and systemstack: what they accept, what they show as holes, and
that a broken routine fails exactly the checks that name what was broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import arch as arches
from arch import golang
from arch.habits import habits
from emu import target as targets
from emu.check import check_routine, world_of
from emu.target import Target

X86 = ("386", "amd64")
ALL = (*X86, "arm")


def judged(target: Target, routine: str) -> list[tuple[str, str, bool, str]]:
    """(scene, check, ok, hole) of every check."""
    found = check_routine(world_of(target), routine)
    return [(r.scene, r.check.name, r.check.ok, r.check.hole) for r in found if r.check is not None]


def failures(target: Target, routine: str) -> set[tuple[str, str]]:
    return {(scene, name) for scene, name, ok, _ in judged(target, routine) if not ok}


@contextmanager
def without(target: Target, routine: str, statement: str) -> Iterator[None]:
    """The first statement of the routine that begins so, replaced by nops."""
    symbol, lines = target.program.symbols[routine], target.program.lines
    end = symbol.address + symbol.size
    addresses = [address for address in sorted(lines) if symbol.address <= address < end]
    address = next(address for address in addresses if lines[address].text.startswith(statement))
    size = min(after for after in (*addresses, end) if after > address) - address
    process, nop = world_of(target).process, target.arch.nop
    process.patch(address, nop * (size // len(nop)))
    try:
        yield
    finally:
        process.unpatch()


# what each era and arch is tried in

GROW = ["grow", "newstack returns", "on g0", "on gsignal"]
ON_386 = ["g0 without room"]


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", golang.ERAS)
def test_morestack_is_tried_in_every_way(era: str, arch: str) -> None:
    cgo = ["iscgo"] if arch == "arm" and era in ("2017", "modern") else []
    expected = GROW + (ON_386 if arch == "386" else []) + cgo
    assert list(dict.fromkeys(scene for scene, *_ in judged(targets.of_era(era, arch), "morestack"))) == expected


HOLES = {
    ("2011", "arm"): {"newstack returns", "on gsignal"},
    ("2014", "arm"): {"newstack returns", "on gsignal"},
    ("2017", "arm"): {"newstack returns"},
    ("modern", "arm"): {"newstack returns"},
    **{(era, arch): {"on gsignal"} for era in ("2011", "2014") for arch in X86},
}


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", golang.ERAS)
def test_what_an_era_lets_through_is_a_hole(era: str, arch: str) -> None:
    results = judged(targets.of_era(era, arch), "morestack")
    assert {scene for scene, _, _, hole in results if hole} == HOLES.get((era, arch), set())


@pytest.mark.parametrize(("era", "arch"), [("2011", "arm")])
def test_an_oldstack_that_returns_runs_on_where_lessstack_is_a_branch(era: str, arch: str) -> None:
    results = judged(targets.of_era(era, arch), "lessstack")
    assert {(scene, name) for scene, name, _, hole in results if hole} == {
        ("oldstack returns", "reaches oldstack"), ("oldstack returns", "reaches other"),
    }


CRASHES = {
    "2011": {"386": "fault:0x1003", "amd64": "fault:0x1003", "arm": "resumed"},
    "2014": {"386": "fault:0x1003", "amd64": "fault:0x1003"},
    "2017": {"386": "fault:0x1003", "amd64": "fault:0x1003"},
    "modern": {"386": "abort", "amd64": "abort"},
}


@pytest.mark.parametrize(("era", "arch"), [(era, arch) for era, row in CRASHES.items() for arch in row])
def test_where_a_newstack_that_returns_ends(era: str, arch: str) -> None:
    reached = [
        name for scene, name, _, _ in judged(targets.of_era(era, arch), "morestack")
        if scene == "newstack returns" and name.startswith("reaches")
    ]
    assert reached == ["reaches newstack", f"reaches {CRASHES[era][arch]}"]


# broken routines

G_2014 = "mov qword ptr [rsi + g.sched."
BROKEN = [
    ("2011", "amd64", "morestack", "mov qword ptr [rbx + m.morepc]", {"PC in f → m.morepc at newstack"}),
    ("2011", "amd64", "morestack", "mov qword ptr [rbx + m.moreargp]", {"f's arguments → m.moreargp at newstack"}),
    ("2011", "386", "morestack", "mov dword ptr [ebx + m.moreframesize]",
     {"size of f's frame → m.moreframesize at newstack"}),
    ("2011", "arm", "morestack", "str r2, [r9, #m.moreargsize]",
     {"size of f's arguments → m.moreargsize at newstack"}),
    ("2014", "amd64", "morestack", f"{G_2014}ctxt]", {"closure context → g.sched.ctxt at newstack"}),
    ("2014", "amd64", "morestack", f"{G_2014}g]", {"g → g.sched.g at newstack"}),
    ("2014", "arm", "morestack", "str r3, [r10, #g.sched.lr]", {"f's link → g.sched.lr at newstack"}),
    ("2017", "amd64", "morestack", f"{G_2014}bp]", {"frame pointer → g.sched.bp at newstack"}),
    ("2017", "arm", "morestack", "str r7, [sp, #4]", {"closure context → newstack's argument at newstack"}),
    ("2017", "386", "morestack", "mov dword ptr [ebx + m.morebuf.g]", {"g → m.morebuf.g at newstack"}),
    ("modern", "amd64", "morestack", "mov ebp, 0", {"frame pointer → fp at newstack"}),
    ("modern", "386", "morestack", "mov dword ptr [ebx + m.morebuf.sp]",
     {"SP of f's caller → m.morebuf.sp at newstack"}),
    ("modern", "arm", "morestack", "str r3, [r8, #m.morebuf.pc]", {"f's return PC → m.morebuf.pc at newstack"}),
    ("2014", "386", "morestack_noctxt", "mov edx, 0", {"closure context → g.sched.ctxt at newstack"}),
    ("2011", "amd64", "morestack10", "mov eax, eax",
     {"sizes → m.moreframesize and m.moreargsize at newstack"}),
    ("2014", "amd64", "morestack48", "shl r8, 35", {"sizes → m.moreframesize and m.moreargsize at newstack"}),
    ("2014", "amd64", "morestack11_noctxt", "mov edx, 0", {"closure context → g.sched.ctxt at newstack"}),
    ("2014", "arm", "lessstack", "str r0, [r9, #m.cret]", {"f's result → m.cret at oldstack"}),
    ("2014", "386", "lessstack", "mov esp,", {"g0's SP → sp at oldstack", "writes nothing else"}),
    ("2017", "386", "systemstack", "mov dword ptr [ebx], edx", {"mstart → return PC under fn at fn"}),
    ("2017", "arm", "systemstack", "str lr, [r10, #g.sched.lr]", {"link → g.sched.lr at fn"}),
    ("modern", "arm", "systemstack", "str r11, [r10, #g.sched.pc]", {"PC → g.sched.pc at fn"}),
    ("modern", "amd64", "systemstack", "mov qword ptr [rax + g.sched.sp], 0",
     {"g.sched is free → g.sched.sp at caller"}),
]


@pytest.mark.parametrize(("era", "arch", "routine", "statement", "checks"), BROKEN)
def test_a_lost_statement_fails_the_check_that_names_it(
    era: str, arch: str, routine: str, statement: str, checks: set[str]
) -> None:
    target = targets.of_era(era, arch)
    assert not failures(target, routine)
    with without(target, routine, statement):
        found = failures(target, routine)
    first = judged(target, routine)[0][0]
    assert {name for scene, name in found if scene == first} == checks
    assert not failures(target, routine)


SCENES = [
    ("386", "morestack", "jne .split", "2011", {"grow", "newstack returns", "on gsignal", "g0 without room"}),
    ("386", "morestack", "int3", "2014", {"on g0"}),
    ("386", "morestack", "mov ebx, dword ptr [eax - 4]", "modern", {"g0 without room"}),
    ("amd64", "morestack", "call abort", "modern", {"on g0"}),
    ("arm", "morestack", "bl badmorestackgsignal", "2017", {"on gsignal"}),
    ("amd64", "morestack", "mov qword ptr [rax], 0", "2014", {"newstack returns"}),
    ("amd64", "lessstack", "mov qword ptr [rax], 0", "2011", {"oldstack returns"}),
    ("arm", "morestack", "strne r10, [r0]", "modern", {"iscgo"}),
    ("arm", "systemstack", "blne abort", "modern", {"stale ctxt"}),
    ("386", "systemstack", "call badsystemstack", "modern", {"wrong g"}),
    ("amd64", "systemstack", "je .stay", "2017", {"on gsignal"}),
]


@pytest.mark.parametrize(("arch", "routine", "statement", "era", "scenes"), SCENES)
def test_a_lost_statement_fails_the_scenes_that_need_it(
    arch: str, routine: str, statement: str, era: str, scenes: set[str]
) -> None:
    target = targets.of_era(era, arch)
    with without(target, routine, statement):
        assert {scene for scene, _ in failures(target, routine)} == scenes


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", ["2017", "modern"])
def test_systemstack_returns_by_what_g_sched_says_then(era: str, arch: str) -> None:
    """A stack that moved while fn ran: the checks have seen SP on the new place."""
    results = judged(targets.of_era(era, arch), "systemstack")
    assert ("stack moved by fn", "caller's SP → sp at caller", True, "") in results


# releases of the modern era


@pytest.mark.parametrize(
    ("go", "first", "frame"),
    [
        ("go1.21.13", set(), "g0"), ("go1.22.10", {"amd64"}, "g0"), ("go1.23.9", set(ALL), "g0"),
        ("go1.24.11", set(ALL), "g0"), ("go1.25.5", set(ALL), "zero"), ("go1.27.3", set(ALL), "zero"),
    ],
)
def test_releases_differ_in_what_morestack_writes_first(go: str, first: set[str], frame: str) -> None:
    found = habits("modern", go)
    assert (set(found.growth.saves_first), found.growth.frame) == (first, frame)
    assert found.frame_cleared == (frame == "zero")


@pytest.mark.parametrize("routine", ["morestack", "morestack_noctxt", "systemstack"])
def test_the_contracts_hold_in_a_real_binary(go_binary: Path, routine: str) -> None:
    target = targets.of_binary(str(go_binary))
    assert not failures(target, routine)
    assert judged(target, routine)
