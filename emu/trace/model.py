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
from emu.errors import BadInput
from emu.naming import Names, Region, Struct

VERSION = 1
Rows = NDArray[np.uint64]  # (n, columns)
Numbers = NDArray[np.uint64]  # (n,)

# One access to memory, by the instruction `step`. ``value``: what a write stored, 0 for a read; ``size`` in bytes.
ACCESS = np.dtype([("step", "<u8"), ("address", "<u8"), ("value", "<u8"), ("size", "<u4"), ("write", "<u4")])
Accesses = NDArray[np.void]  # of ACCESS
Bytes = bytes | bytearray | memoryview

# What an event of each kind says, and of which type; what is in brackets may be missing or null.
FIELDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    # a thread begins, or one is known better now; [g_word]: address of its own word for g; [ended: true]: it has ended
    "thread": {"name": str},
    "gate": {"name": str},  # a function that Python stands for was reached
    # a system call; [arguments, result (signed), text: the call with its arguments decoded]
    "syscall": {"name": str, "number": int},
    "switch": {"from": int, "to": int},  # another g runs
    "guard": {"g": int, "value": int, "state": str},  # the running g's guard word changed; state as in an `Entry`
    # a stack came or moved (guard: its normal word); one that is gone has {name, gone: true}
    "stack": {"name": str, "label": str, "g": int, "lo": int, "hi": int, "guard": int},
    "struct": {"kind": str, "address": int, "label": str},  # a g, m … came into being
    "signal": {"number": int, "name": str},  # delivered to the thread; [handler]
    # a verdict, given when the run is over; step: the one it is about
    "check": {"name": str, "ok": bool, "expected": str, "found": str, "role": str, "step": int},
    "stop": {"why": str},  # the run stopped for another reason
    "end": {"scene": str, "outcome": str, "end": str, "steps": int},  # the last event; end: in words
}
STANDING = frozenset({"thread", "stack", "struct"})  # kinds that a `Standing` follows
# In `gate`, `syscall` and `stop`, [stop] is what the note of the step line says: "stop: fn".


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
    pointers to code -> name. ``segments``: where the program lies. ``threads``: number -> name of those that run
    from the start.
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
    segments: Sequence[Region] = ()
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

    ``kind`` is one of `FIELDS`, which says what stands in ``data`` (JSON's types; words are numbers). A view
    passes over kinds and keys that it does not know.
    """

    step: int
    kind: str
    thread: int
    data: Mapping[str, Any]


class Outside(NamedTuple):
    """Bytes that stand in memory after ``step`` (-1: before the first), by Python's or the kernel's doing."""

    step: int
    address: int
    data: bytes


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


class Damaged(BadInput):
    """A trace file that cannot be read, from ``damage`` on."""

    def __init__(self, path: str, damage: Damage) -> None:
        super().__init__(f"{path}: {damage}")
        self.damage = damage


class Memory(Protocol):
    """Guest memory as it was before a step, as far as the trace knows it."""

    def read(self, address: int, size: int) -> tuple[bytes, bytes]:
        """``size`` bytes, and as many flags: 1 where the byte is known, else 0."""

    def word(self, address: int) -> int | None:
        """The word at an address; None if a part of it is not known."""

    def pages(self) -> Sequence[int]:
        """Addresses of the 4 KiB pages of which anything is known, ascending."""


class Thread(NamedTuple):
    """A thread by name; ``g_word``: address of its own word for the running g, where g is not in a register."""

    name: str
    g_word: int | None


@dataclass
class Standing:
    """What stacks (by name), structs (by address) and threads (by number) there are at a step."""

    stacks: dict[str, Stack]
    structs: dict[int, Struct]
    threads: dict[int, Thread]

    @classmethod
    def of(cls, header: Header) -> Standing:
        """What a run begins with."""
        return cls(
            {stack.name: stack for stack in header.stacks}, {struct.address: struct for struct in header.structs},
            {number: Thread(name, header.g_word) for number, name in header.threads.items()},
        )

    def apply(self, event: Event) -> None:
        """Go on past an event."""
        data = event.data
        if event.kind == "thread":
            self.threads[event.thread] = Thread(data["name"], data.get("g_word"))
        elif event.kind == "struct":
            self.structs[data["address"]] = Struct(data["kind"], data["address"], data["label"])
        elif event.kind == "stack" and data.get("gone"):
            self.stacks.pop(data["name"], None)
        elif event.kind == "stack":
            self.stacks[data["name"]] = Stack(**{field: data[field] for field in Stack._fields})

    def copy(self) -> Standing:
        """The same, to be changed."""
        return Standing(dict(self.stacks), dict(self.structs), dict(self.threads))


class State(NamedTuple):
    """The state before a step; registers by name, of the last row of that thread before it."""

    step: int
    thread: int
    registers: Mapping[str, int]
    memory: Memory
    standing: Standing


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

    def rows(self, first: int, end: int, columns: Sequence[int] | None = None) -> Rows:
        """Their rows, one for each of `numbers`; with ``columns`` only these, which is much less to read."""

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

    def changes(self, first: int, end: int) -> Sequence[Event]:
        """Those of `STANDING` among them, which is much less to read."""

    def outside(self, first: int, end: int) -> Sequence[Outside]:
        """What was written to memory by others than the guest, in order; as `events` the range may begin at -1."""

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

    def add_numbered(self, thread: int, numbers: Bytes, rows: Bytes) -> None:
        """Rows of one thread with the steps (8 bytes each) they belong to, ascending: what ran in some ranges only."""

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


def after(
    recording: Recording, first: int, end: int, columns: Sequence[int] | None = None
) -> tuple[Rows, NDArray[np.bool_]]:
    """The state after each step that has a row, and whether it is known (else the row is the one before).

    With ``columns`` only these, as `Recording.rows` gives them.
    """
    rows, following = recording.rows(first, end, columns), recording.rows(end, end + 1, columns)
    steps, states = recording.cuts(first, end)
    cuts = steps, states if columns is None else states[:, list(columns)]
    return following_rows(recording.turns(first, end + 1), np.concatenate([rows, following]), cuts, len(rows))


def following_rows(
    turns: Sequence[Turn], rows: Rows, cuts: tuple[Numbers, Rows], count: int
) -> tuple[Rows, NDArray[np.bool_]]:
    """The states after the first ``count`` of some rows: the row that follows in the same turn, or a cut."""
    known = np.zeros(len(rows), np.bool_)
    at, numbers = 0, [np.empty(0, np.uint64)]
    for turn in turns:
        at += turn.end - turn.first
        known[at - (turn.end - turn.first) : at - 1] = True  # after its last row nobody knows what comes
        numbers.append(np.arange(turn.first, turn.end, dtype=np.uint64))
    found = np.concatenate([rows[1:], rows[-1:]])
    found[~known] = rows[~known]
    places = np.searchsorted(np.concatenate(numbers), cuts[0])
    fits = places < len(rows)
    fits[fits] = np.concatenate(numbers)[places[fits]] == cuts[0][fits]
    known[places[fits]], found[places[fits]] = True, cuts[1][fits]
    return found[:count], known[:count]
