"""Contracts of the routines that leave one stack for another: gosave, gogo, gogocall, mcall."""

from __future__ import annotations

from emu.contracts.effect import Carry, Effect, Entry, Moment, Place, Span, carry, mirrored


def runs(e: Entry, g: int, name: str, source: str) -> list[Carry]:
    """Every place that names the running g now names ``g``; m is still the thread's."""
    carries = [carry(name, source, e.g_place, g)]
    if e.g_mirror is not None:
        carries.append(carry(name, source, e.g_mirror, g))
    if "m" in e.era.tls_slots and e.arch.tls.m_register:
        carries.append(carry("m", "the thread's m", Place("m", register=e.arch.tls.m_register), e.m))
    return carries


def mcall(e: Entry) -> Effect:
    """Save the caller in g.sched, switch to g0 where its stack always starts, call fn(g).

    On g0 it is refused (after the save); when fn returns, badmcall2.
    """
    g, g0, h = e.g, e.g0, e.habits
    saved = _save_caller(e, g)
    frame = e.arch.word if e.internal("mcall") else 0  # the register ABI's version saves its caller's BP first
    own = (Span(e.sp - frame, frame, "mcall's own frame"),)
    if g == g0:
        called = e.pushed if h.refusal_calls else 0
        sp = e.sp - frame - called
        at = [*saved, *runs(e, g0, "g0", "unchanged"), carry("SP", "SP at entry", e.register("sp"), sp)]
        return Effect((Moment("badmcall", tuple(at)),), (*own, Span(sp, called, "the call of badmcall")))
    fn = e.argument("mcall", 0)
    code = e.word(fn) if h.function == "funcval" else fn
    top = e.g0_sp
    sp = top - 2 * e.arch.word  # the argument, and the return PC below it; on arm a frame with room for LR
    at_fn = [*saved, *_on_g0(e, sp), *_fn_argument(e, sp, g)]
    if h.function == "funcval":
        at_fn.append(carry("closure context", "fn", e.register("ctxt"), fn))
    if h.frame_cleared and "fp" in e.arch.roles:
        at_fn.append(carry("no frame", "0", e.register("fp"), 0))
    if not e.arch.call.return_on_stack:
        back = sp
    else:  # the argument is popped; the oldest era then calls where the others jump
        back = top - e.arch.word if h.refusal_calls else top
    return Effect(
        (Moment(e.program.describe(code), tuple(at_fn)), Moment("badmcall2", tuple(_on_g0(e, back)))),
        (Span(sp, top - sp, "the call of fn on g0's stack"), *own),
    )


def _on_g0(e: Entry, sp: int) -> list[Carry]:
    at = [*runs(e, e.g0, "g0", "m.g0"), carry("g0's SP", "g0.sched.sp", e.register("sp"), sp)]
    return [*at, *mirrored(e, e.g0, "m.g0")]


def _save_caller(e: Entry, g: int) -> list[Carry]:
    carries = [
        carry("caller's SP", "SP at entry, return PC popped", e.at(g, "g.sched.sp", "g"), e.caller_sp),
        carry("return PC", "return PC at entry", e.at(g, "g.sched.pc", "g"), e.return_pc),
    ]
    if e.habits.saves_g:
        carries.append(carry("g", "the running g", e.at(g, "g.sched.g", "g"), g))
    if "link" in e.arch.roles and e.habits.clears:
        carries.append(carry("no link", "0", e.at(g, "g.sched.lr", "g"), 0))
    if "fp" in e.arch.roles and e.habits.frame_saved:
        carries.append(carry("frame pointer", "frame pointer at entry", e.at(g, "g.sched.bp", "g"), e.role("fp")))
    return carries


def _fn_argument(e: Entry, sp: int, g: int) -> list[Carry]:
    stack = Place("fn's argument", address=sp + e.arch.call.first_argument, size=e.arch.word)
    carries = [carry("old g", "the running g", stack, g)]
    if e.internal("mcall"):  # the word on the stack is then the argument's spill slot
        assert e.arch.internal is not None
        carries.append(carry("old g", "the running g", Place("fn's argument", e.arch.internal.arguments[0]), g))
    return carries


