"""The rows of the matrix: a target's routines, and the experiments that are no routine of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from emu import flows
from emu.contracts.judge import Check
from emu.routines import ROUTINES
from emu.scenes import prologue as prologues
from emu.target import Target


@dataclass(frozen=True)
class Experiment:
    """A row that is no routine of the source (a stack check's form, a flow).

    ``run`` yields (scene, check); ``exists``: whether the target can have it.
    """

    run: Callable[[Target], Iterable[tuple[str, Check]]]
    exists: Callable[[Target], bool]


EXPERIMENTS: dict[str, Experiment] = {
    f"prologue-{form}{suffix}": Experiment(prologues.row(form, abi0), prologues.exists(abi0))
    for abi0, suffix in ((False, ""), (True, "-abi0"))
    for form in prologues.FORMS
} | {f"flow:{name}": Experiment(flows.row(name), flows.exists(name)) for name in flows.FLOWS}


def rows(target: Target) -> list[str]:
    """The rows of a target's column, in the order of the matrix: its routines, then the experiments."""
    routines = [name for name in target.routines if name in ROUTINES]
    return [*routines, *(name for name, row in EXPERIMENTS.items() if row.exists(target))]
