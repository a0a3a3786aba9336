"""The machine of a whole program: full speed between stops, budgets in blocks, callbacks in native code."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

from arch import linux
from arch.model import Arch
from emu.kernel.clock import EPOCH
from emu.live import native
from emu.live.callbacks import callbacks
from emu.machine import PAGE, Machine, Stop

TRANSLATIONS = 25  # room for translated code: 32 MiB
BLOCK_TIME = 10  # virtual nanoseconds that a block takes
QUERY_TIME = 1_000  # and a call that asks for the time: whoever waits by asking sees it pass
CALL_TIME = 10_000  # and any other call
_BREAKPOINTS = (3, 7)
_PREFIXES = 4  # bytes that may stand in front of an x86 instruction's opcode
_ACCESS = {1: "read", 2: "write", 4: "fetch"}
_DESCRIPTORS = {"386": 0xFFFF_8000}  # arch -> a page for the segment descriptors, where loading a segment needs them


class Cpu(Machine):
    """A `Machine` without a recorder. ``live``: what its callbacks count and are told.

    ``drive``: runs the engine until there is a reason to stop; its error number. Who records a run does so around it.
    """

    def __init__(self, arch: Arch) -> None:
        self.live = native.Live()
        self._watches: list[native.Watch] = []
        super().__init__(arch, recording=False, translations=TRANSLATIONS)
        self.drive: Callable[[], int] = lambda: self._run(self.start)
        self._descriptors = _DESCRIPTORS.get(arch.name)
        if self._descriptors is not None:
            self.map(self._descriptors, PAGE)
            self.use_descriptors(self._descriptors)

    def _hook_stops(self) -> None:
        """Called by `Machine`: everything that stops a run goes through the shared structure."""
        self._fill()
        self.calls, self._run = callbacks(self)
        at = ctypes.addressof(self.live)
        self.hook("block", self.calls["block"], at)
        self.hook("interrupt", self.calls["interrupt"], at)
        if self.arch.syscall.instruction == "syscall":
            self.hook("syscall", self.calls["syscall"], at)
        self.translate_natively(self.calls["fill"], at)

    def _fill(self) -> None:
        live, arch = self.live, self.arch
        names = arch.registers
        index = {name: number for number, name in enumerate(names)}
        self._id_array = (ctypes.c_int * len(names))(*self._ids.values())
        live.uc, live.read, live.write, live.stop_engine = self.engine_functions()
        live.ids, live.registers = self._id_array, len(names)
        live.sp, live.pc, live.flags = (index[arch.roles[role]] for role in ("sp", "pc", "flags"))
        live.g = index[arch.tls.g_register] if arch.tls.g_register else -1
        call = arch.syscall
        live.number, live.result = index[call.number], index[call.result]
        live.arguments[:] = [index[name] for name in call.arguments[:2]]
        places = {role: index[name] for name, role in call.destroyed.items()}
        live.destroyed[:] = [places.get("pc", -1), places.get("flags", -1)]
        live.word, live.pushed = arch.word, arch.word if arch.call.return_on_stack else 0
        live.insn = 2 if call.instruction == "syscall" else 0  # elsewhere PC has passed it when the callback runs
        live.memory = self.memory.address
        live.block_time, live.query_time, live.epoch = BLOCK_TIME, QUERY_TIME, EPOCH
        live.clock_call = linux.number(arch, "clock_gettime")
        live.clock_call64 = linux.find(arch, "clock_gettime64")
        live.longest = live.span = (1 << 64) - 1
        live.standing, live.failed, live.digest = -1, -1, 0xCBF2_9CE4_8422_2325
        self.nobody = native.Thread()
        live.thread = ctypes.pointer(self.nobody)

    @property
    def blocks(self) -> int:
        """Blocks that have run."""
        return int(self.live.blocks)

    @property
    def ran(self) -> int:
        """Virtual nanoseconds that it has run."""
        return int(self.live.blocks) * BLOCK_TIME + int(self.live.answered) * QUERY_TIME

    @property
    def time(self) -> int:
        """Virtual nanoseconds since the start."""
        return int(self.live.clock + self.live.blocks * self.live.block_time)

    def watch(self, address: int, plan: int) -> None:
        """Have the crossings that begin at ``address`` judged by a plan of the table."""
        watch = native.Watch(ctypes.pointer(self.live), plan)
        self._watches.append(watch)
        self.hook("code", self.calls["entry"], ctypes.addressof(watch), address, address)

    def answer_ticks(self, address: int) -> None:
        """Let the function at ``address``, which reads the cycle counter, read the virtual clock."""
        self.hook("code", self.calls["ticks"], ctypes.addressof(self.live), address, address)

    def settle_flags(self, address: int, code: bytes) -> None:
        """Have the flags worked out where ``code``, at ``address``, needs those of before.

        Behind a cmpxchg8b the engine's flags otherwise hold an operand of the last arithmetic: a turn that ends there
        makes the trap and direction flags of it come true (measured, Unicorn 2.1.4).
        """
        for found in re.finditer(self.arch.lazy_flags, code) if self.arch.lazy_flags else ():
            at = address + found.start()
            self.hook("code", self.calls["settle"], 0, at - _PREFIXES, at)

    def breakpoint(self, address: int) -> int:
        """Stop, with kind ``exit``, whenever control is at ``address``. A handle for `unhook`."""
        return self.hook("code", self.calls["breakpoint"], ctypes.addressof(self.live), address, address)

    def leave_block(self) -> Stop:
        """Run an instruction that ends its block, and stop where the next one begins."""
        self.live.skip = self._pc()
        return self.go(2)  # what runs first counts as a block of its own

    def go(self, blocks: int) -> Stop:
        """Run for about ``blocks`` blocks. A stop of kind ``exit`` is a breakpoint, of kind ``check`` a broken one."""
        live = self.live
        live.limit = live.blocks + blocks
        live.stop = native.NONE
        live.access = 0
        return self._reason(self.drive())

    def _reason(self, error: int) -> Stop:
        live, pc = self.live, self._pc()
        if live.stop == native.SYSCALL:
            return Stop("syscall", pc)
        if live.stop == native.FAILED:
            return Stop("check", pc)
        if live.stop == native.BREAKPOINT:
            return Stop("exit", pc)
        if live.stop == native.INTERRUPT:
            return Stop("trap" if live.vector in _BREAKPOINTS else "fault", pc, vector=int(live.vector))
        if live.access:
            self.exact_fault()
            address = self._pending.address if self._pending is not None else int(live.fault)
            return Stop("fault", pc, address, _ACCESS[live.access])
        return Stop("fault", pc) if error else Stop("budget", pc)

    def set_tls_base(self, address: int) -> None:
        """Where a segment register that is loaded from now on leads, or, where it is no descriptor, leads at once."""
        if self._descriptors is None:
            super().set_tls_base(address)
            return
        low, middle, high = address & 0xFFFF, address >> 16 & 0xFF, address >> 24 & 0xFF
        descriptor = 0x00CF_F200_0000_FFFF | low << 16 | middle << 32 | high << 56
        self.write(self._descriptors + 8 * linux.TLS_ENTRY, descriptor.to_bytes(8, "little"))

    def close(self) -> None:
        """Free the engine and its memory; what was counted stays, but for the depths."""
        super().close()
        if "close" in self.calls:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.calls["close"].value)(ctypes.addressof(self.live))

    def copy(self) -> Any:
        raise NotImplementedError("a whole program's memory is copied by its process")
