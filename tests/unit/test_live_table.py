"""A contract compiled to a table finds what the contract itself finds: on every scene, and with every broken routine.

The routines are our own, alone in a world; the table is judged by a running program's callbacks, of either build.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from sweep.mutate import mutants
from sweep.subject import insns_of, patched

import arch as arches
from emu.contracts.effect import Carry, Effect, Entry, Moment
from emu.contracts.judge import Check, Scene, judge
from emu.live import callbacks, native
from emu.live.cpu import Cpu
from emu.live.watch import routines
from emu.live.watch.plan import Compiler, encode
from emu.live.watch.symbolic import Subject
from emu.machine import Stop
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.target import of_era

NAMES = ("mcall", "gogo", "systemstack", "morestack", "morestack_noctxt")
each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)
builds = pytest.mark.parametrize("build", ["c", "python"])
_BLOCK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_STOP = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)

Failure = tuple[str, str]  # the role and the place of a check; for an arrival "control" and where it should be


class Table:
    """The plans of a world's routines, judged while its scenes run. Its stops are not heeded: the scene ends anyway."""

    def __init__(self, world: World, contracts: Mapping[str, Callable[[Entry], Effect]] = routines.CONTRACTS) -> None:
        self.world, program, machine = world, world.program, world.process.machine
        subject = Subject(world.arch, world.era, world.habits, world.layout, program)
        compiler = Compiler(subject, {n: a for n, a in program.gates.items() if n != "abort"}.get)  # a trap, here
        code = [(segment.address, segment.address + segment.size) for segment in program.segments]
        self.plans = [
            compiler.plan(name, contracts[name], program.symbols[name].address, code) for name in NAMES
        ]
        self._array, self.known = encode(self.plans)
        self._fill()
        cpu = SimpleNamespace(arch=world.arch, live=self.live, memory=machine.memory)
        self.calls, self._run = callbacks.callbacks(cast(Cpu, cpu))
        machine.hook("block", self.calls["block"], ctypes.addressof(self.live))
        self._watches = [native.Watch(ctypes.pointer(self.live), number) for number in range(len(self.plans))]
        for watch, plan in zip(self._watches, self.plans, strict=True):
            machine.hook("code", self.calls["entry"], ctypes.addressof(watch), plan.entry, plan.entry)

    def _fill(self) -> None:
        world, live = self.world, native.Live()
        arch, layout, machine = world.arch, world.layout, world.process.machine
        self.live, self._ids = live, (ctypes.c_int * len(arch.registers))(*machine._ids.values())
        index = {name: number for number, name in enumerate(arch.registers)}
        live.uc, live.read, live.write, _ = machine.engine_functions()
        self._deaf = _STOP(lambda _engine: 0)
        live.stop_engine = ctypes.cast(self._deaf, ctypes.c_void_p).value
        live.ids, live.registers, live.memory = self._ids, len(index), machine.memory.address
        live.sp, live.pc = index[arch.roles["sp"]], index[arch.roles["pc"]]
        live.g = index[arch.tls.g_register] if arch.tls.g_register else -1
        live.word, live.pushed = arch.word, arch.word if arch.call.return_on_stack else 0
        live.table, live.plans = self._array.buffer_info()[0], len(self.plans)
        live.goid, live.lo, live.guard = layout["g.goid"], layout["g.stack.lo"], world.era.guards.guard
        live.standing = live.hook = -1
        live.longest = live.span = (1 << 64) - 1
        self.thread = native.Thread()
        live.thread = ctypes.pointer(self.thread)

    def watch(self, world: World) -> Callable[[Stop, str], None]:
        """Begin a scene; what is told of its stops."""
        ctypes.memset(ctypes.addressof(self.thread), 0, ctypes.sizeof(self.thread))
        self.thread.tls, self.live.failed, self.live.stop, self.live.limit = world.tls_base, -1, 0, (1 << 64) - 1
        self.live.rows = 0
        self._run(lambda: 0)

        def stopped(stop: Stop, _name: str) -> None:
            self.last = stop
            if stop.kind == "exit":  # at a gate; in a running program a block begins there
                self.block(stop.pc)

        return stopped

    def block(self, address: int) -> None:
        """A block begins at ``address``."""
        self._call("block", address, ctypes.addressof(self.live))

    def enter(self, name: str) -> None:
        """A routine is entered."""
        number = NAMES.index(name)
        self._call("entry", self.plans[number].entry, ctypes.addressof(self._watches[number]))

    def _call(self, name: str, address: int, data: int) -> None:
        _BLOCK(ctypes.cast(self.calls[name], ctypes.c_void_p).value or 0)(None, address, 0, data)

    @property
    def failure(self) -> Failure | None:
        """What the table found."""
        if self.live.failed < 0:
            return None
        _, stage, check = self.known[self.live.failed]
        return (check.role, check.place) if check else ("control", stage.name)

    def carries(self, name: str) -> set[Failure]:
        """All that a routine's plan can find."""
        plan = self.plans[NAMES.index(name)]
        return {(c.role, c.place) for way in plan.ways for stage in way.stages for c in stage.checks}


