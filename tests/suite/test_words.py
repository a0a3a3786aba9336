"""What a run may be asked, and that each question fails for a routine that is broken just there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asm.statement import AsmError
from emu.errors import BadInput
from emu.suite.bench import Bench
from emu.suite.fixture import Suite
from emu.suite.run import Run

PLACE = {"stacks": {"main": 4096, "fiber": 8192}, "data": {"here": 1, "there": 1, "pair": 2}, "gates": ["body"]}

# Texts that make good routines bad: arch -> (what is written, what is written instead).
MIXED = {
    "386": ("pop     edi\n        pop     esi", "pop     esi\n        pop     edi"),
    "amd64": ("pop     r13\n        pop     r12", "pop     r12\n        pop     r13"),
    "arm": ("pop     {r4-r11, pc}", "pop     {r5-r12, pc}"),
}
DROPPED = {
    "386": ("push    ebp\n", "sub     esp, 4\n"), "amd64": ("push    rbp\n", "sub     rsp, 8\n"),
    "arm": ("push    {r4-r11, lr}", "push    {r4-r10, r12, lr}"),
}
SPILLED = {
    "386": ("mov     [eax], esp", "mov     [eax], esp\n        mov     [ecx + 16], eax"),
    "amd64": ("mov     [rdi], rsp", "mov     [rdi], rsp\n        mov     [rsi + 16], rdi"),
    "arm": ("str     sp, [r0]", "str     sp, [r0]\n        str     r0, [r1, #16]"),
}
CROOKED = {
    "386": ("and     ecx, -16", "sub     ecx, 8"), "amd64": ("and     rsi, -16", "sub     rsi, 8"),
    "arm": ("bic     r1, r1, #7", "sub     r1, r1, #4"),
}
WILD = {
    "386": ("mov     esp, [ecx]", "mov     esp, ecx\n        mov     esp, [ecx]"),
    "amd64": ("mov     rsp, [rsi]", "mov     rsp, rsi\n        mov     rsp, [rsi]"),
    "arm": ("ldr     sp, [r1]", "mov     sp, r1\n        ldr     sp, [r1]"),
}


@pytest.fixture
def swapping(stackcarry: Suite) -> Callable[..., tuple[Run, Bench]]:
    """The swap of the example, changed or not, right after the first swap to the fiber."""

    def swap(changes: dict[str, tuple[str, str]] | None = None) -> tuple[Run, Bench]:
        name = stackcarry.arch.name
        text = (stackcarry.folder / f"swap.{name}.s").read_text()
        if changes:
            assert text.count(changes[name][0]) == 1, "the change has its place"
            text = text.replace(*changes[name])
        bench = stackcarry.assemble(text, **PLACE)
        bench.call("prepare", "there", bench.stacks["fiber"].end, "body")
        return bench.call("swap", "here", "there"), bench

    return swap


def fails(question: Callable[[], object]) -> str:
    """The message of a question that must fail."""
    with pytest.raises(AssertionError) as caught:
        question()
    return str(caught.value)


def test_a_good_swap_answers_every_question(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping()
    left.reached("body").carried(sp="fiber", pc="body").stacks("main", "fiber")
    left.unchanged("there", "pair").writes_only("here", left.frame(9)).signal_safe()
    back = bench.call("swap", "there", "here")
    back.returned(left, floats=False).unchanged("here").writes_only("there", back.frame(9))
    assert bench.register("sp") == left.entry.caller_sp


@pytest.mark.parametrize("changes", [MIXED, DROPPED], ids=["mixed", "dropped"])
def test_a_register_that_is_not_carried(swapping: Callable[..., tuple[Run, Bench]], changes: dict) -> None:
    left, bench = swapping(changes)
    left.reached("body").writes_only("here", left.frame(9))
    back = bench.call("swap", "there", "here")
    text = fails(lambda: back.returned(left, floats=False))
    assert f"at caller: expected {text.split('expected ')[1].split('.')[0]}.2" in text, "what it held before its swap"
    assert "at the entry of swap" in text
    assert f"swap on {bench.arch.name}: " in text
    assert "text:" in text, "file and line of the instruction to blame"
    assert "\n>" in text, "its step is marked among the last ones"
    fails(lambda: back.returned(left))


def test_a_write_too_many(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping(SPILLED)
    left.reached("body").stacks("main", "fiber").signal_safe()
    text = fails(lambda: left.writes_only("here", left.frame(9)))
    assert "writes nothing else: expected only what is named, found" in text
    assert f"{bench.arch.word} bytes at there+0x10 (step" in text
    at = bench["there"] + 16
    left.writes_only("here", left.frame(9), range(at, at + bench.arch.word))


def test_sp_that_is_crooked_for_c(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping(CROOKED)
    assert left.stop == "body"
    assert f"mod {bench.arch.c.alignment} at body" in fails(lambda: left.reached("body"))


def test_sp_off_every_stack(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, _ = swapping(WILD)
    left.reached("body").writes_only("here", left.frame(9))
    text = fails(lambda: left.stacks("main", "fiber"))
    assert "stacks that SP is on: expected main, fiber, found main, nowhere, fiber (step" in text


def test_another_end_than_expected(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping()
    assert "reaches caller: expected caller, found body" in fails(left.returned)
    assert "reaches body: expected body, found caller" in fails(
        lambda: bench.call("prepare", "here", bench.stacks["fiber"].end, "body").reached("body")
    )


def test_values_that_are_not_there(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping()
    assert "here" in fails(lambda: left.unchanged("here"))
    assert "sp → sp at body: expected" in fails(lambda: left.carried(sp="main"))
    assert "pc at body: expected swap" in fails(lambda: left.carried(pc="swap"))
    assert "pair+" in fails(lambda: left.carried({bench["pair"] + bench.arch.word: 0}))
    left.carried(here=range(bench.stacks["main"].address, bench.stacks["main"].end))
    assert "2 of" in fails(lambda: left.carried(here=0, there=1)), "all that fail are named"


def test_a_question_comes_before_the_next_call(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping()
    bench.call("swap", "there", "here")
    with pytest.raises(BadInput, match="another call was made since swap: say what must hold before the next call"):
        left.reached("body")


def test_names_that_do_not_exist(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping()
    for wrong in (
        lambda: left.unchanged("nothing"), lambda: left.carried(nothing=1), lambda: left.writes_only("nothing"),
        lambda: bench.call("nothing"), lambda: bench.call("swap", on="nothing"), lambda: left.carried(sp="nothing"),
    ):
        with pytest.raises(BadInput, match="nothing"):
            wrong()


def test_what_lies_low_and_what_is_pushed(swapping: Callable[..., tuple[Run, Bench]]) -> None:
    left, bench = swapping()
    word, saved = bench.arch.word, len(bench.arch.c.kept) + (not bench.arch.call.return_on_stack)
    entry = left.entry.registers[bench.arch.roles["sp"]]
    assert left.sp_low["main"] == entry - saved * word
    assert left.sp_low["fiber"] == bench.word("there")
    assert left.steps == len(left.record.rows)
    left.writes_only("here", left.frame(saved))
    fails(lambda: left.writes_only("here", left.frame(saved - 1)))


def test_a_source_that_is_refused(stackcarry: Suite) -> None:
    with pytest.raises(AsmError, match="there is no name nowhere"):
        stackcarry.assemble("f:\n" + {"arm": "b nowhere"}.get(stackcarry.arch.name, "jmp nowhere"), **PLACE)
    with pytest.raises(BadInput, match=r"no text for .*; there are mips \(a test for some arches only is marked so"):
        stackcarry.assemble({"mips": "f:"}, **PLACE)
    with pytest.raises(BadInput, match=r"nofile\.\w+\.s: No such file"):
        stackcarry.load("nofile.{arch}.s", **PLACE)
    with pytest.raises(BadInput, match="declare at least one stack"):
        stackcarry.load("swap.{arch}.s", stacks={})
    with pytest.raises(BadInput, match="'limit' is none of the data"):
        stackcarry.load("swap.{arch}.s", stacks={"main": 4096}, guard="limit")
