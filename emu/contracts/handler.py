"""The contract of sigtramp: a signal's handler runs on the m's signal stack, whoever was interrupted."""

from __future__ import annotations

from emu.contracts.effect import Carry, Effect, Entry, Moment, carry


def sigtramp(e: Entry) -> Effect:
    """Call sigtrampgo on the signal stack, the interrupted g still the running one."""
    gsignal = e.field(e.m, "m.gsignal")
    low, high = e.field(gsignal, "g.stack.lo"), e.field(gsignal, "g.stack.hi")
    at = (
        Carry("SP", "within the stack of gsignal", e.register("sp"), high, low=low),
        carry("g", "unchanged", e.g_place, e.g),
    )
    return Effect((Moment("sigtrampgo", at),))
