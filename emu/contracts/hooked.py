"""The contract of a prologue that calls a hook before its stack check: what must come through that call.

The hook is code of its ABI and may destroy whatever that ABI lets it. What the check and the function behind it still
need, the prologue keeps: SP, the return PC, the closure context if the function uses it, arguments in registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from arch.stackcheck import HOOK_WORDS
from emu.contracts.effect import Carry, Effect, Entry, Moment, Place, Span, carry

if TYPE_CHECKING:
    from emu.contracts.prologue import Function


def lost(e: Entry, function: Function) -> set[str]:
    """Registers that nobody may rely on once the hook has returned; none where there is no hook."""
    if not function.hook:
        return set()
    roles = {"sp", "pc", "link", "fp"} | ({"ctxt"} if function.ctxt else set())
    kept = {e.arch.roles[role] for role in roles if role in e.arch.roles} | set(function.arguments)
    kept |= {e.g_place.register or ""}
    registers = set(e.arch.registers)
    if e.g_mirror is not None and e.arch.internal is not None:
        registers |= {e.arch.internal.zero}
        if not function.abi0:
            kept |= {e.arch.internal.g, e.arch.internal.zero}
    return registers - kept


def with_hook(e: Entry, function: Function, effect: Effect) -> Effect:
    """The effect of a stack check, with the call of the hook in front of it. The same where there is no hook.

    ``facts``: ``hook guard``: what the hook stores into the guard word; vector register -> its value at entry.
    """
    if not function.hook:
        return effect
    words = HOOK_WORDS[e.arch.name][function.ctxt] * e.arch.word
    first, *rest = effect.moments
    after = [*first.carries, *_vectors(e, function)]
    after.append(carry("guard", "as the hook left it", e.at(e.g, e.layout.guard, "g"), e.facts["hook guard"]))
    moments = (_called(e, function, e.sp - words), Moment(first.stop, tuple(after), first.spoils, first.comes_back))
    spans = (
        Span(e.sp - words, words, "the call of the hook"),
        Span(e.caller_sp, function.spills * e.arch.word, "arguments that came in registers"),
    )
    return Effect((*moments, *rest), (*effect.may_write, *spans), effect.hole)


def _called(e: Entry, function: Function, sp: int) -> Moment:
    """At the hook: it is called from the function, on its stack, and finds g (and, in the register ABI, 0)."""
    start = e.program.symbol(function.name)
    inside = {"low": start.address + 1, "value": start.address + start.size - 1}
    carries = [carry("SP", "SP at entry, what the call keeps below it", e.register("sp"), sp)]
    if e.arch.call.return_on_stack:
        back = Place("return PC", address=sp, size=e.arch.word)
        own = Place("f's return PC", address=e.sp, size=e.arch.word)
        carries.append(carry("f's return PC", "unchanged", own, e.return_pc))
    else:
        back = e.register("link")
    carries.append(Carry("return PC", "inside the function", back, inside["value"], low=inside["low"]))
    carries.append(carry("g", "unchanged", e.g_place, e.g))
    if "fp" in e.arch.roles:
        carries.append(carry("frame pointer", "unchanged", e.register("fp"), e.role("fp")))
    if e.g_mirror is not None and e.arch.internal is not None and not function.abi0:
        carries.append(carry("g", "unchanged", e.g_mirror, e.g))
        carries.append(carry("zero", "0", Place("zero register", e.arch.internal.zero), 0))
    return Moment(function.hook, tuple(carries))


def _vectors(e: Entry, function: Function) -> list[Carry]:
    """Floating-point arguments; those in general registers are judged with all others of these."""
    vectors = [register for register in function.arguments if register not in e.arch.registers]
    return [carry("unchanged", f"{name} at entry", Place(name, name), e.facts[name]) for name in vectors]
