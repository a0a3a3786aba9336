"""How a scene is judged: the names of stops, what a check says, and the order of things."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from assembled import ARCHES, target

import arch as arches
from arch import golang
from emu import target as targets
from emu.check import world_of
from emu.contracts.effect import Carry, Effect, Moment, Place, Span, carry
from emu.contracts.judge import Check, Scene, entry_of, judge, kept_by_callee
from emu.machine import Stop
from emu.routines import ROUTINES
from emu.runtime.world import World

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
every = pytest.mark.parametrize(
    ("era", "arch"),
    [pytest.param(e, a, id=f"{e}-{a}", marks=getattr(pytest.mark, a)) for e in golang.ERAS for a in ARCHES],
)


def _judge(arch: str, text: str, *moments: Moment, answers: tuple[int, ...] = (), **more: object) -> list[Check]:
    world = World(target("modern", arch, f"f: {text}"))
    call = Span(world.stacks["g"].address, world.stacks["g"].size, "the stack")
    scene = Scene("call", lambda w: w.enter("f"), answers=answers)
    return judge(world, scene, lambda _: Effect(moments, (call,)), **more)  # type: ignore[arg-type]


# names of stops

ENDS = {
    "gate": (("jmp other", "jmp other", "b other"), "other"),
    "return": (("ret", "ret", "mov pc, lr"), "caller"),
    "system call": (("int 0x80", "syscall", "svc #0"), "trap"),
    "breakpoint": (("int3", "int3", "bkpt #0"), "abort"),
    "nil": (("mov eax, dword ptr [0]", "xor eax, eax; mov rax, qword ptr [rax]", "mov r0, #0; ldr r0, [r0]"),
            "fault:0x0"),
    "fault": (("mov dword ptr [0x30], eax", "mov eax, 0x30; mov qword ptr [rax], rcx", "mov r0, #0x30; str r1, [r0]"),
              "fault:0x30"),
    "illegal": ((".byte 0x0f, 0x0b", ".byte 0x0f, 0x0b", ".word 0xe7f000f0"), "illegal instruction at f"),
    "endless": (("jmp f", "jmp f", "b f"), "no end within the budget"),
}  # fmt: skip


@each
@pytest.mark.parametrize("end", ENDS)
def test_stop_has_its_name(arch: str, end: str) -> None:
    texts, name = ENDS[end]
    text = texts[ARCHES.index(arch)]
    assert [check.name for check in _judge(arch, text, Moment(name)) if not check.ok] == []
    (failed,) = [check for check in _judge(arch, text, Moment("resumed")) if not check.ok]
    assert (failed.name, failed.expected, failed.found) == ("reaches resumed", "resumed", name)


@each
def test_wild_jump_is_a_fault_at_its_target(arch: str) -> None:
    text = {"386": "mov eax, 0x3000; jmp eax", "amd64": "mov eax, 0x3000; jmp rax", "arm": "mov pc, #0x3000"}[arch]
    assert all(check.ok for check in _judge(arch, text, Moment("fault:0x3000")))


@each
def test_budget_is_counted_over_all_moments(arch: str) -> None:
    call = "bl other" if arch == "arm" else "call other"
    text = "; ".join(["nop"] * 9 + [call] + ["nop"] * 9 + [call.replace("other", "fn")])
    moments = (Moment("other"), Moment("fn"))
    assert all(check.ok for check in _judge(arch, text, *moments, steps=20))
    found = [check.found for check in _judge(arch, text, *moments, steps=19) if not check.ok]
    assert found == ["no end within the budget"]


# what a check says


@each
def test_check_says_what_was_carried_and_when_it_was_written(arch: str) -> None:
    text = {
        "386": "nop; push 5; push 6; nop; add esp, 8; ret", "amd64": "nop; push 5; push 6; nop; add rsp, 16; ret",
        "arm": "mov r1, #5; str r1, [sp, #-4]!; mov r1, #6; str r1, [sp, #-4]!; add sp, sp, #8; mov pc, lr",
    }[arch]  # fmt: skip
    world = World(target("modern", arch, f"f: {text}"))
    world.reset()
    word, sp = world.arch.word, world.process.role("sp")
    place = Place("word", address=sp - word, size=word)
    below = Place("word below", address=sp - 2 * word, size=word)
    untouched = Place("own word", address=sp, size=word)
    moment = Moment("caller", (
        Carry("first", "5", place, 5), Carry("second", "6", below, 7), Carry("kept", "it", untouched, 0),
    ))
    first, second, kept = _judge(arch, text, moment)[2:5]
    assert (first.role, first.source, first.target, first.moment) == ("first", "5", "word", "caller")
    assert (first.ok, first.expected, first.found, first.step) == (True, "0x5", "0x5", 1)
    assert (second.ok, second.expected, second.found) == (False, "0x7", "0x6")
    assert second.step == (3 if arch == "arm" else 2)
    assert kept.step == 6, "never written: judged when the moment came"


@each
def test_range_and_mask(arch: str) -> None:
    text = {"386": "mov edx, 0x18; ret", "amd64": "mov edx, 0x18; ret", "arm": "mov r7, #0x18; mov pc, lr"}[arch]
    ctxt = Place("ctxt", arches.get(arch).roles["ctxt"])

    def passes(value: int, low: int | None = None, mask: int | None = None) -> bool:
        checks = _judge(arch, text, Moment("caller", (Carry("x", "y", ctxt, value, low=low, mask=mask),)))
        return all(check.ok for check in checks)

    assert [passes(0x18), passes(0x19), passes(0x17)] == [True, False, False]
    assert [passes(0x20, 0x10), passes(0x18, 0x10), passes(0x20, 0x18)] == [True, True, True]
    assert [passes(0x17, 0x10), passes(0x20, 0x19)] == [False, False]
    assert [passes(0xFF, mask=0x08), passes(0xFF, mask=0x01), passes(0, mask=0x07)] == [True, False, True]


@each
def test_hole_is_told_with_the_way_it_ends(arch: str) -> None:
    world = World(target("modern", arch, "f: " + ("mov pc, lr" if arch == "arm" else "ret")))
    stack = Span(world.stacks["g"].address, world.stacks["g"].size, "the stack")
    effect = Effect((Moment("caller"),), (stack,), hole="nobody would want this")
    checks = judge(world, Scene("call", lambda w: w.enter("f")), lambda _: effect)
    assert {check.name: check.hole for check in checks if check.hole} == {"reaches caller": "nobody would want this"}


# the order of things


@each
def test_nothing_is_judged_behind_a_moment_that_was_missed(arch: str) -> None:
    text = "b other" if arch == "arm" else "jmp other"
    names = [check.name for check in _judge(arch, text, Moment("fn"), Moment("resumed"))]
    assert names == ["reaches fn", "writes nothing else", "guard words of every g"]


TWO_TRAPS = {
    "386": "mov eax, 1; int 0x80; mov ecx, eax; int 0x80; ret",
    "amd64": "mov eax, 1; syscall; mov rbx, rax; syscall; ret",
    "arm": "mov r7, #1; svc #0; mov r1, r0; svc #0; mov pc, lr",
}


@each
def test_traps_are_answered_in_order(arch: str) -> None:
    first = Place("first", {"386": "ecx", "amd64": "rbx", "arm": "r1"}[arch])
    result = Place("result", arches.get(arch).roles["result"])
    at_end = Moment("caller", (carry("1st", "", first, 11), carry("2nd", "", result, arches.get(arch).mask - 4)))
    checks = _judge(arch, TWO_TRAPS[arch], Moment("trap"), Moment("trap"), at_end, answers=(11, -5))
    assert [check.name for check in checks if not check.ok] == []


@each
def test_kernel_destroys_registers_between_moments(arch: str) -> None:
    spoiled = {"386": (), "amd64": ("rcx", "r11"), "arm": ()}[arch]
    world = World(target("modern", arch, f"f: {TWO_TRAPS[arch]}"))
    world.reset()
    before = {name: value for name, value in world.process.machine.registers().items() if name.startswith("r1")}
    later = Moment("trap", tuple(carry(n, "", Place(n, n), v) for n, v in before.items() if n not in ("r1", "r12")))
    failed = [c.role for c in _judge(arch, TWO_TRAPS[arch], Moment("trap"), later, answers=(1, 1)) if not c.ok]
    assert failed == [name for name in spoiled if name in before]


@each
def test_meanwhile_comes_before_the_answer(arch: str) -> None:
    text = {"386": "int 0x80; ret", "amd64": "syscall; ret", "arm": "svc #0; mov pc, lr"}[arch]
    world = World(target("modern", arch, f"f: {text}"))
    seen: list[int] = []

    def meanwhile(w: World) -> None:
        seen.append(w.process.role("result"))
        w.process.set_role("result", 1)

    stack = Span(world.stacks["g"].address, world.stacks["g"].size, "the stack")
    result = carry("result", "the answer", Place("result", world.arch.roles["result"]), 9)
    effect = Effect((Moment("trap"), Moment("caller", (result,))), (stack,))
    scene = Scene("call", lambda w: w.enter("f"), answers=(9,), meanwhile=meanwhile)
    assert all(check.ok for check in judge(world, scene, lambda _: effect))
    assert seen == [world.process.register_poison(world.arch.roles["result"])]


@each
def test_watch_sees_the_entry_state_and_every_stop(arch: str) -> None:
    call = "bl fn; b resumed" if arch == "arm" else "call fn; jmp resumed"
    world = World(target("modern", arch, f"f: {call}"))
    seen: list[object] = []

    def watch(w: World) -> Callable[[Stop, str], None]:
        seen.append(w.program.describe(w.process.role("pc")))
        return lambda stop, name: seen.append((stop.kind, name))

    stack = Span(world.stacks["g"].address, world.stacks["g"].size, "the stack")
    effect = Effect((Moment("fn"), Moment("resumed")), (stack,))
    judge(world, Scene("call", lambda w: w.enter("f")), lambda _: effect, watch)
    assert seen == ["f", ("exit", "fn"), ("exit", "resumed")]


@each
def test_writes_of_the_scene_itself_do_not_count(arch: str) -> None:
    """`prepare` may even run guest code; only what the routine writes is judged."""
    push = {"386": "push 1; pop ecx", "amd64": "push 1; pop rcx", "arm": "str r1, [sp, #-4]!"}[arch]
    text = f"{push}; " + ("mov pc, lr" if arch == "arm" else "ret")
    world = World(target("modern", arch, f"f: {text}"))

    def prepare(w: World) -> None:
        w.enter("f")
        w.process.run(100)
        w.process.set_role("sp", w.stacks["g"].end - 64)
        w.g["param"] = 7
        w.process.set_role("pc", w.code("resumed"))

    checks = judge(world, Scene("done", prepare), lambda _: Effect((Moment("resumed"),)))
    assert [check.name for check in checks if not check.ok] == []


@each
def test_scene_starts_from_the_same_state_every_time(arch: str) -> None:
    world = world_of(targets.of_era("modern", arch))
    for routine in ("mcall", "gogo"):
        scenes = list(ROUTINES[routine].scenes(world))
        first = [judge(world, scene, ROUTINES[routine].contract) for scene in scenes]
        again = [judge(world, scene, ROUTINES[routine].contract) for scene in reversed(scenes)]
        assert first == again[::-1]


# evidence at entry


@every
def test_entry_reads_the_state_by_role(era: str, arch: str) -> None:
    world = world_of(targets.of_era(era, arch))
    world.reset()
    world.run_on(world.other)
    world.enter("gogo", 0x111, 0x222)
    e = entry_of(world, Scene("", lambda _: None, answers=(1, -2), facts={"x": 3}))
    word = world.arch.word
    assert (e.g, e.m, e.g0) == (world.other.address, world.m.address, world.g0.address)
    assert e.g0_sp == world.g0["sched.sp"]
    assert e.return_pc == world.code("caller")
    assert e.caller_sp - e.sp == (0 if arch == "arm" else word)
    assert [e.argument("gogo", 0), e.argument("gogo", 1)] == [0x111, 0x222]
    assert [e.word(e.sp + word), e.word(e.sp + 2 * word)] == [0x111, 0x222]
    assert e.field(e.m, "m.g0") == world.g0.address
    assert e.at(e.g, "g.sched.sp", "g") == Place("g.sched.sp", None, world.other.at("sched.sp"), word)
    assert (e.answers, e.facts, e.vfork_inputs) == ((1, -2), {"x": 3}, world.target.vfork_inputs)
    place = e.g_place
    assert world.other.address == (
        world.process.machine.registers()[place.register] if place.register else world.process.word(place.address or 0)
    )
    assert (e.g_mirror is not None) == ((era, arch) == ("modern", "amd64"))


@pytest.mark.amd64
def test_arguments_of_the_register_abi_are_registers() -> None:
    world = world_of(targets.of_era("modern", "amd64"))
    world.reset()
    world.enter("mcall", 0x333)
    e = entry_of(world, Scene("", lambda _: None))
    assert e.internal("mcall")
    assert e.argument("mcall", 0) == e.registers["rax"] == 0x333


@every
def test_what_a_callee_keeps(era: str, arch: str) -> None:
    world = world_of(targets.of_era(era, arch))
    old = era in ("2011", "2014")
    arm = {"sp", "r10", "r9"} if old else {"sp", "r10"}
    amd64 = {"rsp"} if old else {"rsp", "rbp"} if era == "2017" else {"rsp", "rbp", "r14"}
    assert kept_by_callee(world) == {"386": {"esp"}, "amd64": amd64, "arm": arm}[arch]
