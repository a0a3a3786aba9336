"""The matrix: every routine of every era on every architecture, in every scene, against its contract."""

from __future__ import annotations

import pytest

import arch as arches
from arch import golang
from emu import target as targets
from emu.check import check
from emu.routines import ROUTINES
from emu.rows import EXPERIMENTS, rows

CELLS = [
    pytest.param(era, arch, routine, id=f"{era}-{arch}-{routine}", marks=getattr(pytest.mark, arch))
    for era in golang.ERAS
    for arch in arches.ARCHES
    for routine in rows(targets.of_era(era, arch))
]


@pytest.mark.parametrize(("era", "arch", "routine"), CELLS)
def test_contract_holds(era: str, arch: str, routine: str) -> None:
    results = list(check(targets.of_era(era, arch), [routine]))
    failed = [
        f"{r.scene}: {r.check.name}: expected {r.check.expected}, found {r.check.found} at step {r.check.step}"
        for r in results
        if r.check is not None and not r.check.ok
    ]
    assert results
    assert not failed


@pytest.mark.parametrize("era", golang.ERAS)
@pytest.mark.parametrize("arch", arches.ARCHES)
def test_every_routine_of_the_sources_has_a_contract(era: str, arch: str) -> None:
    record = golang.ERAS[era]
    for name in record.routines[arch]:
        assert name in ROUTINES, f"{name} would be left out of the matrix"
        assert targets.of_era(era, arch).routines[name] is not None, f"{name} is missing from the source"


def test_names_of_rows_are_distinct() -> None:
    assert not set(ROUTINES) & set(EXPERIMENTS)
