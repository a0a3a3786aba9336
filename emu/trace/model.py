"""What a recorded run holds: the contract between those who record, files of traces, and the views.

Steps count executed instructions of all threads together, from 0. A *row* is the state of one thread right before
an instruction. Where only some address ranges were recorded, steps have numbers but not all have rows. All arrays
are little-endian and may be views of a buffer: nobody writes into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

import arch as arches
from arch.layout import Layout
from arch.model import Arch
from asm.program import Program
from emu.naming import Names, Region, Struct

VERSION = 1
Rows = NDArray[np.uint64]  # (n, columns)
Numbers = NDArray[np.uint64]  # (n,)

# One access to memory, by the instruction `step`. ``value``: what a write stored, 0 for a read; ``size`` in bytes.
ACCESS = np.dtype([("step", "<u8"), ("address", "<u8"), ("value", "<u8"), ("size", "<u4"), ("write", "<u4")])
Accesses = NDArray[np.void]  # of ACCESS
Bytes = bytes | bytearray | memoryview

KINDS = frozenset({
    "thread",  # a thread begins: {name, g_word: address of its own word for g, or none}
    "gate",  # a function that Python stands for was reached: {name}
    "syscall",  # {name, number, arguments: [...], text} and, once it is known, {result: signed}
    "switch",  # another g runs: {from, to: addresses}
    "guard",  # a guard word changed: {g, value, state: as in an `Entry`}
    "stack",  # a stack came, moved or went: {name, label, g, lo, hi, guard: its normal word}; gone: {name, gone: true}
    "struct",  # a g, m … came into being: {kind, address, label}
    "memory",  # memory was written from outside, by Python or the kernel: {address, bytes: hex}
    "signal",  # delivered to the thread: {number, name, handler}
    "check",  # a verdict: {name, ok, expected, found, role, …}
    "stop",  # the run stopped for another reason: {why, shown: whether a reader wants to know}
    "end",  # the last event: {scene, outcome, end: in words, steps}
})


class Stack(NamedTuple):
    """A stack from ``lo`` up to ``hi``. ``g``: address of the g it belongs to (0: none), called ``label``.

    ``guard``: the guard word of that g when nothing special is stored in it; 0 for a stack without a guard.
    """

    name: str
    label: str
    g: int
    lo: int
    hi: int
    guard: int


@dataclass(frozen=True)
class Limits:
    """How far SP may go, in bytes and steps.

    ``red``: below a normal guard, what code without a check of its own may use. ``switching``: the most steps in
    a row that g and SP may belong to different stacks.
    """

    red: int
    switching: int = 32


@dataclass(frozen=True)
class Header:
    """All that a view needs to know of a run, without the program file.

    ``command``: words of the command line. ``columns``: what a row holds: the arch's registers by name, or a
    part of them; ``g`` and ``guard`` stand for the running g and its guard word where a recorder kept those.
    ``program``: symbols, gates and source lines, no bytes (those that ran: `Recording.code`). ``name``: the
    file's, or the era's; ``sha256`` of the program's bytes; ``go``: release or era.
    ``entered``: routine and scene, or how else. ``special``: guard words (unsigned) -> name.
    ``g_register`` or ``g_word``: where the first thread keeps g. ``exact``: single words -> name; ``values``:
    pointers to code -> name. ``threads``: number -> name of those that run from the start.
    """

    arch_name: str
    command: Sequence[str]
    name: str
    sha256: str
    go: str
    entered: str
    columns: Sequence[str]
    program: Program
    regions: Sequence[Region]
    structs: Sequence[Struct]
    stacks: Sequence[Stack]
    limits: Limits
    special: Mapping[int, str]
    layout: Layout
    g_register: str | None
    g_word: int | None
    exact: Mapping[int, str] = field(default_factory=dict)
    values: Mapping[int, str] = field(default_factory=dict)
    threads: Mapping[int, str] = field(default_factory=lambda: {0: "m"})
    version: int = VERSION

    @property
    def arch(self) -> Arch:
        return arches.get(self.arch_name)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Column -> its number."""
        return {name: number for number, name in enumerate(self.columns)}

    def column(self, role: str) -> int | None:
        """The number of the column of a role (``sp``, ``pc``, ``link`` …), of ``g`` or ``guard``; None without one."""
        return self.index.get(self.arch.roles.get(role, role))

    @property
    def guard_offset(self) -> int:
        """Bytes from a g to its guard word, the one that prologues compare."""
        return self.layout[self.layout.guard]

    @cached_property
    def names(self) -> Names:
        """Names for addresses: fields of the structs, regions, symbols."""
        return Names(self.layout, self.structs, self.regions, self.program, self.exact, self.values)


