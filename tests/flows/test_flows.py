"""Every flow on every era and architecture, and what must be seen in it."""

from __future__ import annotations

import pytest

import arch as arches
from arch import golang
from emu import flows
from emu import target as targets
from emu.contracts.judge import Check
from emu.flows.run import RUNS

CELLS = [
    pytest.param(name, era, arch, id=f"{era}-{arch}-{name}", marks=getattr(pytest.mark, arch))
    for era in golang.ERAS
    for arch in arches.ARCHES
    for name in flows.FLOWS
    if flows.exists(name)(targets.of_era(era, arch))
]

SEEN = {
    "switch": {"contract of mcall, at every crossing", "resumed where it left: SP", "results of player 200", "turns"},
    "growth": {"guard", "the stack that was left is unmapped", "results of root", "growths in one recursion"},
    "growth-link": {"back from a segment: results", "on a copied stack: contents", "segments that were left"},
    "preempt": {"requests taken, by whose check", "requests put off, by whose check", "after a preemption: return PC"},
}
"""What each flow must have looked at: names of checks, or what they start with."""


def flow(name: str, era: str, arch: str) -> list[Check]:
    return list(RUNS[name](targets.of_era(era, arch)))


@pytest.mark.parametrize(("name", "era", "arch"), CELLS)
def test_flow_holds(name: str, era: str, arch: str) -> None:
    checks = flow(name, era, arch)
    failed = [f"{check.name}: expected {check.expected}, found {check.found}" for check in checks if not check.ok]
    assert not failed
    missing = {seen for seen in SEEN[name] if not any(check.name.startswith(seen) for check in checks)}
    assert not missing


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_which_flows_an_era_has(arch: str) -> None:
    has = {
        era: [name for name in flows.FLOWS if flows.exists(name)(targets.of_era(era, arch))] for era in golang.ERAS
    }
    assert has == {
        "2011": ["switch", "growth"],
        "2014": ["switch", "growth", "growth-link", "preempt"],
        "2017": ["switch", "growth", "preempt"],
        "modern": ["switch", "growth", "preempt"],
    }


def test_a_flow_gives_the_same_checks_every_time() -> None:
    assert flow("growth", "2014", "amd64") == flow("growth", "2014", "amd64")


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_a_dropped_request_is_a_hole(arch: str) -> None:
    holes = [check for check in flow("growth-link", "2014", arch) if check.hole]
    assert [check.hole for check in holes] == ["oldstack restores the guard and drops the request"]
    assert all(check.ok for check in holes)


@pytest.mark.parametrize("era", ["2017", "modern"])
def test_frame_pointers_are_followed_on_amd64(era: str) -> None:
    names = {check.name for check in flow("growth", era, "amd64")}
    assert {"on a copied stack: frame pointer", "on a copied stack: end of the chain of frame pointers"} <= names
