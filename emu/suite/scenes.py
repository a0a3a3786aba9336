"""A routine of Go's runtime in one of its scenes, judged and put down as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from emu.check import world_of
from emu.contracts.judge import Check, Scene, judge
from emu.errors import BadInput
from emu.machine import Stop
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.suite.normal import Namer, Record, lines
from emu.target import Target


@dataclass(frozen=True)
class Judged:
    """What came of a scene: the checks of the routine's contract, and the run as normalised text."""

    routine: str
    scene: str
    checks: tuple[Check, ...]
    _text: str

    def text(self) -> str:
        """The run as normalised text, for goldens."""
        return self._text

    def holds(self) -> Judged:
        """The contract holds. Raises AssertionError."""
        __tracebackhide__ = True
        failed = [check for check in self.checks if not check.ok]
        if failed:
            rows = [f"  {c.name}: expected {c.expected}, found {c.found} (step {c.step})" for c in failed]
            head = f"{self.routine}, {self.scene}: {len(failed)} of {len(self.checks)} checks failed"
            raise AssertionError("\n".join([head, *rows, self._text]))
        return self


def judged(target: Target, routine: str, wanted: str | None = None) -> Judged:
    """Run a routine in a scene (its first by default). Raises BadInput for names that do not exist."""
    if routine not in ROUTINES or target.routines.get(routine) is None:
        raise BadInput(f"{target.title} for {target.arch.name} has no routine {routine!r}")
    world = world_of(target)
    scenes = {scene.name: scene for scene in ROUTINES[routine].scenes(world)}
    if wanted is not None and wanted not in scenes:
        raise BadInput(f"{routine} has no scene {wanted!r}; there are: {', '.join(scenes)}")
    return _run(world, routine, scenes[wanted] if wanted else next(iter(scenes.values())))


def _run(world: World, routine: str, scene: Scene) -> Judged:
    recorder = world.process.machine.recorder
    after: dict[int, Mapping[str, int]] = {}
    notes: dict[int, list[str]] = {}

    def stopped(_stop: Stop, name: str) -> None:
        after[recorder.steps - 1] = world.process.machine.registers()
        sp = world.process.role("sp")
        notes.setdefault(recorder.steps - 1, []).append(f"{name}, sp {_namer(world).place(sp)}")

    recorder.rows_wanted = recorder.reads_wanted = True
    try:
        checks = judge(world, scene, ROUTINES[routine].contract, lambda _: stopped)
        record = Record.of(world.process, after, notes)
    finally:
        recorder.rows_wanted = recorder.reads_wanted = False
    text = lines(world.arch, world.program, _namer(world), record, range(-1, len(record.rows)))
    return Judged(routine, scene.name, tuple(checks), "\n".join([f"-- {routine}: {scene.name}", *text]) + "\n")


@lru_cache(maxsize=16)
def _namer(world: World) -> Namer:
    """Names of a world: fields, places on stacks, func values, poison of registers and memory."""
    arch, process = world.arch, world.process
    numbers = (arch.roles["sp"], arch.roles["flags"])
    known = {process.register_poison(name): f"{name}.1" for name in arch.registers if name not in numbers}
    known |= {value & arch.mask: name for name, value in world.era.guards.special.items()}
    known[world.tls_base] = "TLS"

    def describe(address: int) -> str:
        if address == world.tls_base:
            return "TLS"
        name = world.describe(address)
        return world.pointee(address) if name.startswith("heap+") else name

    stacks = {stack.name: stack for stack in world.stacks.values()}
    return Namer(arch.word, describe, stacks, known, process.regions, world.pointee)
