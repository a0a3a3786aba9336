"""What a running program's engine asks of Python, where no extension was built: stops, clocks, what pages allow.

The same as in ``emu/_live.c``, on the structures of `emu.live.native`. What it does at crossings is in
`emu.live.watch.judge`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from emu.live import native

if TYPE_CHECKING:
    from emu.live.cpu import Cpu

_ALL = (1 << 64) - 1
_SECOND = 1_000_000_000
_TRAPS = (0x80, 2)  # vectors of system calls: int 0x80, svc
_READS, _WRITES = (16, 19, 23), (17, 20, 22)  # the engine's numbers of accesses; all others are fetches
_READ, _WRITE, _FETCH = 1, 2, 4


class Page(ctypes.Structure):
    """The engine's answer of a page: what may be done there."""

    _fields_ = (("address", ctypes.c_uint64), ("allowed", ctypes.c_uint32))


# The interpreter's lock is held all the time: the engine is started with it.
CODE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_INTERRUPT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)
_SYSCALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_FILL = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int, ctypes.POINTER(Page), ctypes.c_void_p
)
_READ_BATCH = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_WRITE_ONE = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_STOP = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Answers:
    """The callbacks of one CPU that look at no crossing."""

    def __init__(self, cpu: Cpu) -> None:
        self._live, self._memory, self._mask = cpu.live, cpu.memory, cpu.arch.mask
        live = self._live
        self._engine_read = _READ_BATCH(live.read)
        self._engine_write = _WRITE_ONE(live.write)
        self._engine_stop = _STOP(live.stop_engine)
        self._values = (ctypes.c_uint64 * live.registers)()
        first = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * live.registers)(*(first + 8 * n for n in range(live.registers)))
        self._thread = live.thread.contents
        self._lost: BaseException | None = None

    @property
    def callbacks(self) -> dict[str, Any]:
        """By name, what the engine can call. To be kept for as long as it may."""
        return {
            "breakpoint": CODE(self._kept(self._on_breakpoint)), "ticks": CODE(self._kept(self._on_ticks)),
            "fill": _FILL(self._kept(self._on_fill)), "interrupt": _INTERRUPT(self._kept(self._on_interrupt)),
            "syscall": _SYSCALL(self._kept(self._on_syscall)), "settle": CODE(lambda *_: None),
        }

    def run(self, start: Callable[[], int]) -> int:
        """Run the engine by ``start``; its answer. Raises what a callback raised."""
        self._thread = self._live.thread.contents  # nobody changes it before the next run
        error = start()
        if self._lost is not None:
            lost, self._lost = self._lost, None
            raise lost
        return error

    def _kept(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        """The engine knows no exceptions: the first one is kept, and ends the run."""

        def call(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except BaseException as error:
                self._lost = self._lost or error
                self._engine_stop(self._live.uc)
                return False

        return call

    # the guest's state

    def _registers(self) -> list[int]:
        live = self._live
        self._engine_read(live.uc, live.ids, self._pointers, live.registers)
        return list(self._values)

    def _set_register(self, index: int, value: int) -> None:
        live = self._live
        self._engine_write(live.uc, live.ids[index], ctypes.byref(ctypes.c_uint64(value)))

    def _mapped(self, address: int, size: int) -> bool:
        """Whether one range of memory holds all of it."""
        piece = self._memory.find(address)
        return piece is not None and size <= piece.end - address

    def _load(self, address: int, size: int) -> int:
        """What is not mapped reads as 0: the check then fails, or the guest faults there itself."""
        address &= self._mask
        return int.from_bytes(self._memory.read(address, size), "little") if self._mapped(address, size) else 0

    def _g(self, values: Sequence[int]) -> int:
        """The running g."""
        live = self._live
        return values[live.g] if live.g >= 0 else self._load(self._thread.tls - live.word, live.word)

    def _goid(self, g: int) -> int:
        return self._load(g + self._live.goid, 8)

    def _stop(self, why: int) -> None:
        live = self._live
        live.stop = live.stop or why
        self._engine_stop(live.uc)

    # stops, and queries that are answered at once

    def _on_breakpoint(self, _uc: int, address: int, _size: int, _data: int) -> None:
        live = self._live
        if live.skip == address:
            live.skip = 0
            return
        live.at = address
        self._stop(native.BREAKPOINT)

    def _time(self) -> int:
        return int(self._live.clock + self._live.blocks * self._live.block_time) & _ALL

    def _on_ticks(self, _uc: int, _address: int, _size: int, _data: int) -> None:
        """The cycle counter is the virtual clock: the function returns without having run."""
        live = self._live
        sp = self._registers()[live.sp]
        back = self._load(sp, live.word)
        sp += live.word
        if self._mapped(sp & self._mask, 8):
            self._memory.write(sp & self._mask, self._time().to_bytes(8, "little"))
        self._set_register(live.sp, sp)
        self._set_register(live.pc, back)

    def _clock_answered(self) -> bool:
        live, now = self._live, self._registers()
        number = now[live.number] & self._mask
        if number not in (live.clock_call, live.clock_call64):
            return False
        which, address = (now[index] for index in live.arguments)
        width = 8 if number == live.clock_call64 else live.word
        which, address = which & 0xFFFF_FFFF, address & self._mask
        if which > 1 or not self._mapped(address, 2 * width):
            return False
        time = divmod(self._time() + (0 if which else live.epoch), _SECOND)
        self._memory.write(address, b"".join((part & (1 << 8 * width) - 1).to_bytes(width, "little") for part in time))
        for index, value in zip(live.destroyed, (now[live.pc] + live.insn, now[live.flags]), strict=True):
            if index >= 0:
                self._set_register(index, value)
        self._set_register(live.result, 0)
        live.clock += live.query_time
        live.answered += 1
        return True

    def _on_interrupt(self, _uc: int, vector: int, _data: int) -> None:
        if vector in _TRAPS and self._clock_answered():
            return
        self._live.vector = vector
        self._stop(native.SYSCALL if vector in _TRAPS else native.INTERRUPT)

    def _on_syscall(self, _uc: int, _data: int) -> None:
        if not self._clock_answered():
            self._stop(native.SYSCALL)

    def _on_fill(self, _uc: int, address: int, access: int, page: Any, _data: int) -> bool:
        """What a page allows: asked when the engine does not know, or when an access is not allowed."""
        wanted = _READ if access in _READS else _WRITE if access in _WRITES else _FETCH
        address &= self._mask
        piece = self._memory.find(address)
        if piece is not None:
            allowed = piece.protection | (_READ if piece.protection & _FETCH else 0)
            if allowed & wanted:
                page.contents.address, page.contents.allowed = address, allowed
                return True
        self._live.fault, self._live.access = address, wanted
        return False