def scenes(world: World) -> Iterator[tuple[str, Scene]]:
    """The scenes of entry states that come up in a running program: without facts that only their makers know."""
    for name in NAMES:
        for scene in ROUTINES[name].scenes(world):
            if not scene.facts:
                yield name, scene
            elif set(scene.facts) == {"moved"}:
                yield name, replace(scene, meanwhile=functools.partial(_moved, scene))


def _moved(scene: Scene, world: World) -> None:
    """A stack that has been copied has its bounds elsewhere, too. One that a broken routine has lost is left alone."""
    assert scene.meanwhile is not None
    if world.g["sched.sp"] in world.stacks["g"]:
        scene.meanwhile(world)
        world.g["stack.hi"] = world.g["stack.hi"] + scene.facts["moved"]


def first_failure(checks: list[Check], known: set[Failure], last: Stop) -> Failure | None:
    """The first of those checks that a table has, in the order in which it has them; or an arrival elsewhere.

    A table has no moment that is at no function, and does not see control arrive nowhere.
    """
    for check in checks:
        if check.moment.startswith(("fault", "abort")):
            return None
        if not check.ok and check.role == "control":
            return ("control", "") if last.kind == "exit" else None
        if not check.ok and (check.role, check.target) in known:
            return check.role, check.target
    return None


@functools.cache
def table(arch: str, build: str) -> Table:
    """The world of era modern, with its table."""
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setenv("STACKCARRY_LIVE", build)
        return Table(World(of_era("modern", arch)))


def tried(made: Table, name: str, scene: Scene) -> tuple[Failure | None, Failure | None, int]:
    """What the contract finds, what the table does, and how many moments the table has judged."""
    checks = judge(made.world, scene, ROUTINES[name].contract, made.watch)
    return first_failure(checks, made.carries(name), made.last), made.failure, int(made.live.rows)


@each
@builds
def test_the_table_judges_every_scene_that_ends_at_a_function(arch: str, build: str) -> None:
    made = table(arch, build)
    judged: dict[str, int] = {}
    for name, scene in scenes(made.world):
        expected, found, moments = tried(made, name, scene)
        assert (expected, found) == (None, None), (name, scene.name)
        judged[name] = judged.get(name, 0) + moments
    assert judged["systemstack"] >= 6  # a switch, a moved stack and two calls in place: there and back
    assert judged["mcall"] >= 3
    assert judged["gogo"] >= 2
    assert judged["morestack"] >= 1
    assert judged["morestack_noctxt"] >= 1


@each
@builds
def test_the_table_finds_what_the_contract_finds(arch: str, build: str) -> None:
    made = table(arch, build)
    caught: set[Failure] = set()
    for patch in _nops(made.world):
        with patched(made.world.process, patch):
            for name, scene in scenes(made.world):
                expected, found, _ = tried(made, name, scene)
                where = name, scene.name, [made.world.describe(address) for address in patch]
                if expected is not None and expected[0] == "control":
                    assert found is not None, where
                    assert found[0] == "control", where
                else:
                    assert found == expected, where
                caught |= {found} if found else set()
    assert {("g0's SP", "sp"), ("SP", "sp"), ("control", "systemstack"), ("control", "newstack")} <= caught
    assert {place for _, place in caught} >= {"g.sched.pc", "g.sched.sp", "m.morebuf.pc", "m.morebuf.sp", "m.morebuf.g"}
    assert len(caught) > 20


