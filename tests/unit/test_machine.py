"""The machine: why it stops, where PC is then, and the engine's traps that must not get through it."""

from __future__ import annotations

import pytest
from assembled import ARCHES, GATES, process

import arch as arches
from emu.machine import PAGE, Machine
from emu.process import Process
from emu.target import CODE, DATA

NOWHERE = 0x3000_0000  # mapped by nobody
each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
x86 = pytest.mark.parametrize(
    "arch", [pytest.param("386", marks=getattr(pytest.mark, "386")), pytest.param("amd64", marks=pytest.mark.amd64)]
)


def texts(x386: str, amd64: str, arm: str) -> dict[str, str]:
    """One text per architecture, each behind the label ``start``."""
    return {name: f"start:\n{text}" for name, text in zip(ARCHES, (x386, amd64, arm), strict=True)}


JUMP = texts("nop; jmp fn", "nop; jmp fn", "nop; b fn")
TRAP = texts("nop; int3", "nop; int3", "nop; bkpt #0")
CALL_KERNEL = texts("nop; int 0x80; nop; jmp fn", "nop; syscall; nop; jmp fn", "nop; svc #0; nop; b fn")
LOOP = texts(".again: jmp .again", ".again: jmp .again", ".again: b .again")
ILLEGAL = texts("nop; .byte 0x0f, 0x0b", "nop; .byte 0x0f, 0x0b", "nop; .word 0xe7f000f0")
READ = texts("nop; mov eax, dword ptr [ebx]", "nop; mov rax, qword ptr [rbx]", "nop; ldr r0, [r1]")
WRITE = texts("nop; mov dword ptr [ebx], eax", "nop; mov qword ptr [rbx], rax", "nop; str r0, [r1]")
GO = texts("nop; jmp ebx", "nop; jmp rbx", "nop; mov pc, r1")
BASE = {"386": "ebx", "amd64": "rbx", "arm": "r1"}
SECOND = {"386": 1, "amd64": 1, "arm": 4}  # offset of the second instruction


@each
def test_exit_is_not_executed(arch: str) -> None:
    p = process(arch, JUMP[arch])
    stop = p.run(100)
    assert (stop.kind, stop.pc) == ("exit", GATES["fn"])
    assert p.role("pc") == GATES["fn"]
    assert p.machine.recorder.steps == 2


@each
def test_system_call_stops_behind_its_instruction_and_goes_on(arch: str) -> None:
    p = process(arch, CALL_KERNEL[arch])
    size = {"386": 2, "amd64": 2, "arm": 4}[arch]
    stop = p.run(100)
    assert (stop.kind, stop.pc) == ("syscall", CODE + SECOND[arch] + size)
    assert p.run(100).pc == GATES["fn"]
    assert p.machine.recorder.steps == 4


@each
def test_breakpoint_instruction(arch: str) -> None:
    assert process(arch, TRAP[arch]).run(100).kind == "trap"


@each
def test_endless_loop_ends_with_the_budget(arch: str) -> None:
    p = process(arch, LOOP[arch])
    assert p.run(50).kind == "budget"
    assert p.machine.recorder.steps == 50
    assert p.run(1).kind == "budget"
    assert p.machine.recorder.steps == 51


@each
def test_no_budget_runs_nothing(arch: str) -> None:
    p = process(arch, JUMP[arch])
    assert p.run(0).kind == "budget"
    assert p.machine.recorder.steps == 0
    assert p.role("pc") == CODE


@each
def test_illegal_instruction_is_a_fault_without_address(arch: str) -> None:
    stop = process(arch, ILLEGAL[arch]).run(100)
    assert (stop.kind, stop.pc, stop.address) == ("fault", CODE + SECOND[arch], None)


@x86
def test_division_by_zero_is_a_fault(arch: str) -> None:
    p = process(arch, "start: nop; xor ecx, ecx; div ecx; jmp fn")
    stop = p.run(100)
    assert (stop.kind, stop.pc, stop.address) == ("fault", CODE + 3, None)


