"""Checks a target: every routine in every scene, judged by its contract; then the experiments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from emu.contracts.judge import Check, judge
from emu.routines import ROUTINES
from emu.rows import EXPERIMENTS, rows
from emu.runtime.world import World
from emu.target import Target


@dataclass(frozen=True)
class Result:
    """One check of one row in one scene. ``check`` is None where the routine is *absent*."""

    target: Target
    routine: str
    scene: str
    check: Check | None

    @property
    def name(self) -> str:
        """What was checked, in which scene; '' where nothing could be."""
        name = self.check.name if self.check else ""
        return f"{self.scene}: {name}" if self.scene else name


def check(target: Target, names: Iterable[str] | None = None) -> Iterator[Result]:
    """Judge the named rows of a target, all of them by default; in a binary also functions that are no rows.

    Raises BadInput for a function without a stack check.
    """
    for name in rows(target) if names is None else names:
        if name in EXPERIMENTS:
            for scene, found in EXPERIMENTS[name].run(target):
                yield Result(target, name, scene, found)
        elif name not in ROUTINES:
            from emu.functions import check_function  # a binary's own function: only asked for by name

            for scene, found in check_function(target, name):
                yield Result(target, name, scene, found)
        elif target.routines.get(name) is None:
            yield Result(target, name, "", None)
        else:
            yield from check_routine(world_of(target), name)


def check_routine(world: World, name: str) -> Iterator[Result]:
    """Judge one routine in every scene of a world, which is reset before each."""
    routine = ROUTINES[name]
    for scene in routine.scenes(world):
        for found in judge(world, scene, routine.contract):
            yield Result(world.target, name, scene.name, found)


@lru_cache(maxsize=16)
def world_of(target: Target) -> World:
    """The world of a target: built once, reset for every scene."""
    return World(target)
