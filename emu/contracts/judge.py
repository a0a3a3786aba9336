"""Runs a scene against its contract: each check says what was expected, what was found, and at which step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from arch.model import Arch
from asm.program import Program
from emu.contracts.effect import Effect, Entry, Moment, Place
from emu.machine import Stop
from emu.process import Process
from emu.recorder import Access

if TYPE_CHECKING:
    from emu.runtime.world import World

STEPS = 200  # budget of a routine alone, in instructions


class Placed(Protocol):
    """A program in a process, with names for what lies there: a world of Go's, or one without any Go."""

    @property
    def arch(self) -> Arch: ...
    @property
    def process(self) -> Process: ...
    @property
    def program(self) -> Program: ...
    def describe(self, address: int) -> str: ...


class Check(NamedTuple):
    """One judged fact. ``step``: instructions executed when it was settled; ``hole``: what the era lets through."""

    name: str
    ok: bool
    expected: str
    found: str
    step: int
    role: str = ""
    source: str = ""
    target: str = ""
    moment: str = ""
    hole: str = ""


@dataclass
class Scene:
    """An entry state and how the world answers on the way.

    ``prepare`` sets registers and memory (the routine's PC included). ``answers``: results of its traps, in
    order. ``meanwhile`` is called before each trap is answered and before each gate comes back (what a vfork
    child does, or fn on another stack).
    """

    name: str
    prepare: Callable[[World], None]
    answers: tuple[int, ...] = ()
    meanwhile: Callable[[World], None] | None = None
    facts: dict[str, int] = field(default_factory=dict)


def entry_of(world: World, scene: Scene) -> Entry:
    """The evidence at entry. Memory is read when asked, so contracts must run before the routine does."""
    return Entry(
        arch=world.arch, era=world.era, habits=world.habits, layout=world.layout, program=world.program,
        registers=world.process.machine.registers(), word=world.process.word,
        tls_base=world.tls_base, answers=scene.answers, vfork_inputs=world.target.vfork_inputs, facts=scene.facts,
    )


def judge(
    world: World, scene: Scene, contract: Callable[[Entry], Effect],
    watch: Callable[[World], Callable[[Stop, str], None]] | None = None, steps: int = STEPS,
) -> list[Check]:
    """Reset the world, enter the scene, run it from moment to moment and judge each.

    ``steps``: budget, in instructions.
    ``watch`` is called when the entry state stands; what it returns is called at each stop, with its name.
    """
    world.reset()
    scene.prepare(world)
    world.process.machine.recorder.clear()
    stopped = watch(world) if watch is not None else None
    effect = contract(entry_of(world, scene))
    guards = _guard_words(world)
    checks: list[Check] = []
    answers = iter(scene.answers)
    for number, moment in enumerate(effect.moments):
        stop = world.process.run(steps - world.process.machine.recorder.steps)
        found = name_of(world, stop)
        if stopped is not None:
            stopped(stop, found)
        step = world.process.machine.recorder.steps
        reached = found == moment.stop
        checks.append(Check(
            f"reaches {moment.stop}", reached, moment.stop, found, step, "control", moment=moment.stop, hole=effect.hole
        ))
        if not reached:
            break
        checks.extend(judge_moment(world, moment, step))
        if number + 1 < len(effect.moments):
            _go_on(world, scene, stop, moment, answers)
    checks.append(nothing_else(world, effect))
    checks.append(_guards_kept(world, guards, effect))
    return checks


def name_of(world: Placed, stop: Stop) -> str:
    """A stop in the words of `Moment`."""
    if stop.kind == "exit":
        return next(name for name, address in world.program.gates.items() if address == stop.pc)
    if stop.kind == "syscall":
        return "trap"
    if stop.kind == "trap":
        return "abort"
    if stop.kind == "fault":
        where = world.program.describe(stop.pc)
        return f"fault:{stop.address:#x}" if stop.address is not None else f"illegal instruction at {where}"
    return "no end within the budget"


