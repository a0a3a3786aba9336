"""Entry states for morestack, its variants and lessstack.

f, whose stack check failed, stands at its entry: it would return to `caller`, its check goes on at `resumed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emu.contracts.judge import Scene
from emu.runtime.struct import Struct
from emu.runtime.world import World
from emu.scenes.cgo import under_cgo

Scenes = Callable[[World], Iterator[Scene]]


def enter_morestack(w: World, routine: str, g: Struct) -> None:
    """Stand at the entry of ``routine`` as the stack check of f, running on ``g``, calls it."""
    symbol = w.target.routines[routine]
    assert symbol is not None, f"{routine} is absent"
    w.run_on(g)
    process, hands = w.process, w.habits.growth.hands.get(w.arch.name, {})
    if w.arch.call.return_on_stack:
        sp = process.role("sp")
        process.set_word(sp, w.code("resumed"))
        process.set_word(sp + w.arch.word, w.code("caller"))
    else:
        process.set_role("link", w.code("resumed"))
        process.set_registers({hands["return"]: w.code("caller")})
    if "m" in hands and routine in ("morestack", "morestack_noctxt"):  # the variants load it themselves
        process.set_registers({hands["m"]: w.m.address})
    process.set_role("pc", symbol.address)


def morestack(world: World) -> Iterator[Scene]:
    """Every way through morestack."""
    h, arch = world.habits.growth, world.arch

    def enter(w: World) -> None:
        enter_morestack(w, "morestack", w.g)

    def enter_without_room(w: World) -> None:
        w.g0["sched.sp"] = w.stacks["g0"].address
        enter(w)

    yield Scene("grow", enter)
    yield Scene("newstack returns", enter, facts={"returns": _spoiled_link(world)})
    yield Scene("on g0", lambda w: enter_morestack(w, "morestack", w.g0))
    yield Scene("on gsignal", lambda w: enter_morestack(w, "morestack", w.gsignal))
    if arch.name in h.probe:
        yield Scene("g0 without room", enter_without_room, facts={"no room": 1})
    yield from under_cgo(world, enter)


def plain(name: str) -> Scenes:
    """The way into morestack from ``name``, which leads there."""

    def scenes(_world: World) -> Iterator[Scene]:
        yield Scene("grow", lambda w: enter_morestack(w, name, w.g))

    return scenes


def lessstack(world: World) -> Iterator[Scene]:
    """f has returned to lessstack, and oldstack may come back."""

    def enter(w: World) -> None:
        symbol = w.target.routines["lessstack"]
        assert symbol is not None
        if "link" in w.arch.roles:
            w.process.set_role("link", w.code("other"))
        w.process.set_role("pc", symbol.address)

    yield Scene("shrink", enter)
    if world.arch.name in world.habits.growth.if_oldstack_returns:
        yield Scene("oldstack returns", enter, facts={"returns": _spoiled_link(world)})


def _spoiled_link(world: World) -> int:
    """Where a jump through the link register leads when a callee has spoiled it."""
    link = world.arch.roles.get("link")
    return world.process.register_poison(link) if link else 0
