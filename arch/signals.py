"""Linux's signals as the three architectures see them: numbers, flags, the structs of the calls, and the frame.

Sources: the kernel's uapi headers (asm/signal.h, asm/sigcontext.h, asm/ucontext.h, asm-generic/siginfo.h), its
set-up of a frame for a handler (x86: ia32 and 64-bit under a 64-bit kernel; arm: EABI), and the mirror of these
structs in Go's runtime (defs_linux_*.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import NamedTuple

LAST = 64  # the highest number of a signal; from REAL_TIME on each one sent is kept
REAL_TIME = 32


class Signal(IntEnum):
    """The numbers, the same on all three."""

    SIGHUP = 1
    SIGINT = 2
    SIGQUIT = 3
    SIGILL = 4
    SIGTRAP = 5
    SIGABRT = 6
    SIGBUS = 7
    SIGFPE = 8
    SIGKILL = 9
    SIGUSR1 = 10
    SIGSEGV = 11
    SIGUSR2 = 12
    SIGPIPE = 13
    SIGALRM = 14
    SIGTERM = 15
    SIGSTKFLT = 16
    SIGCHLD = 17
    SIGCONT = 18
    SIGSTOP = 19
    SIGTSTP = 20
    SIGTTIN = 21
    SIGTTOU = 22
    SIGURG = 23
    SIGXCPU = 24
    SIGXFSZ = 25
    SIGVTALRM = 26
    SIGPROF = 27
    SIGWINCH = 28
    SIGIO = 29
    SIGPWR = 30
    SIGSYS = 31


# What happens by default; every other signal ends the process.
IGNORED = frozenset({Signal.SIGCHLD, Signal.SIGCONT, Signal.SIGURG, Signal.SIGWINCH})
STOPPING = frozenset({Signal.SIGSTOP, Signal.SIGTSTP, Signal.SIGTTIN, Signal.SIGTTOU})
UNCATCHABLE = frozenset({Signal.SIGKILL, Signal.SIGSTOP})
# Those that an instruction causes are taken before all others.
SYNCHRONOUS = frozenset({
    Signal.SIGSEGV, Signal.SIGBUS, Signal.SIGILL, Signal.SIGTRAP, Signal.SIGFPE, Signal.SIGSYS,
})

SIG_DFL, SIG_IGN = 0, 1  # what is no address of a handler
SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK = 0, 1, 2
MASK_SIZE = 8  # bytes of the kernel's signal set


def bit(signal: int) -> int:
    """A signal in a mask."""
    return 1 << (signal - 1)


class Act(IntFlag):
    """Flags of rt_sigaction."""

    NOCLDWAIT = 0x2
    SIGINFO = 0x4
    RESTORER = 0x0400_0000
    ONSTACK = 0x0800_0000
    RESTART = 0x1000_0000
    NODEFER = 0x4000_0000
    RESETHAND = 0x8000_0000


class Stack(IntFlag):
    """Flags of sigaltstack."""

    ONSTACK = 1
    DISABLE = 2
    AUTODISARM = 1 << 31


SMALLEST_STACK = 2048  # bytes that an alternate stack has at least


class Code(IntEnum):
    """Why a signal was sent, as siginfo says; those of faults mean what they do for the signal."""

    USER = 0
    KERNEL = 0x80
    QUEUE = -1
    TIMER = -2
    TKILL = -6
    ILL_ILLOPC = 1
    ILL_ILLOPN = 2
    FPE_INTDIV = 1
    SEGV_MAPERR = 1
    SEGV_ACCERR = 2
    TRAP_BRKPT = 1
    CLD_EXITED = 1
    CLD_KILLED = 2


class Field(NamedTuple):
    """A member of a struct: bytes from its beginning, and its size in bytes."""

    offset: int
    size: int


class Structs(NamedTuple):
    """Structs of calls: ``action`` is rt_sigaction's, ``stack`` sigaltstack's. ``info_union``: where siginfo's is."""

    action: Mapping[str, Field]
    action_size: int
    stack: Mapping[str, Field]
    stack_size: int
    info_union: int
    info_size: int = 128


class Cause(NamedTuple):
    """What a fault of the CPU is to the guest: a signal with a code; ``trap`` and ``error`` are in the frame.

    ``addressed``: siginfo names the instruction.
    """

    signal: Signal
    code: Code
    trap: int
    addressed: bool = True