class Event(NamedTuple):
    """Something that happened after the instruction ``step`` and before the next one; -1: before the first.

    ``kind`` is one of `KINDS`, which says what stands in ``data`` (JSON's types; words are numbers). A view
    passes over kinds and keys that it does not know.
    """

    step: int
    kind: str
    thread: int
    data: Mapping[str, Any]


class Turn(NamedTuple):
    """Steps ``first`` up to (not including) ``end``, all by ``thread``."""

    first: int
    end: int
    thread: int


class Damage(NamedTuple):
    """What is wrong with a trace file: where (``offset`` in bytes), in which chunk, and what."""

    offset: int
    chunk: str
    what: str

    def __str__(self) -> str:
        return f"damaged at byte {self.offset:#x}, {self.chunk}: {self.what}"


class Memory(Protocol):
    """Guest memory as it was before a step, as far as the trace knows it."""

    def read(self, address: int, size: int) -> tuple[bytes, bytes]:
        """``size`` bytes, and as many flags: 1 where the byte is known, else 0."""

    def word(self, address: int) -> int | None:
        """The word at an address; None if a part of it is not known."""

    def pages(self) -> Sequence[int]:
        """Addresses of the 4 KiB pages of which anything is known, ascending."""


class State(NamedTuple):
    """The state before a step: registers by name (those of the last row of that thread before it), and memory."""

    step: int
    thread: int
    registers: Mapping[str, int]
    memory: Memory


class Recording(Protocol):
    """A recorded run, in memory or in a file. ``first``/``end`` are step numbers, ``end`` is not included."""

    @property
    def header(self) -> Header: ...

    @property
    def steps(self) -> int:
        """How many steps the run had (as far as it is readable)."""

    @property
    def damage(self) -> Damage | None:
        """What ended the readable part of a file early."""

    def numbers(self, first: int, end: int) -> Numbers:
        """The steps in the range that have rows."""

    def rows(self, first: int, end: int) -> Rows:
        """Their rows, one for each of `numbers`."""

    def cuts(self, first: int, end: int) -> tuple[Numbers, Rows]:
        """Steps that another row does not simply go on from (a stop, a turn's end, the end), and the state after each.

        The registers are as the instruction left them, before Python, the kernel or another thread changed anything.
        """

    def turns(self, first: int, end: int) -> Sequence[Turn]:
        """Who ran: turns in order, cut to the range."""

    def accesses(self, first: int, end: int) -> Accesses:
        """Memory accesses in order."""

    def events(self, first: int, end: int) -> Sequence[Event]:
        """Events of steps in the range, in order; ``first`` -1 includes those before the first step."""

    def pieces(self, first: int, end: int) -> Sequence[tuple[int, int]]:
        """The range cut where it is cheap to read: at chunks. For whoever goes through all of a long trace."""

    def code(self, address: int, size: int) -> bytes:
        """Up to ``size`` bytes of the program, as far as they are kept: wherever something ran."""

    def state(self, step: int) -> State:
        """The state before ``step`` (or after the last, for `steps`). Raises IndexError for others."""


class Sink(Protocol):
    """Takes in a run as it happens: into memory or a file. Everything comes in the order of steps.

    What belongs to a step may come in any order among rows, accesses, cuts and events of that step, and before
    anything of a later step.
    """

    def add_rows(self, first: int, thread: int, rows: Bytes) -> None:
        """Rows of consecutive steps of one thread, 8 bytes a column."""

    def add_accesses(self, accesses: Bytes) -> None:
        """Records of `ACCESS`, ascending by step."""

    def add_cut(self, step: int, registers: Sequence[int]) -> None:
        """The row as ``step`` left it, where no row goes on from it: at every stop, and at the end."""

    def add_event(self, step: int, kind: str, thread: int, data: Mapping[str, Any]) -> None:
        """An event after ``step``."""

    def add_memory(self, step: int, address: int, data: bytes) -> None:
        """Bytes of memory that stand there after ``step`` (-1: before the first), not written by the guest."""

    def close(self, steps: int) -> None:
        """The run is over, after so many steps."""


def after(recording: Recording, first: int, end: int) -> tuple[Rows, NDArray[np.bool_]]:
    """The state after each step that has a row, and whether it is known (else the row is the one before)."""
    numbers, rows = recording.numbers(first, end), recording.rows(first, end)
    known = np.zeros(len(rows), np.bool_)
    found = rows.copy()
    if not len(rows):
        return found, known
    following = recording.rows(end, end + 1)
    goes_on = numbers[1:] == numbers[:-1] + 1
    known[:-1] = goes_on
    found[:-1][goes_on] = rows[1:][goes_on]
    if len(following) and int(numbers[-1]) == end - 1:
        known[-1], found[-1] = True, following[0]
    steps, states = recording.cuts(first, end)
    at = np.searchsorted(numbers, steps)
    fits = at < len(numbers)
    fits[fits] = numbers[at[fits]] == steps[fits]
    known[at[fits]], found[at[fits]] = True, states[fits]
    return found, known
