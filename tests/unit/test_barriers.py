"""Stack barriers: where they go, what the walk says of them, their removal, and their assembly."""

from __future__ import annotations

from functools import cache

import pytest

import arch as arches
from arch import barriers as facts
from arch.runtimes import Status
from emu import cases
from emu.access import finish
from emu.backport import with_barriers
from emu.cases.barrier_lock import functions, profiling
from emu.explore import replay
from emu.runtime import fields
from emu.runtime.barriers import Frame, Start
from emu.runtime.failures import Failure, Throw
from emu.runtime.profiling import Profiling
from emu.runtime.world import World

ARCHES = ("386", "amd64", "arm")
every = pytest.mark.parametrize("arch", ARCHES)
CHAIN = ["read", "most_inner", "inner", "middle", "outer"]


def scene(arch: str, variant: str = "committed") -> Profiling:
    cpu = arches.get(arch)
    return profiling(cpu, functions(cases.get("barrier-lock").variant(variant), cpu.word))


def scan(found: Profiling, offset: int = facts.FIRST) -> None:
    start = Start(found.g["syscallpc"], found.g["syscallsp"])
    finish(found.process, found.barriers.scanstack(start, offset))


def walk(found: Profiling) -> list[Frame]:
    return finish(found.process, found.barriers.traceback(found.interrupted, on=found.found))


def slots(found: Profiling) -> list[int]:
    """What stands where return PCs do."""
    return [found.process.word(frame.slot) for frame in found.frames if frame.saved]


@every
def test_layout(arch: str) -> None:
    layout, wide = facts.ERA.layout(arches.get(arch)), arch == "amd64"
    wanted = {
        "g.sched.sp": (28, 56), "g.stkbar.array": (64, 128), "g.stkbarPos": (76, 152), "g.param": (80, 160),
        "g.atomicstatus": (84, 168), "g.stackLock": (88, 172), "g.goid": (92, 176), "stkbar.savedLRVal": (4, 8),
    }
    assert {name: layout[name] for name in wanted} == {name: pair[wide] for name, pair in wanted.items()}
    assert layout.sizes["stkbar"] == (16 if wide else 8)
    assert facts.ERA.guards.guard == 640


def test_room_for_barriers() -> None:
    assert [facts.most(size) for size in (1024, 2048, 4096, 8192)] == [1, 2, 3, 4]


@every
def test_frames_are_those_of_the_calls(arch: str) -> None:
    found = scene(arch)
    assert [frame.function for frame in found.frames] == ["kernel", *CHAIN]
    assert found.frames[-1].back == found.barriers.top
    assert [frame.number for frame in found.frames] == list(range(6))
    assert scene(arch, "g0").frames[0].function == "kernel"
    assert [f.function for f in scene(arch, "g0").frames] == ["kernel", "notify", "systemstack", *CHAIN]


@every
def test_barriers_go_where_the_distances_say(arch: str) -> None:
    found = scene(arch)
    before = walk(found)
    scan(found)
    sp = found.g["syscallsp"]
    held = [frame for frame in before if frame.saved and found.process.word(frame.slot) == found.barriers.code]
    assert [frame.function for frame in held] == ["inner", "middle"]
    assert [frame.fp - sp > limit for frame, limit in zip(held, (1024, 2048), strict=True)] == [True, True]
    assert before[2].fp - sp < 1024 < before[3].fp - sp < 2048 < before[4].fp - sp < 4096
    words = [found.process.word(at) for at in found.barriers.entries()]
    assert words[:4] == [word for frame in held for word in (frame.slot, frame.back)]
    assert found.g["stkbar.len"] == 2
    assert walk(found) == before, "the walk sees through them"


@every
def test_in_every_frame_but_the_innermost(arch: str) -> None:
    """As GODEBUG can have it; a stack of 8192 bytes has room for four."""
    found = scene(arch)
    before = walk(found)
    scan(found, offset=0)
    assert found.g["stkbar.len"] == found.g["stkbar.cap"] == 4
    held = [f.function for f in before if f.saved and found.process.word(f.slot) == found.barriers.code]
    assert held == CHAIN[1:]
    assert walk(found) == before


@every
def test_removal_puts_everything_back(arch: str) -> None:
    found = scene(arch)
    before = slots(found)
    scan(found)
    assert slots(found) != before
    finish(found.process, found.barriers.remove())
    assert slots(found) == before
    assert (found.g["stkbar.len"], found.g["stkbarPos"]) == (0, 0)
    scan(found)  # and they can be put in again