class PageFault(NamedTuple):
    """How the frame of a SIGSEGV tells the access: ``trap``, and an error word put together of these bits."""

    trap: int
    always: int
    absent: int
    present: int
    write: int
    fetch: int


class Frame(NamedTuple):
    """The frame of a handler with siginfo: offsets in bytes from its start, which is SP when the handler begins.

    ``align``: the start is ``(sp + before) & -boundary`` less ``after``, for (before, boundary, after). ``red_zone``:
    bytes below SP that belong to who is interrupted. ``info``, ``context``: siginfo and ucontext. ``stack``, ``mask``:
    the alternate stack and the signal mask in ucontext. ``registers``: the register file, which sigreturn takes back.
    ``trap``, ``error``, ``old_mask``, ``fault``: words about the cause. ``constants``: what else is not zero, offset
    -> bytes. ``arguments``: register -> what it holds at the handler's entry; ``on_stack`` the same for offsets:
    ``signal``, ``info``, ``context``, ``sp`` (of who was interrupted) or ``zero``. ``return_address``: where it lies
    (None: in the link register). ``popped``: bytes that the handler's return has popped when it comes to sigreturn.
    ``cleared``: bits of the flags register that are clear in a handler; ``restored``: those that sigreturn takes back.
    ``code``: instructions that call sigreturn where a program brings none of its own: at ``code_at`` in the frame, or
    at ``trampoline``, an address. (On amd64 there are none.)
    """

    size: int
    align: tuple[int, int, int]
    red_zone: int
    info: int
    context: int
    stack: int
    mask: int
    registers: Mapping[str, int]
    trap: int
    error: int
    old_mask: int
    fault: int
    constants: Mapping[int, bytes]
    arguments: Mapping[str, str]
    on_stack: Mapping[int, str]
    return_address: int | None
    popped: int
    cleared: int
    restored: int
    code: bytes = b""
    code_at: int | None = None
    trampoline: int | None = None


class Signals(NamedTuple):
    """All of it for one arch. ``exceptions``: what those of the CPU are, by vector; any other instruction that
    cannot run is ``illegal``. ``no_address``: what an access beyond the ``canonical`` bits of an address is.

    ``breakpoint_code``: (mask, value) of an instruction word that Linux takes for the ``breakpoint`` of a debugger.
    ``call_size``: bytes of the instruction that makes a system call.
    """

    structs: Structs
    frame: Frame
    page: PageFault
    illegal: Cause
    breakpoint: Cause
    exceptions: Mapping[int, Cause]
    call_size: int
    canonical: int | None = None
    no_address: Cause | None = None
    breakpoint_code: tuple[int, int] | None = None


def _fields(base: int, width: int, names: str, step: int = 0) -> dict[str, int]:
    """Offsets of words that lie one after the other."""
    return {name: base + index * (step or width) for index, name in enumerate(names.split())}


_STRUCTS_32 = Structs(
    action={"handler": Field(0, 4), "flags": Field(4, 4), "restorer": Field(8, 4), "mask": Field(12, 8)},
    action_size=20,
    stack={"address": Field(0, 4), "flags": Field(4, 4), "size": Field(8, 4)},
    stack_size=12,
    info_union=12,
)
_STRUCTS_64 = Structs(
    action={"handler": Field(0, 8), "flags": Field(8, 8), "restorer": Field(16, 8), "mask": Field(24, 8)},
    action_size=32,
    stack={"address": Field(0, 8), "flags": Field(8, 4), "size": Field(16, 8)},
    stack_size=24,
    info_union=16,
)

# Flags of x86: trap, direction and resume are clear in a handler; sigreturn takes AC OF DF TF SF ZF AF PF CF RF.
_X86_CLEARED = 1 << 8 | 1 << 10 | 1 << 16
_X86_RESTORED = 0x5_0DD5
_X86_PAGE = PageFault(trap=14, always=4, absent=0, present=1, write=2, fetch=0x10)
_X86_ILLEGAL = Cause(Signal.SIGILL, Code.ILL_ILLOPN, 6)
_X86_BREAKPOINT = Cause(Signal.SIGTRAP, Code.KERNEL, 3, addressed=False)
_X86_PROTECTION = Cause(Signal.SIGSEGV, Code.KERNEL, 13, addressed=False)
_X86_EXCEPTIONS = {0: Cause(Signal.SIGFPE, Code.FPE_INTDIV, 0), 3: _X86_BREAKPOINT, 13: _X86_PROTECTION}

