"""Every change of one instruction of the routines of real Go binaries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sweep.holds import holds


def test_every_change_fails_a_check(
    go_version: str, goarch: str, go_binary: Path, record_property: Callable[[str, object], None]
) -> None:
    holds(record_property, f"go-{go_version}", goarch, go_binary)
