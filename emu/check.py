"""Checks a target: every routine in every scene, judged by its contract."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from emu.contracts.judge import Check, judge
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.target import Target


@dataclass(frozen=True)
class Result:
    """One check of one routine in one scene. ``check`` is None where the routine is *absent*."""

    target: Target
    routine: str
    scene: str
    check: Check | None


def check(target: Target, routines: Iterable[str] | None = None, world: World | None = None) -> Iterator[Result]:
    """Judge ``routines`` (all of the target's by default) in a world that is reset before each scene."""
    world = world or World(target)
    for name in target.routines if routines is None else routines:
        if target.routines.get(name) is None:
            yield Result(target, name, "", None)
            continue
        routine = ROUTINES[name]
        for scene in routine.scenes(world):
            for found in judge(world, scene, routine.contract):
                yield Result(target, name, scene.name, found)
