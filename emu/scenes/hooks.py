"""The states the runtime's own hooks are called in: every kind of guard, on every kind of stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.contracts.judge import Scene
from emu.runtime.struct import Struct
from emu.runtime.world import World


def of(name: str) -> Callable[[World], Iterator[Scene]]:
    """The scenes of the hook ``name``."""

    def scenes(w: World) -> Iterator[Scene]:
        least = w.era.guards.poison_min
        guards = {"the true guard": None, "the highest that is none": least - 1, "the lowest special": least}
        for g in (w.g, w.g0, w.gsignal):
            for label, value in {**guards, "0": 0, **w.era.guards.special, "all ones": -1}.items():
                yield Scene(f"on {g.label}, guard {label}", _enter(name, g, value))

    return scenes


def _enter(name: str, g: Struct, guard: int | None) -> Callable[[World], None]:
    def enter(w: World) -> None:
        w.run_on(g)
        if guard is not None:
            g[w.layout.guard.removeprefix("g.")] = guard
        w.enter(name)

    return enter
