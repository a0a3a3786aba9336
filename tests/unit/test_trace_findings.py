"""Findings: each is found where it begins and as long as it lasts, and a run that is right has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from assembled import ARCHES

from arch import golang
from emu import freerun
from emu import target as targets
from emu.check import world_of
from emu.routines import ROUTINES
from emu.rows import rows
from emu.runtime.world import World
from emu.trace.collector import Collector
from emu.trace.findings import Finding, findings
from emu.trace.model import ACCESS, Header, Limits, Stack
from emu.trace.pieces import BUCKET
from emu.trace.recording import InMemory
from emu.trace.tracer import header_of, known_memory

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
LIMIT = 32


@pytest.fixture
def world(arch: str) -> World:
    found = world_of(targets.of_era("modern", arch))
    found.reset()
    return found


class Run:
    """A run made by hand: SP and the running g at each step; everything else stays."""

    def __init__(self, world: World, header: Header | None = None) -> None:
        self.world, self.header = world, header or header_of(world, "test")
        self.recording = InMemory(self.header)
        self.sink = Collector(self.header, self.recording.add, lambda _address, _size: b"")
        for address, data in known_memory(world):
            self.sink.add_memory(-1, address, data)
        self.registers = world.process.machine.registers()
        self.at = 0

    def go(self, steps: int, sp: int | None = None, thread: int = 0) -> Run:
        """Some steps with SP there."""
        if sp is not None:
            self.registers[self.world.arch.roles["sp"]] = sp
        row = np.array([list(self.registers.values())], np.uint64)
        self.sink.add_rows(self.at, thread, np.tile(row, (steps, 1)).tobytes())
        self.at += steps
        return self

    def write(self, address: int, value: int) -> Run:
        """The last step writes a word."""
        record = np.array([(self.at - 1, address, value, self.world.arch.word, 1)], ACCESS)
        self.sink.add_accesses(record.tobytes())
        return self

    def switch(self, g: int) -> Run:
        """The last step makes another g run."""
        if self.header.g_register:
            self.registers[self.header.g_register] = g
            return self
        assert self.header.g_word is not None
        return self.write(self.header.g_word, g)

    def found(self, outcome: str = "budget") -> list[Finding]:
        """End the run; its findings."""
        data = {"scene": "", "outcome": outcome, "end": "", "steps": self.at}
        self.sink.add_cut(self.at - 1, list(self.registers.values()))
        self.sink.add_event(self.at - 1, "end", 0, data)
        self.sink.close(self.at)
        return list(findings(self.recording))


def top(world: World, label: str) -> int:
    return world.stacks[label].end - 64


def guard(world: World, label: str) -> int:
    return next(g for g in world.gs if g.label == label).at(world.layout.guard.removeprefix("g."))


@each
@pytest.mark.parametrize("era", golang.ERAS)
def test_routines_that_hold_have_no_findings(era: str, arch: str) -> None:
    target = targets.of_era(era, arch)
    for name in (row for row in rows(target) if row in ROUTINES):
        for scene in ROUTINES[name].scenes(world_of(target)):
            run = freerun.trace(target, name, scene.name, 1000)
            assert run.recording is not None
            found = list(findings(run.recording))
            if "fault" not in run.end:  # on the way to another stack: that is left where it is
                assert found == [], (name, scene.name)


@each
def test_sp_in_no_stack(world: World) -> None:
    run = Run(world).go(5, top(world, "g")).go(3, world.stacks["g"].end + 8).go(1, top(world, "g"))
    sp = world.stacks["g"].end + 8
    assert run.found() == [Finding("nowhere", 5, 3, 0, f"SP {sp:#x} is in no stack, while g runs")]


@each
@pytest.mark.parametrize("steps", [LIMIT, LIMIT + 1])
def test_a_switch_has_a_bounded_length(world: World, steps: int) -> None:
    run = Run(world).go(5, top(world, "g")).go(steps, top(world, "g0")).switch(world.g0.address).go(5)
    expected = [Finding("switching", 5, steps, 0, "SP is in g0 stack, while g runs")]
    assert run.found("ended") == (expected if steps > LIMIT else [])


@each
@pytest.mark.parametrize("outcome", ["ended", "budget"])
def test_a_switch_has_an_end(world: World, outcome: str) -> None:
    run = Run(world).go(5, top(world, "g")).go(3, top(world, "other"))
    expected = [Finding("switching", 5, 3, 0, "SP is in other stack, while g runs, when the run ends")]
    assert run.found(outcome) == (expected if outcome == "ended" else [])


@each
def test_the_last_step_may_end_a_switch(world: World) -> None:
    run = Run(world).go(5, top(world, "g")).go(3, top(world, "g0")).switch(world.g0.address)
    assert run.found("ended") == []


@each
def test_sp_in_the_red_zone_and_beyond(world: World) -> None:
    header = replace(header_of(world, "test"), limits=Limits(red=128))
    normal = world.stacks["g"].address + world.era.guards.guard
    word = world.arch.word
    run = Run(world, header).go(2, top(world, "g")).go(4, normal - 128).go(3, normal - 128 - word)
    run.go(1, top(world, "g"))
    told = f"SP is {128 + word} bytes below the guard of g stack"
    assert run.found() == [Finding("red", 6, 3, 0, told)]


@each
def test_guard_word_that_means_nothing(world: World) -> None:
    run = Run(world).go(4, top(world, "g")).write(guard(world, "g"), 0x1234).go(6)
    run.write(guard(world, "g"), world.era.guards.special["StackPreempt"] & world.arch.mask).go(2)
    assert run.found() == [Finding("guard", 4, 6, 0, "the guard word of g is 0x1234")]


@each
def test_guard_word_of_a_g_that_does_not_run(world: World) -> None:
    assert Run(world).go(4, top(world, "g")).write(guard(world, "other"), 0x1234).go(6).found() == []


@each
def test_stacks_that_come_move_and_go(world: World) -> None:
    """A piece is cut where they do: SP is right from then on, and wrong when the stack is gone."""
    g, lo = world.g.address, world.stacks["g"].end + 0x10_0000
    new = Stack("g stack", "g", g, lo, lo + 0x4000, lo + world.era.guards.guard)
    run = Run(world).go(3, lo + 0x2000)
    run.sink.add_event(run.at - 1, "stack", 0, new._asdict())
    run.write(guard(world, "g"), new.guard).go(7)
    run.sink.add_event(run.at - 1, "stack", 0, {"name": "g stack", "gone": True})
    run.go(2)
    found = run.found()
    assert [(f.kind, f.first, f.steps) for f in found if f.kind == "nowhere"] == [("nowhere", 0, 3), ("nowhere", 10, 2)]
    assert not [f for f in found if f.kind in ("red", "guard", "switching")]


@each
def test_stretch_goes_on_from_piece_to_piece(world: World) -> None:
    run = Run(world).go(BUCKET - 2, top(world, "g")).go(BUCKET + 4, world.stacks["g"].end + 8)
    run.go(BUCKET, top(world, "g"))
    found = run.found()
    assert len(run.recording.ends) > 2
    assert [(f.kind, f.first, f.steps) for f in found] == [("nowhere", BUCKET - 2, BUCKET + 4)]


@each
def test_threads_have_their_own_stretches(world: World) -> None:
    """Two threads in turn, one of them lost for as many steps as it runs."""
    run = Run(world)
    run.sink.add_event(-1, "thread", 1, {"name": "second", "g_word": run.header.g_word})
    for _ in range(4):
        run.go(5, top(world, "g"), thread=0).go(5, world.stacks["g"].end + 8, thread=1)
    assert [(f.kind, f.thread, f.first, f.steps) for f in run.found()] == [("nowhere", 1, 5, 20)]