@each
@pytest.mark.parametrize(("text", "access"), [(READ, "read"), (WRITE, "write")], ids=["read", "write"])
@pytest.mark.parametrize("address", [NOWHERE, 0], ids=["unmapped", "nil"])
def test_fault_names_address_and_instruction(arch: str, text: dict[str, str], access: str, address: int) -> None:
    p = process(arch, text[arch])
    p.set_registers({BASE[arch]: address})
    stop = p.run(100)
    assert (stop.kind, stop.pc, stop.address, stop.access) == ("fault", CODE + SECOND[arch], address, access)


@each
@pytest.mark.parametrize("address", [NOWHERE, DATA], ids=["unmapped", "data"])
def test_jump_to_what_is_no_code_faults_there(arch: str, address: int) -> None:
    p = process(arch, GO[arch])
    p.set_registers({BASE[arch]: address})
    stop = p.run(100)
    assert (stop.kind, stop.pc, stop.address, stop.access) == ("fault", address, address, "fetch")


@each
def test_code_is_not_writable_by_the_guest(arch: str) -> None:
    p = process(arch, WRITE[arch])
    p.set_registers({BASE[arch]: CODE})
    before = p.machine.read(CODE, 16)
    stop = p.run(100)
    assert (stop.kind, stop.address, stop.access) == ("fault", CODE, "write")
    assert p.machine.read(CODE, 16) == before


@each
def test_next_run_forgets_the_last_stop(arch: str) -> None:
    p = process(arch, READ[arch])
    p.set_registers({BASE[arch]: NOWHERE})
    assert p.run(100).kind == "fault"
    p.set_role("pc", p.program.symbol("start").address)
    assert p.run(1).kind == "budget"


# Overwritten code: the engine would run the old translation of every block but the last one.

TWO_BLOCKS = texts(
    "mov eax, 1; jmp .second; .second: mov ecx, 2; jmp fn", "mov eax, 1; jmp .second; .second: mov ecx, 2; jmp fn",
    "mov r0, #1; b .second; .second: mov r1, #2; b fn",
)  # fmt: skip
ONE_TO_SEVEN = {"386": b"\xb8\7\0\0\0", "amd64": b"\xb8\7\0\0\0", "arm": b"\7\0\xa0\xe3"}


@each
def test_patched_code_runs_its_new_bytes(arch: str) -> None:
    p = process(arch, TWO_BLOCKS[arch])
    start = p.role("pc")
    assert [p.run(100).kind, p.role("result")] == ["exit", 1]
    for expected, change in ((7, lambda: p.patch(start, ONE_TO_SEVEN[arch])), (1, p.unpatch)):
        change()
        p.set_role("pc", start)
        assert [p.run(100).kind, p.role("result")] == ["exit", expected]


# Thread-local storage and the user's mode.


def _with_tls(arch: str, text: str) -> tuple[Process, int]:
    p = process(arch, text)
    words = p.add_region("tls", PAGE)
    base = words.address + 64
    for offset in (-16, -8, -4, 0):
        p.set_word(base + offset, 0x1000 + offset & p.arch.mask)
    p.machine.set_tls_base(base)
    return p, base


@pytest.mark.parametrize("offset", [-8, -4, 0])
@getattr(pytest.mark, "386")
def test_386_tls_is_reached_through_gs(offset: int) -> None:
    """In the encoding that compilers use: the offset, negative as it is, stands in the instruction."""
    p, base = _with_tls("386", f"start: .byte 0x65, 0xa1; .long {offset}; jmp fn")
    assert p.run(100).kind == "exit"
    assert p.role("result") == p.word(base + offset)


