"""`check --elf PROGRAM FUNCTION`: prologues that real toolchains emit, with a hook in front of the check or without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import toolchain

from asm.readback import disassemble
from emu import target as targets
from emu.check import check
from emu.contracts.judge import Check
from emu.errors import BadInput
from emu.functions import check_function, subject
from emu.probe import Endless, Probe
from emu.target import Target

PROGRAM = toolchain.PROGRAM / "hooked"
CLOSURE, OTHERS = "main.adder.func1", ("main.adder", "main.deep", "main.mixed", "main.huge", "main.main")
EVERYWHERE = "-gcflags=all=-d=maymorestack=runtime.mayMoreStackPreempt"


def with_hook(goarch: str, name: str) -> Target:
    """The program with a hook of its own in its own functions, those of the stack ABI included."""
    flags = [f"-{tool}flags=-d=maymorestack=main.{name}" for tool in ("gc", "asm")]
    return targets.of_binary(str(toolchain.build("newest", goarch, PROGRAM, *flags[: 2 if name == "hook" else 1])))


@pytest.fixture(scope="session")
def everywhere(go_version: str, goarch: str) -> Target:
    """The program with the runtime's own hook in front of every check."""
    return targets.of_binary(str(toolchain.build(go_version, goarch, PROGRAM, EVERYWHERE)))


def failed(target: Target, name: str) -> list[Check]:
    return [found for _, found in check_function(target, name) if not found.ok]


def test_the_context_is_lost_on_arm_and_nothing_else_anywhere(everywhere: Target) -> None:
    wrong = failed(everywhere, CLOSURE)
    lost = {found.target for found in wrong}
    assert lost == ({"ctxt"} if everywhere.arch.name == "arm" else set())
    for name in OTHERS:
        assert not failed(everywhere, name), name


def test_functions_of_the_runtime_too(everywhere: Target) -> None:
    named = [name for name in everywhere.program.symbols if name.startswith("runtime.") and ".func" in name][:60:4]
    judged = 0
    for name in named:
        try:
            function = subject(everywhere, name)[1]
        except BadInput:
            continue
        judged += 1
        assert function.hook == "runtime.mayMoreStackPreempt"
        assert bool(failed(everywhere, name)) == (everywhere.arch.name == "arm" and function.ctxt), name
    assert judged


def test_the_runtimes_own_hook_holds(everywhere: Target) -> None:
    results = list(check(everywhere, ["mayMoreStackPreempt"]))
    assert results
    assert all(result.check is not None and result.check.ok for result in results)


def test_what_is_found_out_of_a_prologue(goarch: str) -> None:
    target = with_hook(goarch, "hook")
    found = {name: subject(target, name)[1] for name in (CLOSURE, *OTHERS)}
    assert {name for name, function in found.items() if function.ctxt} == {CLOSURE}
    assert {function.hook for function in found.values()} == {"main.hook"}
    forms = {name: target.era.check_form(target.arch, function.frame) for name, function in found.items()}
    assert (forms[CLOSURE], forms["main.deep"], forms["main.huge"]) == ("small", "medium", "huge")
    assert 9000 < found["main.huge"].frame < 9100
    if target.arch.internal is None:
        assert not any(function.arguments for function in found.values())
    else:
        assert set(found["main.mixed"].arguments) == {
            "xmm0", "xmm1", "rax", "rbx", "rcx", "rdi", "rsi", "r8", "r9",
        }
        assert found["main.deep"].arguments == found[CLOSURE].arguments == ("rax",)
        stack = subject(target, "main.stackABI.abi0")[1]
        assert stack.abi0
        assert stack.hook == "main.hook.abi0"
        assert not failed(target, "main.stackABI.abi0")


def test_a_hook_of_ones_own(goarch: str) -> None:
    target = with_hook(goarch, "hook")
    assert bool(failed(target, CLOSURE)) == (goarch == "arm")
    assert not any(failed(target, name) for name in OTHERS)


def test_a_hook_with_a_stack_check(goarch: str) -> None:
    target = with_hook(goarch, "splittable")
    for name in ("main.splittable", "main.deep", CLOSURE):
        (wrong,) = failed(target, name)
        assert wrong.name == "the hook comes back"
        assert wrong.found == "main.splittable calls itself before its stack check"


def test_without_a_hook_it_is_the_plain_check(go_binary: Path) -> None:
    target = targets.of_binary(str(go_binary))
    assert subject(target, "main.deep")[1].hook == ""
    assert not failed(target, "main.deep")


def test_functions_without_a_check_are_refused(goarch: str) -> None:
    with pytest.raises(BadInput, match=r"main\.leaf has no stack check"):
        subject(with_hook(goarch, "hook"), "main.leaf")


def damaged(target: Target, name: str) -> Iterator[tuple[str, Target]]:
    """The target with one instruction in front of the function's body replaced by no-ops, each in turn."""
    found = Probe(target, name).look()
    assert found is not None
    start, body, nop = target.program.symbol(name).address, found[1], target.arch.nop
    for at, code, text in disassemble(target.arch, target.program.read(start, body - start), start):
        segments = []
        for segment in target.program.segments:
            if segment.address <= at < segment.address + len(segment.data):
                offset = at - segment.address
                data = segment.data[:offset] + nop * (len(code) // len(nop)) + segment.data[offset + len(code):]
                segment = segment._replace(data=data)
            segments.append(segment)
        yield text, replace(target, program=replace(target.program, segments=tuple(segments)))


@pytest.mark.parametrize("name", [CLOSURE, "main.deep", "main.mixed"])
def test_every_instruction_of_a_prologue_matters(goarch: str, name: str) -> None:
    target = with_hook(goarch, "hook")
    world, function = subject(target, name)
    survivors = [text for text, broken in damaged(target, name) if not _noticed(broken, name, function.hook)]
    unneeded = ["str r7, [sp, #4]"] if goarch == "arm" and not function.ctxt else []
    assert world.program.gates[function.hook]
    assert survivors == unneeded


def _noticed(target: Target, name: str, hook: str) -> bool:
    """Whether damage is found: a check fails that held, the prologue is none any more, or it calls no hook."""
    try:
        function = subject(target, name)[1]
    except (BadInput, Endless):
        return True
    return function.hook != hook or bool(failed(target, name))
