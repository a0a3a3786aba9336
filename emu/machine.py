"""One address space and one CPU on the engine: it runs until it stops, and says why.

Known traps of the engine (stale translations, silent system calls, 32-bit segment bases) end here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from mmap import mmap
from typing import Any, Literal, NamedTuple

from arch.model import Arch
from emu import engine
from emu.engine import ACCESS, EXECUTE, HOOKS, READ, WRITE, Engine
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


class Stop(NamedTuple):
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


class Machine:
    """An emulated CPU of ``arch`` that stops at the addresses in ``exits``. ``memory``: where what is mapped lies.

    Without ``recording`` nothing is counted or recorded, and it runs at the engine's full speed. ``translations``: room
    for translated code, as a power of two of bytes.
    """

    def __init__(self, arch: Arch, exits: Iterable[int] = (), recording: bool = True, translations: int = 20) -> None:
        self.arch = arch
        self.engine = Engine(arch, 1 << translations)
        self.memory = HostMap()
        self._ids: dict[str, int] = {name: self.engine.number(name) for name in arch.registers}
        self._word: ctypes.c_uint32 | ctypes.c_uint64 = (ctypes.c_uint64 if arch.word == 8 else ctypes.c_uint32)()
        self._word_at = ctypes.byref(self._word)
        self.recorder = Recorder(self.engine, arch, self._ids, self.memory, hooked=recording)
        self._pending: Stop | None = None
        self.exits = frozenset(exits)
        self._hook_stops()
        self.engine.exit_at(self.exits)
        self._initial = self._prepare_cpu()

    def close(self) -> None:
        """Give the engine and the guest's memory back. Nothing else may be asked of it afterwards."""
        self.engine.close()
        self.memory.remove(0, 1 << 64)

    def _hook_stops(self) -> None:
        self.engine.hook(HOOKS["interrupt"], engine.INTERRUPT_CALL(self._on_interrupt))
        if self.arch.syscall.instruction == "syscall":
            self.engine.hook(HOOKS["syscall"], engine.SYSCALL_CALL(self._on_syscall))
        self.hook_faults()

    def translate_natively(self, fill: Any, data: int) -> None:
        """Have ``fill`` say what each page allows, instead of the CPU's own tables, which allow all there.

        The engine takes the slow way at every store into a page that it thinks may hold code, and into every page
        while anybody wants to hear of invalid accesses: stores are five times as fast without.
        """
        self.engine.ask_for_pages(True)
        self.hook("fill", fill, data)

    def expect_code(self, begin: int, end: int) -> None:
        """Say that addresses from ``begin`` up to ``end`` hold code that is seldom written, if ever.

        With each block that it translates the engine looks through all pages it knows, for one that stores may go to
        at full speed although there is code now: a fifth of the time that a short run on arm takes. Where somebody
        waits for fetches that fail it lets no store go so fast, and need not look.
        """
        self.engine.hook(HOOKS["no code"], engine.INVALID_CALL(lambda *_: False), 0, begin, end - 1)

    def hook_faults(self) -> int:
        """Note what a faulting access touched. The hook's handle."""
        return self.engine.hook(HOOKS["invalid"], engine.INVALID_CALL(self._on_invalid))

    def exact_fault(self) -> None:
        """Run again the instruction that has just faulted, to learn which address it touched, not only which page."""
        hook = self.hook_faults()
        self._translate_by_fill(False)
        self.start()
        self.engine.unhook(hook)
        self._translate_by_fill(True)

    def _translate_by_fill(self, wanted: bool) -> None:
        self.engine.ask_for_pages(wanted)
        self.engine.flush_pages()

    def _on_interrupt(self, _engine: int, vector: int, _data: int) -> None:
        if vector in _SYSCALL_VECTORS:
            self._pending = Stop("syscall", 0)
        elif vector in _BREAKPOINT_VECTORS:
            self._pending = Stop("trap", 0, vector=vector)
        elif self._pending is None:  # one that finds no handler raises another: the first one is the reason
            self._pending = Stop("fault", 0, vector=vector)
        self.engine.stop()

    def _on_syscall(self, _engine: int, _data: int) -> None:
        self._pending = Stop("syscall", 0)
        self.engine.stop()

    def _on_invalid(self, _engine: int, access: int, address: int, _size: int, _value: int, _data: int) -> bool:
        self._pending = Stop("fault", 0, address, ACCESS.get(access, "access"))
        if self._pending.access == "write":
            self.recorder.take_back(address)
        return False

    def _prepare_cpu(self) -> engine.State:
        """Leave reset state for user state, once; every reset comes back to here."""
        if self.arch.isa == "arm":
            self.engine.write("cpsr", self.engine.read("cpsr") & ~_MODE_BITS | _USER_MODE)
            self.engine.write("c1_c0_2", 0xF << 20)  # floating point is off at reset
            self.engine.write("fpexc", 1 << 30)
        return self.engine.save()

    def map(self, address: int, size: int, *, writable: bool = True, executable: bool = False) -> None:
        """Map ``size`` bytes (whole pages) of zeros at ``address``; everything else faults."""
        protection = READ | (WRITE if writable else 0) | (EXECUTE if executable else 0)
        self.map_host(address, zeros(size), protection)

    def map_host(self, address: int, buffer: mmap, protection: int) -> None:
        """Map a buffer (`hostmap.zeros`) as guest memory. ``protection``: 1 read, 2 write, 4 execute, added up."""
        self.engine.map(address, len(buffer), protection, address_of(buffer))
        self.memory.add(address, buffer, protection)

    def allow(self, address: int, size: int, protection: int) -> None:
        """Change what may be done with mapped pages, in the bits of `map_host`."""
        self.engine.protect(address, size, protection)
        self.memory.allow(address, size, protection)

    def hook(self, kind: str, callback: Any, data: int = 0, begin: int = 1, end: int = 0) -> int:
        """Have a native function called: at every ``block``, ``code`` or ``access`` (in a range; everywhere if begin >
        end), at an ``interrupt``, or at the instruction ``syscall``. ``data`` is handed to it.

        Returns the hook's handle, for `unhook`.
        """
        return self.engine.hook(HOOKS[kind], callback, data, begin, end)

    def unhook(self, hook: int) -> None:
        """Call a hook's function no more. To be used while the machine is stopped."""
        self.engine.unhook(hook)

    def unmap(self, address: int, size: int) -> None:
        """Take whole pages away: whoever touches them faults."""
        self.engine.unmap(address, size)
        self.memory.remove(address, size)

    def protect(self, address: int, size: int, *, touchable: bool) -> None:
        """Let whole data pages be touched, or fault at the next guest instruction that does: it is not executed."""
        self.engine.protect(address, size, READ | WRITE if touchable else 0)

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
        self.engine.flush_code()

    def forget_code(self, address: int, size: int) -> None:
        """`forget_translations`, of the code in a range alone: also for hooks there that were added late."""
        self.engine.flush_code_in(address, address + size)

    def registers(self) -> dict[str, int]:
        """All registers of the arch's row by name."""
        return self.recorder.current()

    def register(self, name: str) -> int:
        """One register by name."""
        engine.reg_read(self.engine.handle, self._ids[name], self._word_at)
        return self._word.value

    def set_registers(self, values: Mapping[str, int]) -> None:
        """Write registers by name."""
        for name, value in values.items():
            if name == "cpsr":  # mode bits are the machine's own
                value = value & ~_MODE_BITS | _USER_MODE
            self._word.value = value
            engine.reg_write(self.engine.handle, self._ids[name], self._word_at)

    def set_vector(self, name: str, value: int) -> None:
        """Write a vector register (``xmm15``, ``d8``), or a control word of floating point (``mxcsr``)."""
        self.engine.write(name, value)

    def vector(self, name: str) -> int:
        """Read a vector register (``xmm15``, ``d8``), or a control word of floating point (``mxcsr``)."""
        return self.engine.read(name)

    def use_descriptors(self, address: int) -> None:
        """Let segment registers be loaded from the table in the page at ``address``: its first entries are flat.

        The code and data segments are loaded at once: the first load of any other would leave the stack 16 bits wide.
        """
        self.write(address + 8, b"".join(flat.to_bytes(8, "little") for flat in _FLAT))
        self.engine.write_gdtr(address, PAGE - 1)
        self.engine.write("cs", 8)
        for register in ("ss", "ds", "es"):
            self.engine.write(register, 16)

    def set_tls_base(self, address: int) -> None:
        """Where the thread's TLS segment (or, without one, its TLS register) points."""
        segment = self.arch.tls.segment
        if segment is None:
            self.engine.write("c13_c0_3", address)
        else:
            self.engine.write_msr(_GS_BASE_MSR if segment == "gs" else _FS_BASE_MSR, address)

    def reset(self) -> None:
        """Registers as after creation (or the last `keep`), nothing recorded. Memory stays as it is."""
        self.engine.restore(self._initial)
        self.recorder.clear()

    def keep(self) -> None:
        """Let `reset` come back to the registers of now."""
        self._initial = self.engine.save()

    def save(self) -> engine.State:
        """The CPU's state, for `restore` (another thread's turn). Not to be compared: it has noise."""
        return self.engine.save()

    def restore(self, state: engine.State) -> None:
        """Put the CPU into a state from `save`."""
        self.engine.restore(state)

    def copy(self) -> Machine:
        """Another machine in the same state: the CPU, and all that is mapped. Nothing is recorded there yet."""
        twin = Machine(self.arch, self.exits)
        for first, last, protection in self.engine.regions():
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
        error = engine.start(self.engine.handle, self._pc(), _NEVER, 0, count)
        if INTERRUPT.asked:
            INTERRUPT.consume()
        return int(error)

    def start(self) -> int:
        """Run from the current PC until something stops the engine; the engine's error number, 0 for none."""
        return int(engine.start(self.engine.handle, self._pc(), _NEVER, 0, 0))

    def engine_functions(self) -> tuple[int, int, int, int]:
        """For native callbacks: the engine's handle; where its reg_read_batch, reg_write and emu_stop are."""
        names = ("uc_reg_read_batch", "uc_reg_write", "uc_emu_stop")
        return (self.engine.handle.value or 0, *map(engine.address, names))  # type: ignore[return-value]

    def _pc(self) -> int:
        return self.register(self.arch.roles["pc"])

    def _why(self, error: int) -> Stop:
        pc = self._pc()
        if self._pending is not None:
            return self._pending._replace(pc=pc)
        if error:
            return Stop("fault", pc)
        return Stop("exit" if pc in self.exits else "budget", pc)
