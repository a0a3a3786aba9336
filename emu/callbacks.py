"""What the engine calls at each instruction and each memory access, in two builds: native code and Python by ctypes.

Both work on the same record, to the same bytes. A callback only records. It stops the engine in one place: before an
instruction that is beyond the record's ``limit``, which has not run then and is announced again at resumption. Room
for rows is part of the limit; an access that leaves too little room for those of another instruction sets it to 0.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from mmap import mmap
from typing import Any

from emu import engine
from emu.engine import WRITES, read_batch
from emu.errors import BadInput
from emu.hostmap import HostMap, Range, address_of

ENTRY = struct.Struct("<QQQII")  # an access: step, address, value, size, whether it is a write
_ALL = (1 << 64) - 1
HEADROOM = 1024 * ENTRY.size  # more than one instruction can touch
_STEP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_ACCESS = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, ctypes.c_void_p
)


class Layout:
    """What a row holds, in the order of ``columns``: registers, ``step``, ``g``, ``guard``.

    ``pc``: the name of the register that the engine announces: of the ``full_count`` registers in ``ids`` the first
    ``count`` must be read. ``g_register``: the register that holds g, if one does.
    """

    def __init__(self, columns: Sequence[str], pc: str, ids: dict[str, int], g_register: str | None) -> None:
        self.width = 8 * len(columns)
        spare = len(columns)  # where what is no column goes
        at = {name: number for number, name in enumerate(columns)}
        self.pc_at, self.step_at, self.guard_at = (at.get(name, spare) for name in (pc, "step", "guard"))
        self.g_at = at.get("g", spare + 1)
        self.guarded = "g" in at or "guard" in at
        read = {name: number for name, number in at.items() if name not in (pc, "step", "g", "guard")}
        wanted = [(ids[name], number) for name, number in read.items()]
        if self.guarded and g_register:
            wanted.append((ids[g_register], self.g_at))
        self.count = len(wanted)
        if pc in at:  # last, for those who leave it out
            wanted.append((ids[pc], self.pc_at))
        self.full_count = len(wanted)
        self.values = (ctypes.c_uint64 * (spare + 2))()
        first = ctypes.addressof(self.values)
        self.row = (ctypes.c_uint64 * spare).from_buffer(self.values)
        self.ids = (ctypes.c_int * len(wanted))(*(number for number, _ in wanted))
        self.pointers = (ctypes.c_void_p * len(wanted))(*(first + 8 * number for _, number in wanted))


class State(ctypes.Structure):
    """The record, for native code; `Callbacks` has the same fields. Sizes are in bytes.

    ``steps``: instructions begun; none begins from ``limit`` on. ``rows``, ``accesses``: where they go, of which
    ``_used`` is full; above ``accesses_most`` the run is to stop, and what would be above ``accesses_room`` is
    ``lost``. ``reads``, ``writes``: which accesses are wanted; ``inside``: whether the instruction is in one of the
    ``ranges`` (without any: 1). ``g_word``: where g lies in memory (0: in a register). ``memory``: the guest's
    `hostmap.Table`. ``full``: address of a word that is set, rather than stopping at the limit, while there is room in
    the ``rows_room``. The ``_last`` are caches. The others are of `Layout`.
    """

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "steps limit rows rows_used width accesses accesses_used accesses_most accesses_room lost "
            "reads writes inside ranges range_count range_last ids pointers count values "
            "pc_at step_at g_at guard_at g_word guard_offset guarded word memory g_last guard_last "
            "read_batch read_one stop rows_room full"
        ).split()
    )

    def bind(self, _handle: Any, memory: HostMap, word: int) -> tuple[Any, Any, Any, int]:
        """Ready for an engine: its callbacks for steps, accesses and blocks, and what is handed to them."""
        native = importlib.import_module("emu._recorder")
        if ctypes.sizeof(self) != native.SIZE:
            raise RuntimeError("emu._recorder was built from another version: install stackcarry again")
        self.memory, self.word, self.inside = memory.address, word, 1
        self.read_batch, self.read_one, self.stop = map(
            engine.address, ("uc_reg_read_batch", "uc_reg_read", "uc_emu_stop")
        )
        callbacks = (ctypes.c_void_p(address) for address in (native.STEP, native.ACCESS, native.BLOCK))
        return *callbacks, ctypes.addressof(self)  # type: ignore[return-value]

    def lay_out(self, layout: Layout) -> None:
        """Let rows be of this layout from now on."""
        self._layout = layout
        for name in ("width", "count", "pc_at", "step_at", "g_at", "guard_at", "guarded"):
            setattr(self, name, getattr(layout, name))
        for name in ("ids", "pointers", "values"):
            setattr(self, name, ctypes.addressof(getattr(layout, name)))

    def lend(self, rows: mmap, accesses: mmap) -> None:
        """Give it the rings."""
        self._rings = rows, accesses
        self.rows, self.accesses = address_of(rows), address_of(accesses)

    def restrict(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Record only in these address ranges: sorted, apart from each other; none: everywhere."""
        self._ranges = (Range * len(ranges))(*(Range(start, end, start) for start, end in ranges))
        self.ranges, self.range_count, self.range_last = ctypes.addressof(self._ranges), len(ranges), 0
        self.inside = int(not ranges)


