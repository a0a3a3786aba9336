"""The ledger: which stack SP is in, whose g runs, what the guard says; notes where one of them changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from assembled import ARCHES

from arch import golang
from emu import target as targets
from emu.check import world_of
from emu.contracts.judge import Scene, judge
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.trace.collector import Code, Collector
from emu.trace.ledger import Entry, accounts
from emu.trace.model import ACCESS, Header, Recording
from emu.trace.recording import InMemory
from emu.trace.steps import Step, steps
from emu.trace.tracer import Tracer, header_of, known_memory

every = pytest.mark.parametrize(
    ("era", "arch"),
    [pytest.param(e, a, id=f"{e}-{a}", marks=getattr(pytest.mark, a)) for e in golang.ERAS for a in ARCHES],
)


@pytest.fixture
def world(era: str, arch: str) -> World:
    found = world_of(targets.of_era(era, arch))
    found.reset()
    return found


def _recorded(world: World, sp: int | None, *writes: tuple[int, int, int]) -> Recording:
    """Two steps in the world as it is, at an SP; the first one makes the writes (address, size, value)."""
    header = header_of(world, "test")
    recording = InMemory(header)
    sink = Collector(header, recording.add, lambda _address, _size: b"")
    for address, data in known_memory(world):
        sink.add_memory(-1, address, data)
    registers = world.process.machine.registers()
    row = {**registers, world.arch.roles["sp"]: registers[world.arch.roles["sp"]] if sp is None else sp}
    sink.add_rows(0, 0, np.array([list(row.values())] * 2, np.uint64).tobytes())
    sink.add_accesses(np.array([(0, address, value, size, 1) for address, size, value in writes], ACCESS).tobytes())
    sink.close(2)
    return recording


def _after(world: World, *writes: tuple[int, int, int], sp: int | None = None) -> Entry:
    """The account of the second step."""
    return [account.entry(row) for account in accounts(_recorded(world, sp, *writes)) for row in range(2)][1]


def _at(world: World, sp: int) -> Entry:
    return _after(world, sp=sp)


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
    stack, write = world.stacks["g"], (world.g.at(_guard(world)), world.arch.word, world.arch.mask - 1313)
    assert not _after(world, write, sp=stack.end - 64).low
    assert _after(world, write, sp=stack.address + 8).low


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
        assert _after(world, (world.g.at(_guard(world)), world.arch.word, value & world.arch.mask)).guard == name
    assert bool(special) == (world.era.name != "2011")


@every
def test_other_guard_value(world: World) -> None:
    assert _after(world, (world.g.at(_guard(world)), world.arch.word, world.g[_guard(world)] + 8)).guard == "other"


@every
def test_guard_of_another_g_does_not_count(world: World) -> None:
    assert _after(world, (world.other.at(_guard(world)), world.arch.word, 5)).guard == "normal"


@every
def test_guard_that_nobody_knows(world: World) -> None:
    header = header_of(world, "test")
    recording = InMemory(header)
    sink = Collector(header, recording.add, lambda _address, _size: b"")
    word = world.process.word(header.g_word) if header.g_word else 0
    sink.add_memory(-1, header.g_word or 0, world.arch.pack(word))
    sink.add_rows(0, 0, np.array([list(world.process.machine.registers().values())], np.uint64).tobytes())
    sink.close(1)
    entry = next(accounts(recording)).entry(0)
    assert (entry.g, entry.guard, entry.stack) == ("g", "?", "g stack")


@every
@pytest.mark.parametrize(("offset", "size"), [(-2, 4), (0, 1), (1, 2), (3, 1), (-7, 8), (2, 8), (-8, 8)])
def test_writes_of_any_width_change_just_their_bytes(world: World, offset: int, size: int) -> None:
    address, word = world.g.at(_guard(world)), world.arch.word
    before = world.process.machine.read(address + offset, size)
    changed = bytes(byte ^ 0xFF for byte in before)
    write = (address + offset, size, int.from_bytes(changed, "little"))
    touched = max(0, min(offset + size, word) - max(offset, 0))
    assert _after(world, write).guard == ("other" if touched else "normal")
    back = [(address + offset + index, 1, byte) for index, byte in enumerate(before)]
    for missing, (place, _, _) in enumerate(back):  # only if all its bytes are as they were is the word
        rest = back[:missing] + back[missing + 1 :]
        assert _after(world, write, *rest).guard == ("other" if address <= place < address + word else "normal")
    assert _after(world, write, *back).guard == "normal"


@every
def test_writes_beside_the_word_do_not_count(world: World) -> None:
    word = world.arch.word
    for address in (world.g.at(_guard(world)) - word, world.g.at(_guard(world)) + word):
        assert _after(world, (address, word, 5)).guard == "normal"


# runs of real routines


def _steps(world: World, routine: str, scene: Scene) -> list[Step]:
    tracers: list[Tracer] = []
    recordings: list[InMemory] = []

    def keep(header: Header, code: Code) -> Collector:
        recordings.append(InMemory(header))
        return Collector(header, recordings[0].add, code)

    def watch(w: World) -> Tracer:
        tracers.append(Tracer(w, "test", keep, judged=True))
        return tracers[0]

    judge(world, scene, ROUTINES[routine].contract, lambda w: watch(w).stopped)
    tracers[0].end("test", "ended", "")
    return list(steps(recordings[0]))


def _notes(taken: list[Step]) -> Iterator[str]:
    return (note for step in taken for note in step.notes if not note.startswith("stop:"))


@every
def test_mcall_switches_once_and_ends_switched(world: World) -> None:
    taken = _steps(world, "mcall", next(iter(ROUTINES["mcall"].scenes(world))))
    assert list(_notes(taken)) == ["switch g→g0", "SP: g stack→g0 stack"]
    switching = [step.number for step in taken if step.account.switching]
    assert switching
    assert switching == list(range(switching[0], switching[-1] + 1)), "one stretch"
    assert len(switching) <= 16
    last = next(step for step in reversed(taken) if "fn" in " ".join(step.notes))
    assert (last.account.g, last.account.stack) == ("g0", "g0 stack")


@every
def test_gogo_leaves_for_the_other_stack(world: World) -> None:
    taken = _steps(world, "gogo", next(iter(ROUTINES["gogo"].scenes(world))))
    notes = [note for note in _notes(taken) if not note.startswith("guard")]
    assert notes == ["switch g→other", "SP: g stack→other stack"]
    assert taken[-1].notes[-1] == "stop: resumed"


@every
def test_a_routine_entered_below_the_guard_is_marked(world: World) -> None:
    """The step that takes SP below the guard is the alarming one, not those after it."""
    scene = next(iter(ROUTINES["mcall"].scenes(world)))

    def prepare(w: World) -> None:
        w.process.set_role("sp", w.stacks["g"].address + 4 * w.arch.word)
        before = w.process.role("sp")
        w.enter("mcall", w.function("fn") if w.habits.function == "funcval" else w.code("fn"))
        assert w.process.role("sp") == before

    taken = _steps(world, "mcall", Scene("low", prepare))
    assert taken[0].account.low
    assert [note for note in _notes(taken) if note.startswith("!")] == []
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

    taken = _steps(world, "mcall", Scene("special guard", prepare))
    expected = [f"guard={list(special)[-1]}"] if special else []
    assert [note for note in taken[0].notes if note.startswith("guard")] == expected
