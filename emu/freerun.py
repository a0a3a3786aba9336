"""Runs one routine for the tracer: in a scene of its own, or, for any other function, from a plain call."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from arch.linux import Errno
from emu.check import world_of
from emu.contracts.judge import Check, Scene, judge, name_of
from emu.errors import BadInput
from emu.machine import Stop
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.target import OUTSIDE_GATES, Target
from emu.trace.collector import Code, Collector, Open
from emu.trace.model import Header, Recording
from emu.trace.recording import InMemory
from emu.trace.steps import Step
from emu.trace.steps import steps as steps_of
from emu.trace.tracer import Tracer
from emu.trace.watcher import Watcher

Outcome = Literal["ended", "failed", "fault", "budget", "interrupted"]


@dataclass(frozen=True)
class Run:
    """A traced run. ``end`` says in words how it ended; ``scene`` names the entry state.

    ``recording``: None when it went to a sink of the caller's.
    """

    world: World
    scene: str
    recording: Recording | None
    end: str
    outcome: Outcome

    @cached_property
    def steps(self) -> Sequence[Step]:
        """The recorded steps."""
        assert self.recording is not None
        return list(steps_of(self.recording))


def trace(
    target: Target, name: str, scene: str | None, steps: int, sink: Open | None = None, command: Sequence[str] = ()
) -> Run:
    """Trace a routine (``scene`` defaults to its first) or, in a binary, any function by its symbol.

    ``sink``: takes the run instead of memory. ``command``: what the trace says it was made by. Raises BadInput for a
    scene that does not exist.
    """
    if name in ROUTINES:
        world = world_of(target)
        picked = _pick({found.name: found for found in ROUTINES[name].scenes(world)}, scene, name)
        return _Tracing(world, name, picked.name, sink, command).of_scene(picked, steps)
    if scene is not None:
        raise BadInput(f"{name} has no scenes; leave --scene out")
    outside = {gate: address for gate, address in target.program.gates.items() if gate in OUTSIDE_GATES}
    world = World(replace(target, program=replace(target.program, gates=outside)))
    return _Tracing(world, name, "call", sink, command).of_call(steps)


class _Tracing:
    """One run that is recorded, from its entry state to its end."""

    def __init__(self, world: World, name: str, scene: str, sink: Open | None, command: Sequence[str]) -> None:
        self._world, self._name, self._scene, self._command = world, name, scene, command
        self._recording: InMemory | None = None
        self._sink = sink or self._keep
        self._tracer: Tracer | None = None
        self._last: Stop | None = None
        self._where = ""

    def _keep(self, header: Header, code: Code) -> Collector:
        self._recording = InMemory(header)
        return Collector(header, self._recording.add, code, Watcher(header).events)

    def _begin(self, world: World, *, judged: bool = True) -> Callable[[Stop, str], None]:
        """The entry state stands."""
        entered = f"{self._name}, {self._scene}"
        tracer = self._tracer = Tracer(world, entered, self._sink, self._command, judged=judged)

        def stopped(stop: Stop, where: str) -> None:
            self._last, self._where = stop, where
            tracer.stopped(stop, where)

        return stopped

    def _end(self, outcome: Outcome, end: str, checks: Sequence[Check] = ()) -> Run:
        assert self._tracer is not None
        self._tracer.end(self._scene, outcome, end, checks)
        return Run(self._world, self._scene, self._recording, end, outcome)

    def _interrupted(self) -> Run:
        """What was recorded is kept. Without an entry state there is nothing."""
        if self._tracer is None:
            raise KeyboardInterrupt
        return self._end("interrupted", f"interrupted after {self._world.process.machine.recorder.steps} steps")

    def of_scene(self, scene: Scene, steps: int) -> Run:
        """Run a routine in a scene, against its contract."""
        try:
            checks = judge(self._world, scene, ROUTINES[self._name].contract, self._begin, steps)
        except KeyboardInterrupt:
            return self._interrupted()
        if self._last is not None and self._last.kind == "budget":
            return self._end("budget", f"no end within {steps} steps", checks)
        failed = [check for check in checks if not check.ok]
        end = f"ended at {self._where}" + (f", {len(failed)} checks failed" if failed else ", its contract holds")
        holes = {check.hole for check in checks if check.hole}
        end += "".join(f"; hole: {hole}" for hole in sorted(holes))
        return self._end("failed" if failed else "ended", end, checks)

    def of_call(self, steps: int) -> Run:
        """Call a function from nowhere in particular, arguments poisoned; system calls are answered ENOSYS."""
        world = self._world
        world.reset()
        world.enter(self._name)
        stopped = self._begin(world, judged=False)
        try:
            stop = self._called(steps, stopped)
        except KeyboardInterrupt:
            return self._interrupted()
        if stop.kind == "budget":
            return self._end("budget", f"no end within {steps} steps")
        if stop.kind in ("fault", "trap"):
            what = f"touching {stop.address:#x}" if stop.address is not None else "an illegal instruction"
            what = "a breakpoint" if stop.kind == "trap" else what
            step, pc = world.process.machine.recorder.steps - 1, self._tracer.pc if self._tracer else 0
            return self._end("fault", f"fault in {world.program.describe(pc)}: {what}, at step {step}")
        return self._end("ended", f"ended at {self._where}")

    def _called(self, steps: int, stopped: Callable[[Stop, str], None]) -> Stop:
        """Run on, past system calls, to the stop that ends it."""
        world, left = self._world, steps
        while True:
            stop = world.process.run(left)
            left = steps - world.process.machine.recorder.steps
            stopped(stop, name_of(world, stop))
            if stop.kind != "syscall":
                return stop
            world.process.answer(-Errno.ENOSYS)


def _pick(scenes: dict[str, Scene], wanted: str | None, name: str) -> Scene:
    if wanted is None:
        return next(iter(scenes.values()))
    if wanted not in scenes:
        near = difflib.get_close_matches(wanted, scenes, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"{name} has no scene {wanted!r}{hint}; there are: {', '.join(scenes)}")
    return scenes[wanted]
