"""One address space and one CPU on Unicorn: it runs until it stops, and says why.

The only importer of Unicorn besides the recorder. Known traps of the engine (stale translations, silent
system calls, 32-bit segment bases) end here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from mmap import mmap
from typing import Any, Literal

import unicorn
from unicorn import arm_const, x86_const
from unicorn.unicorn_py3.unicorn import uclib

from arch.model import Arch
from emu.callbacks import hook_add, hook_remove
from emu.hostmap import HostMap, address_of, zeros
from emu.interrupt import INTERRUPT
from emu.recorder import Recorder

PAGE = 0x1000
_NEVER = 0xFFFF_F000  # an address no program has: never reached, so that only exits and stops end a run
_GS_BASE_MSR = 0xC000_0101  # writing the register GS_BASE is lost in 32-bit mode; the MSR is not
_FS_BASE_MSR = 0xC000_0100
_BREAKPOINT_VECTORS = (3, 7)  # int3 on x86, bkpt on arm
_SYSCALL_VECTORS = (0x80, 2)  # int 0x80, svc
_FLAT = (0x00CF_9A00_0000_FFFF, 0x00CF_9200_0000_FFFF)  # code and data over all 4 GiB, as descriptors
_USER_MODE, _MODE_BITS = 0x10, 0x1F  # arm: CPSR mode field

StopKind = Literal["exit", "syscall", "trap", "fault", "budget", "check"]


@dataclass(frozen=True)
class Stop:
    """Why the machine stopped.

    ``exit``: PC reached one of the exit addresses, not executed. ``syscall``: a system-call instruction
    was executed, PC is after it. ``trap``: a breakpoint instruction. ``fault``: PC is the faulting
    instruction, ``address`` what it touched (``None`` for an illegal instruction), ``vector`` the CPU's exception if
    it raised one (x86: 0 is a division that cannot be done). ``budget``: the given number of steps is spent.
    """

    kind: StopKind
    pc: int
    address: int | None = None
    access: str = ""
    vector: int | None = None


_ACCESS = {
    unicorn.UC_MEM_READ_UNMAPPED: "read", unicorn.UC_MEM_READ_PROT: "read",
    unicorn.UC_MEM_WRITE_UNMAPPED: "write", unicorn.UC_MEM_WRITE_PROT: "write",
    unicorn.UC_MEM_FETCH_UNMAPPED: "fetch", unicorn.UC_MEM_FETCH_PROT: "fetch",
}


class Machine:
    """An emulated CPU of ``arch`` that stops at the addresses in ``exits``. ``memory``: where what is mapped lies.

    Without ``recording`` nothing is counted or recorded, and it runs at the engine's full speed. ``translations``: room
    for translated code, as a power of two of bytes.
    """

    def __init__(self, arch: Arch, exits: Iterable[int] = (), recording: bool = True, translations: int = 20) -> None:
        self.arch = arch
        self._uc, constants, prefix = _engine(arch)
        self._vector_id: Callable[[str], int] = lambda name: getattr(constants, prefix + name.upper())
        self._uc.ctl_set_tcg_buffer_size(1 << translations)  # the default reserves 1 GiB for every machine
        self.memory = HostMap()
        self._ids: dict[str, int] = {
            name: getattr(constants, prefix + name.upper()) for name in arch.registers
        }
        self._word: ctypes.c_uint32 | ctypes.c_uint64 = (ctypes.c_uint64 if arch.word == 8 else ctypes.c_uint32)()
        self._word_at = ctypes.byref(self._word)
        self.recorder = Recorder(self._uc, arch, self._ids, self.memory, hooked=recording)
        self._pending: Stop | None = None
        self.exits = frozenset(exits)
        self._hook_stops()
        self._uc.ctl_exits_enabled(True)
        self._uc.ctl_set_exits(sorted(self.exits))
        self._initial = self._prepare_cpu()

    def _hook_stops(self) -> None:
        uc = self._uc
        uc.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)
        if self.arch.syscall.instruction == "syscall":
            uc.hook_add(unicorn.UC_HOOK_INSN, self._on_syscall, None, 1, 0, x86_const.UC_X86_INS_SYSCALL)
        self.hook_faults()

    def translate_natively(self, fill: Any, data: int) -> None:
        """Have ``fill`` say what each page allows, instead of the CPU's own tables, which allow all there.

        The engine takes the slow way at every store into a page that it thinks may hold code, and into every page
        while anybody wants to hear of invalid accesses: stores are five times as fast without.
        """
        self._uc.ctl_set_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self.hook("fill", fill, data)

    def hook_faults(self) -> None:
        """Note what a faulting access touched."""
        self._uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid)

    def exact_fault(self) -> None:
        """Run again the instruction that has just faulted, to learn which address it touched, not only which page."""
        handle = self._uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_invalid)
        self._translate_by(unicorn.UC_TLB_CPU)
        self.start()
        self._uc.hook_del(handle)
        self._translate_by(unicorn.UC_TLB_VIRTUAL)

    def _translate_by(self, mode: int) -> None:
        self._uc.ctl_set_tlb_mode(mode)
        self._uc.ctl(unicorn.UC_CTL_TLB_FLUSH, unicorn.UC_CTL_IO_WRITE)

    def _on_interrupt(self, uc: Any, vector: int, _data: Any) -> None:
        if vector in _SYSCALL_VECTORS:
            self._pending = Stop("syscall", 0)
        elif vector in _BREAKPOINT_VECTORS:
            self._pending = Stop("trap", 0, vector=vector)
        elif self._pending is None:  # one that finds no handler raises another: the first one is the reason
            self._pending = Stop("fault", 0, vector=vector)
        uc.emu_stop()

    def _on_syscall(self, uc: Any, _data: Any) -> None:
        self._pending = Stop("syscall", 0)
        uc.emu_stop()

    def _on_invalid(self, _uc: Any, access: int, address: int, _size: int, _value: int, _data: Any) -> bool:
        self._pending = Stop("fault", 0, address, _ACCESS.get(access, "access"))
        if self._pending.access == "write":
            self.recorder.take_back(address)
        return False

    def _prepare_cpu(self) -> Any:
        """Leave reset state for user state, once; every reset comes back to here."""
        if self.arch.isa == "arm":
            cpsr = self._uc.reg_read(arm_const.UC_ARM_REG_CPSR)
            self._uc.reg_write(arm_const.UC_ARM_REG_CPSR, cpsr & ~_MODE_BITS | _USER_MODE)
            self._uc.reg_write(arm_const.UC_ARM_REG_C1_C0_2, 0xF << 20)  # floating point is off at reset
            self._uc.reg_write(arm_const.UC_ARM_REG_FPEXC, 1 << 30)
        return self._uc.context_save()

    def map(self, address: int, size: int, *, writable: bool = True, executable: bool = False) -> None:
        """Map ``size`` bytes (whole pages) of zeros at ``address``; everything else faults."""
        protection = unicorn.UC_PROT_READ
        protection |= unicorn.UC_PROT_WRITE if writable else 0
        protection |= unicorn.UC_PROT_EXEC if executable else 0
        self.map_host(address, zeros(size), protection)

    def map_host(self, address: int, buffer: mmap, protection: int) -> None:
        """Map a buffer (`hostmap.zeros`) as guest memory. ``protection``: 1 read, 2 write, 4 execute, added up."""
        self._uc.mem_map_ptr(address, len(buffer), protection, address_of(buffer))
        self.memory.add(address, buffer, protection)

    def allow(self, address: int, size: int, protection: int) -> None:
        """Change what may be done with mapped pages, in the bits of `map_host`."""
        self._uc.mem_protect(address, size, protection)
        self.memory.allow(address, size, protection)

    def hook(self, kind: str, callback: Any, data: int = 0, begin: int = 1, end: int = 0) -> int:
        """Have a native function called: at every ``block``, ``code`` or ``access`` (in a range; everywhere if begin >
        end), at an ``interrupt``, or at the instruction ``syscall``. ``data`` is handed to it.

        Returns the hook's handle, for `unhook`.
        """
        extra = (ctypes.c_int(x86_const.UC_X86_INS_SYSCALL),) if kind == "syscall" else ()
        return hook_add(self._uc._uch, _HOOKS[kind], callback, data, begin, end, *extra)

    def unhook(self, hook: int) -> None:
        """Call a hook's function no more. To be used while the machine is stopped."""
        hook_remove(self._uc._uch, hook)

    def unmap(self, address: int, size: int) -> None:
        """Take whole pages away: whoever touches them faults."""
        self._uc.mem_unmap(address, size)
        self.memory.remove(address, size)

    def protect(self, address: int, size: int, *, touchable: bool) -> None:
        """Let whole data pages be touched, or fault at the next guest instruction that does: it is not executed."""
        protection = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE if touchable else unicorn.UC_PROT_NONE
        self._uc.mem_protect(address, size, protection)

    def read(self, address: int, size: int) -> bytes:
        """Guest memory; ValueError if it is not mapped."""
        return self.memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write guest memory whatever its protection, or nothing of it; ValueError if it is not mapped."""
        self.memory.write(address, data)

    def word(self, address: int) -> int:
        """The word at ``address``; ValueError if it is not mapped."""
        return int.from_bytes(self.memory.read(address, self.arch.word), "little")

    def forget_translations(self) -> None:
        """To be called after executed code was overwritten: the engine would run the old bytes."""
        self._uc.ctl_flush_tb()

    def forget_code(self, address: int, size: int) -> None:
        """`forget_translations`, of the code in a range alone: also for hooks there that were added late."""
        self._uc.ctl_remove_cache(address, address + size)

    def registers(self) -> dict[str, int]:
        """All registers of the arch's row by name."""
        return self.recorder.current()

    def register(self, name: str) -> int:
        """One register by name."""
        _reg_read(self._uc._uch, self._ids[name], self._word_at)
        return self._word.value

    def set_registers(self, values: Mapping[str, int]) -> None:
        """Write registers by name."""
        for name, value in values.items():
            if name == "cpsr":  # mode bits are the machine's own
                value = value & ~_MODE_BITS | _USER_MODE
            self._word.value = value
            _reg_write(self._uc._uch, self._ids[name], self._word_at)

    def set_vector(self, name: str, value: int) -> None:
        """Write a vector register (``xmm15``, ``d8``), or a control word of floating point (``mxcsr``)."""
        self._uc.reg_write(self._vector_id(name), value)

    def vector(self, name: str) -> int:
        """Read a vector register (``xmm15``, ``d8``), or a control word of floating point (``mxcsr``)."""
        return int(self._uc.reg_read(self._vector_id(name)))

    def use_descriptors(self, address: int) -> None:
        """Let segment registers be loaded from the table in the page at ``address``: its first entries are flat.

        The code and data segments are loaded at once: the first load of any other would leave the stack 16 bits wide.
        """
        self.write(address + 8, b"".join(flat.to_bytes(8, "little") for flat in _FLAT))
        self._uc.reg_write(x86_const.UC_X86_REG_GDTR, (0, address, PAGE - 1, 0))
        self._uc.reg_write(x86_const.UC_X86_REG_CS, 8)
        for register in (x86_const.UC_X86_REG_SS, x86_const.UC_X86_REG_DS, x86_const.UC_X86_REG_ES):
            self._uc.reg_write(register, 16)

    def set_tls_base(self, address: int) -> None:
        """Where the thread's TLS segment (or, without one, its TLS register) points."""
        segment = self.arch.tls.segment
        if segment is None:
            self._uc.reg_write(arm_const.UC_ARM_REG_C13_C0_3, address)
        else:
            self._uc.msr_write(_GS_BASE_MSR if segment == "gs" else _FS_BASE_MSR, address)

    def reset(self) -> None:
        """Registers as after creation (or the last `keep`), nothing recorded. Memory stays as it is."""
        self._uc.context_restore(self._initial)
        self.recorder.clear()

    def keep(self) -> None:
        """Let `reset` come back to the registers of now."""
        self._initial = self._uc.context_save()

    def save(self) -> Any:
        """The CPU's state, for `restore` (another thread's turn). Not to be compared: it has noise."""
        return self._uc.context_save()

    def restore(self, state: Any) -> None:
        """Put the CPU into a state from `save`."""
        self._uc.context_restore(state)

    def copy(self) -> Machine:
        """Another machine in the same state: the CPU, and all that is mapped. Nothing is recorded there yet."""
        twin = Machine(self.arch, self.exits)
        for first, last, protection in self._uc.mem_regions():
            buffer = zeros(last - first + 1)
            buffer[:] = self.read(first, len(buffer))
            twin.map_host(first, buffer, protection)
        twin.restore(self.save())
        self.recorder.copy_to(twin.recorder)
        return twin

    def run(self, steps: int) -> Stop:
        """Run from the current PC for at most ``steps`` instructions. Raises KeyboardInterrupt if one was asked for."""
        if steps <= 0:
            return Stop("budget", self._pc())
        self._pending = None
        budget = self.recorder.steps + steps
        INTERRUPT.running = self.recorder
        try:
            error = self._go(budget)
            while self._pending is None and not error and self.recorder.paused(budget) and self._pc() not in self.exits:
                error = self._go(budget)
        finally:
            INTERRUPT.running = None
        return self._why(error)

    def _go(self, budget: int) -> int:
        """Go on for as long as the recorder has room; the engine's error number."""
        count = self.recorder.prepare(budget)
        error = _start(self._uc._uch, self._pc(), _NEVER, 0, count)
        if INTERRUPT.asked:
            INTERRUPT.consume()
        return int(error)

    def start(self) -> int:
        """Run from the current PC until something stops the engine; the engine's error number, 0 for none."""
        return int(_start(self._uc._uch, self._pc(), _NEVER, 0, 0))

    def engine_functions(self) -> tuple[int, int, int, int]:
        """For native callbacks: the engine's handle; where its reg_read_batch, reg_write and emu_stop are."""
        names = ("uc_reg_read_batch", "uc_reg_write", "uc_emu_stop")
        addresses = (ctypes.cast(getattr(_engine_calls, name), ctypes.c_void_p).value or 0 for name in names)
        return (self._uc._uch.value, *addresses)

    def _pc(self) -> int:
        return self.register(self.arch.roles["pc"])

    def _why(self, error: int) -> Stop:
        pc = self._pc()
        if self._pending is not None:
            return replace(self._pending, pc=pc)
        if error:
            return Stop("fault", pc)
        return Stop("exit" if pc in self.exits else "budget", pc)


_HOOKS = {
    "block": unicorn.UC_HOOK_BLOCK, "code": unicorn.UC_HOOK_CODE, "interrupt": unicorn.UC_HOOK_INTR,
    "syscall": unicorn.UC_HOOK_INSN, "fill": unicorn.UC_HOOK_TLB_FILL,
    "access": unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE,
}


def _engine(arch: Arch) -> tuple[unicorn.Uc, Any, str]:
    if arch.isa == "arm":
        return unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM), arm_const, "UC_ARM_REG_"
    mode = unicorn.UC_MODE_64 if arch.bits == 64 else unicorn.UC_MODE_32
    return unicorn.Uc(unicorn.UC_ARCH_X86, mode), x86_const, "UC_X86_REG_"


# Through PyDLL a call keeps the interpreter lock, which halves the price of every hook; and the binding's own
# functions for single registers cost several times what the engine takes, as do argument types for ctypes' own objects.
_engine_calls = ctypes.PyDLL(uclib._name)
_start = _engine_calls.uc_emu_start
_start.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_size_t)
_reg_read, _reg_write = _engine_calls.uc_reg_read, _engine_calls.uc_reg_write