def _nops(world: World) -> Iterator[Mapping[int, bytes]]:
    for insn in insns_of(world.target, ()):
        mutant = next(mutant for mutant in mutants(world.arch, insn) if mutant.operator == "nop")
        yield {insn.address: world.arch.nop * (mutant.size // len(world.arch.nop))}


def _nested(made: Table, calls: int) -> list[int]:
    """Enter systemstack so many times and leave it for fn, SP further down each time: where SP was."""
    world = made.world
    next(scene for name, scene in scenes(world) if name == "systemstack").prepare(world)
    made.watch(world)
    top, found = world.process.role("sp"), []
    for number in range(calls):
        found.append(top - 64 * number)
        world.process.set_role("sp", found[-1])
        made.enter("systemstack")
        made.block(world.program.gates["fn"])
    return found


@each
@builds
def test_those_who_wait_longest_are_forgotten(arch: str, build: str) -> None:
    made = table(arch, build)
    pushed = made.live.pushed
    at = _nested(made, native.MOST_WAITING + 4)
    waiting = [made.thread.waiting[n] for n in range(made.thread.waits)]
    assert [crossing.back for crossing in waiting] == [sp + pushed for sp in at[4:]]
    assert {(crossing.active, crossing.stage, crossing.plan) for crossing in waiting} == {(0, 1, 2)}


@each
@builds
def test_who_comes_back_lets_those_go_that_it_had_called(arch: str, build: str) -> None:
    made = table(arch, build)
    at, inside = _nested(made, 6), made.plans[2].entry + 4
    made.world.process.set_role("sp", at[2] + made.live.pushed + 8)
    made.block(inside)
    assert (made.thread.now.active, made.thread.waits) == (0, 6)  # nobody waits for that SP
    made.world.process.set_role("sp", at[2] + made.live.pushed)
    made.block(made.world.program.gates["fn"])
    assert (made.thread.now.active, made.thread.waits) == (0, 6)  # nor at such a place
    made.block(inside)
    assert (made.thread.now.active, made.thread.now.back) == (1, at[2] + made.live.pushed)
    assert made.thread.waits == 2
    made.block(inside)
    assert made.thread.now.active == 1
    made.block(made.world.program.gates["caller"])
    assert (made.thread.now.active, made.thread.now.stage, made.thread.waits) == (0, 2, 2)


@each
@builds
def test_who_waits_further_down_than_the_next_has_left_unseen(arch: str, build: str) -> None:
    made = table(arch, build)
    at = _nested(made, 5)
    made.world.process.set_role("sp", at[3] + 16)
    made.enter("systemstack")
    made.block(made.world.program.gates["fn"])
    waits = made.thread.waits
    assert [made.thread.waiting[n].back - made.live.pushed for n in range(waits)] == [*at[:3], at[3] + 16]


def _toy(e: Entry) -> Effect:
    """By the word at SP, fn with a result in bounds, or the caller."""
    if e.word(e.sp) >= 4096:
        return Effect((Moment("fn", (Carry("x", "a toy", e.register("result"), 20, low=10),)),))
    return Effect((Moment("caller", (Carry("y", "a toy", e.register("result"), 1, mask=3),)),))


@each
@builds
def test_order_bounds_and_masks(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    made = Table(World(of_era("modern", arch)), dict.fromkeys(NAMES, _toy))
    process, gates, wrong = made.world.process, made.world.program.gates, ("control", "fn")
    for word, result, gate, failure in (
        (4096, 10, "fn", None), (4097, 20, "fn", None), (4096, 9, "fn", ("x", "result")),
        (4096, 21, "fn", ("x", "result")), (made.world.arch.mask, 15, "fn", None), (4096, 15, "caller", wrong),
        (4095, 1, "caller", None), (0, 5, "caller", None), (0, 3, "caller", ("y", "result")),
    ):
        made.world.reset()
        made.watch(made.world)
        process.set_word(process.role("sp"), word)
        made.enter("mcall")
        process.set_role("result", result)
        made.block(gates[gate])
        assert made.failure == failure, (word, result, gate)
