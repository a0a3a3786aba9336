"""What is read: dialects, directives of other assemblers, and linked programs."""

from __future__ import annotations

from pathlib import Path

import pytest
from linked import linked

import arch as arches
from arch.model import Arch
from asm.elf import ElfError
from asm.statement import AsmError
from emu.errors import BadInput
from emu.suite import sources
from emu.suite.bench import place, place_binary
from emu.suite.fixture import Suite

STACK = {"main": 4096}
RETURN = {"386": "ret", "amd64": "ret", "arm": "bx lr"}
DIRECTIVES = """
    .intel_syntax noprefix
    .syntax unified
    .arm
    .section .text.f, "ax", %progbits
    .globl f
    .type f, %function
    .hidden f
f:  .cfi_startproc
    .p2align 4
    .balign 8, 0x90
"""


def segment(arch: Arch, text: str) -> bytes:
    """The code of a text."""
    options = {"stacks": STACK, "data": {}, "outside": (), "guard": None, "thread": None}
    return place(arch, sources.from_text(arch, text, "x.s"), **options).program.segments[0].data


def test_directives_without_bytes_are_put_aside(stackcarry: Suite) -> None:
    arch, back = stackcarry.arch, RETURN[stackcarry.arch.name]
    tail = '    .cfi_endproc\n    .size f, .-f\n    .section .note.GNU-stack, "", %progbits\n'
    assert segment(arch, f"{DIRECTIVES}    {back}\n{tail}") == segment(arch, f"f:\n{back}\n")


def test_alignments_in_both_notations(stackcarry: Suite) -> None:
    arch, back = stackcarry.arch, RETURN[stackcarry.arch.name]
    plain = segment(arch, f"f:\n{back}\n.align 16\ng:\n{back}\n")
    assert segment(arch, f"f:\n{back}\n.p2align 4\ng:\n{back}\n") == plain
    assert segment(arch, f"f:\n{back}\n.balign 16, 0x90\ng:\n{back}\n") == plain


def test_what_another_tool_must_do_first(stackcarry: Suite) -> None:
    with pytest.raises(BadInput, match=r"x\.s:2: #ifdef is the C preprocessor's; run it first: cpp -P x\.s"):
        sources.from_text(stackcarry.arch, "f:\n#ifdef X\n", "x.s")
    with pytest.raises(AsmError, match=r"x\.s:2: .*there is no directive \.section"):
        segment(stackcarry.arch, "f:\n.section .data\n")


@pytest.mark.stackcarry("386", "amd64")
def test_att_syntax_is_named(stackcarry: Suite) -> None:
    with pytest.raises(AsmError, match=r"x\.s:2: this is AT&T syntax; Intel's is read here, or a linked program"):
        sources.from_text(stackcarry.arch, "f:\n movl %esp, (%eax)\n", "x.s")


def test_a_linked_program(stackcarry: Suite, tmp_path: Path) -> None:
    arch = stackcarry.arch
    text = (stackcarry.folder / f"swap.{arch.name}.s").read_text() + f"\nout:\n {RETURN[arch.name]}\n"
    made = stackcarry.assemble(text, stacks=STACK)
    path = tmp_path / f"library.{arch.name}"
    path.write_bytes(linked(arch, made.program))
    stackcarry.folder = tmp_path
    bench = stackcarry.binary(
        "library.{arch}", stacks={"main": 4096, "fiber": 4096}, data={"here": 1, "there": 1}, gates=["body", "out"]
    )
    assert bench["out"] == made["out"], "a gate takes the place of the function of its name"
    bench.call("out").reached("out")
    bench.call("prepare", "there", bench.stacks["fiber"].end, "body", on="main").returned()
    left = bench.call("swap", "here", "there").reached("body").stacks("main", "fiber")
    bench.call("swap", "there", "here").returned(left, floats=False)
    assert "swap+0x4 " in left.text()


def test_programs_that_are_refused(tmp_path: Path) -> None:
    arch = arches.get("arm")
    options = {"stacks": STACK, "data": {}, "outside": (), "guard": None, "thread": None}
    with pytest.raises(BadInput, match="No such file"):
        place_binary(arch, tmp_path / "none", **options)
    path = tmp_path / "library"
    path.write_bytes(b"\x7fELF")
    with pytest.raises(ElfError, match="library: truncated"):
        place_binary(arch, path, **options)
    other = arches.get("386")
    made = place(other, sources.from_text(other, "f:\n ret\n", "x.s"), **options)
    path.write_bytes(linked(other, made.program))
    with pytest.raises(BadInput, match="is a program for 386, not for arm"):
        place_binary(arch, path, **options)
