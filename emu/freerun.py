"""Runs one routine for the tracer: in a scene of its own, or, for any other function, from a plain call."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from arch.linux import Errno
from emu.check import world_of
from emu.contracts.judge import Scene, judge, name_of
from emu.errors import BadInput
from emu.machine import Stop
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.target import OUTSIDE_GATES, Target
from emu.trace.tracer import Step, Tracer


@dataclass(frozen=True)
class Run:
    """A traced run. ``end`` says in words how it ended; ``scene`` names the entry state."""

    world: World
    scene: str
    steps: Sequence[Step]
    end: str
    outcome: Literal["ended", "failed", "fault", "budget"]


def trace(target: Target, name: str, scene: str | None, steps: int) -> Run:
    """Trace a routine (``scene`` defaults to its first) or, in a binary, any function by its symbol.

    Raises BadInput for a scene that does not exist.
    """
    if name in ROUTINES:
        return _scene(world_of(target), name, scene, steps)
    if scene is not None:
        raise BadInput(f"{name} has no scenes; leave --scene out")
    outside = {gate: address for gate, address in target.program.gates.items() if gate in OUTSIDE_GATES}
    return _plain(World(replace(target, program=replace(target.program, gates=outside))), name, steps)


def _scene(world: World, name: str, wanted: str | None, steps: int) -> Run:
    scenes = {scene.name: scene for scene in ROUTINES[name].scenes(world)}
    scene = _pick(scenes, wanted, name)
    tracers: list[Tracer] = []
    last: list[tuple[Stop, str]] = []

    def watch(world: World) -> Callable[[Stop, str], None]:
        tracers.append(Tracer(world))

        def stopped(stop: Stop, where: str) -> None:
            last.append((stop, where))
            tracers[0].stopped(stop, where)

        return stopped

    checks = judge(world, scene, ROUTINES[name].contract, watch, steps)
    taken = list(tracers[0].steps())
    tracers[0].close()
    stop, where = last[-1]
    if stop.kind == "budget":
        return Run(world, scene.name, taken, f"no end within {steps} steps", "budget")
    failed = [check for check in checks if not check.ok]
    end = f"ended at {where}" + (f", {len(failed)} checks failed" if failed else ", its contract holds")
    holes = {check.hole for check in checks if check.hole}
    end += "".join(f"; hole: {hole}" for hole in sorted(holes))
    return Run(world, scene.name, taken, end, "failed" if failed else "ended")


def _pick(scenes: dict[str, Scene], wanted: str | None, name: str) -> Scene:
    if wanted is None:
        return next(iter(scenes.values()))
    if wanted not in scenes:
        near = difflib.get_close_matches(wanted, scenes, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"{name} has no scene {wanted!r}{hint}; there are: {', '.join(scenes)}")
    return scenes[wanted]


def _plain(world: World, name: str, steps: int) -> Run:
    """Call a function from nowhere in particular, arguments poisoned; system calls are answered ENOSYS."""
    world.reset()
    world.enter(name)
    tracer, left, recorder = Tracer(world), steps, world.process.machine.recorder
    while True:
        stop = world.process.run(left)
        left = steps - recorder.steps
        tracer.stopped(stop, name_of(world, stop))
        if stop.kind != "syscall":
            break
        world.process.answer(-Errno.ENOSYS)
    taken = list(tracer.steps())
    tracer.close()
    if stop.kind == "budget":
        return Run(world, "call", taken, f"no end within {steps} steps", "budget")
    if stop.kind in ("fault", "trap"):
        what = f"touching {stop.address:#x}" if stop.address is not None else "an illegal instruction"
        what = "a breakpoint" if stop.kind == "trap" else what
        end = f"fault in {world.program.describe(taken[-1].pc)}: {what}, at step {taken[-1].number}"
        return Run(world, "call", taken, end, "fault")
    return Run(world, "call", taken, f"ended at {name_of(world, stop)}", "ended")
