"""Every change of one instruction of our sources: era 2017."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import arch as arches
from sweep.holds import holds

ARCHES = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]


@pytest.mark.parametrize("arch", ARCHES)
def test_every_change_fails_a_check(arch: str, record_property: Callable[[str, object], None]) -> None:
    holds(record_property, "2017", arch)
