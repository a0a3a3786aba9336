"""Flows: several routines, goroutines and growths in one run, and what must hold all the way.

What runs them is imported when the first one is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.contracts.judge import Check
from emu.target import Target

_NEEDED = ("gogo", "mcall", "morestack", "morestack_noctxt")

FLOWS: dict[str, Callable[[Target], bool]] = {
    "switch": bool,
    "growth": bool,
    "growth-link": lambda target: target.era.stacks == "hybrid",
    "preempt": lambda target: "StackPreempt" in target.era.guards.special,
}
"""Name -> whether an era has it."""


def exists(name: str) -> Callable[[Target], bool]:
    """Whether a target can have the flow: a binary may lack routines that it needs."""
    return lambda target: FLOWS[name](target) and all(target.routines.get(r, target) is not None for r in _NEEDED)


def row(name: str) -> Callable[[Target], Iterator[tuple[str, Check]]]:
    """The checks of a flow, each with the scene it belongs to: a flow has but one."""

    def run(target: Target) -> Iterator[tuple[str, Check]]:
        from emu.flows.run import RUNS

        for check in RUNS[name](target):
            yield "", check

    return run
