"""The contracts of the system-call stubs: broken stubs, each with the checks that it fails and no others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import pytest
from assembled import target
from kernel_guest import Guest

import arch as arches
from arch import golang, stubs
from asm import source
from emu import target as targets
from emu.check import check_routine
from emu.kernel import Image, Outcome, Task, run
from emu.runtime.world import World


def failures(era: str, arch: str, routine: str, *changes: tuple[str, str]) -> dict[str, set[str]]:
    """Scene -> names of the checks that our routine fails after ``changes`` of its text, each made at one place."""
    text = source.routine_text(era, arch, routine)
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {routine}"
        text = text.replace(old, new)
    made = replace(target(era, arch, text), vfork_inputs=stubs.VFORK_INPUTS.get(era, 0))
    found: dict[str, set[str]] = defaultdict(set)
    for result in check_routine(World(made), routine):
        if result.check is not None and not result.check.ok:
            found[result.scene].add(result.check.name)
    return dict(found)


@dataclass(frozen=True)
class Broken:
    """Changes of a routine, and the only checks that fail, in these scenes and in no others."""

    era: str
    arch: str
    routine: str
    changes: tuple[tuple[str, str], ...]
    checks: frozenset[str]
    scenes: frozenset[str]


# Lines of arm's stubs as they stand in the source, comments and all.
_ERR = "str r0, [sp, #28]                           // err"
_RETURN = "bx lr                                       // to the caller"
_STUBS = ("RawSyscall", "RawSyscall6", "Syscall6", "rawSyscallNoError")
_BORDER = ("-1", "-4094", "-4095", "-4096")
_SCENES = {
    **dict.fromkeys(_STUBS, frozenset({"success", "zero", "high address", *_BORDER})),
    "rawVforkSyscall": frozenset({"child", "parent", "no child", *_BORDER}),
}


def broken(era: str, arch: str, routine: str, *changes: tuple[str, str], checks: str, scenes: str = "") -> object:
    """A parameter of the test; ``checks`` and ``scenes`` (all, unless given) are separated by commas."""
    wanted = frozenset(scenes.split(", ")) if scenes else _SCENES[routine]
    one = Broken(era, arch, routine, changes, frozenset(checks.split(", ")), wanted)
    title = f"{era}-{arch}-{routine}-{changes[0][1].strip() or 'nothing'}"
    return pytest.param(one, id=title, marks=getattr(pytest.mark, arch))


SUCCESS = "success, zero, high address, -4095, -4096"

BROKEN = [
    # what the kernel is given
    broken("2014", "amd64", "RawSyscall", ("mov rax, qword ptr [rsp + 8] ", "mov eax, dword ptr [rsp + 8]"),
           checks="number → number at trap"),
    broken("2014", "amd64", "RawSyscall", ("mov r8d, 0", "nop"), checks="a5 → a5 at trap"),
    broken("2011", "386", "RawSyscall", ("mov edi, 0", "nop"), checks="a5 → a5 at trap"),
    broken("modern", "amd64", "Syscall6", ("mov r10, rsi", "mov r10d, esi"), checks="a4 → a4 at trap"),
    broken("modern", "arm", "Syscall6", ("ldr r5, [sp, #28]", "ldr r5, [sp, #24]"), checks="a6 → a6 at trap"),
    broken("2014", "amd64", "RawSyscall", ("syscall", "sub rsp, 8; syscall; add rsp, 8"), checks="SP → sp at trap"),
    # what the caller gets
    broken("modern", "386", "Syscall6", ("[esp + 32], eax", "[esp + 32], ebx"), checks="r1 → result r1 at caller",
           scenes=SUCCESS),
    broken("2014", "arm", "RawSyscall", ("mov r0, #0", "str r1, [sp, #24]; mov r0, #0"), ("str r0, [sp, #24]", ""),
           checks="r2 → result r2 at caller", scenes=SUCCESS),
    broken("2014", "arm", "RawSyscall6", ("str r1, [sp, #36]", "mov r1, #0; str r1, [sp, #36]"),
           checks="r2 → result r2 at caller", scenes=SUCCESS),
    broken("modern", "amd64", "Syscall6", ("mov ecx, 0", "nop"), checks="err → err at caller", scenes=SUCCESS),
    broken("modern", "amd64", "Syscall6", ("mov ebx, 0", "nop"), checks="r2 → r2 at caller", scenes="-1, -4094"),
    broken("modern", "386", "rawSyscallNoError", ("[esp + 24], edx", "[esp + 24], ecx"),
           checks="r2 → result r2 at caller"),
    # the error test, one off
    *(
        broken(era, arch, routine, (branch, strict), scenes="-4095", checks=checks)
        for era, arch, routine, branch, strict, checks in [
            ("2011", "386", "RawSyscall", "jbe", "jb", "r1 → result r1 at caller, r2 → result r2 at caller, "
             "err → result err at caller"),
            ("modern", "amd64", "rawVforkSyscall", "jbe", "jb", "r1 → result r1 at caller, err → result err at caller"),
            ("modern", "arm", "rawVforkSyscall", "bls", "blo", "r1 → result r1 at caller, err → result err at caller"),
        ]
    ),
    # what every return owes
    broken("2017", "amd64", "rawVforkSyscall", ("syscall", "syscall; mov rbp, rax"),
           checks="frame pointer → fp at caller"),
    broken("2014", "arm", "RawSyscall", ("svc 0", "svc 0; mov r12, lr; add lr, lr, #4"),
           (f"{_ERR}\n    {_RETURN}\n.ok:", f"{_ERR}\n    bx r12\n.ok:"),
           (f"{_ERR}\n    {_RETURN}\n", f"{_ERR}\n    bx r12\n"),
           checks="link → link at caller"),
    broken("2014", "arm", "RawSyscall", ("svc 0", "svc 0; mov r10, #0"), checks="g → g at caller"),
    broken("2014", "arm", "RawSyscall", ("svc 0", "svc 0; mov r9, #0"), checks="m → m at caller"),
    broken("modern", "386", "rawSyscallNoError", ("ret", "ret 4"), checks="caller's SP → sp at caller"),
    broken("modern", "amd64", "Syscall6", ("syscall", "syscall; mov r14, rax"), checks="g → g register at caller"),
    broken("modern", "amd64", "Syscall6", ("syscall", "syscall; pcmpeqd xmm15, xmm15"),
           checks="zero → zero register at caller"),
    broken("modern", "386", "Syscall6", ("int 0x80", "int 0x80; mov dword ptr [esp + 4], eax"),
           checks="writes nothing else"),
    broken("modern", "amd64", "rawVforkSyscall", ("syscall", "syscall; mov qword ptr fs:[TLS.g], rax"),
           checks="g → TLS.g at caller"),
    # vfork: the return PC
    *(
        broken("modern", arch, "rawVforkSyscall", (f"pop {kept}", f"pop {other}"), (f"push {kept}", f"push {other}"),
               checks="return PC → register that the kernel keeps at trap")
        for arch, kept, other in [("386", "esi", "edi"), ("amd64", "r12", "r13")]
    ),
    *(
        broken("modern", arch, "rawVforkSyscall", (f"push {kept}", f"sub {sp}, {word}"), checks="reaches caller",
               scenes="parent")
        for arch, kept, sp, word in [("386", "esi", "esp", 4), ("amd64", "r12", "rsp", 8)]
    ),
]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_stub_fails_its_check_and_no_other(case: Broken) -> None:
    found = failures(case.era, case.arch, case.routine, *case.changes)
    assert found == {scene: set(case.checks) for scene in case.scenes}


def test_a_return_pc_in_a_register_that_the_kernel_destroys_is_lost() -> None:
    found = failures("modern", "amd64", "rawVforkSyscall", ("pop r12", "pop rcx"), ("push r12", "push rcx"))
    assert all("reaches caller" in checks for checks in found.values())
    assert set(found) == _SCENES["rawVforkSyscall"]


def test_a_link_that_is_spilled_to_the_shared_stack_is_lost() -> None:
    found = failures("modern", "arm", "rawVforkSyscall", ("svc #0", "str lr, [sp]; svc #0; ldr lr, [sp]"))
    assert found.pop("parent") == {"reaches caller", "writes nothing else"}
    assert all(checks == {"writes nothing else"} for checks in found.values())


@pytest.mark.parametrize(
    ("era", "arch"),
    [pytest.param(e, a, id=f"{e}-{a}", marks=getattr(pytest.mark, a)) for e in golang.ERAS for a in arches.ARCHES],
)
def test_every_instruction_of_a_stub_matters(era: str, arch: str) -> None:
    made = targets.of_era(era, arch)
    world = World(made)
    survivors = []
    for name in (name for name in made.routines if name in _SCENES):
        symbol = made.program.symbol(name)
        starts = sorted(at for at in made.program.lines if symbol.address <= at < symbol.address + symbol.size)
        pools = [at for at in made.program.data if symbol.address <= at < symbol.address + symbol.size]
        end = min([*pools, symbol.address + symbol.size])
        for start, following in zip(starts, [*starts[1:], end], strict=True):
            world.process.patch(start, made.arch.nop * ((following - start) // len(made.arch.nop)))
            if all(result.check is None or result.check.ok for result in check_routine(world, name)):
                survivors.append(made.program.lines[start].text)
            world.process.unpatch()
    assert not survivors


@pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES])
def test_an_error_that_the_stub_takes_for_a_result_is_a_hole(arch: str) -> None:
    world = World(targets.of_era("modern", arch))
    holes = {r.scene: r.check.hole for r in check_routine(world, "Syscall6") if r.check is not None and r.check.hole}
    assert holes == {"-4095": "the kernel means -4095 as an error; the stub takes it for a result"}


CALLS = {
    "386": """
    push 0; push 0; push 0; push 0; push 0; push 0x4111; push nr.clone
    call rawVforkSyscall
    mov eax, dword ptr [esp + 16]
    keep slot.0
    child .child
    keep_sp slot.1
    sys nr.exit, 0, 0, 0, 0, 0
