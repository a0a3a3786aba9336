"""Per-step rows and memory accesses of a run, in bounded rings that are emptied between two instructions.

A row is the state *before* an instruction: all registers, or the columns that were asked for. Rows and accesses stay
bytes until somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from mmap import mmap
from typing import Any, NamedTuple

from arch.model import Arch
from emu.callbacks import ENTRY, HEADROOM, Layout, build
from emu.engine import HOOKS, Engine, read_batch
from emu.hostmap import HostMap, zeros

ROOM = 1 << 20  # bytes of a ring
SPARE = 1 << 20  # bytes behind it, where what is asked to pause goes on to the end of its block
SLICE = 1 << 17  # steps after which Python gets a turn: then Ctrl-C is noticed. 2 ms of counting, 40 ms of full rows

Sink = Callable[[int, memoryview, memoryview], None]


class Access(NamedTuple):
    """One memory access: ``step`` counts instructions from 0; ``size`` in bytes.

    ``value`` is what a write stored, 0 for a read.
    """

    step: int
    address: int
    size: int
    value: int
    write: bool


class Rows(Sequence[tuple[int, ...]]):
    """Recorded rows: ``block`` is all of them as little-endian 64-bit words, ``width`` words each."""

    def __init__(self, data: memoryview, width: int) -> None:
        self.block, self.width = data.cast("Q"), width

    def __len__(self) -> int:
        return len(self.block) // self.width if self.width else 0

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        first = range(len(self))[index] * self.width
        return tuple(self.block[first : first + self.width])


class _Store:
    """Bytes that only become more. A view of them stays what it was."""

    def __init__(self) -> None:
        self._data, self.used = bytearray(), 0

    def add(self, piece: memoryview) -> None:
        end = self.used + len(piece)
        if end > len(self._data):
            larger = bytearray(max(2 * len(self._data), end))
            larger[: self.used] = memoryview(self._data)[: self.used]
            self._data = larger
        memoryview(self._data)[self.used : end] = piece
        self.used = end

    def view(self, first: int = 0) -> memoryview:
        return memoryview(self._data)[first : self.used].toreadonly()


class Recorder:
    """Rows and accesses of one machine. ``steps``: instructions begun since `clear`.

    ``rows_wanted`` adds rows of `columns`, ``reads_wanted`` reads; ``writes_wanted`` is on. ``sink``: is given what
    the rings hold whenever they are emptied, as (step of the first row, rows, accesses), views that are valid during
    the call; without one all is kept here, and with ``keeps_accesses`` the accesses are in any case. Accesses are
    records of (step, address, value: 8 bytes each; size, whether it is a write: 4 bytes each). Not ``hooked`` it only
    reads `current`.
    """

    def __init__(
        self, engine: Engine, arch: Arch, ids: dict[str, int], memory: HostMap, hooked: bool = True
    ) -> None:
        self._engine, self._arch, self._ids, self._hooked, self._room = engine, arch, ids, hooked, ROOM
        self._all = Layout(arch.registers, "", ids, None)
        self._state: Any = build()
        self._callbacks = self._state.bind(engine.handle, memory, arch.word)
        self._rings: tuple[mmap, mmap] | None = None
        self._installed = 0
        self._columns: tuple[str, ...] = arch.registers
        self._g_register: str | None = None
        self._rows_wanted = False
        self._ready = False
        self.reads_wanted, self.writes_wanted = False, True
        self._spare, self._closely = 0, False
        self.sink: Sink | None = None
        self.keeps_accesses = False
        self._ranges: list[tuple[int, int]] = []
        self._rows, self._entries, self._accesses, self._decoded = _Store(), _Store(), list[Access](), 0
        self._first = 0
        self._lay_out()

    def clear(self) -> None:
        """Forget everything recorded."""
        state = self._state
        state.steps = state.rows_used = state.accesses_used = state.lost = 0
        if self._rows.used:
            self._rows = _Store()
        if self._entries.used:
            self._entries, self._accesses, self._decoded = _Store(), [], 0

    def copy_to(self, other: Recorder) -> None:
        """Let another machine's recorder record the same."""
        other.reads_wanted, other.writes_wanted = self.reads_wanted, self.writes_wanted
        other._g_register = self._g_register
        other._state.g_word, other._state.guard_offset = self._state.g_word, self._state.guard_offset
        other.restrict(self._ranges)
        other._columns, other._rows_wanted = self._columns, self._rows_wanted
        other._lay_out()

    # what is recorded

    @property
    def rows_wanted(self) -> bool:
        return self._rows_wanted

    @rows_wanted.setter
    def rows_wanted(self, wanted: bool) -> None:
        self._rows_wanted = wanted
        self._lay_out()

    @property
    def reads_wanted(self) -> bool:
        return bool(self._state.reads)

    @reads_wanted.setter
    def reads_wanted(self, wanted: bool) -> None:
        self._state.reads, self._ready = wanted, False

    @property
    def writes_wanted(self) -> bool:
        return bool(self._state.writes)

    @writes_wanted.setter
    def writes_wanted(self, wanted: bool) -> None:
        self._state.writes, self._ready = wanted, False

    @property
    def columns(self) -> tuple[str, ...]:
        """What a row holds: registers by name; ``g`` and ``guard`` as told by `follow`, ``step`` the number."""
        return self._columns

    @columns.setter
    def columns(self, columns: Iterable[str]) -> None:
        self._columns = tuple(columns)
        self._rows = _Store()
        self._lay_out()

    def _lay_out(self) -> None:
        """Rows of another kind begin: what stands in the ring is of the kind before."""
        self.drain()
        columns = self._columns if self._rows_wanted else ()
        if 8 * len(columns) > self._room:  # no run would get on
            raise ValueError(f"a row of {len(columns)} columns does not fit into {self._room} bytes")
        self._width = 8 * len(columns)
        self._state.lay_out(Layout(columns, self._arch.roles["pc"], self._ids, self._g_register))

    def follow(self, register: str | None, word: int | None, offset: int) -> None:
        """Where g is: in a register, or in the word at an address; its guard word lies ``offset`` bytes into it.

        A word that is not mapped counts as 0, and so does the guard word where g is 0.
        """
        self._state.g_word, self._state.guard_offset = word or 0, offset
        if register != self._g_register:
            self._g_register = register
            self._lay_out()

    def restrict(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Record only instructions in these ranges of addresses (start, end), and their accesses; none: all.

        All steps are counted still. A row's number is a column of its own then: ``step``.
        """
        merged: list[tuple[int, int]] = []
        for start, end in sorted(ranges):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((start, end))
        self._ranges = merged
        self._state.restrict(merged)

    def attach(self, ranges: Iterable[tuple[int, int]], full: int) -> None:
        """Record a machine that was made without recording. Call it once, before it runs.

        With ``ranges`` only their instructions are announced and counted: the others run at full speed. Where control
        has left them, the state there is a row as well; it has a number of its own, and no accesses. ``full``: the
        address of a 64-bit word that becomes 1 when the rings want to be emptied. Whoever sees it there, at the begin
        of a block, stops the run: unlike a stop before any instruction that does not cut a block in two.
        """
        self.restrict(ranges)
        self._hooked, self._spare, self._closely, self._state.full = True, SPARE, bool(self._ranges), full

    def leave(self) -> bool:
        """The run has stopped: what runs next need not follow. Whether the last instruction that ran was recorded.

        With ranges a number is passed over then, which stands for whatever runs until they are entered again.
        """
        was = bool(self._state.inside)
        if self._closely and was:
            self._state.inside = 0
            self._state.steps += 1
        return was

    # what the machine does around a run

    def prepare(self, budget: int) -> int:
        """Make room and let the run go on, at most until ``budget`` steps are counted.

        Returns how many steps the engine is to count itself: 0, or not hooked the whole budget.
        """
        if not self._hooked:
            return budget
        if not self._ready:
            self._install()
        state, width = self._state, self._width
        if state.accesses_used > self._room or (width and state.rows_used + width > self._room):
            self.drain()
        steps = state.steps
        limit = min(budget, steps + SLICE)
        if width:
            used = state.rows_used
            if not used:
                self._first = steps
            limit = min(limit, steps + (self._room - used) // width)
        state.limit = limit
        return 0

    def paused(self, budget: int) -> bool:
        """Whether the run that just ended was stopped for the record's sake, and is to go on."""
        state = self._state
        return self._hooked and state.limit <= state.steps < budget

    def halt(self) -> None:
        """Stop before the next instruction. For signal handlers."""
        self._state.limit = 0

    def _install(self) -> None:
        """Install the hooks that are missing, and the rings with the first. Hooks stay: removing one saves little."""
        on_step, on_access, on_block, data = self._callbacks
        first, engine, state = self._rings is None, self._engine, self._state
        if self._rings is None:
            state.accesses_most, state.accesses_room = self._room, self._room + max(HEADROOM, self._spare)
            state.rows_room = self._room + self._spare
            self._rings = zeros(state.rows_room), zeros(state.accesses_room)
            state.lend(*self._rings)
            for start, end in self._ranges if self._closely else [(1, 1)]:
                engine.hook(HOOKS["code"], on_step, data, start, end - 1)
            if self._closely:
                engine.hook(HOOKS["block"], on_block, data)
        wanted = (HOOKS["read"] if state.reads else 0) | (HOOKS["write"] if state.writes else 0)
        if missing := wanted & ~self._installed:
            engine.hook(missing, on_access, data)
            self._installed |= missing
            if not first:
                engine.flush_code()  # code that was translated before a hook was there does not call it
        self._ready = True

    def take_back(self, address: int) -> None:
        """Drop the newest access if it touches ``address``: a store is reported before it is found to fault."""
        state = self._state
        at = state.accesses_used - ENTRY.size
        if self._rings is not None and at >= 0:
            step, first, _, size, _ = ENTRY.unpack_from(self._rings[1], at)
            if step == state.steps - 1 and 0 <= address - first < size:
                state.accesses_used = at

    def drain(self) -> None:
        """Empty the rings: into the sink, or to what is kept."""
        state = self._state
        rows, entries = state.rows_used, state.accesses_used
        if self._rings is None or not rows + entries:
            return
        if state.lost:
            raise RuntimeError("one instruction made more accesses than the recorder has room for")
        state.rows_used = state.accesses_used = 0
        views = memoryview(self._rings[0])[:rows], memoryview(self._rings[1])[:entries]
        if self.sink is not None:
            self.sink(self._first, *views)
        else:
            self._rows.add(views[0])
        if self.sink is None or self.keeps_accesses:
            self._entries.add(views[1])

    # what was recorded

    @property
    def steps(self) -> int:
        return int(self._state.steps)

    @property
    def rows(self) -> Rows:
        """The rows that are kept."""
        self.drain()
        return Rows(self._rows.view(), len(self._columns))

    @property
    def access_block(self) -> memoryview:
        """The accesses that are kept, as records."""
        self.drain()
        return self._entries.view()

    @property
    def accesses(self) -> list[Access]:
        """The accesses that are kept, in order."""
        self.drain()
        if self._decoded < self._entries.used:
            new = ENTRY.iter_unpack(self._entries.view(self._decoded))
            self._accesses += [Access(s, a, size, value, write == 1) for s, a, value, size, write in new]
            self._decoded = self._entries.used
        return self._accesses

    @property
    def writes(self) -> list[Access]:
        """The writes among them."""
        return [access for access in self.accesses if access.write]

    def current(self) -> dict[str, int]:
        """All registers now."""
        everything = self._all
        read_batch(self._engine.handle, everything.ids, everything.pointers, everything.count)
        return dict(zip(self._arch.registers, everything.row[:], strict=True))
