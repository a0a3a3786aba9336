"""The recorder: rows are the registers before each step, accesses what was read and written, at the right step."""

from __future__ import annotations

import pytest
from assembled import ARCHES, process

from emu.target import DATA

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])

# Arithmetic, memory, calls, a taken and an untaken branch, a loop, and (arm) instructions that are not executed.
WORK = {
    "386": """
start:
    mov ebx, data
    mov ecx, 3
.again:
    add eax, ecx
    mov dword ptr [ebx + 8], eax
    push eax
    dec ecx
    jne .again
    cmp eax, dword ptr [ebx + 8]
    jne .never
    call .inner
.never:
    jmp fn
.inner:
    pop edx
    add dword ptr [ebx], 5
    xchg byte ptr [ebx + 4], al
    jmp edx
""",
    "amd64": """
start:
    mov rbx, data
    mov ecx, 3
.again:
    add rax, rcx
    mov qword ptr [rbx + 8], rax
    push rax
    dec rcx
    jne .again
    cmp rax, qword ptr [rbx + 8]
    jne .never
    call .inner
.never:
    jmp fn
.inner:
    pop rdx
    add dword ptr [rbx], 5
    xchg byte ptr [rbx + 4], al
    jmp rdx
""",
    "arm": """
start:
    ldr r1, =data
    mov r2, #3
.again:
    add r0, r0, r2
    str r0, [r1, #8]
    str r0, [sp, #-4]!
    subs r2, r2, #1
    bne .again
    cmp r0, r2
    strne r0, [r1]
    streq r0, [r1, #4]
    bl .inner
    b fn
.inner:
    strb r0, [r1, #12]
    mov pc, lr
""",
}
BLOCKS = {
    "386": "start: push 7; pushad; popad; pop eax; mov ebx, data; mov word ptr [ebx + 1], ax; jmp fn",
    "amd64": """
start:
    mov rbx, data
    mov eax, 7
    push rax
    pop rcx
    mov word ptr [rbx + 1], ax
    movups xmmword ptr [rbx + 16], xmm15
    jmp fn
""",
    "arm": "start: mov r0, #7; ldr r1, =data; push {r0, r1, r2}; strh r0, [r1, #2]; pop {r0, r1, r2}; b fn",
}


@each
def test_rows_are_what_single_steps_show(arch: str) -> None:
    recorded, stepped = process(arch, WORK[arch]), process(arch, WORK[arch])
    recorded.machine.recorder.rows_wanted = True
    assert recorded.run(1000).kind == "exit"
    expected = [stepped.machine.registers()]
    while stepped.run(1).kind != "exit":
        expected.append(stepped.machine.registers())
    recorder = recorded.machine.recorder
    rows = [dict(zip(recorded.arch.registers, row, strict=True)) for row in recorder.rows]
    assert len(rows) == recorder.steps > 20
    assert rows == expected
    assert recorder.writes == stepped.machine.recorder.writes
    assert recorded.machine.registers() == stepped.machine.registers()


@each
def test_writes_replayed_over_the_entry_state_give_the_final_memory(arch: str) -> None:
    p = process(arch, WORK[arch])
    stack = p.regions[0]
    spans = ((DATA, 0x100), (stack.address, stack.size))
    areas = {start: bytearray(p.machine.read(start, size)) for start, size in spans}
    p.run(1000)
    for write in p.machine.recorder.writes:
        start = DATA if write.address < DATA + 0x100 else stack.address
        at = write.address - start
        areas[start][at : at + write.size] = write.value.to_bytes(write.size, "little")
    assert {start: p.machine.read(start, len(image)) for start, image in areas.items()} == areas


@each
def test_every_width_is_recorded_with_its_bytes(arch: str) -> None:
    p = process(arch, BLOCKS[arch])
    if arch == "amd64":
        p.machine.set_vector("xmm15", 0xFFEE_DDCC_BBAA_9988_7766_5544_3322_1100)
    top = p.role("sp")
    p.run(100)
    writes = p.machine.recorder.writes
    assert {w.size for w in writes} >= {2, p.arch.word}
    narrow = next(w for w in writes if w.size == 2)
    assert (narrow.address & ~3, narrow.value) == (DATA, 7)
    pushed = [w for w in writes if w.address < DATA or w.address >= DATA + 0x100]
    words = {"386": 9, "amd64": 1, "arm": 3}[arch]
    assert sorted({w.address for w in pushed}) == [top - p.arch.word * n for n in range(words, 0, -1)]
    if arch == "amd64":
        wide = [w for w in writes if DATA + 16 <= w.address < DATA + 32]
        assert sum(w.size for w in wide) == 16
        assert {w.address: w.value for w in wide} == {DATA + 16: 0x7766554433221100, DATA + 24: 0xFFEEDDCCBBAA9988}


@each
def test_steps_of_writes_point_at_their_rows(arch: str) -> None:
    p = process(arch, WORK[arch])
    recorder = p.machine.recorder
    recorder.rows_wanted = True
    p.run(1000)
    pc = p.arch.registers.index(p.arch.roles["pc"])
    texts = {p.program.lines[recorder.rows[w.step][pc]].text.split()[0] for w in recorder.writes}
    assert texts == {
        "386": {"mov", "push", "call", "add", "xchg"}, "amd64": {"mov", "push", "call", "add", "xchg"},
        "arm": {"str", "strne", "strb"},
    }[arch]  # fmt: skip


@each
def test_reads_are_recorded_only_when_wanted(arch: str) -> None:
    p = process(arch, BLOCKS[arch])
    state, top = p.machine.save(), p.role("sp")
    p.run(100)
    without = list(p.machine.recorder.accesses)
    p.machine.recorder.clear()
    p.machine.recorder.reads_wanted = True
    p.machine.restore(state)
    p.run(100)
    reads = [a for a in p.machine.recorder.accesses if not a.write]
    assert not [a for a in without if not a.write]
    assert {a.address for a in reads} >= {top - p.arch.word}
    assert {a.value for a in reads} == {0}
    assert p.machine.recorder.writes == without


@each
def test_clear_forgets_everything(arch: str) -> None:
    p = process(arch, WORK[arch])
    recorder = p.machine.recorder
    recorder.rows_wanted = True
    p.run(1000)
    recorder.clear()
    assert (recorder.steps, list(recorder.rows), recorder.accesses) == (0, [], [])


@each
def test_store_that_faults_is_not_a_write(arch: str) -> None:
    text = {"386": "start: mov dword ptr [ebx], eax; jmp fn", "amd64": "start: mov qword ptr [rbx], rax; jmp fn",
            "arm": "start: str r0, [r1]; b fn"}[arch]  # fmt: skip
    p = process(arch, text)
    p.set_registers({{"386": "ebx", "amd64": "rbx", "arm": "r1"}[arch]: 0x3000_0000})
    assert p.run(10).kind == "fault"
    assert p.machine.recorder.writes == []
