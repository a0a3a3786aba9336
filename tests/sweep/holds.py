"""What every test of a cell asserts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sweep.cells import sweep
from sweep.report import PROPERTY
from sweep.survivors import unexplained


def holds(record: Callable[[str, object], None], era: str, arch: str, program: Path | None = None) -> None:
    """Every mutant of a cell fails a check or has a reason not to; every reason is of use."""
    cell = sweep(era, arch, program)
    record(PROPERTY, cell.record())
    left, idle = unexplained(era, arch, cell.survivors)
    shown = [f"{s.routine}, {s.operator}: {s.shown} -> {s.change}" + ("" if s.executed else " (never executed)")
             for s in left]
    assert not shown, "no check fails, and no row of survivors.py says why:\n" + "\n".join(shown)
    assert not idle, f"rows of survivors.py that match nothing: {idle}"
    assert all(cell.killed[operator] for operator in cell.tried)