@pytest.mark.parametrize("offset", [-16, -8, 0])
@pytest.mark.amd64
def test_amd64_tls_is_reached_through_fs(offset: int) -> None:
    p, base = _with_tls("amd64", f"start: mov rbx, qword ptr fs:[{offset}]; jmp fn")
    assert p.run(100).kind == "exit"
    assert p.machine.registers()["rbx"] == p.word(base + offset)


@pytest.mark.arm
def test_arm_tls_register() -> None:
    p, base = _with_tls("arm", "start: mrc p15, 0, r0, c13, c0, 3; b fn")
    assert p.run(100).kind == "exit"
    assert p.role("result") == base


@each
def test_tls_base_survives_a_saved_state(arch: str) -> None:
    text = texts("mov eax, dword ptr gs:[0]; jmp fn", "mov rax, qword ptr fs:[0]; jmp fn",
                 "mrc p15, 0, r0, c13, c0, 3; ldr r0, [r0]; b fn")  # fmt: skip
    p, base = _with_tls(arch, text[arch])
    expected, state = p.word(base), p.machine.save()
    p.machine.set_tls_base(base + p.arch.word)
    p.machine.restore(state)
    assert p.run(100).kind == "exit"
    assert p.role("result") == expected


@pytest.mark.arm
def test_arm_runs_in_user_mode_and_nobody_leaves_it() -> None:
    p = process("arm", "start: mrs r0, cpsr; b fn")
    assert p.machine.registers()["cpsr"] & 0x1F == 0x10
    p.set_registers({"cpsr": 0x6000_0013})  # Z and C; the mode of a kernel
    assert p.run(100).kind == "exit"
    assert p.role("result") & 0xF000_001F == 0x6000_0010


# State in and out.


@each
def test_registers_are_what_was_set(arch: str) -> None:
    machine = Machine(arches.get(arch))
    roles = machine.arch.roles
    wanted = {r: 0x100 + 16 * i for i, r in enumerate(machine.arch.registers) if r not in (roles["flags"],)}
    machine.set_registers(wanted)
    assert {r: machine.registers()[r] for r in wanted} == wanted


@each
def test_reset_brings_back_the_first_state(arch: str) -> None:
    machine = Machine(arches.get(arch))
    first = machine.registers()
    machine.set_registers(dict.fromkeys(machine.arch.registers, 0x40))
    machine.reset()
    assert machine.registers() == first


@each
def test_saved_state_is_restored(arch: str) -> None:
    p = process(arch, TWO_BLOCKS[arch])
    before, state = p.machine.registers(), p.machine.save()
    assert p.run(100).kind == "exit"
    assert p.machine.registers() != before
    p.machine.restore(state)
    assert p.machine.registers() == before
    assert p.run(100).pc == GATES["fn"]


@pytest.mark.amd64
def test_vector_register() -> None:
    machine = Machine(arches.get("amd64"))
    value = 0x0123_4567_89AB_CDEF_0011_2233_4455_6677
    machine.set_vector("xmm15", value)
    assert machine.vector("xmm15") == value


@each
@pytest.mark.parametrize("address", [NOWHERE, NOWHERE + PAGE - 4], ids=["before", "across"])
def test_memory_that_is_not_mapped_cannot_be_read_or_written(arch: str, address: int) -> None:
    machine = Machine(arches.get(arch))
    machine.map(NOWHERE + PAGE, PAGE)
    with pytest.raises(ValueError, match=f"no 8 bytes are mapped at {address:#x}"):
        machine.read(address, 8)
    with pytest.raises(ValueError, match=f"no 8 bytes are mapped at {address:#x}"):
        machine.write(address, bytes(8))


@each
@pytest.mark.parametrize("size", [-8, 1 << 40, 1 << 63])
def test_size_that_no_memory_has(arch: str, size: int) -> None:
    """As computed from the registers of a broken guest."""
    machine = Machine(arches.get(arch))
    machine.map(NOWHERE, PAGE)
    with pytest.raises(ValueError, match=f"no {size} bytes are mapped at"):
        machine.read(NOWHERE, size)
