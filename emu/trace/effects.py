"""What a stretch of steps carries, said by role.

An effect is a word of memory that somebody else will read, or what a register with a role holds when the routine
hands over: to a function, to the kernel, back to its caller. Moves between scratch registers are none, nor are words
that the routine keeps below SP or on the stack that it leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from emu.trace.conventions import Name, carried_roles
from emu.trace.model import Event, Recording, Rows, after
from emu.trace.roles import Roles
from emu.trace.spans import Span

_TITLES = {"fp": "frame pointer", "link": "return PC", "ctxt": "closure context"}
_RESULTS = 3  # of a routine that returns them in registers: those of a system call
_SAVED = (".sched.", ".morebuf.", "gobuf.", "m.more")


class Effect(NamedTuple):
    """Something carried: ``place`` holds what came from ``source``, by the instruction ``step`` at ``where``.

    ``kind``: ``save``, ``clear``, ``store``, ``argument``, ``switch g``, ``load SP`` (of another stack), ``restore SP``
    (of the caller), ``set`` (a register), ``kernel``, ``jump`` or ``stop``. ``written``: by a write to memory, whose
    order may matter. ``alike``: another name for the source, of SP where it is not counted in what word a call
    leaves its return PC.
    """

    kind: str
    place: Name
    source: Name
    step: int
    where: str
    written: bool = False
    alike: str = ""

    @property
    def text(self) -> str:
        """The effect in words."""
        return f"{self.kind}: {self.place.text} ← {self.source.text}"


class Reading:
    """Reads one stretch of steps."""

    def __init__(self, recording: Recording, span: Span, roles: Roles) -> None:
        self._recording, self._header, self._span, self._roles = recording, recording.header, span, roles
        self._rows: Rows = recording.rows(span.first, span.end)
        then, known = after(recording, span.first, span.end)
        self._then, self._known = then[-1], bool(known[-1])
        events = recording.events(span.end - 1, span.end)
        self._stop = next((event for event in events if event.kind in ("gate", "syscall", "stop")), None)

    def _values(self, column: int | None) -> list[int]:
        """A column before each step, and after the last; none for no column."""
        return [] if column is None else [*self._rows[:, column].tolist(), int(self._then[column])]

    def _at(self, name: Name, kind: str, value: int, step: int, *, written: bool = False) -> Effect:
        pc = self._header.column("pc")
        assert pc is not None
        where = self._header.program.describe(int(self._rows[step - self._span.first, pc]))
        return Effect(kind, name, self._roles.source(value, name), step, where, written)

    def effects(self) -> list[Effect]:
        """The stretch's effects in order of their steps; where control goes is the last."""
        sp = self._values(self._header.column("sp"))
        found = list(self._writes(sp[-1]))
        written = {write.place.text for write in found}
        found += [*self._running(), *self._stack(sp, written), *self._registers()]
        found.sort(key=lambda effect: effect.step)
        return [*found, *self._leaving()]

    def _writes(self, then_sp: int) -> Iterator[Effect]:
        """Words written; the last one counts where several follow each other. Words read become known on the way."""
        own: set[int] = set()
        for step, address, value, size, write in self._recording.accesses(self._span.first, self._span.end).tolist():
            if not write:
                if size == self._header.arch.word and address not in own:
                    self._roles.read(address, self._loaded(step))
                continue
            own.add(address)
            place = self._roles.place(address, then_sp)
            if place is not None:
                yield self._at(place, _kind(place, value), value, step, written=True)

    def _loaded(self, step: int) -> int | None:
        """What an instruction put into a register, if it changed one beside PC."""
        at = step - self._span.first
        old, new = self._rows[at], self._rows[at + 1] if at + 1 < len(self._rows) else self._then
        pc = self._header.column("pc")
        changed = [int(new[number]) for number in range(len(old)) if number != pc and old[number] != new[number]]
        return changed[0] if len(changed) == 1 else None

    @property
    def leaves(self) -> str:
        """Who runs next, if that is known."""
        kind = self._stop.kind if self._stop is not None else "gate"
        if kind == "gate":
            return self._roles.code(self._pc) if self._known else ""
        return "the kernel" if kind == "syscall" else ""

    def _running(self) -> Iterator[Effect]:
        """The running g, where it is in a register."""
        register = self._header.g_register
        values = self._values(self._header.index.get(register)) if register else []
        for at in _changes(values):
            yield self._at(Name("running g"), "switch g", values[at + 1], self._span.first + at)

    def _stack(self, sp: list[int], written: set[str]) -> Iterator[Effect]:
        """SP, if it went to another stack or back to the caller; a frame on the stack it is on carries nothing."""
        stacks = [self._roles.stack(value) for value in sp]
        kind, changes = "load SP", [at for at in _changes(sp) if stacks[at] != stacks[at + 1]]
        if self._returns and stacks[0] == stacks[-1]:
            kind, changes = "restore SP", [0, *_changes(sp)]
        elif stacks[0] == stacks[-1]:
            return
        found = self._at(Name("SP"), kind, sp[-1], self._span.first + changes[-1])
        if any(place.startswith("argument") for place in written):
            yield found  # from SP the next function counts to its arguments
        else:
            above = self._header.arch.word if {"return PC", "link word"} & written else 0
            yield found._replace(alike=self._roles.source(sp[-1] + above).text)

    @property
    def _pc(self) -> int:
        column = self._header.column("pc")
        assert column is not None
        return int(self._then[column])

    @property
    def _returns(self) -> bool:
        return self._known and self._pc == self._roles.return_pc and not self._roles.f

    def _registers(self) -> Iterator[Effect]:
        """Registers with a role that are not as they were, for a function that runs next."""
        if self._stop is not None and self._stop.kind != "gate":
            return
        for role in carried_roles(self._header):
            if role == "link" and self._returns:
                continue  # whoever made a call knows that it is gone
            yield from self._held(self._header.arch.roles[role], Name(_TITLES[role], role=role))
        if self._roles.mirrored:
            yield from self._held(self._roles.mirrored, Name("g's second register", role="mirror"))
        yield from self._results()

    def _results(self) -> Iterator[Effect]:
        """The first argument of a function that takes it in a register; results; what a resumed function finds."""
        registers, roles = self._roles.internal, self._header.arch.roles
        if registers and self._returns:
            for number, register in enumerate(registers[:_RESULTS]):
                yield from self._held(register, Name(f"result {number} in a register", role="argument"))
        elif registers and self._span.entered:
            yield from self._held(registers[0], Name("argument 0 in a register", role="argument"))
        elif self._roles.source(self._pc).field.endswith(".pc"):
            for effect in self._held(roles["result"], Name("result")):
                if effect.source.text.endswith((".ret", "argument 1")):
                    yield effect

    def _held(self, register: str, name: Name) -> Iterator[Effect]:
        """A register at the end, if it is not what it was at the begin; by the last instruction that changed it."""
        values = self._values(self._header.index.get(register))
        if values and values[0] != values[-1]:
            at = _changes(values)[-1]
            yield self._at(name, "set" if values[-1] else "clear", values[-1], self._span.first + at)

    def _leaving(self) -> Iterator[Effect]:
        """Where control goes: a function, the kernel, or nowhere for some other reason."""
        step, stop = self._span.end - 1, self._stop
        if stop is not None and stop.kind == "syscall":
            yield from self._kernel(stop, step)
        elif stop is not None and stop.kind == "stop":
            reason = Name(str(stop.data.get("stop") or stop.data["why"]))
            yield self._at(Name("run"), "stop", 0, step)._replace(source=reason)
        elif self._known:
            yield self._at(Name("PC"), "jump", self._pc, step)

    def _kernel(self, stop: Event, step: int) -> Iterator[Effect]:
        registers = self._header.arch.syscall.arguments
        for number, (register, value) in enumerate(zip(registers, stop.data.get("arguments") or (), strict=False)):
            if self._roles.entry.get(register) != value or register in self._roles.internal:
                yield self._at(Name(f"argument {number} of the call"), "kernel", value, step)
        yield self._at(Name("number of the call"), "kernel", int(stop.data["number"]), step)


def _kind(place: Name, value: int) -> str:
    if place.text == "running g":
        return "switch g"
    if value == 0:
        return "clear"
    if place.text.startswith("argument"):
        return "argument"
    if place.text == "return PC":
        return "set"
    return "save" if any(part in f".{place.field}" for part in _SAVED) else "store"


def _changes(values: list[int]) -> list[int]:
    return [at for at in range(len(values) - 1) if values[at] != values[at + 1]]