@every
def test_removal_when_one_was_hit(arch: str) -> None:
    """The goroutine has come back through the first of two; the entry it no longer needs is left alone."""
    found = scene(arch)
    process, g = found.process, found.g
    scan(found)
    process.return_from_call(found.kept)
    process.set_role("result", 7)
    gates = found.world.program.gates
    assert process.run(100).pc == gates["exitsyscall"]
    process.return_from_call(found.kept)
    while not g["stkbarPos"]:
        assert process.run(1).kind == "budget"
    passed, left = (next(f for f in found.frames if f.function == name) for name in ("inner", "middle"))
    assert process.word(left.slot) == found.barriers.code
    process.set_word(passed.slot, 0)
    finish(process, found.barriers.remove())
    assert (process.word(passed.slot), process.word(left.slot)) == (0, left.back)
    assert process.run(200).pc == gates["caller"]
    assert process.word(found.result_at) == found.program.result
    assert (g["stkbarPos"], g["stkbar.len"]) == (0, 0)


@every
def test_what_is_refused(arch: str) -> None:
    found = scene(arch)
    scan(found)
    with pytest.raises(Throw, match="g already has stack barriers"):
        scan(found)
    found.process.set_word(found.process.word(next(iter(found.barriers.entries()))), 0)
    with pytest.raises(Throw, match=r"stack barrier lost: stkbar\[0\]"):
        finish(found.process, found.barriers.remove())
    with pytest.raises(Throw, match="unexpected return pc"):
        walk(found)


@every
def test_a_walk_that_visits_wants_every_barrier(arch: str) -> None:
    found = scene(arch)
    scan(found)
    first = next(frame for frame in found.frames if frame.function == "inner")
    found.process.set_word(first.slot, first.back)
    with pytest.raises(Throw, match=r"missed stack barrier: middle .* the next barrier is in inner"):
        walk(found)
    second = next(frame for frame in found.frames if frame.function == "middle")
    found.process.set_word(second.slot, second.back)
    assert walk(found)
    found.g["stkbarPos"] = 1
    with pytest.raises(Throw, match="leftover"):
        finish(found.process, found.barriers.traceback(found.interrupted, lambda _frame: iter(())))


@every
def test_there_must_be_room(arch: str) -> None:
    found = scene(arch)
    found.g["stkbar.cap"] = 1
    with pytest.raises(Throw, match="no room"):
        scan(found)


# the assembly


@cache
def world(arch: str) -> World:
    return World(with_barriers(arch))


def called(arch: str, routine: str, lock: int) -> tuple[int, int, set[int]]:
    """The result, the lock's value afterwards, and the addresses written outside the stack."""
    here = world(arch)
    here.reset()
    fields.put(here.g, "stackLock", lock)
    fields.put(here.g, "atomicstatus", Status.RUNNING)
    here.enter(routine, here.g.address)
    stop = here.process.run(100)
    assert here.program.gates["caller"] == stop.pc
    writes = {a.address for a in here.process.machine.recorder.writes}
    assert fields.get(here.g, "atomicstatus") == Status.RUNNING, "the word beside it"
    return here.process.role("result"), fields.get(here.g, "stackLock"), writes - {here.g.at("stackLock")}


@every
def test_the_lock(arch: str) -> None:
    assert called(arch, "tryStackLock", 0) == (0, 1, set())
    assert called(arch, "tryStackLock", 1) == (1, 1, set())
    for lock in (0, 1):
        assert called(arch, "freeStackLock", lock)[1:] == (0, set())


@every
@pytest.mark.parametrize("pos", [0, 1, 3])
def test_stack_barrier(arch: str, pos: int) -> None:
    """On to the return PC of its entry; SP and the result stay, g.stkbarPos is one more, nothing else is written."""
    found = scene(arch)
    here, process, g = found.world, found.process, found.g
    for number, at in enumerate(found.barriers.entries()):
        process.set_word(at, here.code("resumed") if number == 2 * pos + 1 else 0)
    g["stkbarPos"] = pos
    here.run_on(g)
    process.set_role("pc", found.barriers.code)
    process.set_role("result", 0x1234)
    link = here.arch.roles.get("link", here.arch.roles["sp"])
    sp, kept = process.role("sp"), process.machine.registers()[link]
    process.machine.recorder.clear()
    assert process.run(50).pc == here.code("resumed")
    assert (process.role("sp"), process.role("result"), g["stkbarPos"]) == (sp, 0x1234, pos + 1)
    assert process.machine.registers()[link] == kept
    assert {a.address for a in process.machine.recorder.writes} == {g.at("stkbarPos")}


@every
def test_each_instruction_of_stack_barrier_matters(arch: str) -> None:
    """Without it the goroutine does not come back as it should."""
    found = scene(arch)
    race = found.race
    assert replay(race, "b500a500").failure is None
    program = found.world.program
    symbol = program.symbol("stackBarrier")
    places = [at for at in sorted(program.lines) if symbol.address <= at < symbol.address + symbol.size]
    assert len(places) >= 7
    for at, after in zip(places, [*places[1:], symbol.address + symbol.size], strict=True):
        found.process.patch(at, found.arch.nop * ((after - at) // len(found.arch.nop)))
        try:
            assert isinstance(replay(race, "b500a500").failure, Failure), program.lines[at].text
        finally:
            found.process.unpatch()
    assert replay(race, "b500a500").failure is None