def gogo(e: Entry) -> Effect:
    """Resume what a gobuf holds: g, SP, PC, and what else the era keeps there; empty the gobuf.

    A nil g faults before (or, in some eras, after) the thread's g was changed, and before SP was.
    """
    buf = e.argument("gogo", 0)
    g = e.field(buf, "gobuf.g")
    moments: list[Moment] = []
    spans: list[Span] = []
    ctxt = e.field(buf, "gobuf.ctxt") if e.has("gobuf.ctxt") else 0
    if e.habits.barrier and ctxt:
        barrier, span = _write_barrier(e, buf)
        moments.append(barrier)
        spans.append(span)
    if g == 0 and e.habits.probe[e.arch.name]:
        frame = 2 * e.arch.word if e.habits.barrier else 0  # the write barrier's arguments
        moments.append(_nil_g(e, e.habits.probe[e.arch.name], frame))
        return Effect(tuple(moments), tuple(spans))
    if e.facts.get("cgo"):
        moments.extend(_cgo_call(e, g))
    hole = "" if g else "a nil g is resumed: this era's gogo does not read through it"
    moments.append(Moment(e.program.describe(e.field(buf, "gobuf.pc")), tuple(_resumed(e, buf, g))))
    return Effect(tuple(moments), tuple(spans), hole)


def _resumed(e: Entry, buf: int, g: int) -> list[Carry]:
    carries = [*runs(e, g, "g", "buf.g"), carry("SP", "buf.sp", e.register("sp"), e.field(buf, "gobuf.sp"))]
    cleared = ["sp"]
    for role, field in (("result", "ret"), ("ctxt", "ctxt"), ("link", "lr"), ("fp", "bp")):
        if e.has(f"gobuf.{field}") and role in e.arch.roles:
            value = e.field(buf, f"gobuf.{field}")
            carries.append(carry(role, f"buf.{field}", e.register(role), value))
            cleared.append(field)
    if not e.has("gobuf.ctxt"):  # the oldest era takes the result as an argument
        carries.append(carry("result", "argument ret", e.register("result"), e.argument("gogo", 1)))
    if e.habits.clears:
        carries += [carry("cleared", "0", e.at(buf, f"gobuf.{field}", "buf"), 0) for field in cleared]
    if e.habits.link_flags and "link" in e.arch.roles:
        carries += [_flag(e, name) for name in e.habits.link_flags]
    return [*carries, *mirrored(e, g, "buf.g")]


def _flag(e: Entry, name: str) -> Carry:
    bit = 1 << e.arch.flag_bits[name]
    return Carry(f"flag {name}", "SP resumed", Place(f"flag {name}", e.arch.roles["flags"]), bit, mask=bit)


def _nil_g(e: Entry, probe: str, frame: int = 0) -> Moment:
    """The fault that stops a nil g: SP is still on the caller's stack, ``frame`` bytes down."""
    now = 0 if probe == "after" else e.g
    return Moment("fault:0x0", (
        carry("g", "nil" if probe == "after" else "unchanged", e.g_place, now),
        carry("SP", "still the caller's stack", e.register("sp"), e.sp - frame),
    ))


def _write_barrier(e: Entry, buf: int) -> tuple[Moment, Span]:
    """2017: the gobuf's ctxt is a pointer that is about to be cleared; the collector must hear of it.

    prewrite(&buf.ctxt, 0) is called on the caller's stack, the thread's g untouched.
    """
    frame = 2 * e.arch.word + (e.arch.word)  # two arguments, and the return PC or the link's word
    sp = e.sp - frame
    first = sp + e.arch.call.first_argument
    field = e.layout["gobuf.ctxt"] + buf
    at = [
        carry("slot", "&buf.ctxt", Place("argument 1", address=first, size=e.arch.word), field),
        carry("new value", "0", Place("argument 2", address=first + e.arch.word, size=e.arch.word), 0),
        carry("SP", "room for two arguments", e.register("sp"), sp),
        carry("g", "unchanged", e.g_place, e.g),
    ]
    if "link" in e.arch.roles:  # for a stack walk from there
        at.append(carry("link", "link at entry", Place("saved link", address=sp, size=e.arch.word), e.role("link")))
    return Moment("prewrite", tuple(at)), Span(sp, frame, "the call of the write barrier")