class Callbacks:
    """The record and its callbacks in Python; the fields are those of `State`."""

    def __init__(self) -> None:
        self.steps = self.limit = self.rows_used = self.accesses_used = self.lost = 0
        self.accesses_most = self.accesses_room = self.rows_room = self.full = 0
        self.reads = self.writes = False
        self.inside = True
        self.width = self.g_word = self.guard_offset = 0
        self._starts: list[int] = []

    def bind(self, handle: Any, memory: HostMap, word: int) -> tuple[Any, Any, Any, int]:
        """Ready for an engine: its callbacks for steps, accesses and blocks, and what is handed to them."""
        self._handle, self._memory, self._word = handle, memory, word
        self._held = _STEP(self._on_step), _ACCESS(self._on_access), _STEP(self._on_block)
        return *self._held, 0

    def lay_out(self, layout: Layout) -> None:
        """Let rows be of this layout from now on."""
        self.width, self._layout = layout.width, layout
        self._count = layout.full_count if layout.count else 0
        self._ids, self._pointers = layout.ids, layout.pointers
        self._values, self._row, self._pc_at, self._step_at = layout.values, layout.row, layout.pc_at, layout.step_at
        self._extra = layout.guarded or layout.step_at < len(layout.row)

    def lend(self, rows: mmap, accesses: mmap) -> None:
        """Give it the rings."""
        self._rows, self._accesses = rows, accesses

    def restrict(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Record only in these address ranges: sorted, apart from each other; none: everywhere."""
        self._starts, self._ends = [start for start, _ in ranges], [end for _, end in ranges]
        self.inside = not ranges

    def _on_step(self, _engine: int, address: int, _size: int, _data: int) -> None:
        steps = self.steps
        if steps >= self.limit:
            if not self.full or self.rows_used + self.width > self.rows_room:
                engine.stop(self._handle)
                return
            ctypes.c_uint64.from_address(self.full).value = 1
        self.steps = steps + 1
        if self._starts:
            self.inside = self._is_inside(address)
            if not self.inside:
                return
        self._add_row(steps, address)

    def _on_block(self, _engine: int, address: int, _size: int, _data: int) -> None:
        if not self.inside or self._is_inside(address):
            return
        self.inside = False
        if self.rows_used + self.width <= self.rows_room:
            self._add_row(self.steps, address)
        self.steps += 1

    def _is_inside(self, address: int) -> bool:
        at = bisect_right(self._starts, address)
        return at > 0 and address < self._ends[at - 1]

    def _add_row(self, steps: int, address: int) -> None:
        if not self.width:
            return
        if self._count:
            read_batch(self._handle, self._ids, self._pointers, self._count)  # PC too: cheaper than to store it
        else:
            self._values[self._pc_at] = address
        if self._extra:
            self._add_extra(steps)
        used = self.rows_used
        self.rows_used = end = used + self.width
        self._rows[used:end] = self._row

    def _add_extra(self, step: int) -> None:
        values, layout = self._values, self._layout
        values[layout.step_at] = step
        if layout.guarded:
            if self.g_word:
                values[layout.g_at] = self._load(self.g_word)
            g = values[layout.g_at]
            values[layout.guard_at] = self._load(g + self.guard_offset & _ALL) if g else 0

    def _load(self, address: int) -> int:
        """The word there; 0 where no range of memory holds all of one."""
        piece = self._memory.find(address)
        if piece is None or piece.end - address < self._word:
            return 0
        return int.from_bytes(self._memory.read(address, self._word), "little")

    def _on_access(self, _engine: int, kind: int, address: int, size: int, value: int, _data: int) -> None:
        write = kind == WRITES
        if not self.inside or not (self.writes if write else self.reads):
            return
        used = self.accesses_used
        if used + ENTRY.size > self.accesses_room:
            self.lost += 1
            return
        stored = value & ((1 << (8 * min(size, 8))) - 1) if write else 0
        ENTRY.pack_into(self._accesses, used, self.steps - 1, address, stored, size, write)
        self.accesses_used = used + ENTRY.size
        if self.accesses_used > self.accesses_most:
            self.limit = 0  # never stopped here, where the access is under way: before the next instruction


def access_callback(function: Callable[[int, int, bool], None]) -> Any:
    """A callback for memory hooks: ``function`` is given the address, the size and whether it is a write."""

    def called(_engine: int, kind: int, address: int, size: int, _value: int, _data: int) -> None:
        function(address, size, kind == WRITES)

    return _ACCESS(called)


def build() -> State | Callbacks:
    """A record of the build that ``STACKCARRY_RECORDER`` asks for: ``c`` or ``ctypes``; else native if that was built.

    Raises BadInput if ``c`` is asked for and was not built, and for another name.
    """
    wanted = os.environ.get("STACKCARRY_RECORDER", "")
    if wanted not in ("", "c", "ctypes"):
        raise BadInput(f"STACKCARRY_RECORDER is c or ctypes, not {wanted!r}")
    if wanted != "ctypes":
        try:
            importlib.import_module("emu._recorder")
        except ImportError:
            if wanted:
                raise BadInput("STACKCARRY_RECORDER is c, but stackcarry was installed without a compiler") from None
        else:
            return State()
    return Callbacks()
