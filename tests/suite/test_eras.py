"""The golden traces of our own sources: every routine of every era and arch, in its first scene."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet

import arch as arches
from arch import golang
from arch.golang import HOOKS
from emu.routines import ROUTINES
from emu.suite.fixture import Suite


def _made(era: str, arch: str, routine: str) -> ParameterSet:
    return pytest.param(era, arch, routine, id=f"{era}-{routine}-{arch}", marks=getattr(pytest.mark, arch))


_MADE = [
    _made(era, arch, routine)
    for era, record in golang.ERAS.items()
    for arch, names in record.routines.items()
    for routine in names if routine in ROUTINES
] + [_made("modern", arch, routine) for arch in arches.ARCHES for routine in HOOKS]


@pytest.mark.parametrize(("era", "stackcarry_arch", "routine"), _MADE)
def test_routine(stackcarry: Suite, era: str, routine: str) -> None:
    stackcarry.golden(stackcarry.routine(era, routine).holds())
