"""An oracle that is not us: the newest Go's own routines, entered in the same state as ours, leave the same behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import toolchain
from differences import DIFFERENCES
from sights import Run, Sight, in_words, run

import arch as arches
from emu import freerun
from emu import target as targets
from emu.check import world_of
from emu.contracts.judge import Scene
from emu.routines import ROUTINES
from emu.rows import rows
from emu.runtime.world import World

CELLS = [
    pytest.param(arch, routine, id=f"{arch}-{routine}", marks=getattr(pytest.mark, arch))
    for arch in arches.ARCHES
    for routine in rows(targets.of_era("modern", arch))
    if routine in ROUTINES
]
every = pytest.mark.parametrize(("arch", "routine"), CELLS)


def _worlds(arch: str) -> tuple[World, World]:
    binary = toolchain.build("newest", arch, toolchain.PROGRAM)
    return world_of(targets.of_era("modern", arch)), world_of(targets.of_binary(str(binary)))


def _scenes(worlds: tuple[World, World], routine: str) -> Iterator[tuple[Scene, Scene]]:
    ours, theirs = (list(ROUTINES[routine].scenes(world)) for world in worlds)
    assert [scene.name for scene in ours] == [scene.name for scene in theirs]
    yield from zip(ours, theirs, strict=True)


def _runs(arch: str, routine: str) -> Iterator[tuple[World, World, str, Run, Run]]:
    worlds = _worlds(arch)
    for ours, theirs in _scenes(worlds, routine):
        yield *worlds, ours.name, run(worlds[0], routine, ours), run(worlds[1], routine, theirs)


@every
def test_both_are_entered_in_the_same_state(arch: str, routine: str) -> None:
    """Otherwise a comparison of what they leave would say nothing."""
    worlds = _worlds(arch)
    for pair in _scenes(worlds, routine):
        states = []
        for world, scene in zip(worlds, pair, strict=True):
            world.reset()
            scene.prepare(world)
            machine = world.process.machine
            pc, data = world.arch.roles["pc"], set(world.target.data.values())
            registers = {n: in_words(world, v) for n, v in machine.registers().items() if n != pc}
            memory = {
                address: in_words(world, world.process.word(address))
                for region in world.process.regions
                for address in range(region.address, region.end, world.arch.word)
            }
            states.append((registers, {a: v for a, v in memory.items() if a not in data}))
        assert states[0] == states[1], pair[0].name


@every
def test_the_same_stops_in_the_same_order(arch: str, routine: str) -> None:
    for _, _, scene, ours, theirs in _runs(arch, routine):
        assert [s.stop for s in ours.sights] == [s.stop for s in theirs.sights], scene
        assert len(ours.sights) == len(ours.effect.moments), scene


@every
def test_everything_left_behind_is_the_same(arch: str, routine: str) -> None:
    """All registers at every stop, and all words written until then; what may differ is named with its reason."""
    found: set[str] = set()
    for world, other, scene, ours, theirs in _runs(arch, routine):
        carried = _carried(world, ours) | _carried(other, theirs)
        for mine, its in zip(ours.sights, theirs.sights, strict=True):
            different = set(_differences(world, mine, its))
            found |= different
            assert not {(mine.stop, place) for place in different} & carried, f"{scene}: carried, but not the same"
    allowed = DIFFERENCES.get((arch, routine), {})
    assert found == allowed.keys()


def _carried(world: World, taken: Run) -> set[tuple[str, str]]:
    """(stop, place) of everything that a contract wants to be exactly one value."""
    return {
        (moment.stop, item.place.register or world.describe(item.place.address or 0))
        for moment in taken.effect.moments
        for item in moment.carries
        if item.low is None and item.mask is None
    }


def _differences(world: World, mine: Sight, its: Sight) -> Iterator[str]:
    pc = world.arch.roles["pc"]  # the stop's name says where
    for name, value in mine.registers.items():
        if name != pc and value != its.registers[name]:
            yield name
    for address in mine.memory.keys() | its.memory.keys():
        if mine.memory.get(address) != its.memory.get(address):
            yield world.describe(address)


@every
def test_contracts_ask_the_same_of_both(arch: str, routine: str) -> None:
    """The effect is computed from the entry state alone: it must not know whose routine it judges."""
    for world, other, scene, ours, theirs in _runs(arch, routine):
        assert _demands(world, ours) == _demands(other, theirs), scene


def _demands(world: World, taken: Run) -> list[tuple[str, list[tuple[str, str, str]]]]:
    return [
        (moment.stop, [(item.role, item.place.name, in_words(world, item.value)) for item in moment.carries])
        for moment in taken.effect.moments
    ]


def test_differences_are_of_routines_that_exist() -> None:
    assert DIFFERENCES.keys() <= {(param.values[0], param.values[1]) for param in CELLS}


@every
def test_a_lost_instruction_shows(arch: str, routine: str) -> None:
    """Each instruction of ours that writes memory or SP: without it, something else is left behind than by Go's own."""
    world, other = _worlds(arch)
    scene, its = next(_scenes((world, other), routine))
    expected = run(other, routine, its)
    steps = freerun.trace(world.target, routine, None, 1000).steps
    for step in steps:
        if not step.sp_change and not any(access.write for access in step.accesses):
            continue
        world.process.patch(step.pc, world.arch.nop * (len(step.code) // len(world.arch.nop)))
        try:
            found = run(world, routine, scene)
        finally:
            world.process.unpatch()
        same = [s.stop for s in found.sights] == [s.stop for s in expected.sights]
        pairs = zip(found.sights, expected.sights, strict=False)
        different = {place for mine, theirs in pairs for place in _differences(world, mine, theirs)}
        assert not same or different - DIFFERENCES.get((arch, routine), {}).keys(), f"{step.where} {step.text}"
