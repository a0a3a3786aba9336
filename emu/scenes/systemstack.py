"""Entry states for systemstack."""

from __future__ import annotations

from collections.abc import Iterator

from emu.contracts.judge import Scene
from emu.runtime.struct import Struct
from emu.runtime.world import LONE_BIT, World
from emu.scenes.cgo import under_cgo

_MOVED = 256  # bytes that the goroutine's stack moves while fn runs
_COPIED = 4  # words that move: a frame of systemstack, its return PC, its argument


def systemstack(world: World) -> Iterator[Scene]:
    """On each of the thread's stacks, and on one that is not the thread's."""
    assert world.habits.system is not None

    def enter(w: World, g: Struct, ctxt: int = 0) -> None:
        w.run_on(g)
        w.g["sched.ctxt"] = ctxt
        w.enter("systemstack", w.function("fn"))

    yield Scene("switch", lambda w: enter(w, w.g))
    yield Scene("stack moved by fn", lambda w: enter(w, w.g), meanwhile=_move, facts={"moved": _MOVED})
    yield Scene("on g0", lambda w: enter(w, w.g0))
    yield Scene("on gsignal", lambda w: enter(w, w.gsignal))
    yield Scene("wrong g", lambda w: enter(w, w.other))
    if world.habits.system.clean:
        yield Scene("stale ctxt", lambda w: enter(w, w.g, LONE_BIT))
    yield from under_cgo(world, lambda w: enter(w, w.g))


def _move(w: World) -> None:
    """Move what g.sched points at, as copystack would; the old place must not be looked at again."""
    word, old = w.arch.word, w.g["sched.sp"]
    for index in range(_COPIED):
        w.process.set_word(old + _MOVED + index * word, w.process.word(old + index * word))
        w.process.set_word(old + index * word, w.process.register_poison(w.arch.roles["pc"]))
    w.g["sched.sp"] = old + _MOVED
    if "fp" in w.arch.roles:
        w.g["sched.bp"] = w.g["sched.bp"] + _MOVED
