"""The ledger: which stack SP is in, whose g runs, what the guard says; notes where one of them changes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from assembled import ARCHES

from arch import golang
from emu import target as targets
from emu.check import world_of
from emu.contracts.judge import Scene, judge
from emu.ledger import Entry, Ledger
from emu.recorder import Access
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.trace.tracer import Step, Tracer

every = pytest.mark.parametrize(
    ("era", "arch"),
    [pytest.param(e, a, id=f"{e}-{a}", marks=getattr(pytest.mark, a)) for e in golang.ERAS for a in ARCHES],
)


@pytest.fixture
def world(era: str, arch: str) -> World:
    found = world_of(targets.of_era(era, arch))
    found.reset()
    return found


def _at(world: World, sp: int) -> Entry:
    return Ledger(world).entry({**world.process.machine.registers(), world.arch.roles["sp"]: sp})


def _guard(world: World) -> str:
    return world.layout.guard.removeprefix("g.")


# one row


@every
def test_stack_depth_and_owner(world: World) -> None:
    stack = world.stacks["g"]
    account = _at(world, stack.end - 40)
    assert (account.stack, account.depth, account.size) == ("g stack", 40, stack.size)
    assert (account.g, account.guard, account.low, account.switching) == ("g", "normal", False, False)


@every
def test_borders_of_a_stack(world: World) -> None:
    stack, word = world.stacks["g"], world.arch.word
    inside = {stack.end: 0, stack.address: stack.size}
    assert {sp: _at(world, sp).depth for sp in inside} == inside
    assert {_at(world, sp).stack for sp in inside} == {"g stack"}
    for sp in (stack.end + word, stack.address - word):
        account = _at(world, sp)
        assert (account.stack, account.depth, account.size) == ("", 0, 0)
        assert account.switching
        assert not account.low


@every
def test_sp_below_the_guard(world: World) -> None:
    guard, word = world.g[_guard(world)], world.arch.word
    assert [_at(world, guard + offset).low for offset in (word, 0, -word)] == [False, False, True]


@every
def test_low_is_told_from_the_true_guard_when_the_word_is_special(world: World) -> None:
    """A preemption request replaces the guard word; the stack has not become shorter by it."""
    ledger, stack, word = Ledger(world), world.stacks["g"], world.arch.word
    ledger.apply(Access(0, world.g.at(_guard(world)), word, world.arch.mask - 1313, True))
    sp = world.arch.roles["sp"]
    registers = world.process.machine.registers()
    assert not ledger.entry({**registers, sp: stack.end - 64}).low
    assert ledger.entry({**registers, sp: stack.address + 8}).low


@every
def test_other_g_or_other_stack_is_switching(world: World) -> None:
    for stack in ("other", "g0", "gsignal"):
        account = _at(world, world.stacks[stack].end - 64)
        assert (account.stack, account.g, account.switching) == (f"{stack} stack", "g", True)
    world.run_on(world.gsignal)
    account = _at(world, world.stacks["gsignal"].end - 64)
    assert (account.g, account.switching) == ("gsignal", False)


@every
def test_unknown_g(world: World) -> None:
    world.set_g(0x1234)
    account = _at(world, world.stacks["g"].end - 64)
    assert (account.g, account.guard, account.switching) == ("?", "other", True)


# the guard word


@every
def test_special_guard_values_have_their_names(world: World) -> None:
    special = world.era.guards.special
    for name, value in special.items():
        ledger = Ledger(world)
        ledger.apply(Access(0, world.g.at(_guard(world)), world.arch.word, value & world.arch.mask, True))
        assert ledger.entry(world.process.machine.registers()).guard == name
    assert bool(special) == (world.era.name != "2011")


@every
def test_other_guard_value(world: World) -> None:
    ledger = Ledger(world)
    ledger.apply(Access(0, world.g.at(_guard(world)), world.arch.word, world.g[_guard(world)] + 8, True))
    assert ledger.entry(world.process.machine.registers()).guard == "other"


@every
def test_guard_of_another_g_does_not_count(world: World) -> None:
    ledger = Ledger(world)
    ledger.apply(Access(0, world.other.at(_guard(world)), world.arch.word, 5, True))
    assert ledger.entry(world.process.machine.registers()).guard == "normal"


@every
@pytest.mark.parametrize(("offset", "size"), [(-2, 4), (0, 1), (1, 2), (3, 1), (-8, 16), (2, 8)])
def test_writes_of_any_width_change_just_their_bytes(world: World, offset: int, size: int) -> None:
    ledger, process = Ledger(world), world.process
    address, registers = world.g.at(_guard(world)), process.machine.registers()
    before = process.machine.read(address + offset, size)
    changed = bytes(byte ^ 0xFF for byte in before)
    ledger.apply(Access(0, address + offset, size, int.from_bytes(changed, "little"), True))
    assert ledger.entry(registers).guard == "other"
    for index, byte in enumerate(before):  # only if nothing else was changed is it now what it was
        assert ledger.entry(registers).guard == "other" or address + offset + index >= address + world.arch.word
        ledger.apply(Access(1, address + offset + index, 1, byte, True))
    assert ledger.entry(registers).guard == "normal"


@every
def test_writes_beside_the_word_do_not_count(world: World) -> None:
    ledger, word = Ledger(world), world.arch.word
    for address in (world.g.at(_guard(world)) - word, world.g.at(_guard(world)) + word):
        ledger.apply(Access(0, address, word, 5, True))
    assert ledger.entry(world.process.machine.registers()).guard == "normal"


# runs of real routines


def _steps(world: World, routine: str, scene: Scene) -> list[Step]:
    tracers: list[Tracer] = []

    def watch(w: World) -> Tracer:
        tracers.append(Tracer(w))
        return tracers[0]

    judge(world, scene, ROUTINES[routine].contract, lambda w: watch(w).stopped)
    taken = list(tracers[0].steps())
    tracers[0].close()
    return taken


def _notes(steps: list[Step]) -> Iterator[str]:
    return (note for step in steps for note in step.notes if not note.startswith("stop:"))


@every
def test_mcall_switches_once_and_ends_switched(world: World) -> None:
    steps = _steps(world, "mcall", next(iter(ROUTINES["mcall"].scenes(world))))
    assert list(_notes(steps)) == ["switch g→g0", "SP: g stack→g0 stack"]
    switching = [step.number for step in steps if step.account.switching]
    assert switching
    assert switching == list(range(switching[0], switching[-1] + 1)), "one stretch"
    assert len(switching) <= 16
    last = next(step for step in reversed(steps) if "fn" in " ".join(step.notes))
    assert (last.account.g, last.account.stack) == ("g0", "g0 stack")


@every
def test_gogo_leaves_for_the_other_stack(world: World) -> None:
    steps = _steps(world, "gogo", next(iter(ROUTINES["gogo"].scenes(world))))
    notes = [note for note in _notes(steps) if not note.startswith("guard")]
    assert notes == ["switch g→other", "SP: g stack→other stack"]
    assert steps[-1].notes[-1] == "stop: resumed"


@every
def test_a_routine_entered_below_the_guard_is_marked(world: World) -> None:
    """The step that takes SP below the guard is the alarming one, not those after it."""
    scene = next(iter(ROUTINES["mcall"].scenes(world)))

    def prepare(w: World) -> None:
        w.process.set_role("sp", w.stacks["g"].address + 4 * w.arch.word)
        before = w.process.role("sp")
        w.enter("mcall", w.function("fn") if w.habits.function == "funcval" else w.code("fn"))
        assert w.process.role("sp") == before

    steps = _steps(world, "mcall", Scene("low", prepare))
    assert steps[0].account.low
    assert [note for note in _notes(steps) if note.startswith("!")] == []
    moved = _steps(world, "mcall", Scene("g0 low", lambda w: (scene.prepare(w), _lower_g0(w))[0]))
    assert "! SP below guard" in list(_notes(moved))


def _lower_g0(world: World) -> None:
    world.g0["sched.sp"] = world.stacks["g0"].address + 64


@every
def test_preemption_request_is_noted_at_the_first_step(world: World) -> None:
    scene = next(iter(ROUTINES["mcall"].scenes(world)))
    special = world.era.guards.special

    def prepare(w: World) -> None:
        scene.prepare(w)
        for value in special.values():
            w.g[_guard(w)] = value & w.arch.mask

    steps = _steps(world, "mcall", Scene("special guard", prepare))
    expected = [f"guard={list(special)[-1]}"] if special else []
    assert [note for note in steps[0].notes if note.startswith("guard")] == expected
