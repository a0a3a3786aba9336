"""The contracts of the runtime's own hooks in front of stack checks."""

from __future__ import annotations

from collections.abc import Callable

from arch.stackcheck import HOOK_KEEPS
from emu.contracts.effect import Effect, Entry, Moment, Place, carry


def of(request: str) -> Callable[[Entry], Effect]:
    """The contract of the hook that puts ``request`` (the name of a special guard) into the running g's guard."""

    def contract(e: Entry) -> Effect:
        guard = e.field(e.g, e.layout.guard)
        exempt = e.g in (e.g0, e.field(e.m, "m.gsignal"))
        special = guard >= e.era.guards.poison_min & e.arch.mask
        wanted, source = guard, "unchanged"
        if not exempt and not special:
            wanted, source = e.era.guards.special[request] & e.arch.mask, request
        carries = [
            carry("SP", "SP at entry, the return PC taken", e.register("sp"), e.caller_sp),
            carry("g", "unchanged", e.g_place, e.g),
            carry("guard", source, e.at(e.g, e.layout.guard, "g"), wanted),
        ]
        kept = [role for role in ("fp", *HOOK_KEEPS[e.arch.name]) if role in e.arch.roles]
        carries += [carry("unchanged", f"{role} at entry", e.register(role), e.role(role)) for role in kept]
        if e.g_mirror is not None and e.arch.internal is not None:
            carries.append(carry("g", "unchanged", e.g_mirror, e.g))
            carries.append(carry("zero", "0", Place("zero register", e.arch.internal.zero), 0))
        return Effect((Moment(e.program.describe(e.return_pc), tuple(carries)),))

    contract.__doc__ = f"A hook that puts {request} into the guard, unless that asks for something or g may not."
    return contract
