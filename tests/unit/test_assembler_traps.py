"""What Keystone gets wrong, drops, hangs or dies on becomes the right bytes or an AsmError, and nothing else."""

import pytest

import arch
from asm import assembler
from asm.assembler import AsmError, assemble
from asm.operands import Instruction
from asm.sandbox import assemble_untrusted
from asm.source import parse


def code_of(name: str, text: str, base: int = 0x10000, **names: int) -> str:
    record = arch.get(name)
    return b"".join(s.data for s in assemble(parse(text, "t.s", record), record, base=base, names=names).segments).hex()


RIGHT = [
    # Decimal numbers, which become hex once a syntax is chosen.
    ("386", "mov eax, 10", "b80a000000"),
    ("386", "mov eax, dword ptr [esp+16]", "8b442410"),
    ("386", ".long 10", "0a000000"),
    ("arm", "mov r0, #10", "0a00a0e3"),
    # Branches and rip-relative operands to a name.
    ("386", "jmp next; next: call next; jne next", "eb00e8fbffffff75f9"),
    ("amd64", "lea rax, [rip + next]; nop; next: jmp next", "488d050100000090ebfe"),
    ("amd64", "mov dword ptr [rip + next], 7; next: nop", "c705000000000700000090"),
    # Absolute memory.
    ("amd64", "mov rcx, qword ptr gs:[0x30]", "65488b0c2530000000"),
    ("amd64", "mov rcx, qword ptr [0x1000]", "488b0c2500100000"),
    ("amd64", "mov rcx, qword ptr ds:[0x1000]", "488b0c2500100000"),
    ("amd64", "cmp rsp, qword ptr fs:[0x10]", "64483b242510000000"),
    ("amd64", "push qword ptr fs:[0x10]", "64ff342510000000"),
    ("amd64", "mov qword ptr [0x1000], rsi", "4889342500100000"),
    # 16-bit stack operations.
    ("386", "pushf", "9c"),
    ("386", "popf", "9d"),
    ("386", "push cs", "0e"),
    ("amd64", "pushf", "9c"),
    ("amd64", "popf", "9d"),
    ("amd64", "push 0xffff", "68ffff0000"),
    ("amd64", "iret", "cf"),
    # A constant defined after its use.
    ("amd64", "mov rax, qword ptr [rsp-foo]; .set foo, 7", "488b4424f9"),
    # adr means the address.
    ("arm", "adr r0, next; nop; next: nop", "00008fe200f020e300f020e3"),
    ("arm", "first: nop; adr r0, first", "00f020e30c004fe2"),
    # A literal is a word of the pool, behind the code.
    ("arm", "ldr r0, =1; bx lr", "00009fe51eff2fe101000000"),
    ("amd64", "", ""),
    ("arm", "   ", ""),
]

REFUSED = [
    ("amd64", "push 0xffffffff", "16 bits of stack"),
    ("amd64", "push 0x80000000", "16 bits of stack"),
    ("amd64", "push 0x123456789", "push 0x123456789"),
    ("amd64", "ret 0x12345", "0x2345"),
    ("amd64", "mov rax, qword ptr [rax+0x80000000]", "displacement"),
    ("amd64", "mov rax, qword ptr [rax+0x123456789]", "displacement"),
    ("386", "lcall 7, 0x10f00", "lcall"),
    ("386", "lcall 7, 0xf00", "16 bits"),
    ("386", "mov eax, dword ptr ds:[ebp]", "segment"),
    ("amd64", "iretd; rex64", "safely"),
    ("arm", "b 0x4000000", "0x0"),
    ("arm", "b 0x2010008", "b 0x2010008"),
    ("arm", "bl 0x8000000", "bl 0x8000000"),
    ("arm", "mov r0, #0x1000000000", "does not fit"),
    ("arm", "ldr r0, =0x1000000000; bx lr", "does not fit"),
    ("arm", "movw r0, #:lower16:name; name: nop", "does not belong"),
    ("arm", "mov r0, #0x12345678", "eight bits rotated"),
    ("arm", "ldr r0, [r1, #4096]", "4096"),
    ("arm", "adr r0, far; .zero 70000; far: nop", "eight bits rotated"),
    # What Keystone drops without a word.
    ("arm", "ldrd r1, r2, [r0]", "no such instruction"),
    ("arm", "mov r0, #name", "no name name"),
    ("arm", "mov pc, xr", "no name xr"),
    ("arm", "ldr r0, [r0, #4]!", "no such instruction"),
    ("arm", "pop {sp}", "no such instruction"),
    ("amd64", "jmp word r11", "does not belong"),
    ("amd64", "pop word", "no name word"),
    ("amd64", ".section .text; nop", "no directive .section"),
    # Sizes and numbers that would be guessed or cut.
    ("amd64", "mov [rax], 1", "size"),
    ("amd64", "shl [rax], cl", "size|written"),
    ("amd64", "movzx eax, [rdx]", "size"),
    ("amd64", "mov al, 256", "0x0"),
    ("amd64", "mov eax, 0x100000000", "mov"),
    ("amd64", "and rax, 0xfffffff0", "no such instruction|encoded"),
    ("amd64", "jmp 0x200000000", "jmp"),
    ("386", "mov eax, 0x100000000", "does not fit"),
    ("386", "mov rax, 1", "no name rax"),
    ("386", "in al, 0x180", "in al"),
    ("amd64", "mov eax, 017", "017 is no number"),
    ("amd64", "mov eax, 10h", "10h is no number"),
    ("amd64", "mov rax, qword ptr [rax + rbx + rcx]", "no address"),
    ("amd64", "mov rax, qword ptr [rax + rbx*3]", "no address"),
    ("amd64", "mov rax, qword ptr [xmm0]", "no address"),
    ("arm", "stm r0, {r2, r1}", "ascending"),
    ("arm", "blx next; next: nop", "Thumb"),
]

