"""Recorded rows read as steps, and the tracer's lines."""

from __future__ import annotations

import json

import pytest
from assembled import ARCHES, target

from arch.linux import Errno
from emu import freerun
from emu import target as targets
from emu.errors import BadInput
from emu.freerun import Run
from emu.routines import ROUTINES
from emu.rows import rows
from emu.suite.goldens import Golden
from emu.views.trace.choice import Choice
from emu.views.trace.jsonlines import json_lines
from emu.views.trace.text import text_lines

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
BUDGET = 1000

# Every kind of step: nothing changed, a push, a read, a write, a system call, a call back.
PLAIN = {
    "386": """
f:
    nop
    push 5
    pop ecx
    mov ebx, data
    mov edx, dword ptr [ebx + 4]
    mov dword ptr [ebx + 8], ecx
    int 0x80
    ret
endless:
    jmp endless
wild:
    mov eax, 0x30000000
    mov dword ptr [eax], ecx
""",
    "amd64": """
f:
    nop
    push 5
    pop rcx
    mov ebx, data
    mov rdx, qword ptr [rbx + 4]
    mov qword ptr [rbx + 8], rcx
    syscall
    ret
endless:
    jmp endless
wild:
    mov eax, 0x30000000
    mov qword ptr [rax], rcx
""",
    "arm": """
f:
    nop
    str r1, [sp, #-4]!
    ldr r2, [sp], #4
    ldr r1, =data
    ldr r3, [r1, #4]
    str r2, [r1, #8]
    svc #0
    mov pc, lr
.pool
endless:
    b endless
wild:
    mov r0, #0x30000000
    str r1, [r0]
""",
}


def _trace(arch: str, name: str, steps: int = BUDGET) -> Run:
    return freerun.trace(target("modern", arch, PLAIN[arch]), name, None, steps)


@each
def test_step_lines_of_mcall(arch: str, stackcarry_golden: Golden) -> None:
    run = freerun.trace(targets.of_era("modern", arch), "mcall", None, BUDGET)
    assert run.outcome == "ended"
    stackcarry_golden("".join(text_lines(run.recording, Choice(), colour=False)))


@each
def test_json_lines_of_gogo(arch: str, stackcarry_golden: Golden) -> None:
    run = freerun.trace(targets.of_era("2011", arch), "gogo", "nil g", BUDGET)
    lines = list(json_lines(run.recording, Choice()))
    assert [json.loads(line)["kind"] for line in lines] == ["trace", *["step"] * len(run.steps), "end"]
    stackcarry_golden("".join(lines))


@each
@pytest.mark.parametrize("era", ["2011", "2014", "2017", "modern"])
def test_steps_fit_together(era: str, arch: str) -> None:
    """Each step starts where the one before it left off, in every routine: numbers, SP and memory add up."""
    chosen = targets.of_era(era, arch)
    for name in (row for row in rows(chosen) if row in ROUTINES):
        run = freerun.trace(chosen, name, None, BUDGET)
        assert run.outcome == "ended", name
        assert [step.number for step in run.steps] == list(range(len(run.steps)))
        for step in run.steps:
            assert chosen.arch.roles["pc"] not in step.changed
            assert (chosen.arch.roles["sp"] in step.changed) == (step.sp_change != 0)
            assert step.code == chosen.program.read(step.pc, len(step.code))
            assert step.where == chosen.program.describe(step.pc)
            assert {access.step for access in step.accesses} <= {step.number}


@each
def test_same_run_gives_the_same_lines(arch: str) -> None:
    chosen = targets.of_era("2017", arch)
    runs = [freerun.trace(chosen, "mcall", None, BUDGET) for _ in range(2)]
    texts = [list(text_lines(run.recording, Choice(), colour=True)) for run in runs]
    assert texts[0] == texts[1]


@each
def test_plain_call_of_any_function(arch: str) -> None:
    run = _trace(arch, "f")
    word, roles = run.world.arch.word, run.world.arch.roles
    nop, push, pop, *rest, kernel, _back = run.steps
    assert (run.scene, run.outcome, run.end) == ("call", "ended", "ended at caller")
    assert not nop.changed
    assert not nop.accesses
    assert (push.sp_change, pop.sp_change) == (-word, word)
    assert [access.write for access in (*push.accesses, *pop.accesses)] == [True, False]
    assert sum(len(step.accesses) for step in rest) == 2 + (arch == "arm")
    assert kernel.notes == ("stop: trap",)
    assert roles["result"] not in kernel.changed, "the kernel's answer comes after the step"
    assert run.steps[-1].account.g == "g"


@each
def test_kernel_knows_no_call_in_a_plain_trace(arch: str) -> None:
    run = _trace(arch, "f")
    result = run.world.process.role("result")
    assert run.world.arch.signed(result) == -Errno.ENOSYS


@each
@pytest.mark.parametrize("steps", [1, 7])
def test_budget_ends_a_trace(arch: str, steps: int) -> None:
    run = _trace(arch, "endless", steps)
    assert (run.outcome, run.end, len(run.steps)) == ("budget", f"no end within {steps} steps", steps)
    assert not any(step.notes for step in run.steps)


@each
def test_fault_ends_a_trace_where_it_happened(arch: str) -> None:
    run = _trace(arch, "wild")
    offset = {"386": 5, "amd64": 5, "arm": 4}[arch]
    assert (run.outcome, len(run.steps)) == ("fault", 2)
    assert run.end == f"fault in wild+{offset:#x}: touching 0x30000000, at step 1", "as the line is numbered"
    assert run.steps[-1].notes[-1] == "stop: fault:0x30000000"
    assert not run.steps[-1].changed


@each
def test_nothing_is_recorded_for_others_after_a_trace(arch: str) -> None:
    recorder = _trace(arch, "f").world.process.machine.recorder
    assert not recorder.rows_wanted
    assert not recorder.reads_wanted


def test_scene_that_does_not_exist() -> None:
    chosen = targets.of_era("modern", "arm")
    with pytest.raises(BadInput, match="mcall has no scene 'on g1'; did you mean 'on g0'\\?; there are: switch, on g0"):
        freerun.trace(chosen, "mcall", "on g1", BUDGET)
    with pytest.raises(BadInput, match="f has no scenes"):
        freerun.trace(target("modern", "arm", PLAIN["arm"]), "f", "switch", BUDGET)


def test_bytes_at_the_edge_of_a_mapping_are_shown() -> None:
    """The last instruction of a page has no sixteen bytes behind it."""
    text = "f:\n" + "nop\n" * (4096 - 1) + "ret\n"
    run = freerun.trace(target("modern", "386", text), "f", None, 10_000)
    assert run.steps[-1].text == "ret"
