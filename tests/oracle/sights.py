"""What can be seen of a routine's run, in words that do not depend on where its code lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from emu.contracts.effect import Effect
from emu.contracts.judge import Scene, entry_of, judge
from emu.machine import Stop
from emu.routines import ROUTINES
from emu.runtime.world import World


@dataclass(frozen=True)
class Sight:
    """The state at one stop: registers by name, and every word written so far by address; values in words."""

    stop: str
    registers: dict[str, str]
    memory: dict[int, str]


@dataclass
class Run:
    """A scene's run: its stops in order, and the effect that its contract demands."""

    effect: Effect
    sights: list[Sight] = field(default_factory=list)


def code_in_words(world: World, value: int) -> str | None:
    """A code address by its gate or symbol; a routine of interest without offset, for its body may differ."""
    for name, gate in world.program.gates.items():
        if gate == value:
            return name
    symbol = world.program.at(value)
    if symbol is None:
        return None
    name = symbol.name.rsplit("/", 1)[-1].removesuffix(".abi0")
    name = name.split(".", 1)[-1]
    if name in world.target.routines:
        return f"PC in {name}"
    return f"{name}+{value - symbol.address:#x}"


def in_words(world: World, value: int) -> str:
    """A value as code, or as a number: data addresses are the same in every world of an architecture."""
    return code_in_words(world, value) or hex(value)


def run(world: World, routine: str, scene: Scene) -> Run:
    """Run a scene by its contract's moments and note what is seen at each stop."""
    found: list[Run] = []

    def watch(w: World) -> Callable[[Stop, str], None]:
        found.append(Run(ROUTINES[routine].contract(entry_of(w, scene))))
        return lambda _stop, name: found[0].sights.append(_sight(w, name))

    judge(world, scene, ROUTINES[routine].contract, watch)
    return found[0]


def _sight(world: World, stop: str) -> Sight:
    machine, word = world.process.machine, world.arch.word
    registers = {name: in_words(world, value) for name, value in machine.registers().items()}
    if world.arch.internal:
        registers[world.arch.internal.zero] = hex(machine.vector(world.arch.internal.zero))
    words = {
        address // word * word
        for write in machine.recorder.writes
        for address in range(write.address, write.address + write.size)
    }
    memory = {address: in_words(world, world.process.word(address)) for address in sorted(words)}
    return Sight(stop, registers, memory)
