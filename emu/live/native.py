"""The structures that a running program's callbacks share with Python: field by field those of ``emu/_live.c``."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int, c_int64, c_uint64, c_void_p

from emu.live.watch.plan import MOST_VALUES

MOST_WAITING, RING, MOST_PLANS = 16, 64, 16
NONE, SYSCALL, INTERRUPT, LIMIT, FAILED, BREAKPOINT = range(6)


class Crossing(ctypes.Structure):
    """A routine that was entered: the plan it is judged by, and the values at its entry."""

    _fields_ = (
        ("active", c_int64), ("plan", c_int64), ("way", c_int64), ("stage", c_int64), ("back", c_uint64),
        ("g", c_uint64),
        ("values", c_uint64 * MOST_VALUES),
    )


class Thread(ctypes.Structure):
    """A guest thread's crossing of now, and those that wait for control to come back to them."""

    _fields_ = (
        ("tls", c_uint64), ("tid", c_uint64), ("waits", c_int64), ("now", Crossing),
        ("waiting", Crossing * MOST_WAITING),
    )


class Row(ctypes.Structure):
    """A crossing that has ended: ``sp_from`` at entry, ``sp`` and ``pc`` now, after so many ``blocks``."""

    _fields_ = tuple(
        (name, c_uint64)
        for name in ("number", "tid", "plan", "way", "stage", "g", "goid", "sp_from", "sp", "pc", "blocks")
    )


class Depth(ctypes.Structure):
    """The smallest distance of SP to its guard at a crossing. ``key``: goid, or a thread's id with the top bit set."""

    _fields_ = (("key", c_uint64), ("least", c_int64), ("at", c_uint64), ("crossings", c_uint64), ("asked", c_uint64))


class Live(ctypes.Structure):
    """One engine's run."""

    _fields_ = (
        ("uc", c_void_p), ("read", c_void_p), ("write", c_void_p), ("stop_engine", c_void_p), ("ids", POINTER(c_int)),
        ("registers", c_int64), ("sp", c_int64), ("pc", c_int64), ("g", c_int64), ("number", c_int64),
        ("result", c_int64), ("arguments", c_int64 * 2), ("destroyed", c_int64 * 2), ("flags", c_int64),
        ("word", c_int64), ("pushed", c_int64), ("insn", c_int64),
        ("memory", c_void_p), ("last", c_uint64), ("fault", c_uint64), ("access", c_uint64),
        ("blocks", c_uint64), ("limit", c_uint64), ("stop", c_int64), ("vector", c_int64), ("skip", c_uint64),
        ("at", c_uint64),
        ("clock", c_uint64), ("block_time", c_uint64), ("query_time", c_uint64), ("epoch", c_uint64),
        ("clock_call", c_int64), ("clock_call64", c_int64), ("answered", c_uint64),
        ("low", c_uint64), ("span", c_uint64),
        ("table", c_void_p), ("plans", c_int64), ("standing", c_int64), ("thread", POINTER(Thread)),
        ("goid", c_int64), ("lo", c_int64), ("guard", c_int64),
        ("guard_word", c_int64), ("hook", c_int64), ("growing", c_int64),
        ("preempt", c_uint64), ("asked", c_uint64), ("lost", c_uint64), ("preempted", c_uint64),
        ("crossings", c_uint64 * MOST_PLANS), ("rows", c_uint64), ("digest", c_uint64), ("ring", Row * RING),
        ("failed", c_int64), ("expected", c_uint64), ("found", c_uint64), ("blamed", c_uint64),
        ("depths", POINTER(Depth)), ("room", c_uint64), ("known", c_uint64), ("full", c_uint64),
        ("longest", c_uint64), ("begin", c_uint64), ("end", c_uint64),
    )


class Watch(ctypes.Structure):
    """What the callback at a routine's entry is given."""

    _fields_ = (("live", POINTER(Live)), ("plan", c_int64))
