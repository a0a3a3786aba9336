"""Calls by the C convention, gates that Python answers, faults and budgets, the guard, and floating point."""

from __future__ import annotations

import pytest

from emu.errors import BadInput
from emu.suite.fixture import Suite

STACK = {"main": 4096}

# f(a, b, c, d, e, g, h) calls out(h, a) and returns what that returns, plus b.
CALLS_OUT = {
    "386": """
f:
    sub esp, 12
    mov eax, [esp + 16]
    mov ecx, [esp + 40]
    sub esp, 16
    mov [esp], ecx
    mov [esp + 4], eax
    call out
    add esp, 28
    add eax, [esp + 8]
    ret
""",
    "amd64": """
f:
    push rbx
    mov rbx, rsi
    mov rsi, rdi
    mov rdi, [rsp + 16]
    call out
    add rax, rbx
    pop rbx
    ret
""",
    "arm": """
f:
    push {r4, lr}
    mov r4, r1
    mov r1, r0
    ldr r0, [sp, #16]  // the last of three on the stack, above two saved words
    bl out
    add r0, r0, r4
    pop {r4, pc}
""",
}

# What goes wrong: each a routine of one or two instructions.
TROUBLE = {
    "386": """
deep:
    push eax
    jmp deep
wild:
    mov eax, [ecx]
illegal:
    ud2
stop:
    int3
endless:
    jmp endless
asks:
    mov eax, 20
    int 0x80
    ret
low:
    mov [esp - 4], eax
    mov eax, [esp - 4]
    ret
""",
    "amd64": """
deep:
    push rax
    jmp deep
wild:
    mov rax, [rcx]
illegal:
    ud2
stop:
    int3
endless:
    jmp endless
asks:
    mov eax, 39
    syscall
    ret
low:
    mov [rsp - 136], rax
    mov rax, [rsp - 136]
    ret
zone:
    mov [rsp - 128], rax
    mov rax, [rsp - 128]
    ret
""",
    "arm": """
deep:
    push {r0}
    b deep
wild:
    ldr r0, [r12]
illegal:
    .word 0xe7f000f0
stop:
    bkpt #0
endless:
    b endless
asks:
    push {r7, lr}
    mov r7, #20
    svc #0
    pop {r7, pc}
low:
    str r0, [sp, #-4]
    ldr r0, [sp, #-4]
    bx lr
""",
}

# Changes what C keeps of floating point.
FLOATS = {
    "386": "f:\n mov dword ptr [word], 0x3f80\n ldmxcsr dword ptr [word]\n ret\n",
    "amd64": "f:\n mov dword ptr [rip + word], 0x3f80\n ldmxcsr dword ptr [rip + word]\n ret\n",
    "arm": "f:\n vmov.f64 d8, d9\n bx lr\n",
}
GUARDED = {
    "386": "f:\n mov eax, gs:[0]\n ret\nbad:\n mov dword ptr gs:[0], 7\n ret\n",
    "amd64": "f:\n mov rax, fs:[0]\n ret\nbad:\n mov qword ptr fs:[0], 7\n ret\n",
    "arm": "f:\n mrc p15, 0, r0, c13, c0, 3\n ldr r0, [r0]\n bx lr\n"
           "bad:\n mrc p15, 0, r0, c13, c0, 3\n mov r1, #7\n str r1, [r0]\n bx lr\n",
}


def test_arguments_and_results_of_both_sides(stackcarry: Suite) -> None:
    heard = []

    def out(first: int, second: int) -> int:
        heard.append((first, second))
        return first * 10 + second

    bench = stackcarry.assemble(CALLS_OUT, stacks=STACK, gates={"out": out})
    run = bench.call("f", 1, 2, 3, 4, 5, 6, 7).returned().carried(result=73)
    assert heard == [(7, 1)]
    assert "-- out(0x7, 0x1) = 0x47\n" in run.text()