def judge_moment(world: Placed, moment: Moment, step: int) -> Iterator[Check]:
    registers = world.process.machine.registers()
    sp = registers[world.arch.roles["sp"]]
    aligned = sp % world.arch.word == 0
    yield Check(
        f"SP is a multiple of the word at {moment.stop}", aligned, f"multiple of {world.arch.word}", hex(sp), step,
        "alignment", target="sp", moment=moment.stop,
    )
    writes = world.process.machine.recorder.writes
    for item in moment.carries:
        found = _value(world, registers, item.place)
        mask = item.mask if item.mask is not None else -1
        low = item.value if item.low is None else item.low
        ok = low & mask <= found & mask <= item.value & mask or found in item.among
        expected = hex(item.value & mask) if item.low is None else f"{item.low:#x} to {item.value:#x}"
        expected = " or ".join(map(hex, item.among)) or expected
        yield Check(
            f"{item.role} → {item.place.name} at {moment.stop}", ok, expected, hex(found & mask),
            _last_write(writes, item.place, step), item.role, item.source, item.place.name, moment.stop,
        )


def _value(world: Placed, registers: dict[str, int], place: Place) -> int:
    if place.register is not None:
        if place.register in registers:
            return registers[place.register]
        return world.process.machine.vector(place.register)
    assert place.address is not None
    return int.from_bytes(world.process.machine.read(place.address, place.size), "little")


def _last_write(writes: list[Access], place: Place, default: int) -> int:
    if place.address is None:
        return default
    first, end = place.address, place.address + place.size
    steps = [w.step for w in writes if w.address < end and first < w.address + w.size]
    return steps[-1] if steps else default


def _go_on(world: World, scene: Scene, stop: Stop, moment: Moment, answers: Iterator[int]) -> None:
    """Let the outside do its part: answer a trap, or return from a call having destroyed what it may."""
    if scene.meanwhile is not None:
        scene.meanwhile(world)
    if stop.kind == "syscall":
        world.process.answer(next(answers))
    elif moment.comes_back:
        keep = kept_by_callee(world)
        if moment.spoils is not None:
            keep = set(world.arch.registers) - {world.arch.roles[role] for role in moment.spoils}
        world.process.return_from_call(keep)


def kept_by_callee(world: World) -> set[str]:
    """Registers that a call leaves as they are: SP, and where the era has them the frame pointer, g and m."""
    arch = world.arch
    kept = {arch.roles["sp"], arch.tls.g_register}
    kept |= {arch.roles.get("fp")} if world.habits.frame_saved else set()
    kept |= {arch.tls.m_register} if "m" in world.era.tls_slots else set()
    kept |= {arch.internal.g} if arch.internal and world.era.internal.get(arch.name) else set()
    return {name for name in kept if name}


def nothing_else(world: Placed, effect: Effect) -> Check:
    """Every byte written must be one that the contract names."""
    allowed = [(span.address, span.address + span.size) for span in effect.may_write]
    for moment in effect.moments:
        for item in moment.carries:
            if item.place.address is not None:
                allowed.append((item.place.address, item.place.address + item.place.size))
    for write in world.process.machine.recorder.writes:
        end_of_write = write.address + write.size
        if any(first <= write.address and end_of_write <= end for first, end in allowed):
            continue
        for byte in range(write.address, end_of_write):
            if not any(first <= byte < end for first, end in allowed):
                found = f"{write.size} bytes at {world.describe(write.address)}"
                return Check("writes nothing else", False, "only what is named", found, write.step, "write set")
    steps = world.process.machine.recorder.steps
    return Check("writes nothing else", True, "only what is named", "only what is named", steps, "write set")


def _guard_words(world: World) -> dict[str, tuple[int, int]]:
    return {
        f"{g.label}.{field.removeprefix('g.')}": (g.at(field.removeprefix("g.")), g[field.removeprefix("g.")])
        for g in world.gs
        for field in world.layout.guards
    }


def _guards_kept(world: World, before: dict[str, tuple[int, int]], effect: Effect) -> Check:
    """The guard words of every g are as they were, unless the contract carries something there."""
    named = {item.place.address for moment in effect.moments for item in moment.carries}
    changed = {
        name: world.process.word(address)
        for name, (address, value) in before.items()
        if address not in named and world.process.word(address) != value
    }
    found = ", ".join(f"{name} = {value:#x}" for name, value in changed.items()) or "unchanged"
    steps = world.process.machine.recorder.steps
    return Check("guard words of every g", not changed, "unchanged", found, steps, "guard")
