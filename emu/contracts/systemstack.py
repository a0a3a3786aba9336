"""The contract of systemstack: call fn on g0's stack and come back, wherever the goroutine's stack is by then."""

from __future__ import annotations

from arch.habits import OnSystem
from emu.contracts.effect import Carry, Effect, Entry, Moment, Place, Span, carry, mirrored
from emu.contracts.switch import runs

_HELPER = 4  # words on the caller's stack for a helper that fills g.sched and its call of abort


def systemstack(e: Entry) -> Effect:
    """On m.curg switch to g0, on g0 and gsignal call fn in place, on any other g refuse."""
    h = e.habits.system
    assert h is not None
    frame = e.arch.word if e.arch.name in h.frame else 0
    if e.g in (e.g0, e.field(e.m, "m.gsignal")):
        return _in_place(e, h, frame)
    if e.g != e.field(e.m, "m.curg"):
        return _refuse(e, h, frame)
    if h.clean and e.field(e.g, "g.sched.ctxt"):
        return _stale_ctxt(e, h, frame)
    return _switch(e, h, frame)


def _fn(e: Entry) -> int:
    return e.argument("systemstack", 0)


def _at_fn(e: Entry) -> str:
    return e.program.describe(e.word(_fn(e)))


def _back(e: Entry) -> str:
    return e.program.describe(e.return_pc)


def _closure(e: Entry) -> Carry:
    return carry("closure context", "fn", e.register("ctxt"), _fn(e))


def _frame_pointer(e: Entry, value: int, source: str) -> list[Carry]:
    return [carry("frame pointer", source, e.register("fp"), value)] if "fp" in e.arch.roles else []


def _place(e: Entry, field: str) -> Place:
    return e.at(e.g, f"g.sched.{field}", "g")


# m.curg: there and back


def _switch(e: Entry, h: OnSystem, frame: int) -> Effect:
    bottom = e.arch.word if h.bottom else 0
    sp = e.g0_sp - bottom - e.pushed
    own = e.sp - frame if h.saves_frame == "own" else e.role("fp") if "fp" in e.arch.roles else 0
    at_fn = [
        *_saved(e, h, frame, own),
        *runs(e, e.g0, "g0", "m.g0"),
        carry("g0's SP", "g0.sched.sp", e.register("sp"), sp),
        _closure(e),
        *_frame_pointer(e, own, "own frame" if h.saves_frame == "own" else "unchanged"),
        *mirrored(e, e.g0, "m.g0"),
    ]
    if h.bottom:
        place = Place("return PC under fn", address=e.g0_sp - e.arch.word, size=e.arch.word)
        at_fn.append(carry("mstart", "address of mstart", place, e.program.gates["mstart"]))
    spans = (_own_stack(e, h, frame), Span(sp, e.pushed, "the call of fn on g0's stack"))
    return Effect((Moment(_at_fn(e), tuple(at_fn)), Moment(_back(e), tuple(_returned(e, h)))), spans)


def _saved(e: Entry, h: OnSystem, frame: int, own: int) -> list[Carry]:
    """g.sched while fn runs: as if systemstack_switch had been called, at the same depth."""
    switch = _symbol(e, "systemstack_switch") + h.sched_pc[e.arch.name]
    carries = [
        carry("PC", "in systemstack_switch", _place(e, "pc"), switch),
        carry("SP", "SP at entry, less the frame", _place(e, "sp"), e.sp - frame),
    ]
    if e.habits.saves_g:
        carries.append(carry("g", "the running g", _place(e, "g"), e.g))
    if "link" in e.arch.roles:
        carries.append(
            carry("no link", "0", _place(e, "lr"), 0) if h.clean
            else carry("link", "return PC at entry", _place(e, "lr"), e.return_pc)
        )
    if h.clean and e.has("g.sched.ret"):
        carries.append(carry("no result", "0", _place(e, "ret"), 0))
    if "fp" in e.arch.roles:
        carries.append(carry("frame pointer", f"of the {h.saves_frame} frame", _place(e, "bp"), own))
    return carries


