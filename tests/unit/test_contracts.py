"""Each kind of check has a broken routine that fails it, and nothing but it.

The routine under test, ``leave(g)``: note SP in g.sched.sp, set the closure context, set Z, call ``fn`` with SP kept
in a register, and go on at ``resumed`` with it. Its variants differ from it in one line.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from assembled import ARCHES, target

from emu.contracts.effect import Carry, Effect, Entry, Moment, Place, Span, carry
from emu.contracts.judge import Check, Scene, judge
from emu.runtime.world import World

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
CONTEXT = 42
Carries = tuple[Carry, ...]

# Lines by name, in order. `save` and `keep` come after `context` and `zero`, which use no memory.
LEAVE = {
    "386": {
        "argument": "mov eax, dword ptr [esp + 4]",
        "context": "mov edx, 42",
        "save": "mov dword ptr [eax + g.sched.sp], esp",
        "extra": "nop",
        "sp": "nop",
        "zero": "cmp eax, eax",
        "call": "call fn",
        "behind": "nop",
        "go": "jmp resumed",
    },
    "amd64": {
        "argument": "mov rax, qword ptr [rsp + 8]",
        "context": "mov edx, 42",
        "save": "mov qword ptr [rax + g.sched.sp], rsp",
        "extra": "nop",
        "sp": "nop",
        "zero": "cmp rax, rax",
        "call": "call fn",
        "behind": "nop",
        "go": "jmp resumed",
    },
    "arm": {
        "argument": "ldr r0, [sp, #4]",
        "context": "mov r7, #42",
        "save": "str sp, [r0, #g.sched.sp]",
        "extra": "nop",
        "sp": "nop",
        "zero": "cmp r0, r0",
        "call": "bl fn",
        "behind": "nop",
        "go": "b resumed",
    },
}


def _contract(e: Entry) -> Effect:
    g = e.word(e.argument_at(0))
    lowest = e.sp - 4 * e.arch.word
    flag = 1 << e.arch.flag_bits["Z"]
    at_fn = (
        carry("caller's SP", "SP at entry", e.at(g, "g.sched.sp", "g"), e.sp),
        carry("context", "42", e.register("ctxt"), CONTEXT),
        Carry("SP", "SP at entry", e.register("sp"), e.sp - e.pushed, low=lowest),
        Carry("flag Z", "set", Place("flag Z", e.arch.roles["flags"]), flag, mask=flag),
    )
    other = Span(e.facts["other"], e.layout.sizes["g"], "a struct that the routine may use")
    call = Span(lowest, 4 * e.arch.word, "the call of fn")
    depth = Carry("SP", "SP at entry", e.register("sp"), e.sp, low=lowest)
    return Effect((Moment("fn", at_fn), Moment("resumed", (depth,))), (other, call))


def _more(e: Entry, at_fn: Carries, at_end: Carries, spoils: tuple[str, ...] | None = None) -> Effect:
    """The contract, with more that is carried."""
    effect = _contract(e)
    first, second = effect.moments
    moments = (Moment("fn", (*first.carries, *at_fn), spoils), Moment("resumed", (*second.carries, *at_end)))
    return Effect(moments, effect.may_write)


def _checks(arch: str, contract: Callable[[Entry], Effect] = _contract, **changed: str) -> list[Check]:
    """The checks of the routine with some of its lines changed."""
    lines = LEAVE[arch] | changed
    assert lines.keys() == LEAVE[arch].keys()
    world = World(target("modern", arch, "\n".join(["leave:", *lines.values()])))
    scene = Scene("leave", lambda w: w.enter("leave", w.g.address), facts={"other": world.other.address})
    return judge(world, scene, contract)


def _failed(arch: str, contract: Callable[[Entry], Effect] = _contract, **changed: str) -> list[str]:
    return [check.name for check in _checks(arch, contract, **changed) if not check.ok]


@each
def test_unchanged_routine_passes_every_check(arch: str) -> None:
    checks = _checks(arch)
    assert all(check.ok for check in checks)
    assert [check.name for check in checks] == [
        "reaches fn", "SP is a multiple of the word at fn", "caller's SP → g.sched.sp at fn", "context → ctxt at fn",
        "SP → sp at fn", "flag Z → flag Z at fn", "reaches resumed", "SP is a multiple of the word at resumed",
        "SP → sp at resumed", "writes nothing else", "guard words of every g",
    ]  # fmt: skip


BROKEN = {
    "goes elsewhere": ("go", ("jmp other", "jmp other", "b other"), "reaches resumed"),
    "never gets there": (
        "behind", (".again: jmp .again", ".again: jmp .again", ".again: b .again"), "reaches resumed"
    ),
    "faults": (
        "behind", ("mov eax, dword ptr [0x30]", "mov rax, qword ptr [0x30]", "mov r0, #0x30; ldr r0, [r0]"),
        "reaches resumed",
    ),
    "crashes": ("behind", ("int3", "int3", "bkpt #0"), "reaches resumed"),
    "illegal instruction": ("behind", (".byte 0x0f, 0x0b",) * 2 + (".word 0xe7f000f0",), "reaches resumed"),
    "another register": ("context", ("mov ecx, 42", "mov ecx, 42", "mov r6, #42"), "context → ctxt at fn"),
    "another value": ("context", ("mov edx, 43", "mov edx, 43", "mov r7, #43"), "context → ctxt at fn"),
    "not stored": ("save", ("nop", "nop", "nop"), "caller's SP → g.sched.sp at fn"),
    "another value stored": (
        "save", ("mov dword ptr [eax + g.sched.sp], eax", "mov qword ptr [rax + g.sched.sp], rax",
                 "str r0, [r0, #g.sched.sp]"), "caller's SP → g.sched.sp at fn",
    ),
    "half of it stored": (
        "save", ("mov word ptr [eax + g.sched.sp], sp", "mov dword ptr [rax + g.sched.sp], esp",
                 "strh sp, [r0, #g.sched.sp]"), "caller's SP → g.sched.sp at fn",
    ),
    "stored after the call": (
        "call", ("mov dword ptr [eax + g.sched.sp], 0; call fn; mov eax, dword ptr [esp + 4]; "
                 "mov dword ptr [eax + g.sched.sp], esp",
                 "mov qword ptr [rax + g.sched.sp], 0; call fn; mov rax, qword ptr [rsp + 8]; "
                 "mov qword ptr [rax + g.sched.sp], rsp",
                 "str r1, [r0, #g.sched.sp]; bl fn; ldr r0, [sp, #4]; str sp, [r0, #g.sched.sp]"),
        "caller's SP → g.sched.sp at fn",
    ),
    "flag clear": ("zero", ("cmp eax, 0", "cmp rax, 0", "cmp r0, #0"), "flag Z → flag Z at fn"),
    "odd SP": (
        "behind", ("sub esp, 2", "sub rsp, 4", "sub sp, sp, #2"), "SP is a multiple of the word at resumed"
    ),
    "SP too low": ("behind", ("sub esp, 20", "sub rsp, 40", "sub sp, sp, #20"), "SP → sp at resumed"),
    "SP too high": ("behind", ("add esp, 4", "add rsp, 8", "add sp, sp, #4"), "SP → sp at resumed"),
    "one write more": (
        "extra", ("mov dword ptr [eax + g.param], eax", "mov qword ptr [rax + g.param], rax", "str r0, [r0, #g.param]"),
        "writes nothing else",
    ),
    "one byte more": (
        "extra", ("mov byte ptr [eax + g.sched.sp + 4], cl", "mov byte ptr [rax + g.sched.sp + 8], cl",
                  "strb r1, [r0, #g.sched.sp + 4]"), "writes nothing else",
    ),
    "a write that changes nothing": (
        "extra", ("mov ecx, dword ptr [eax + g.param]; mov dword ptr [eax + g.param], ecx",
                  "mov rcx, qword ptr [rax + g.param]; mov qword ptr [rax + g.param], rcx",
                  "ldr r1, [r0, #g.param]; str r1, [r0, #g.param]"), "writes nothing else",
    ),
    "a push too deep": (
        "extra", ("sub esp, 16; push 0; add esp, 20", "sub rsp, 32; push 0; add rsp, 40",
                  "sub sp, sp, #16; str r1, [sp, #-4]!; add sp, sp, #20"), "writes nothing else",
    ),
}  # fmt: skip


@each
@pytest.mark.parametrize("change", BROKEN)
def test_broken_routine_fails_its_check_and_no_other(arch: str, change: str) -> None:
    line, texts, check = BROKEN[change]
    assert _failed(arch, **{line: texts[ARCHES.index(arch)]}) == [check]


# A guard word that the routine may write, being in memory that it may use, must still be what it was.
GUARD = {
    "386": "mov dword ptr [eax + {distance} + g.stackguard{n}], ecx",
    "amd64": "mov qword ptr [rax + {distance} + g.stackguard{n}], rcx",
    "arm": "str r1, [r0, #({distance} + g.stackguard{n})]",
}


@each
@pytest.mark.parametrize("n", [0, 1])
def test_guard_word_of_another_g(arch: str, n: int) -> None:
    world = World(target("modern", arch, "leave: nop"))
    line = GUARD[arch].format(distance=world.other.address - world.g.address, n=n)
    checks = {check.name: check for check in _checks(arch, extra=line)}
    assert [name for name, check in checks.items() if not check.ok] == ["guard words of every g"]
    assert checks["guard words of every g"].found.startswith(f"other.stackguard{n} = 0x")


@each
def test_guard_words_that_a_contract_carries_are_its_own_business(arch: str) -> None:
    """Carried to another value they may change, carried to the old one they may not; one failure, not two."""
    world = World(target("modern", arch, "leave: nop"))
    word = "qword" if arch == "amd64" else "dword"
    base = "rax" if arch == "amd64" else "eax"
    distance = world.other.address - world.g.address
    store = (
        f"mov r1, #7; str r1, [r0, #({distance} + g.stackguard0)]"
        if arch == "arm" else f"mov {word} ptr [{base} + {distance} + g.stackguard0], 7"
    )

    def seven(e: Entry) -> Effect:
        return _more(e, (), (carry("guard", "7", e.at(e.facts["other"], "g.stackguard0", "other"), 7),))

    def same(e: Entry) -> Effect:
        other = e.facts["other"]
        kept = carry("guard", "at entry", e.at(other, "g.stackguard0", "other"), e.field(other, "g.stackguard0"))
        return _more(e, (), (kept,))

    assert _failed(arch, seven, extra=store) == []
    assert _failed(arch, seven) == ["guard → other.stackguard0 at resumed"]
    assert _failed(arch, same, extra=store) == ["guard → other.stackguard0 at resumed"]
    assert _failed(arch, same) == []


# What a callee may destroy

KEPT = {
    "386": ("mov ecx, 42; call fn", "mov edx, ecx"), "amd64": ("mov r12d, 42; call fn", "mov rdx, r12"),
    "arm": ("mov r4, #42; bl fn", "mov r7, r4"),
}  # fmt: skip


def _with_context(spoils: tuple[str, ...] | None) -> Callable[[Entry], Effect]:
    return lambda e: _more(e, (), (carry("context", "42", e.register("ctxt"), CONTEXT),), spoils)


@each
def test_register_kept_across_a_call_is_lost(arch: str) -> None:
    call, behind = KEPT[arch]
    assert _failed(arch, _with_context(None), call=call, behind=behind) == ["context → ctxt at resumed"]


@each
def test_register_survives_a_callee_that_spoils_only_others(arch: str) -> None:
    call, behind = KEPT[arch]
    assert _failed(arch, _with_context(("result",)), call=call, behind=behind) == []
    assert _failed(arch, _with_context(("ctxt",))) == ["context → ctxt at resumed"]


@pytest.mark.amd64
def test_vector_register() -> None:
    def contract(e: Entry) -> Effect:
        return _more(e, (carry("zero", "0", Place("zero register", "xmm15"), 0),), ())

    assert _failed("amd64", contract) == []
    assert _failed("amd64", contract, extra="movq xmm15, rax") == ["zero → zero register at fn"]
