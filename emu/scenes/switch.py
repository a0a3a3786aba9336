"""Entry states for gosave, gogo, gogocall and mcall."""

from __future__ import annotations

from collections.abc import Iterator

from emu.contracts.judge import Scene
from emu.runtime.world import LONE_BIT, World
from emu.scenes.cgo import under_cgo


def mcall(world: World) -> Iterator[Scene]:
    funcval = world.habits.function == "funcval"

    def enter(w: World) -> None:
        w.enter("mcall", w.function("fn") if funcval else w.code("fn"))

    def enter_on_g0(w: World) -> None:
        w.run_on(w.g0)
        enter(w)

    yield Scene("switch", enter)
    yield Scene("on g0", enter_on_g0)
    yield from under_cgo(world, enter)


def _fill(w: World, g: int, ctxt: bool) -> None:
    """A gobuf that resumes ``g`` on the other goroutine's stack; what is not set stays poison, so it shows."""
    stack = w.stacks["other"]
    w.buf["sp"] = stack.end - stack.size // 4
    w.buf["pc"] = w.code("resumed")
    w.buf["g"] = g
    if w.buf.has("ctxt"):
        w.buf["ctxt"] = LONE_BIT if ctxt else 0


def gogo(world: World) -> Iterator[Scene]:
    def enter(w: World, g: int, ctxt: bool = True) -> None:
        _fill(w, g, ctxt)
        w.enter("gogo", w.buf.address, w.process.register_poison(w.arch.roles["pc"]))

    def enter_with_flags(w: World, flags: dict[str, int]) -> None:
        enter(w, w.other.address)
        w.process.set_role("flags", sum(1 << bit for bit in flags.values()))

    yield Scene("resume", lambda w: enter(w, w.other.address))
    yield Scene("nil g", lambda w: enter(w, 0))
    if world.habits.clears:
        yield Scene("resume without ctxt", lambda w: enter(w, w.other.address, ctxt=False))
    if "link" in world.arch.roles and world.habits.link_flags:
        kept = {name: bit for name, bit in world.arch.flag_bits.items() if name not in world.habits.link_flags}
        yield Scene("opposite flags", lambda w: enter_with_flags(w, kept))
    yield from under_cgo(world, lambda w: enter(w, w.other.address), kinds=("mirror", "call"))


def gogocall(world: World) -> Iterator[Scene]:
    def enter(w: World, g: int) -> None:
        _fill(w, g, ctxt=False)
        w.enter("gogocall", w.buf.address, w.code("fn"), w.process.register_poison(w.arch.roles["pc"]))

    yield Scene("call", lambda w: enter(w, w.other.address))
    yield Scene("nil g", lambda w: enter(w, 0))


def gosave(world: World) -> Iterator[Scene]:
    looks = world.habits.barrier  # otherwise a ctxt is cleared whatever it is

    def enter(w: World, ctxt: int) -> None:
        if looks:
            w.buf["ctxt"] = ctxt
        top = w.stacks["g"].end - w.arch.call.first_argument - w.arch.word  # nothing lies above its argument
        w.process.set_role("sp", top)
        w.enter("gosave", w.buf.address)

    yield Scene("save", lambda w: enter(w, 0))
    if looks:
        yield Scene("stale ctxt", lambda w: enter(w, LONE_BIT))