EVERYWHERE = [
    "+", "]", "=", "!", "&", "/", "<<", "(", ")", "[", "{", "%define X 5", "$", "^", "~", "?", "\\", "'", '"', "-",
    ",", "rep *", ".zero *", "*", ".text; nop", ".data; .byte 1; .text; nop", ".text\nrep movsq", "rep .text",
    ".fnstart", ".uleb128 eax", ".cfi_endproc", ".cfi_startproc", '.incbin "/etc/hostname"',
    '.include "/etc/hostname"', ".rept 9", ".if 1", ".fill 4", ".space 4", ".globl f", ".thumb", ".code 16",
    ".att_syntax", ".intel_syntax noprefix", ".equ a, 1", ".req", "1: b 1b", "mov eax, \xe9", "\xe9: nop", "mov\x00",
    "nop\x07", "\x7f", "data16", "lock", "rep", "rep rep", "lock lock nop", ".", "..", ".align", ".align 3",
    ".align -1", ".zero 99999999999", ".byte", ".byte 256", ".ascii x", ".byte " + "(" * 500,
    ".byte " + "-" * 300 + "1", ".long 1" + "+1" * 600, ".set a, a; .byte a", "/* open", "f: f: nop",
    ".macro x; x; .endm; x", ".macro x", ".endm", "inherit f from 2011", ".set x", "nop nop", "nop,", "mov ,",
    "mov [", "mov ]", "mov {", "mov r0,,r1", "mov r0, [[r1]]", "a" * 2000,
]  # fmt: skip
DEADLY = [
    *((name, text) for name in arch.ARCHES for text in EVERYWHERE),
    ("amd64", "mov ah, [r8]"), ("amd64", "mov ah, byte ptr [r8]"), ("amd64", "mov ah, sil"),
    ("amd64", "movzx rax, ah"), ("amd64", "movzx r8d, ah"), ("386", "lodsd [eax]"), ("386", "stosd dword ptr [edi]"),
    ("amd64", "xlatb [rax]"), ("amd64", "rep stosq qword ptr [rax]"), ("386", "data16 [eax]"),
    ("amd64", "rex64 [rax]"), ("386", "xlat gs:[0x30]"), ("arm", "ldr r0, =; bx lr"), ("arm", "push {"),
    ("arm", "push {r0-}"), ("arm", "push {}"), ("arm", "push {sp-r0}"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "code"), RIGHT)
def test_right(name: str, text: str, code: str) -> None:
    assert code_of(name, text) == code


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, text, _ in RIGHT if "adr" not in text])
def test_bytes_may_be_moved(name: str, text: str) -> None:
    assert code_of(name, text, base=0x10000) == code_of(name, text, base=0x7FFF0000)


@pytest.mark.parametrize(("name", "text", "message"), REFUSED)
def test_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(AsmError, match=message) as caught:
        code_of(name, text)
    assert (caught.value.file, caught.value.line) == ("t.s", 1)


def test_a_target_out_of_reach_is_named() -> None:
    with pytest.raises(AsmError, match=r"^t\.s:2: 'bl far'"):
        code_of("arm", "nop\nbl far", far=0x8000000)


@pytest.fixture
def no_keystone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test when Keystone would be asked."""

    def ask(_: object, insn: Instruction, __: int) -> bytes:
        pytest.fail(f"Keystone would have seen {insn.text!r}")

    monkeypatch.setattr(assembler._Engine, "_ask", ask)


@pytest.mark.usefixtures("no_keystone")
@pytest.mark.parametrize(("name", "text"), DEADLY, ids=lambda value: ascii(value)[:40])
def test_deadly_text_never_reaches_keystone(name: str, text: str) -> None:
    with pytest.raises(AsmError):
        code_of(name, text)


def test_warnings_do_not_wear_keystone_out() -> None:
    """One Keystone for many statements with warnings reads freed text, and ends the process sooner or later."""
    places = [f"r{n}, {{r{n}, {last}}}" for n in range(12) for last in ("sp", "pc")]
    lines = [f"stm{mode} {place}" for mode in ("ia", "ib", "da", "db") for place in places]
    text = "\n".join(f"{line}\nadd r1, r2, r3, lsr #{n % 31 + 1}" for n, line in enumerate(lines * 3))
    program = assemble_untrusted(text, "t.s", arch.get("arm"), 0x10000)
    assert len(program.lines) == 6 * len(lines)
