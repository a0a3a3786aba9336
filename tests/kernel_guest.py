"""Small guests for the kernel's tests: one text for all architectures, in macros that each of them has."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

import arch as arches
from arch import linux
from arch.model import Arch
from asm import source
from asm.assembler import assemble
from asm.program import Program
from asm.statement import Statement
from emu.kernel import Kernel, Outcome, run
from emu.process import Process, Region

CODE = 0x10000
STEPS = 20_000
VFORK = "sys nr.vfork, 0, 0, 0, 0, 0"
each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)

# sys: a system call. keep: its result, stored. child: jump if the result is 0. poke: store a word. keep_sp, keep_tls:
# SP and the word that the TLS base points at, stored. leave: to the gate. spin: for ever. wait_for: loop till a word
# holds a value.
_MACROS = {
    "386": """
.macro sys number, a1, a2, a3, a4, a5
    mov eax, \\number
    mov ebx, \\a1
    mov ecx, \\a2
    mov edx, \\a3
    mov esi, \\a4
    mov edi, \\a5
    int 0x80
.endm
.macro keep at
    mov ebx, \\at
    mov dword ptr [ebx], eax
.endm
.macro child to
    test eax, eax
    je \\to
.endm
.macro poke at, value
    mov ebx, \\at
    mov dword ptr [ebx], \\value
.endm
.macro keep_sp at
    mov ebx, \\at
    mov dword ptr [ebx], esp
.endm
.macro keep_tls at
    mov ecx, dword ptr gs:[0]
    mov ebx, \\at
    mov dword ptr [ebx], ecx
.endm
.macro leave
    jmp gate
.endm
.macro spin
.forever:
    jmp .forever
.endm
.macro wait_for label, at, value
\\label:
    mov ebx, \\at
    cmp dword ptr [ebx], \\value
    jne \\label
.endm
""",
    "amd64": """
.macro sys number, a1, a2, a3, a4, a5
    mov rax, \\number
    mov rdi, \\a1
    mov rsi, \\a2
    mov rdx, \\a3
    mov r10, \\a4
    mov r8, \\a5
    syscall
.endm
.macro keep at
    mov rbx, \\at
    mov qword ptr [rbx], rax
.endm
.macro child to
    test rax, rax
    je \\to
.endm
.macro poke at, value
    mov rbx, \\at
    mov qword ptr [rbx], \\value
.endm
.macro keep_sp at
    mov rbx, \\at
    mov qword ptr [rbx], rsp
.endm
.macro keep_tls at
    mov rax, qword ptr fs:[0]
    mov rbx, \\at
    mov qword ptr [rbx], rax
.endm
.macro leave
    jmp gate
.endm
.macro spin
.forever:
    jmp .forever
.endm
.macro wait_for label, at, value
\\label:
    mov rbx, \\at
    cmp qword ptr [rbx], \\value
    jne \\label
.endm
""",
    "arm": """
.macro sys number, a1, a2, a3, a4, a5
    ldr r7, =\\number
    ldr r0, =\\a1
    ldr r1, =\\a2
    ldr r2, =\\a3
    ldr r3, =\\a4
    ldr r4, =\\a5
    svc 0
.endm
.macro keep at
    ldr r6, =\\at
    str r0, [r6]
.endm
.macro child to
    cmp r0, #0
    beq \\to
.endm
.macro poke at, value
    ldr r6, =\\at
    ldr r5, =\\value
    str r5, [r6]
.endm
.macro keep_sp at
    ldr r6, =\\at
    str sp, [r6]
.endm
.macro keep_tls at
    mrc p15, 0, r5, c13, c0, 3
    ldr r5, [r5]
    ldr r6, =\\at
    str r5, [r6]
.endm
.macro leave
    b gate
.endm
.macro spin
.forever:
    b .forever
.endm
.macro wait_for label, at, value
\\label:
    ldr r6, =\\at
    ldr r6, [r6]
    ldr r5, =\\value
    cmp r6, r5
    bne \\label
.endm
""",
}


class Guest:
    """A process with code at `CODE`, a heap region and a stack, below a kernel of its own.

    The text may use ``nr.CALL``, ``slot.0`` to ``slot.15`` (words of the heap), ``text`` (bytes of the heap that
    hold ``texts`` one after the other, NUL after each), ``tls.1`` and ``tls.2`` (words that hold their own
    address), ``heap``, ``stack`` and ``spare`` (tops of stacks) and ``nowhere``.
    """

    def __init__(
        self, arch_name: str, text: str, texts: tuple[str, ...] = (), extra: Mapping[str, int] | None = None,
        before: list[Statement] | None = None,
    ) -> None:
        self.arch: Arch = arches.get(arch_name)
        heap, stack = _regions(self.arch)
        self.names = _names(self.arch, heap, stack) | dict(extra or {})
        statements = source.parse(_MACROS[arch_name] + "start:\n" + text, "guest.s", self.arch)
        self.program: Program = assemble(
            [*(before or []), *statements], self.arch, base=CODE, names=self.names, gates={"gate": CODE + 0x8000}
        )
        self.process = Process(self.arch, self.program)
        self.heap = self.process.add_region("heap", heap.size)
        self.process.add_region("stack", stack.size)
        self.process.reset()
        self.process.write(self.names["text"], b"\0".join(text.encode() for text in texts) + b"\0")
        for name in ("tls.1", "tls.2"):
            self.process.set_word(self.names[name], self.names[name])
        self.process.machine.set_tls_base(self.names["tls.1"])
        self.process.set_registers({
            self.arch.roles["pc"]: self.program.symbol("start").address, self.arch.roles["sp"]: self.names["stack"],
        })
        self.kernel = Kernel(self.process)

    def slot(self, index: int) -> int:
        """A word that the guest kept, signed."""
        return self.arch.signed(self.process.word(self.names[f"slot.{index}"]))

    def status(self, index: int) -> int:
        """What wait4 stored in a slot."""
        return self.slot(index) & 0xFFFF_FFFF

    def pointers(self, index: int, *addresses: int) -> None:
        """Store a vector of pointers from a slot on."""
        for offset, address in enumerate(addresses):
            self.process.set_word(self.names[f"slot.{index + offset}"], address)


def _regions(arch: Arch) -> tuple[Region, Region]:
    empty = Process(arch, Program(arch.name, (), {}))
    return empty.add_region("heap", 0x2000), empty.add_region("stack", 0x1000)


def _names(arch: Arch, heap: Region, stack: Region) -> dict[str, int]:
    calls = {f"nr.{name}": linux.number(arch, name) for name in _USED}
    slots = {f"slot.{index}": heap.address + index * arch.word for index in range(16)}
    places = {
        "heap": heap.address, "text": heap.address + 0x800, "tls.1": heap.address + 0xA00,
        "tls.2": heap.address + 0xB00, "spare": heap.end - 64, "nowhere": heap.end, "stack": stack.end - 64,
    }
    return {**calls, **slots, **places}


_USED = (
    "write", "getpid", "gettid", "getppid", "fork", "vfork", "clone", "execve", "exit", "exit_group", "wait4", "futex",
    "read", "close", "pipe", "pipe2", "dup2", "dup3", "waitid",
)


def finished(guest: Guest, status: int = 0) -> None:
    """Run a guest to its end; its first process exits with ``status``."""
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.kernel.main.task.status == status << 8