def _returned(e: Entry, h: OnSystem) -> list[Carry]:
    """Back in the caller, by what g.sched says then: the stack may have been moved ``moved`` bytes."""
    sp = e.caller_sp + e.facts.get("moved", 0)
    curg = e.field(e.m, "m.curg")
    carries = [item for item in runs(e, curg, "g", "m.curg") if item.place != e.g_mirror]  # the mirror is the caller's
    carries += [
        carry("caller's SP", "SP at entry, where its stack is now", e.register("sp"), sp),
        carry("g.sched is free", "0", _place(e, "sp"), 0),
        *_frame_pointer(e, e.role("fp") if "fp" in e.arch.roles else 0, "frame pointer at entry"),
        *mirrored(e, curg, "m.curg"),
    ]
    if h.saves_frame == "own" and "fp" in e.arch.roles:
        carries.append(carry("g.sched is free", "0", _place(e, "bp"), 0))
    return carries


def _own_stack(e: Entry, h: OnSystem, frame: int) -> Span:
    size = frame + (_HELPER * e.arch.word if h.clean else 0)
    return Span(e.sp - size, size, "its frame, and a helper that fills g.sched")


def _symbol(e: Entry, name: str) -> int:
    """Address of a function of the runtime that is no gate: as our sources or a Go linker name it."""
    names = (f"runtime.{name}.abi0", f"runtime.{name}", name)
    return next(e.program.symbols[n].address for n in names if n in e.program)


# g0 and gsignal: there is nowhere to go


def _in_place(e: Entry, h: OnSystem, frame: int) -> Effect:
    sp = e.sp if h.tail else e.sp - frame - e.pushed
    same = _unchanged(e)
    fp = _frame_pointer(e, e.role("fp") if "fp" in e.arch.roles else 0, "unchanged")
    at_fn = [*same, _closure(e), carry("SP", "SP at entry", e.register("sp"), sp), *fp]
    if h.tail:
        on_stack = Place("return PC", address=sp, size=e.arch.word)
        place = on_stack if e.arch.call.return_on_stack else e.register("link")
        at_fn.append(carry("return PC", "return PC at entry", place, e.return_pc))
    back = (*same, carry("caller's SP", "SP at entry, return PC popped", e.register("sp"), e.caller_sp), *fp)
    return Effect(
        (Moment(_at_fn(e), tuple(at_fn)), Moment(_back(e), back)),
        (Span(e.sp - frame - e.pushed, frame + e.pushed, "its frame, and the call of fn"),),
    )


def _unchanged(e: Entry) -> list[Carry]:
    """g as it is everywhere. The register that mirrors it is not yet set when the runtime starts."""
    same = [item for item in runs(e, e.g, "g", "unchanged") if item.place != e.g_mirror]
    if e.g_mirror is not None:
        same.append(carry("g", "unchanged", e.g_mirror, e.registers[e.g_mirror.register or ""]))
    return same


# refusals


def _refuse(e: Entry, h: OnSystem, frame: int) -> Effect:
    """A g that is none of the three."""
    same = runs(e, e.g, "g", "unchanged")
    sp = e.sp - frame - e.pushed
    moments = [Moment("badsystemstack", (*same, carry("SP", "SP at entry, less the frame", e.register("sp"), sp)))]
    if h.ends:
        popped = carry("SP", "SP at entry, less the frame", e.register("sp"), e.sp - frame)
        moments.append(Moment("abort", (*same, popped)))
    return Effect(tuple(moments), (Span(sp, frame + e.pushed, "its frame, and the call of badsystemstack"),))


def _stale_ctxt(e: Entry, h: OnSystem, frame: int) -> Effect:
    """g.sched is in use: crash on the goroutine's stack, all but ctxt saved."""
    size = frame + _HELPER * e.arch.word
    at = (
        *_saved(e, h, frame, e.sp - frame),
        *runs(e, e.g, "g", "unchanged"),
        Carry("SP", "the caller's stack", e.register("sp"), e.sp, low=e.sp - size),
    )
    return Effect((Moment("abort", at),), (_own_stack(e, h, frame),))