def _cgo_call(e: Entry, g: int) -> list[Moment]:
    """2014 under cgo: save_gm is called with the new g already in its register, SP still the caller's."""
    if e.habits.cgo != "call":
        return []
    at = [*runs(e, g, "g", "buf.g"), carry("SP", "SP at entry", e.register("sp"), e.sp)]
    return [Moment("save_gm", tuple(at), spoils=("result",))]


def gogocall(e: Entry) -> Effect:
    """2011: resume a gobuf's stack by calling fn there; fn returns to buf.pc.

    The thread's g changes before the nil probe.
    """
    buf, fn = e.argument("gogocall", 0), e.argument("gogocall", 1)
    g = e.field(buf, "gobuf.g")
    if g == 0:
        return Effect((_nil_g(e, "after"),))
    sp, pc = e.field(buf, "gobuf.sp") - e.pushed, e.field(buf, "gobuf.pc")
    if e.arch.call.return_on_stack:
        back = Place("return PC of fn", address=sp, size=e.arch.word)
    else:
        back = e.register("link")
    at_fn = (
        *runs(e, g, "g", "buf.g"),
        carry("SP", "buf.sp, fn's return PC pushed", e.register("sp"), sp),
        carry("return PC", "buf.pc", back, pc),
    )
    return Effect((Moment(e.program.describe(fn), at_fn),))


def gosave(e: Entry) -> Effect:
    """Write down the caller's SP and PC in a gobuf, and return. A stale ctxt is refused where the era looks."""
    buf = e.argument("gosave", 0)
    saved = [
        carry("caller's SP", "SP at entry, return PC popped", e.at(buf, "gobuf.sp", "buf"), e.caller_sp),
        carry("return PC", "return PC at entry", e.at(buf, "gobuf.pc", "buf"), e.return_pc),
        carry("g", "the running g", e.at(buf, "gobuf.g", "buf"), e.g),
    ]
    cleared = []
    if e.habits.clears:
        cleared = ["ret"] + (["lr"] if "link" in e.arch.roles else []) + ([] if e.habits.barrier else ["ctxt"])
    saved += [carry("cleared", "0", e.at(buf, f"gobuf.{field}", "buf"), 0) for field in cleared]
    if "fp" in e.arch.roles and e.habits.frame_saved:
        saved.append(carry("frame pointer", "frame pointer at entry", e.at(buf, "gobuf.bp", "buf"), e.role("fp")))
    if e.habits.barrier and e.field(buf, "gobuf.ctxt"):
        return _stale_ctxt(e, saved)
    back = [
        carry("caller's SP", "SP at entry, return PC popped", e.register("sp"), e.caller_sp),
        *runs(e, e.g, "g", "unchanged"),
    ]
    if "fp" in e.arch.roles and e.habits.frame_saved:
        back.append(carry("frame pointer", "unchanged", e.register("fp"), e.role("fp")))
    return Effect((Moment(e.program.describe(e.return_pc), (*saved, *back)),))


def _stale_ctxt(e: Entry, saved: list[Carry]) -> Effect:
    """gosave over a ctxt that is in use: refused on the caller's stack. All but g has been saved by then."""
    at = (
        *(item for item in saved if item.role != "g"),
        *runs(e, e.g, "g", "unchanged"),
        carry("SP", "SP at entry", e.register("sp"), e.sp - e.pushed),
    )
    spans = [Span(e.sp - e.pushed, e.pushed, "the call of badctxt")]
    spans += [
        Span(item.place.address, item.place.size, "saved before ctxt is looked at")
        for item in saved if item.role == "g" and item.place.address is not None
    ]
    return Effect((Moment("badctxt", at),), tuple(spans))
