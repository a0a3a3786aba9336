"""Guests that handle signals: macros for handlers, actions laid out in memory, the code that a handler returns to."""

from __future__ import annotations

import pytest
from kernel_guest import Guest

import arch as arches
from arch import linux
from arch.signals import SIGNALS, Act, Signal

# take: a handler's three arguments, stored from a slot on. done: return from it. put: store a word in the ucontext.
# bad_load: touch `nowhere`. illegal: an instruction that is none. go: jump. count: add 1 to a word.
_MACROS = {
    "386": """
.macro take at
    mov ecx, \\at
    mov ebx, dword ptr [esp+4]
    mov dword ptr [ecx], ebx
    mov ebx, dword ptr [esp+8]
    mov dword ptr [ecx+4], ebx
    mov ebx, dword ptr [esp+12]
    mov dword ptr [ecx+8], ebx
.endm
.macro done
    ret
.endm
.macro put offset, value
    mov ecx, dword ptr [esp+12]
    mov dword ptr [ecx+\\offset], \\value
.endm
.macro bad_load
    mov ebx, nowhere
    mov eax, dword ptr [ebx]
.endm
.macro go to
    jmp \\to
.endm
.macro illegal
    ud2
.endm
.macro count at
    mov ebx, \\at
    add dword ptr [ebx], 1
.endm
restorer:
    mov eax, nr.rt_sigreturn
    int 0x80
""",
    "amd64": """
.macro take at
    mov rcx, \\at
    mov qword ptr [rcx], rdi
    mov qword ptr [rcx+8], rsi
    mov qword ptr [rcx+16], rdx
.endm
.macro done
    ret
.endm
.macro put offset, value
    mov rcx, \\value
    mov qword ptr [rdx+\\offset], rcx
.endm
.macro bad_load
    mov rbx, nowhere
    mov rax, qword ptr [rbx]
.endm
.macro go to
    jmp \\to
.endm
.macro illegal
    ud2
.endm
.macro count at
    mov rbx, \\at
    add qword ptr [rbx], 1
.endm
restorer:
    mov rax, nr.rt_sigreturn
    syscall
""",
    "arm": """
.macro take at
    ldr r6, =\\at
    str r0, [r6]
    str r1, [r6, #4]
    str r2, [r6, #8]
.endm
.macro done
    bx lr
.endm
.macro put offset, value
    ldr r6, =\\value
    str r6, [r2, #\\offset]
.endm
.macro bad_load
    ldr r6, =nowhere
    ldr r0, [r6]
.endm
.macro go to
    b \\to
.endm
.macro illegal
    .long 0xe7f000f0
.endm
.macro count at
    ldr r6, =\\at
    ldr r5, [r6]
    add r5, r5, #1
    str r5, [r6]
.endm
restorer:
    bx lr
""",
}

_CALLS = (
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait",
    "sigaltstack", "kill", "tkill", "tgkill", "pause", "setitimer", "timer_create", "timer_settime", "timer_delete",
    "nanosleep",
)  # fmt: skip
_ROOM = 32  # bytes of an action, and of a mask, in the heap


class SignalGuest(Guest):
    """A guest with signals.

    Its text may also use ``act.0`` to ``act.7`` (see `action`), ``set.0`` to ``set.7`` (see `mask`), ``old`` (room for
    an action), ``SIGUSR1`` and so on, ``uc.REGISTER`` (its offset in the ucontext) and ``alt`` (a struct of sigaltstack
    for ``alt.start``, 8192 bytes); ``room`` is an address without memory.
    """

    def __init__(self, arch_name: str, text: str) -> None:
        super().__init__(arch_name, f"{_MACROS[arch_name]}\nbegin:\n{text}", extra=_extra(arch_name))
        facts = SIGNALS[arch_name].frame
        if facts.trampoline is not None:
            page = facts.trampoline & ~0xFFF
            self.process.machine.map(page, 0x1000, executable=True)
            self.process.machine.write(facts.trampoline, facts.code)
        self.process.set_role("pc", self.program.symbol("begin").address)
        structs, base = SIGNALS[arch_name].structs, self.names["alt.start"]
        self.process.machine.map(base & ~0xFFF, 0x3000)
        data = bytearray(structs.stack_size)
        for name, value in {"address": base, "size": 8192}.items():
            field = structs.stack[name]
            data[field.offset : field.offset + field.size] = value.to_bytes(field.size, "little")
        self.process.write(self.names["alt"], bytes(data))

    def action(self, index: int, handler: str | int, flags: Act = Act(0), *mask: Signal) -> None:  # noqa: B008
        """Lay out ``act.INDEX``: a handler by its label."""
        structs = SIGNALS[self.arch.name].structs
        restores = SIGNALS[self.arch.name].frame.return_address is not None
        values = {
            "handler": self.program.symbol(handler).address if isinstance(handler, str) else handler,
            "flags": flags | Act.SIGINFO | (Act.RESTORER if restores else 0),
            "restorer": self.program.symbol("restorer").address,
            "mask": sum(1 << signal - 1 for signal in mask),
        }
        data = bytearray(structs.action_size)
        for name, value in values.items():
            field = structs.action[name]
            data[field.offset : field.offset + field.size] = int(value).to_bytes(field.size, "little")
        self.process.write(self.names[f"act.{index}"], bytes(data))

    def mask(self, index: int, *signals: Signal) -> None:
        """Lay out ``set.INDEX``."""
        value = sum(1 << signal - 1 for signal in signals)
        self.process.write(self.names[f"set.{index}"], value.to_bytes(8, "little"))


def _extra(arch_name: str) -> dict[str, int]:
    arch, frame = arches.get(arch_name), SIGNALS[arch_name].frame
    heap = {4: 0x5000_1000, 8: 0xC0_0000_1000}[arch.word]
    return {
        **{f"nr.{name}": linux.number(arch, name) for name in _CALLS},
        **{f"act.{index}": heap + 0x300 + index * _ROOM for index in range(8)},
        **{f"set.{index}": heap + 0x400 + index * _ROOM for index in range(8)},
        **{signal.name: int(signal) for signal in Signal},
        **{f"uc.{register}": offset - frame.context for register, offset in frame.registers.items()},
        "old": heap + 0x500, "alt": heap + 0x540, "alt.start": 0x6000_0000, "room": 0x6100_0000,
    }  # fmt: skip


each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)
