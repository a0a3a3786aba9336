"""Per-step rows and memory accesses of a run, recorded by ctypes callbacks.

A row holds every register of the arch *before* an instruction. The engine's Python ``reg_read`` is never
called per step: one batch read fills a buffer whose bytes are the row.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any, NamedTuple

import unicorn
from unicorn.unicorn_py3.unicorn import uclib

from arch.model import Arch
from emu.interrupt import INTERRUPT

_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_ACCESS = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)
_lib = ctypes.PyDLL(uclib._name)
_read_batch = _lib.uc_reg_read_batch
_read_batch.restype = ctypes.c_int
_hook_add = _lib.uc_hook_add
_hook_add.restype = ctypes.c_int
_lib.uc_emu_stop.argtypes = (ctypes.c_void_p,)


class Access(NamedTuple):
    """One memory access: ``step`` counts instructions from 0; ``size`` in bytes.

    ``value`` is what a write stored, 0 for a read.
    """

    step: int
    address: int
    size: int
    value: int
    write: bool


class Recorder:
    """Rows and accesses of one machine. ``steps``: instructions begun since `clear`.

    ``rows_wanted`` off keeps only counts and writes; ``reads_wanted`` adds reads.
    Not ``hooked`` it only reads `current`.
    """

    def __init__(self, uc: unicorn.Uc, arch: Arch, ids: list[int], hooked: bool = True) -> None:
        self._arch = arch
        self._handle = uc._uch
        count = len(ids)
        self._values = (ctypes.c_uint64 * count)()
        self._ids = (ctypes.c_int * count)(*ids)
        step = ctypes.sizeof(ctypes.c_uint64)
        start = ctypes.addressof(self._values)
        self._pointers = (ctypes.c_void_p * count)(*(start + i * step for i in range(count)))
        self._row = struct.Struct(f"<{count}Q")
        self._count = ctypes.c_int(count)
        self.rows_wanted = False
        self.reads_wanted = False
        self.clear()
        self._callbacks = (_STEP(self._on_step), _ACCESS(self._on_access))
        if not hooked:
            return
        self._add(unicorn.UC_HOOK_CODE, self._callbacks[0])
        self._add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self._callbacks[1])

    def _add(self, kind: int, callback: Any) -> None:
        handle = ctypes.c_size_t()
        begin, end = ctypes.c_uint64(1), ctypes.c_uint64(0)  # begin > end: everywhere
        error = _hook_add(self._handle, ctypes.byref(handle), ctypes.c_int(kind), callback, None, begin, end)
        if error:
            raise RuntimeError(f"the engine refused a hook (error {error})")

    def clear(self) -> None:
        """Forget everything recorded."""
        self.steps = 0
        self.rows: list[bytes] = []
        self.accesses: list[Access] = []

    def _on_step(self, _uc: int, _address: int, _size: int, _data: int) -> None:
        if INTERRUPT.asked:
            _lib.uc_emu_stop(self._handle)
            return
        self.steps += 1
        if self.rows_wanted:
            _read_batch(self._handle, self._ids, self._pointers, self._count)
            self.rows.append(bytes(self._values))

    def _on_access(self, _uc: int, kind: int, address: int, size: int, value: int, _data: int) -> None:
        write = kind == unicorn.UC_MEM_WRITE
        if write or self.reads_wanted:
            stored = value & ((1 << (8 * size)) - 1) if write else 0
            self.accesses.append(Access(self.steps - 1, address, size, stored, write))

    def take_back(self, address: int) -> None:
        """Drop the newest access if it touches ``address``: a store is reported before it is found to fault."""
        if self.accesses and 0 <= address - self.accesses[-1].address < self.accesses[-1].size:
            self.accesses.pop()

    @property
    def writes(self) -> list[Access]:
        """The recorded writes in order."""
        return [access for access in self.accesses if access.write]

    def current(self) -> dict[str, int]:
        """All registers now."""
        _read_batch(self._handle, self._ids, self._pointers, self._count)
        return dict(zip(self._arch.registers, self._values, strict=True))

    def unpack(self, row: bytes) -> tuple[int, ...]:
        """The registers of a row, in the arch's order."""
        return self._row.unpack(row)
