"""Which contract and which scenes belong to a routine's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from emu.contracts import switch as switch_contracts
from emu.contracts.effect import Effect, Entry
from emu.contracts.judge import Scene
from emu.runtime.world import World
from emu.scenes import switch as switch_scenes


@dataclass(frozen=True)
class Routine:
    """A contract, and the entry states it is tried in."""

    contract: Callable[[Entry], Effect]
    scenes: Callable[[World], Iterable[Scene]]


ROUTINES: dict[str, Routine] = {
    "gosave": Routine(switch_contracts.gosave, switch_scenes.gosave),
    "gogo": Routine(switch_contracts.gogo, switch_scenes.gogo),
    "gogocall": Routine(switch_contracts.gogocall, switch_scenes.gogocall),
    "mcall": Routine(switch_contracts.mcall, switch_scenes.mcall),
}