_ARM_BREAKPOINT = Cause(Signal.SIGTRAP, Code.TRAP_BRKPT, 0)

_U386 = 144  # ucontext, behind return address, three arguments and siginfo
_M386 = _U386 + 20  # sigcontext
_UAMD64 = 8  # ucontext, behind the return address
_MAMD64 = _UAMD64 + 40
_UARM = 128  # ucontext, behind siginfo
_MARM = _UARM + 20

SIGNALS: Mapping[str, Signals] = {
    "386": Signals(
        structs=_STRUCTS_32,
        frame=Frame(
            size=268, align=(4, 16, 4), red_zone=0, info=16, context=_U386, stack=_U386 + 8, mask=_U386 + 108,
            registers=_fields(_M386 + 16, 4, "edi esi ebp esp ebx edx ecx eax")
            | {"eip": _M386 + 56, "eflags": _M386 + 64},
            trap=_M386 + 48, error=_M386 + 52, old_mask=_M386 + 80, fault=_M386 + 84,
            # selectors: gs, fs, es, ds; cs; ss
            constants={
                _M386: b"\x63\0\0\0\0\0\0\0\x2b\0\0\0\x2b\0\0\0", _M386 + 60: b"\x23\0\0\0", _M386 + 72: b"\x2b\0\0\0",
            },
            arguments={"eax": "signal", "edx": "info", "ecx": "context"},
            on_stack={4: "signal", 8: "info", 12: "context", _M386 + 68: "sp"},
            return_address=0, popped=4, cleared=_X86_CLEARED, restored=_X86_RESTORED,
            code=bytes.fromhex("b8ad000000cd80"), code_at=260,
        ),
        page=_X86_PAGE, illegal=_X86_ILLEGAL, breakpoint=_X86_BREAKPOINT, exceptions=_X86_EXCEPTIONS, call_size=2,
    ),
    "amd64": Signals(
        structs=_STRUCTS_64,
        frame=Frame(
            size=440, align=(0, 16, 8), red_zone=128, info=_UAMD64 + 304, context=_UAMD64, stack=_UAMD64 + 16,
            mask=_UAMD64 + 296,
            registers=_fields(
                _MAMD64, 8, "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip rflags"
            ),
            trap=_MAMD64 + 160, error=_MAMD64 + 152, old_mask=_MAMD64 + 168, fault=_MAMD64 + 176,
            # uc_flags: SS is kept and restored; selectors: cs, gs, fs, ss
            constants={_UAMD64: b"\x06", _MAMD64 + 144: b"\x33\0\0\0\0\0\x2b\0"},
            arguments={"rdi": "signal", "rsi": "info", "rdx": "context", "rax": "zero"},
            on_stack={},
            return_address=0, popped=8, cleared=_X86_CLEARED, restored=_X86_RESTORED,
        ),
        canonical=48,
        no_address=_X86_PROTECTION,
        page=_X86_PAGE, illegal=_X86_ILLEGAL, breakpoint=_X86_BREAKPOINT, exceptions=_X86_EXCEPTIONS, call_size=2,
    ),
    "arm": Signals(
        structs=_STRUCTS_32,
        frame=Frame(
            size=888, align=(0, 8, 0), red_zone=0, info=0, context=_UARM, stack=_UARM + 8, mask=_UARM + 104,
            registers=_fields(
                _MARM + 12, 4, "r0 r1 r2 r3 r4 r5 r6 r7 r8 r9 r10 r11 r12 sp lr pc cpsr"
            ),
            trap=_MARM, error=_MARM + 4, old_mask=_MARM + 8, fault=_MARM + 80,
            constants={},
            arguments={"r0": "signal", "r1": "info", "r2": "context"},
            on_stack={},
            return_address=None, popped=0,
            cleared=0xFF00_0000 | 0x0600_FC00 | 0x220,  # condition flags, if-then state, Thumb, big endian
            restored=0xFF0F_FE20,
            code=bytes.fromhex("ad70a0e3000000ef"), trampoline=0xFFFF_0500,
        ),
        page=PageFault(trap=14, always=0, absent=0x5, present=0xF, write=0x800, fetch=0x8000_0000),
        illegal=Cause(Signal.SIGILL, Code.ILL_ILLOPC, 6),
        breakpoint=_ARM_BREAKPOINT,
        exceptions={7: _ARM_BREAKPOINT},
        call_size=4,
        breakpoint_code=(0x0FFF_FFFF, 0x07F0_01F0),
    ),
}