def test_a_gate_that_python_does_not_answer(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(CALLS_OUT, stacks=STACK, gates=["out"])
    run = bench.call("f", 1, 2, 3, 4, 5, 6, 7).reached("out")
    assert bench.argument(1) == 1
    run.go_on(40).returned().carried(result=42)


def test_a_call_out_with_sp_crooked_for_c(stackcarry: Suite) -> None:
    crooked = {
        "386": CALLS_OUT["386"].replace("sub esp, 16", "sub esp, 12").replace("add esp, 28", "add esp, 24"),
        "amd64": CALLS_OUT["amd64"].replace("push rbx", "sub rsp, 16").replace("pop rbx", "add rsp, 16"),
        "arm": CALLS_OUT["arm"].replace("{r4, lr}", "{r4, r5, lr}").replace("{r4, pc}", "{r4, r5, pc}"),
    }
    bench = stackcarry.assemble(crooked, stacks=STACK, gates={"out": lambda: 0})
    with pytest.raises(AssertionError, match=f"mod {bench.arch.c.alignment} at out: expected"):
        bench.call("f", 1, 2, 3, 4, 5, 6, 7).reached("caller")


def test_faults_are_told_in_words(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(TROUBLE, stacks=STACK)
    for routine, stop, words in (
        ("deep", "fault", "a fault in deep: write of .* bytes below the stack main"),
        ("wild", "fault", "a fault in wild: read of 0xd"),
        ("illegal", "fault", "a fault at illegal"),
        ("stop", "trap", "a breakpoint at stop"),
        ("endless", "budget", "the end of the budget at endless"),
    ):
        run = bench.call(routine, on="main", steps=5000)
        assert run.stop == stop
        for question in (run.returned, run.signal_safe, lambda run=run: run.carried()):
            with pytest.raises(AssertionError, match=f"{routine} on {bench.arch.name}: .*\n.*found {words}"):
                question()
        run.reached(stop).carried()
    assert run.steps == 5000
    with pytest.raises(BadInput, match="there is no going on"):
        run.go_on()


def test_system_calls_are_answered_by_the_test(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(TROUBLE, stacks=STACK)
    run = bench.call("asks")
    assert run.stop == "syscall"
    run.go_on(1234).carried(result=1234)
    assert run.stop == run.caller


def test_what_lies_below_sp_is_lost_to_signals(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(TROUBLE, stacks=STACK)
    with pytest.raises(AssertionError, match=r"found writes main-.*, SP is main-.* \(step 0, low: "):
        bench.call("low").returned().signal_safe()
    if bench.arch.c.red_zone:
        bench.call("zone").returned().signal_safe()


def test_floating_point_that_c_keeps(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(FLOATS, stacks=STACK, data={"word": 1})
    run = bench.call("f").returned(floats=False)
    with pytest.raises(AssertionError, match=r"(mxcsr at caller: expected 0x1f80|d8 at caller: expected d8\.1)"):
        run.returned()


def test_status_bits_of_floating_point_are_free(stackcarry: Suite) -> None:
    if "mxcsr" in stackcarry.arch.c.kept_floats:
        text = {name: text.replace("0x3f80", "0x1fbf") for name, text in FLOATS.items()}
        stackcarry.assemble(text, stacks=STACK, data={"word": 1}).call("f").returned()


def test_the_guard_is_a_word_of_the_test(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(GUARDED, stacks=STACK, data={"limit": 1}, guard="limit", thread="limit")
    bench.set("guard", bench.stacks["main"].address)
    limit = bench.stacks["main"].address
    bench.call("f").returned().unchanged("guard").carried(guard=limit, result=limit)
    run = bench.call("bad").returned().writes_only("guard")
    with pytest.raises(AssertionError, match=r"guard → limit at caller: expected main-0x1000 .*, found 0x7 \(step"):
        run.unchanged("guard")


def test_calls_under_way_are_counted(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(TROUBLE, stacks=STACK)
    for _ in range(100):
        bench.call("asks").go_on(0).returned()
    for _ in range(64):
        bench.call("endless", on="main", steps=1)
    with pytest.raises(BadInput, match="64 calls are under way"):
        bench.call("endless", on="main", steps=1)


def test_registers_of_a_convention_of_its_own(stackcarry: Suite) -> None:
    register = stackcarry.arch.c.kept[1]
    bench = stackcarry.assemble(TROUBLE, stacks=STACK)
    run = bench.call("asks", registers={register: "low", "result": 5})
    assert run.entry.registers[register] == bench["low"]
    assert run.entry.registers[stackcarry.arch.roles["result"]] == 5


def test_registers_are_filled_anew_for_every_call(stackcarry: Suite) -> None:
    bench = stackcarry.assemble(TROUBLE, stacks=STACK)
    seen: set[int] = set()
    for _ in range(3):
        run = bench.call("asks").go_on(0).returned()
        values = {run.entry.registers[name] for name in bench.arch.c.kept}
        assert len(values) == len(bench.arch.c.kept)
        assert not values & seen
        seen |= values