.child:
    call deeper
    sys nr.execve, text, 0, 0, 0, 0
deeper:
    push 1; push 2; push 3; push 4
    add esp, 16
    ret
""",
    "amd64": """
    push 0; push 0; push 0; push 0; push 0; push 0x4111; push nr.clone
    call rawVforkSyscall
    mov rax, qword ptr [rsp + 32]
    keep slot.0
    child .child
    keep_sp slot.1
    sys nr.exit, 0, 0, 0, 0, 0
.child:
    call deeper
    sys nr.execve, text, 0, 0, 0, 0
deeper:
    push 1; push 2; push 3; push 4
    add rsp, 32
    ret
""",
    "arm": """
    sub sp, sp, #32
    ldr r0, =nr.clone
    str r0, [sp, #4]
    ldr r0, =0x4111
    str r0, [sp, #8]
    mov r0, #0
    str r0, [sp, #12]
    str r0, [sp, #16]
    bl rawVforkSyscall
    ldr r0, [sp, #20]
    keep slot.0
    child .child
    keep_sp slot.1
    sys nr.exit, 0, 0, 0, 0, 0
.child:
    bl deeper
    sys nr.execve, text, 0, 0, 0, 0
.pool
deeper:
    push {r0, r1, r2, r3, r4, lr}
    pop {r0, r1, r2, r3, r4, pc}
""",
}


@pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES])
def test_a_real_child_calls_on_below_the_frame_and_the_parent_comes_back(arch: str) -> None:
    stub = source.parse(source.routine_text("modern", arch, "rawVforkSyscall"), "stub.s", arches.get(arch))
    guest = Guest(arch, CALLS[arch], ("/bin/true",), before=stub)
    ran: list[Image | None] = []

    @guest.kernel.program("/bin/true")
    def main(task: Task) -> int:
        ran.append(task.image)
        assert guest.slot(0) == 0
        return 0

    assert run(guest.kernel, 1000) == Outcome("ended", ())
    assert ran == [Image("/bin/true", ())]
    assert guest.slot(0) == 1001
