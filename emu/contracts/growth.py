"""Contracts of the routines that a failed stack check leads to: morestack with its variants, and lessstack.

f is the function whose check found too little stack. In every era newstack is told where f and its caller stand,
on g0's stack; what is told, and where it is written, is in `arch.habits`.
"""

from __future__ import annotations

from collections.abc import Callable

from emu.contracts.effect import Carry, Effect, Entry, Moment, Place, Span, carry, mirrored
from emu.contracts.switch import runs


def morestack(e: Entry) -> Effect:
    """Write down f, its caller and what f asks for; call newstack on g0's stack. g0 (and gsignal) cannot grow."""
    return _split(e, e.role("ctxt") if e.has("gobuf.ctxt") else 0, _sizes(e))


def morestack_noctxt(e: Entry) -> Effect:
    """morestack of an f that has no closure context: none is kept."""
    return _split(e, 0, _sizes(e))


def variant(name: str) -> Callable[[Entry], Effect]:
    """The contract of morestackNN or its _noctxt twin: morestack, with the sizes in one word as NN says."""
    kind = name.removeprefix("morestack").removesuffix("_noctxt")

    def contract(e: Entry) -> Effect:
        both = Place("m.moreframesize and m.moreargsize", address=e.m + e.layout["m.moreframesize"], size=8)
        sizes = [carry("sizes", f"what {name} is passed", both, _both_sizes(kind, e.role("result")))]
        effect = _split(e, 0 if name.endswith("_noctxt") else e.role("ctxt"), sizes, sizes_first=True)
        below = Span(e.sp - e.arch.word, e.arch.word, "a word on f's stack, for the number of words")
        return effect if e.has("gobuf.ctxt") else effect._replace(may_write=(*effect.may_write, below))

    return contract


def _both_sizes(kind: str, passed: int) -> int:
    """The frame size in the lower half and the arguments' in the upper, from the one register ``passed``."""
    if kind in ("00", "10", "01", "11"):
        frame, args = passed & 0xFFFF_FFFF, passed
        return {"00": 0, "10": frame, "01": args << 32, "11": args}[kind] & (1 << 64) - 1
    return int(kind) << 32


def _sizes(e: Entry) -> list[Carry]:
    hands = e.habits.growth.hands.get(e.arch.name, {})
    return [
        carry(f"size of {what}", f"{hands[key]} at entry", e.at(e.m, f"m.more{key}size", "m"), e.registers[hands[key]])
        for key, what in (("frame", "f's frame"), ("arg", "f's arguments"))
        if key in hands
    ]


def _split(e: Entry, ctxt: int, sizes: list[Carry], sizes_first: bool = False) -> Effect:
    h, g, m = e.habits.growth, e.g, e.m
    described = _describe_f(e, g, ctxt)
    refused = next((name for name in h.refuses if g == e.field(m, f"m.{name}")), None)
    if refused is not None:
        return _refuse(e, refused, described if e.arch.name in h.saves_first else [], sizes if sizes_first else [])
    carries = [*sizes, *_describe_caller(e, g, m), *described]
    if e.facts.get("no room"):
        return _no_room(e, carries)
    at, span = _on_g0(e, ctxt)
    moments = [Moment("newstack", (*carries, *at))]
    hole = ""
    if g == e.field(m, "m.gsignal"):
        hole = "the signal stack is not refused: newstack is asked to grow it"
    if "returns" in e.facts:
        after, hole = _returned(e, "newstack", h.if_newstack_returns[e.arch.name], _words_on_g0(e))
        moments.append(after)
    return Effect(tuple(moments), (span,), hole)


# what newstack is told


def _f_return(e: Entry) -> int:
    """f's return PC: under morestack's own on the stack, or in the register that f's check copied the link to."""
    if e.arch.call.return_on_stack:
        return e.word(e.caller_sp)
    return e.registers[e.habits.growth.hands[e.arch.name]["return"]]


def _describe_caller(e: Entry, g: int, m: int) -> list[Carry]:
    """m.morebuf: f's caller as it will be when f has returned; and where f's arguments are."""
    carries = [
        carry("f's return PC", "f's return PC", e.at(m, "m.morebuf.pc", "m"), _f_return(e)),
        carry("SP of f's caller", "SP at f's entry, return PC popped", e.at(m, "m.morebuf.sp", "m"),
              e.caller_sp + e.pushed),
        carry("g", "the running g", e.at(m, "m.morebuf.g", "m"), g),
    ]
    if e.has("m.moreargp"):
        first = e.caller_sp + e.arch.call.first_argument
        carries.append(carry("f's arguments", "above f's return PC", e.at(m, "m.moreargp", "m"), first))
    return carries


def _describe_f(e: Entry, g: int, ctxt: int) -> list[Carry]:
    """Where f goes on: g.sched, or in the oldest era m.morepc alone."""
    h = e.habits.growth
    if e.has("m.morepc"):
        return [carry("PC in f", "return PC at entry", e.at(e.m, "m.morepc", "m"), e.return_pc)]
    carries = [
        carry("PC in f", "return PC at entry", e.at(g, "g.sched.pc", "g"), e.return_pc),
        carry("f's SP", "SP at f's entry", e.at(g, "g.sched.sp", "g"), e.caller_sp),
    ]
    if e.arch.name in h.sched_g:
        carries.append(carry("g", "the running g", e.at(g, "g.sched.g", "g"), g))
    if h.ctxt == "sched":
        carries.append(carry("closure context", "ctxt at entry", e.at(g, "g.sched.ctxt", "g"), ctxt))
    if "link" in e.arch.roles:
        carries.append(carry("f's link", "f's return PC", e.at(g, "g.sched.lr", "g"), _f_return(e)))
    if "fp" in e.arch.roles and e.habits.frame_saved:
        carries.append(carry("frame pointer", "frame pointer at entry", e.at(g, "g.sched.bp", "g"), e.role("fp")))
    return carries


