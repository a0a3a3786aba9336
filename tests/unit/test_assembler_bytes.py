"""Single instructions against the bytes of other assemblers (GNU as for x86, LLVM's for arm)."""

import pytest

import arch
from asm.assembler import assemble
from asm.readback import disassemble
from asm.source import parse

I386 = {
    "mov ecx, dword ptr gs:[0]": "658b0d00000000",
    "mov ecx, dword ptr gs:[-8]": "658b0df8ffffff",
    "mov eax, dword ptr gs:[-4]": "65a1fcffffff",
    "mov eax, dword ptr [0xf0001000]": "a1001000f0",
    "mov eax, dword ptr [ecx - 8]": "8b41f8",
    "mov dword ptr [0x1234], ecx": "890d34120000",
    "pushfd": "9c",
    "pushf": "9c",
    "popf": "9d",
    "iret": "cf",
    "push cs": "0e",
    "push gs": "0fa8",
    "push 0xffffffff": "6aff",
    "mov eax, -1314": "b8defaffff",
    "cmp eax, 0xfffffade": "3ddefaffff",
    "lea eax, [esp + 0x1000]": "8d842400100000",
    "call dword ptr gs:[0x10]": "65ff1510000000",
    "int 0x80": "cd80",
    "pushad": "60",
    "rep movsd": "f3a5",
    "mov gs, eax": "8ee8",
    "mov esp, dword ptr [eax + esi*4 + 8]": "8b64b008",
    "jecxz 0x10010": "e30e",
    "loop 0x10010": "e20e",
}
AMD64 = {
    "mov rcx, qword ptr fs:[-16]": "64488b0c25f0ffffff",
    "mov rax, qword ptr fs:[-8]": "64488b0425f8ffffff",
    "mov qword ptr fs:[-8], rbx": "6448891c25f8ffffff",
    "mov rcx, qword ptr gs:[0x30]": "65488b0c2530000000",
    "mov rax, qword ptr fs:[0]": "64488b042500000000",
    "cmp rsp, qword ptr fs:[0x10]": "64483b242510000000",
    "push qword ptr fs:[0x28]": "64ff342528000000",
    "mov dword ptr [0x1234], ecx": "890c2534120000",
    "mov rax, qword ptr [rbx + rcx*8 - 0x10]": "488b44cbf0",
    "mov rax, qword ptr [8 + rbx]": "488b4308",
    "mov rax, qword ptr [rcx*4 + 0x20]": "488b048d20000000",
    "mov r12, rsp": "4989e4",
    "lea r12, [rsp - 0x100]": "4c8da42400ffffff",
    "cmp r12, qword ptr [r14 + 16]": "4d3b6610",
    "mov qword ptr [rax + 8], -1": "48c74008ffffffff",
    "mov rax, -1314": "48c7c0defaffff",
    "mov rax, 0xfffffffffffffade": "48c7c0defaffff",
    "mov rax, 0x123456789abcdef0": "48b8f0debc9a78563412",
    "mov eax, 0xffffffff": "b8ffffffff",
    "mov al, -1": "b0ff",
    "and rsp, -16": "4883e4f0",
    "sub rsp, 0x80": "4881ec80000000",
    "add rsp, 8": "4883c408",
    "pushfq": "9c",
    "popfq": "9d",
    "iretq": "48cf",
    "jmp r11": "41ffe3",
    "jmp qword ptr [rbx + 8]": "ff6308",
    "call [rdx]": "ff12",
    "call qword ptr [r12 + 0x10]": "41ff542410",
    "xchg rax, rcx": "4891",
    "xchg rcx, rax": "4891",
    "test rcx, qword ptr [rax]": "488508",
    "lock cmpxchg dword ptr [rdi], esi": "f00fb137",
    "rep stosq": "f348ab",
    "rep movsd": "f3a5",
    "movsd xmm0, qword ptr [rax]": "f20f1000",
    "xorps xmm15, xmm15": "450f57ff",
    "movups xmmword ptr [rsp + 8], xmm15": "440f117c2408",
    "shl rax": "48d1e0",
    "imul rax, rbx, 8": "486bc308",
    "movzx eax, byte ptr [rdx]": "0fb602",
    "push 0x7fffffff": "68ffffff7f",
    "push -1": "6aff",
    "syscall": "0f05",
    "endbr64": "f30f1efa",
    "setnz al": "0f95c0",
    "cmovae rax, rbx": "480f43c3",
    "mov rax, qword ptr [rsp + rbp]": "488b042c",
    "mov rax, qword ptr [rbp + rsp]": "488b042c",
}
ARM = {
    "ldr r0, [r1]": "000091e5",
    "ldr r0, [r1, #4]": "040091e5",
    "ldr r0, [r1, #-4]!": "040031e5",
    "ldr pc, [sp], #4": "04f09de4",
    "str lr, [sp, #-8]!": "08e02de5",
    "ldr r0, [r1, -r2, lsl #2]!": "020131e7",
    "ldr r0, [r1], -r2": "020011e6",
    "ldrh r0, [r1], #4": "b400d1e0",
    "ldrb r0, [r1, r2, rrx]": "6200d1e7",
    "ldrd r0, r1, [r2, #8]!": "d800e2e1",
    "mov pc, lr": "0ef0a0e1",
    "mov r0, #-1": "0000e0e3",
    "mov r0, #0x1234": "340201e3",
    "mvn r0, #0": "0000e0e3",
    "mvn r0, r1, lsl #2": "0101e0e1",
    "movlo r1, #4": "0410a033",
    "movhs r1, #0xff000000": "ff14a023",
    "add r0, r1, r2, asr r3": "520381e0",
    "add r0, r0, #-8": "080040e2",
    "sub r0, r1, #-8": "080081e2",
    "subs r0, r0, #1": "010050e2",
    "subslo r0, r0, #1": "01005032",
    "cmp r0, #-1": "010070e3",
    "cmp sp, r1": "01005de1",
    "cmn r0, #1": "010070e3",
    "tst r0, #0x80000000": "020110e3",
    "and r0, r0, #0xffffff00": "ff00c0e3",
    "rsb r0, r0, #0": "000060e2",
    "lsl r0, r1, #2": "0101a0e1",
    "mov r0, r1, lsl #2": "0101a0e1",
    "lsls r0, r1, r2": "1102b0e1",
    "mov r0, r1, rrx": "6100a0e1",
    "push {r0}": "04002de5",
    "pop {pc}": "04f09de4",
    "push {r0, r4-r6, lr}": "71402de9",
    "stmdb sp!, {r0, lr}": "01402de9",
    "ldmia sp!, {r0, pc}": "0180bde8",
    "ldmfd sp!, {r0-r3}": "0f00bde8",
    "ldm r0, {r1, r2}": "060090e8",
    "stmib r0!, {r1, sp}": "0220a0e9",
    "ldm r0, {r4-r11, sp, lr, pc}": "f0ef90e8",
    "ldmia sp, {r0-r3}^": "0f00dde8",
    "popne {r4, pc}": "1080bd18",
    "bx lr": "1eff2fe1",
    "bxeq lr": "1eff2f01",
    "blx r1": "31ff2fe1",
    "svc 0": "000000ef",
    "svc #0": "000000ef",
    "mrc p15, 0, r0, c13, c0, 3": "700f1dee",
    "mcr p15, 0, r0, c7, c10, 5": "ba0f07ee",
    "mrs r0, cpsr": "00000fe1",
    "msr cpsr_f, r0": "00f028e1",
    "dmb ish": "5bf07ff5",
    "ldrex r0, [r1]": "9f0f91e1",
    "strex r0, r1, [r2]": "910f82e1",
    "vpush {d8-d15}": "108b2ded",
    "vldr d0, [r0, #8]": "020b90ed",
    "vstmia r0!, {d0-d3}": "080ba0ec",
    "vmrs apsr_nzcv, fpscr": "10faf1ee",
    "vadd.f64 d0, d1, d2": "020b31ee",
    "udf #0": "f000f0e7",
    "nop": "00f020e3",
    "clz r0, r1": "110f6fe1",
    "umull r0, r1, r2, r3": "920381e0",
    "uxtb r0, r1, ror #8": "7104efe6",
}
ROWS = [
    pytest.param(name, text, code, id=f"{name}-{text}", marks=getattr(pytest.mark, name))
    for name, table in (("386", I386), ("amd64", AMD64), ("arm", ARM))
    for text, code in table.items()
]


def code_of(name: str, text: str) -> bytes:
    record = arch.get(name)
    return b"".join(s.data for s in assemble(parse(text, "t.s", record), record, base=0x10000).segments)


@pytest.mark.parametrize(("name", "text", "code"), ROWS)
def test_bytes(name: str, text: str, code: str) -> None:
    assert code_of(name, text).hex() == code


@pytest.mark.parametrize(("name", "text", "code"), ROWS)
def test_upper_case_means_the_same(name: str, text: str, code: str) -> None:
    assert code_of(name, text.upper().replace("0X", "0x")).hex() == code


@pytest.mark.parametrize(("name", "text", "code"), ROWS)
def test_read_back_and_assembled_again(name: str, text: str, code: str) -> None:
    (address, data, read), *others = disassemble(arch.get(name), bytes.fromhex(code), 0x10000)
    assert (address, data.hex(), others) == (0x10000, code, [])
    if not text.startswith("rep"):  # whose operands Capstone shows and we do not take
        assert code_of(name, read).hex() == code
