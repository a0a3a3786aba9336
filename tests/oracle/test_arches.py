"""The three architectures are each other's oracle: what one carries, the others carry, by role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import cache

import pytest
from by_arch import DIFFERS, EXISTS, ONLY, STOPS, Only, Row
from roles import Moment, Names, seen

import arch as arches
from arch import golang
from emu import freerun
from emu import target as targets
from emu.check import world_of
from emu.contracts.judge import Scene
from emu.routines import ROUTINES
from emu.rows import rows
from emu.runtime.world import World

ALL = tuple(arches.ARCHES)


@cache
def _worlds(era: str) -> dict[str, World]:
    return {arch: world_of(targets.of_era(era, arch)) for arch in ALL}


def _routines(era: str) -> list[str]:
    names = (name for world in _worlds(era).values() for name in rows(world.target))
    return list(dict.fromkeys(name for name in names if name in ROUTINES))


CELLS = [pytest.param(era, name, id=f"{era}-{name}") for era in golang.ERAS for name in _routines(era)]
every = pytest.mark.parametrize(("era", "routine"), CELLS)


def _scenes(era: str, routine: str) -> Iterator[tuple[str, dict[str, Scene]]]:
    """(scene, arch -> it), of the architectures that have it."""
    worlds = {arch: world for arch, world in _worlds(era).items() if world.target.routines.get(routine)}
    found = {arch: {s.name: s for s in ROUTINES[routine].scenes(world)} for arch, world in worlds.items()}
    for name in dict.fromkeys(name for scenes in found.values() for name in scenes):
        yield name, {arch: scenes[name] for arch, scenes in found.items() if name in scenes}


@cache
def _moments(era: str, routine: str) -> list[tuple[str, dict[str, Moment]]]:
    """(scene, arch -> what was found) for every moment of every scene."""
    found = []
    for name, scenes in _scenes(era, routine):
        taken = {arch: seen(_worlds(era)[arch], routine, scene) for arch, scene in scenes.items()}
        assert len({len(moments) for moments in taken.values()}) == 1, f"{name}: not the same number of moments"
        found += [(name, dict(zip(taken, moments, strict=True))) for moments in zip(*taken.values(), strict=True)]
    return found


def _is(row: Row, era: str, routine: str, **facts: str) -> bool:
    return row.covers(era, routine) and all(fnmatchcase(value, getattr(row, key)) for key, value in facts.items())


# Each of these yields what is peculiar to some architectures, with the rows of the table that say so.

Found = Iterator[tuple[str, Sequence[Row]]]


def _absences(era: str, routine: str) -> Found:
    for name, scenes in _scenes(era, routine):
        if len(scenes) < len(ALL):
            having = " ".join(scenes)
            yield f"{name} exists on {having} only", [
                row for row in EXISTS if _is(row, era, routine, scene=name) and row.arches == having
            ]


def _endings(era: str, routine: str) -> Found:
    for name, moments in _moments(era, routine):
        stops = {arch: moment.stop for arch, moment in moments.items()}
        if len(set(stops.values())) > 1:
            yield f"{name} ends otherwise: {stops}", [
                row for row in STOPS if _is(row, era, routine, scene=name) and row.stops == stops
            ]


def _comparable(era: str, routine: str) -> Iterator[tuple[str, str, dict[str, Moment]]]:
    for name, moments in _moments(era, routine):
        if len(moments) > 1 and len({moment.stop for moment in moments.values()}) == 1:
            yield name, next(iter(moments.values())).stop, moments


def _omissions(era: str, routine: str) -> Found:
    for name, stop, moments in _comparable(era, routine):
        for role, place in dict.fromkeys(key for moment in moments.values() for key in moment.carried):
            having = " ".join(arch for arch, moment in moments.items() if (role, place) in moment.carried)
            if having != " ".join(moments):
                values = {a: m.carried[role, place] for a, m in moments.items() if (role, place) in m.carried}
                yield f"{name} at {stop}: {role} → {place} is carried on {having} only: {_shown(values)}", [
                    row for row in ONLY
                    if _is(row, era, routine, role=role, place=place) and row.arches == having
                    and all(_says(row, moments[arch], names) for arch, names in values.items())
                ]  # fmt: skip


def _says(row: Only, moment: Moment, names: Names) -> bool:
    if row.value.startswith("as "):
        return bool(names & moment.carried[row.role, row.value.removeprefix("as ")])
    return row.value in names


def _disagreements(era: str, routine: str) -> Found:
    for name, stop, moments in _comparable(era, routine):
        for role, place in dict.fromkeys(key for moment in moments.values() for key in moment.carried):
            values = {a: m.carried[role, place] for a, m in moments.items() if (role, place) in m.carried}
            if not frozenset.intersection(*values.values()):
                yield f"{name} at {stop}: {role} → {place} differs: {_shown(values)}", [
                    row for row in DIFFERS
                    if _is(row, era, routine, scene=name, stop=stop, role=role, place=place)
                    and all(row.values.get(arch) in names for arch, names in values.items())
                ]  # fmt: skip


LOOKS = (_absences, _endings, _omissions, _disagreements)


def _shown(values: dict[str, Names]) -> str:
    return "; ".join(f"{arch} {' or '.join(sorted(names))}" for arch, names in values.items())


def _unexplained(found: Iterable[tuple[str, Sequence[Row]]]) -> list[str]:
    return [what for what, covered in found if not covered]


@every
def test_scenes_exist_on_every_architecture(era: str, routine: str) -> None:
    assert _unexplained(_absences(era, routine)) == []


@every
def test_scenes_stop_at_the_same_places(era: str, routine: str) -> None:
    assert _unexplained(_endings(era, routine)) == []


@every
def test_every_role_is_carried_on_every_architecture(era: str, routine: str) -> None:
    assert _unexplained(_omissions(era, routine)) == []


@every
def test_what_is_carried_is_the_same_by_role(era: str, routine: str) -> None:
    """Found values, not expected ones: registers and memory of our own routines after each run."""
    assert _unexplained(_disagreements(era, routine)) == []


def test_every_row_of_the_tables_is_used_and_none_covers_another() -> None:
    used: set[int] = set()
    for era, routine in (param.values for param in CELLS):
        for look in LOOKS:
            for what, found in look(str(era), str(routine)):
                assert len(found) <= 1, f"{era} {routine}: {what}: two rows say so"
                used.update(id(row) for row in found)
    assert [row for row in (*EXISTS, *STOPS, *ONLY, *DIFFERS) if id(row) not in used] == []


# The oracle itself: a routine that one architecture gets wrong must show.


@pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ALL])
@pytest.mark.parametrize("era", golang.ERAS)
@pytest.mark.parametrize("routine", ["mcall", "gogo", "morestack"])
def test_a_lost_store_on_one_architecture_shows(era: str, arch: str, routine: str) -> None:
    world = _worlds(era)[arch]
    steps = freerun.trace(world.target, routine, None, 1000).steps
    stores = [step for step in steps if any(a.write and _in_a_struct(world, a.address) for a in step.accesses)]
    assert stores or (era, routine) == ("2011", "gogo")
    for step in stores:
        nop = world.arch.nop
        world.process.patch(step.pc, nop * (len(step.code) // len(nop)))
        try:
            _moments.cache_clear()
            peculiar = [what for look in LOOKS for what in _unexplained(look(era, routine))]
        finally:
            world.process.unpatch()
            _moments.cache_clear()
        assert peculiar, f"{step.where} {step.text}"


def _in_a_struct(world: World, address: int) -> bool:
    return any(s.address <= address < s.address + world.layout.sizes[s.kind] for s in (*world.gs, world.m, world.buf))
