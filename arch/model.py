"""The record types of `arch`: what is true of a CPU and its Linux ABI, as data.

Registers are named as the assembler writes them (``rax``, ``r10``); whoever uses them asks by *role*.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class CallConvention(NamedTuple):
    """Where a call leaves its return PC and finds its arguments (Go's stack ABI, "ABI0").

    ``return_on_stack``: a call pushes the return PC; otherwise it is in the link register.
    ``first_argument``: bytes from SP at entry to the first argument word.
    """

    return_on_stack: bool
    first_argument: int


class InternalAbi(NamedTuple):
    """Go's register ABI ("ABIInternal"), on the arches that have one.

    ``arguments``: integer argument and result registers in order. ``g``: the register that mirrors g.
    ``zero``: the vector register that holds 0 at every call. ``scratch``: free at function entry. ``floats``:
    vector registers for floating-point arguments and results, in order.
    """

    arguments: tuple[str, ...]
    g: str
    zero: str
    scratch: tuple[str, ...]
    floats: tuple[str, ...] = ()


class CConvention(NamedTuple):
    """Where C code passes arguments and results, and what a call leaves as it is.

    ``arguments``: registers of the first integer arguments, in order. ``first_argument``: bytes from SP at entry to
    the first argument word on the stack. ``kept``: general registers that a callee leaves as they were.
    ``kept_floats``: register -> the bits of it that a callee leaves as they were (floating-point registers and
    control words). ``alignment``: SP is a multiple of it where C calls. ``red_zone``: bytes below SP that a signal
    handler leaves alone.

    Sources: System V ABI, i386 supplement 1.1 (section 2.2) and AMD64 supplement 1.0 (section 3.2); Procedure Call
    Standard for the Arm Architecture (AAPCS32, sections 5.1.1 to 5.2.1), its hard-float variant.
    """

    arguments: tuple[str, ...]
    first_argument: int
    kept: tuple[str, ...]
    kept_floats: Mapping[str, int]
    alignment: int
    red_zone: int


class SyscallConvention(NamedTuple):
    """The kernel entry: which registers carry what, and which the kernel destroys.

    ``destroyed`` names registers (beside the result) that hold something else after the trap, mapped to
    the role of what they then hold: ``pc`` (the return PC) or ``flags``.
    """

    instruction: str
    number: str
    arguments: tuple[str, ...]
    result: str
    destroyed: Mapping[str, str]


class Tls(NamedTuple):
    """Where the thread keeps g (and m, in eras that keep it there).

    With a ``segment`` the words lie just below the segment base; ``self_pointer`` says that the word at
    the base must hold the base's own address. Without one, g and m are registers.
    """

    segment: str | None = None
    self_pointer: bool = False
    g_register: str | None = None
    m_register: str | None = None


class Arch(NamedTuple):
    """One architecture. Everything the other floors know of it stands here.

    ``word``: bytes. ``isa`` and ``bits``: the instruction set for the engines. ``registers``: the general
    registers, PC and flags, in the order of a recorded row. ``roles``: role -> register, among ``sp``,
    ``pc``, ``flags``, ``link``, ``ctxt`` (closure context), ``result``, ``fp`` (frame pointer as Go
    keeps it). ``flag_bits``: condition flag -> bit number in the flags register. ``flags_fixed``: bits that
    are always set in it. ``gives_way``: mask and value of instructions by which a thread says that it only waits, where
    the engine calls them illegal. ``lazy_flags``: a pattern of the encodings that need the flags of the instruction
    before them, which the engine has not worked out then unless a hook is called. ``vectors``: the vector registers
    that Go uses. ``alignment``: bytes an instruction's address is a multiple of. ``nop``: one no-op.
    """

    name: str
    word: int
    isa: str
    bits: int
    elf_machine: str
    registers: tuple[str, ...]
    roles: Mapping[str, str]
    flag_bits: Mapping[str, int]
    flags_fixed: int
    vectors: tuple[str, ...]
    alignment: int
    nop: bytes
    call: CallConvention
    c: CConvention
    syscall: SyscallConvention
    tls: Tls
    internal: InternalAbi | None = None
    gives_way: tuple[int, int] | None = None
    lazy_flags: bytes | None = None

    @property
    def mask(self) -> int:
        """All bits of a word set."""
        return (1 << (8 * self.word)) - 1

    def signed(self, value: int) -> int:
        """A word read as a two's complement number."""
        return value - (1 << (8 * self.word)) if value >> (8 * self.word - 1) else value

    def pack(self, value: int) -> bytes:
        """A word as bytes; ``value`` is taken modulo the word size."""
        return (value & self.mask).to_bytes(self.word, "little")

    def unpack(self, data: bytes) -> int:
        """The word in ``data``."""
        return int.from_bytes(data, "little")


def frozen(mapping: Mapping[str, str] | Mapping[str, int]) -> MappingProxyType:  # type: ignore[type-arg]
    """A read-only view, for the mappings of the frozen records."""
    return MappingProxyType(dict(mapping))
