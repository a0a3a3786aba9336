"""Whole programs with a changed trampoline: whatever leaves the output right is seen by a check, or explained here.

A change in so many is tried; STACKCARRY_TEETH=all tries all of them, on the oldest toolchain too.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import teeth
import toolchain
from here import Here
from sweep.run import Survivor
from sweep.survivors import Row
from teeth_report import PROPERTY
from whole import FOLDER

ALL = os.environ.get("STACKCARRY_TEETH") == "all"
EVERY = 1 if ALL else 6
_X86, _EACH = "386 amd64", "386 amd64 arm"
_GO = "1.21 newest"

_SOUND = "decides about callers that a sound program has not: each has its scene where the routine runs alone"
_PROBE = "a probe of memory that is there: the load is what counts, not its result"
_SAME = "what runs meanwhile leaves the register, or the word beside it, as it is; unit tests have them differ"
_ZERO = "the words of the saved state around it are 0 already"
_OTHERS = "decides about CPUs without floating point, or cgo: another way is not taken here"
_BORDER = "decides about errors, of which the kernel has none here"
_BEFORE = "the word, or the register, held the same before"

UNSEEN: tuple[Row, ...] = (
    Row(_GO, _X86, "gosave_systemstack_switch", "*", "mov *, *word ptr [r* + 0x50]", _SOUND),
    Row(_GO, _X86, "gosave_systemstack_switch", "*", "mov eax, *word ptr [ebx + 0x28]", _SOUND),
    Row(_GO, _X86, "gosave_systemstack_switch", "*", "test *", _SOUND),
    Row(_GO, "arm", "gosave_systemstack_switch", "nop", "tst *", _SOUND),
    Row(_GO, "arm", "gosave_systemstack_switch", "*", "str r11, [r10, #*", _ZERO),
    Row(_GO, "arm", "mcall", "*", "str r11, [r10, #*", _ZERO),
    Row(_GO, "arm", "setg", "*", "ldrsb r0, [r11]", _OTHERS),
    Row(_GO, "arm", "setg", "nop", "mov r0, r10", "it keeps r0, which gogo does not need"),
    Row(_GO, "arm", "gogo", "nop", "cmp r11, r11", "setg has just left the same flags"),
    Row(_GO, "arm", "gosave_systemstack_switch", "*", "ldr *", _SOUND),
    Row(_GO, _X86, "gogo", "nop", "mov *cx, *word ptr [*dx]", _PROBE),
    Row(_GO, "arm", "gogo", "*", "ldr r2, [r0]", _PROBE),
    Row(_GO, _EACH, "systemstack", "*", "cmp *", _SOUND),
    Row(_GO, _X86, "systemstack", "*", "j*e *", _SOUND),
    Row(_GO, "arm", "systemstack", "*", "b* *", _SOUND),
    Row(_GO, "arm", "systemstack", "*", "ldr r2, [r1, #*", _SOUND),
    Row(_GO, "386", "systemstack", "nop", "mov ecx, dword ptr gs:[0]", "the callee before it has left ecx as it was"),
    Row(_GO, "amd64", "systemstack", "*", "mov rbp, qword ptr [rax + *]",
        "the saved frame pointer is that of its own frame: the next pop replaces it"),
    Row(_GO, _X86, "morestack", "*", "mov *si, *word ptr [*bx*]", _SOUND),
    Row(_GO, _X86, "morestack", "*", "cmp *", _SOUND),
    Row(_GO, "386", "morestack", "*", "mov ebx, dword ptr [eax - 4]", _PROBE),
    Row(_GO, "arm", "morestack", "*", "cmp *", _SOUND),
    Row(_GO, "arm", "morestack", "*", "ldr *, [r8*", _SOUND),
    Row(_GO, "amd64", "asyncPreempt", "nop", "mov rbp, rsp", "the frame pointer is for readers of stacks"),
    Row(_GO, "amd64", "asyncPreempt", "nop", "mov r14, qword ptr fs:*", _BEFORE),
    Row(_GO, _X86, "asyncPreempt", "*", "mov *[*", _SAME),
    Row(_GO, _X86, "asyncPreempt", "*", "mov*ups *[*", _SAME),
    Row(_GO, "arm", "morestack_noctxt", "nop", "mov sp, sp", "a mark for readers of stack tables"),
    Row(_GO, "arm", "asyncPreempt", "*", "ldrsb r0, [r11]", _OTHERS),
    Row(_GO, "arm", "asyncPreempt", "nop", "cmp r0, #0", _OTHERS),
    Row(_GO, "arm", "asyncPreempt", "nop", "bne #*", _OTHERS),
    Row(_GO, "arm", "asyncPreempt", "nop", "msr apsr*", _SAME),
    Row(_GO, "arm", "asyncPreempt", "*", "str *", _SAME),
    Row(_GO, "arm", "asyncPreempt", "*", "ldr *", _SAME),
    Row(_GO, "arm", "asyncPreempt", "*", "v*", _SAME),
    Row(_GO, _EACH, "rawVforkSyscall", "nop", "mov r*d, 0", _BEFORE),
    Row(_GO, _X86, "rawVforkSyscall", "*", "mov *word ptr [*sp + *], 0", _BEFORE),
    Row("1.21", _X86, "gogo", "*", "mov *, *word ptr [*bx + *]", _ZERO),
    Row("1.21", _X86, "gogo", "*", "mov *word ptr [*bx + *], 0", _ZERO),
    Row("1.21", _X86, "gosave_systemstack_switch", "*", "mov *word ptr [*], 0", _ZERO),
    Row("1.21", "amd64", "morestack", "*", "mov rbp, qword ptr [rbx + *]", _ZERO),
    Row("1.21", "amd64", "rawVforkSyscall", "displacement up", "mov rsi, qword ptr [rsp + 0x18]", _BEFORE),
    Row("1.21", _X86, "rawVforkSyscall", "nop", "mov r*, 0", _BEFORE),
    Row("1.21", "arm", "gogo", "*", "str r11, [r1, #*", _ZERO),
    Row("1.21", "arm", "asyncPreempt", "nop", "cmp r0, #6", _OTHERS),
    Row("1.21", "arm", "asyncPreempt", "nop", "blt #*", _OTHERS),
    Row("1.21", "arm", "rawVforkSyscall", "nop", "mov r2, #0", _BEFORE),
    Row(_GO, "arm", "rawVforkSyscall", "*", "ldr r1, [pc, #*", _BORDER),
    Row(_GO, "arm", "rawVforkSyscall", "nop", "cmp r0, r1", _BORDER),
)


def _unexplained(version: str, arch: str, survivors: list[Survivor]) -> list[Survivor]:
    rows = [row for row in UNSEEN if row.covers(version, arch)]
    return [survivor for survivor in survivors if not any(row.matches(survivor) for row in rows)]


@pytest.mark.parametrize("version", ["newest", "1.21"] if ALL else ["newest"])
def test_what_leaves_the_output_right_is_seen(version: str, goarch: str, record_property: Any) -> None:
    path = toolchain.build(version, goarch, FOLDER / "trampolines")
    bitten = teeth.bite(path, version, goarch, Here(), EVERY)
    record_property(PROPERTY, bitten.record())
    assert _unexplained(version, goarch, bitten.unseen) == []
    assert bitten.seen["checks"] >= 5
    assert bitten.seen["both"] + bitten.seen["output"] >= 30
    assert {change.routine for change in bitten.silent} - {"asyncPreempt"}, "checks see nothing that outputs do not"
