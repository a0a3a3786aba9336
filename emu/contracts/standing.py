"""What holds where a crossing begins or ends: SP is on the stack of the running g, whose guard word is a legal one."""

from __future__ import annotations

from emu.contracts.effect import Carry, Effect, Entry, Moment

_CRASH = 1000  # bytes from the bottom of gcrash's stack to its guard


def standing(e: Entry) -> Effect:
    """SP in the bounds of the running g, told apart by kind; the guard word one that this kind may hold."""
    g = e.g
    low, high = e.field(g, "g.stack.lo"), e.field(g, "g.stack.hi")
    guards = e.era.guards
    special = tuple(value & e.arch.mask for value in guards.special.values())
    if g == e.g0:
        kind = "g0"
        # the first thread's g0 has no room below its guard until mstart
        legal: tuple[int, ...] = (low + guards.guard, low)
    elif g == e.field(e.m, "m.gsignal"):
        kind, legal = "gsignal", (low + guards.guard,)
    else:
        kind, legal = "goroutine", (low + guards.guard, *special)
    legal = (*legal, low + _CRASH)
    carries = [
        Carry("SP", f"within the stack of the running {kind}", e.register("sp"), high, low=low),
        Carry("guard", f"legal for a {kind}", e.at(g, e.layout.guard, "g"), legal[0], among=legal),
    ]
    return Effect((Moment("", tuple(carries)),))