# what newstack finds


def _words_on_g0(e: Entry) -> int:
    """Words that morestack itself leaves on g0's stack before it calls."""
    h = e.habits.growth
    link = h.no_link and not e.arch.call.return_on_stack
    return int(link) + int(h.ctxt == "argument")


def _on_g0(e: Entry, ctxt: int) -> tuple[list[Carry], Span]:
    """newstack's entry state, and what of g0's stack may be written on the way there."""
    h, word = e.habits.growth, e.arch.word
    sp = e.g0_sp - _words_on_g0(e) * word - e.pushed
    carries = [*_thread(e, e.g0, "m.g0"), carry("g0's SP", "g0.sched.sp", e.register("sp"), sp)]
    if h.no_link and not e.arch.call.return_on_stack:
        place = Place("saved link on g0's stack", address=sp, size=word)
        carries.append(carry("no caller", "0", place, 0))
    if h.ctxt == "argument":
        place = Place("newstack's argument", address=sp + e.arch.call.first_argument, size=word)
        carries.append(carry("closure context", "ctxt at entry", place, ctxt))
    if e.arch.name in h.jumps:
        carries.append(carry("PC in f", "link at entry", e.register("link"), e.role("link")))
    carries += mirrored(e, e.g0, "m.g0")
    if h.frame and "fp" in e.arch.roles:
        value = e.field(e.g0, "g.sched.bp") if h.frame == "g0" else 0
        source = "g0.sched.bp" if h.frame == "g0" else "0"
        carries.append(carry("frame pointer", source, e.register("fp"), value))
    return carries, Span(sp, e.g0_sp - sp, "the call of newstack on g0's stack")


def _thread(e: Entry, g: int, source: str) -> list[Carry]:
    """The thread's g, and its m. A register that only mirrors g is free: newstack is called by the stack ABI."""
    return [item for item in runs(e, g, "g0", source) if item.place != e.g_mirror]


def _no_room(e: Entry, carries: list[Carry]) -> Effect:
    """g0's stack has no room for the call. Where it is touched first, the fault finds SP still on f's stack."""
    at = [*carries, *_thread(e, e.g0, "m.g0"), carry("SP", "SP at entry", e.register("sp"), e.sp)]
    return Effect((Moment(f"fault:{e.g0_sp - e.arch.word:#x}", tuple(at)),))


# what must never happen


def _refuse(e: Entry, stack: str, described: list[Carry], sizes: list[Carry]) -> Effect:
    """morestack on a stack that cannot grow: say so where the era does, then crash, still on that stack."""
    h = e.habits.growth
    same = [*described, *sizes, *runs(e, e.g, stack, "unchanged")]
    called = e.pushed if e.arch.name in h.abort else 0
    crash = Moment("abort", (*same, carry("SP", "SP at entry", e.register("sp"), e.sp - called)))
    room = Span(e.sp - e.pushed, e.pushed, "the calls of a refusal")
    if not h.tells:
        return Effect((crash,), (room,))
    told = Moment(f"badmorestack{stack}", (*same, carry("SP", "SP at entry", e.register("sp"), e.sp - e.pushed)))
    return Effect((told, crash), (room,))


def _returned(e: Entry, callee: str, how: str, words: int) -> tuple[Moment, str]:
    """What becomes of a ``callee`` that returns though it never may, with ``words`` of ours above its frame."""
    sp = e.g0_sp - words * e.arch.word - (e.pushed if how == "abort" else 0)
    at = (*_thread(e, e.g0, "m.g0"), carry("g0's SP", "g0.sched.sp", e.register("sp"), sp))
    would = f"{callee}, if it returned, would run on g0's stack"
    if how == "entry link":
        return Moment(e.program.describe(e.role("link")), at), f"{would} what the link led to at entry"
    if how == "link":
        return Moment(f"fault:{e.facts['returns']:#x}", at), f"{would} whatever it left in the link"
    return Moment(how, at), ""


def lessstack(e: Entry) -> Effect:
    """What f returns to on a linked segment: keep its result in m.cret, call oldstack on g0's stack."""
    sp = e.g0_sp - e.pushed
    carries = [
        carry("f's result", "result at entry", e.at(e.m, "m.cret", "m"), e.role("result")),
        *runs(e, e.g0, "g0", "m.g0"),
        carry("g0's SP", "g0.sched.sp", e.register("sp"), sp),
    ]
    moments, hole = [Moment("oldstack", tuple(carries))], ""
    if "returns" in e.facts:
        after, hole = _returned(e, "oldstack", e.habits.growth.if_oldstack_returns[e.arch.name], 0)
        moments.append(after)
    return Effect(tuple(moments), (Span(sp, e.pushed, "the call of oldstack on g0's stack"),), hole)
