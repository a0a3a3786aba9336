"""The programs of the recorder's benchmark: a tight loop and a recursive fib, for the engine and for Linux."""

from __future__ import annotations

import struct
from pathlib import Path

from assembled import program

from arch.model import Arch
from asm.program import Program

_X86_LOOP = """
start:
    mov ecx, {count}
.again:
    add eax, ecx
    mov edx, eax
    shl edx, 3
    xor eax, edx
    lea ebx, [{a}ax + {a}dx]
    sub edx, ebx
    and ebx, 255
    dec ecx
    jne .again
    {end}
"""
_X86_FIB = """
start:
    mov eax, {count}
    call fib
    {end}
fib:
    cmp eax, 2
    jb .out
    push {a}bx
    mov ebx, eax
    dec eax
    call fib
    xchg {a}ax, {a}bx
    sub eax, 2
    call fib
    add eax, ebx
    pop {a}bx
.out:
    ret
"""
_ARM_LOOP = """
start:
    ldr r1, ={count}
.again:
    add r0, r0, r1
    mov r2, r0
    lsl r2, r2, #3
    eor r0, r0, r2
    add r3, r0, r2
    sub r2, r2, r3
    and r3, r3, #255
    subs r1, r1, #1
    bne .again
    {end}
"""
_ARM_FIB = """
start:
    mov r0, #{count}
    bl fib
    {end}
fib:
    cmp r0, #2
    bxlo lr
    push {{r4, r5, lr}}
    mov r4, r0
    sub r0, r4, #1
    bl fib
    mov r5, r0
    sub r0, r4, #2
    bl fib
    add r0, r0, r5
    pop {{r4, r5, pc}}
"""
TEXTS = {"loop": {"x86": _X86_LOOP, "arm": _ARM_LOOP}, "fib": {"x86": _X86_FIB, "arm": _ARM_FIB}}
_EXIT = {
    "386": "mov eax, 1; mov ebx, 0; int 0x80", "amd64": "mov eax, 60; mov edi, 0; syscall",
    "arm": "mov r7, #1; mov r0, #0; svc 0",
}  # fmt: skip
_MACHINES = {"EM_386": 3, "EM_X86_64": 62, "EM_ARM": 40}


def made(arch: Arch, what: str, count: int, linux: bool = False) -> Program:
    """The program that goes round ``count`` times, or computes fib(``count``); for ``linux`` it ends by exit(0)."""
    end = _EXIT[arch.name] if linux else {"x86": "jmp fn", "arm": "b fn"}[arch.isa]
    return program(arch, TEXTS[what][arch.isa].format(count=count, end=end, a="re"[arch.bits == 32]))


def executable(arch: Arch, what: str, count: int, path: Path) -> Path:
    """The same as a static executable: an ELF header, one segment, the code."""
    code = made(arch, what, count, linux=True).segments[0]
    word, wide = ("Q", 64) if arch.bits == 64 else ("I", 52)
    entry = 56 if arch.bits == 64 else 32
    offset = 0x1000
    ident = b"\x7fELF" + bytes([2 if arch.bits == 64 else 1, 1, 1]) + bytes(9)
    flags = 0x0500_0200 if arch.isa == "arm" else 0
    header = ident + struct.pack(
        f"<HHI3{word}I6H", 2, _MACHINES[arch.elf_machine], 1, code.address, wide, 0, flags, wide, entry, 1, 0, 0, 0
    )
    size, where = len(code.data), code.address
    if arch.bits == 64:
        segment = struct.pack("<II6Q", 1, 5, offset, where, where, size, size, offset)
    else:
        segment = struct.pack("<8I", 1, offset, where, where, size, size, 5, offset)
    path.write_bytes((header + segment).ljust(offset, b"\0") + code.data)
    path.chmod(0o755)
    return path
