"""The contract of a stack check: it calls morestack exactly when the frame does not fit, and touches nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from arch import stackcheck
from arch.golang import Era
from arch.model import Arch
from emu.contracts import hooked
from emu.contracts.effect import Carry, Effect, Entry, Moment, Place, Span, carry


@dataclass(frozen=True)
class Function:
    """A function with a stack check, its body a gate.

    ``frame``, ``args``: bytes. ``ctxt``: it uses its closure context. ``abi0``: stack ABI where there is another.
    ``borders``: it is tried with every guard word; else with those around its limit. ``symbol``: its name, where it
    is not one of ours; ``spills``: words above its return PC that it may keep arguments in while the stack grows.
    ``hook``: the gate that it calls before the check; ``arguments``: registers (vectors too) that must survive that.
    """

    frame: int
    args: int = 0
    ctxt: bool = False
    abi0: bool = False
    borders: bool = False
    symbol: str = ""
    spills: int = 0
    hook: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its symbol."""
        return self.symbol or f"frame{self.frame}_args{self.args}"

    @property
    def body(self) -> str:
        """The gate behind the check."""
        return f"in_{self.name}"

    def beyond(self, era: Era, arch: Arch) -> int:
        """Bytes below SP at which the check looks: 0 for a small frame, else the frame less what is forgiven."""
        check, form = era.checks[arch.name], era.check_form(arch, self.frame)
        forgiven = {"small": self.frame, "medium": check.credit, "huge": era.guards.small}
        return self.frame - forgiven[form]


def of(function: Function) -> Callable[[Entry], Effect]:
    """The contract of the check in front of ``function``.

    ``facts``: ``grown sp``, ``grown guard``: SP and the guard word when the stack has grown.
    """

    def contract(e: Entry) -> Effect:
        guard = e.facts.get("hook guard", e.field(e.g, e.layout.guard))
        if not e.era.grows(e.arch, function.frame, e.sp, guard):
            at_body = Moment(function.body, tuple(_untouched(e, function)))
            return hooked.with_hook(e, function, Effect((at_body,), hole=_hole(e, function, guard)))
        called = Moment(_entry(e, function).entry, tuple(_called(e, function)), comes_back=False)
        spans = (
            Span(e.sp - e.pushed, e.pushed, "the call of morestack"),
            Span(e.caller_sp, function.spills * e.arch.word, "arguments that came in registers"),
        )
        return hooked.with_hook(e, function, Effect((called, Moment(function.body, tuple(_grown(e, function)))), spans))

    return contract


def _entry(e: Entry, function: Function) -> stackcheck.Call:
    return stackcheck.call(e.era, e.arch, function.frame, function.args, ctxt=function.ctxt)


def _hole(e: Entry, function: Function, guard: int) -> str:
    """Why a frame that reaches below the guard (or meets a special one) passes: "" if it does not."""
    form = e.era.check_form(e.arch, function.frame)
    if e.sp - (0 if form == "small" else function.frame - e.era.guards.small) >= guard:
        return ""
    if form == "medium":
        return "the end of the frame wraps below address 0 unseen: no stack may lie in the lowest StackBig bytes"
    special = [name for name, value in e.era.guards.special.items() if value & e.arch.mask == guard]
    what = special[0] if special else "a guard more than StackGuard above SP, or SP less than the frame"
    return f"a huge frame's check does not see {what}: it knows StackPreempt, and compares distances"


def _untouched(e: Entry, function: Function) -> list[Carry]:
    """Behind a check that passed: SP and every register but the check's scratch ones, as at entry."""
    free = set(stackcheck.style(e.era, e.arch).scratch[e.era.check_form(e.arch, function.frame)])
    return [carry("SP", "SP at entry", e.register("sp"), e.sp), *_registers(e, function, free)]


def _registers(e: Entry, function: Function, free: set[str]) -> list[Carry]:
    """Every register that is not in ``free``: arguments, closure context, link and all others."""
    roles = {register: role for role, register in e.arch.roles.items()}
    free = {*free, *(e.arch.roles[role] for role in ("sp", "pc", "flags")), *hooked.lost(e, function)}
    mirror, carries = e.g_mirror, []
    if mirror is not None and e.arch.internal is not None:
        if e.arch.internal.zero not in free:
            carries.append(carry("zero", "0", Place("zero register", e.arch.internal.zero), 0))
        if function.abi0:  # it can't be trusted at entry, and is loaded from its home
            free.add(e.arch.internal.g)
            carries.append(carry("g", "TLS.g", mirror, e.g))
    for register in e.arch.registers:
        if register not in free:
            place = Place(roles.get(register, register), register)
            carries.append(carry("unchanged", f"{place.name} at entry", place, e.registers[register]))
    return carries


def _called(e: Entry, function: Function) -> list[Carry]:
    """At morestack: SP, both return PCs, the sizes, and all that the function was called with."""
    passed = _entry(e, function).passed
    start = e.program.symbol(function.name)
    inside = {"low": start.address + 1, "value": start.address + start.size - 1}
    free = set(stackcheck.style(e.era, e.arch).scratch[e.era.check_form(e.arch, function.frame)]) | set(passed)
    carries = [carry("SP", "SP at entry, the call's return PC pushed", e.register("sp"), e.sp - e.pushed)]
    if e.arch.call.return_on_stack:
        back = Place("return PC", address=e.sp - e.pushed, size=e.arch.word)
        own = Place("f's return PC", address=e.sp, size=e.arch.word)
    else:
        back = e.register("link")
        own = Place("f's return PC", e.habits.growth.hands[e.arch.name]["return"])
        free |= {back.register or "", own.register or ""}
    carries.append(Carry("return PC", "inside the function", back, inside["value"], low=inside["low"]))
    carries.append(carry("f's return PC", "return PC at entry", own, e.return_pc))
    carries += [carry("size", "what the frame and arguments need", Place(r, r), value) for r, value in passed.items()]
    return carries + _registers(e, function, free)


def _grown(e: Entry, function: Function) -> list[Carry]:
    """In the body after the stack has grown, as if it had been entered on the new stack."""
    sp = e.facts["grown sp"]
    field, guard = e.layout.guard, e.facts["grown guard"]
    carries = [
        carry("SP", "SP at entry, on the new stack", e.register("sp"), sp),
        carry("guard", "of the new stack", e.at(e.g, field, "g"), guard),
        carry("g", "unchanged", e.g_place, e.g),
    ]
    if e.g_mirror is not None:
        carries.append(carry("g", "unchanged", e.g_mirror, e.g))
    if e.arch.call.return_on_stack:
        own = Place("f's return PC", address=sp, size=e.arch.word)
    else:
        own = e.register("link")
    carries.append(carry("f's return PC", "return PC at entry", own, e.return_pc))
    if "ctxt" in e.arch.roles and e.has("gobuf.ctxt"):
        value = e.role("ctxt") if function.ctxt else 0
        carries.append(carry("ctxt", "ctxt at entry" if function.ctxt else "no context", e.register("ctxt"), value))
    return carries
