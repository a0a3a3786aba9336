"""The recorded rows of a run, read as steps: what each instruction did, and what the ledger says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from asm.readback import disassemble
from emu.ledger import Entry, Ledger
from emu.machine import Stop
from emu.recorder import Access
from emu.runtime.world import World


@dataclass(frozen=True)
class Step:
    """One executed instruction. ``changed``: register -> new value, without PC. ``sp_change`` in bytes."""

    number: int
    pc: int
    where: str
    code: bytes
    text: str
    account: Entry
    sp_change: int
    changed: Mapping[str, int]
    accesses: tuple[Access, ...]
    notes: tuple[str, ...]


class Tracer:
    """Records a world's run and gives it back as steps. Create it when the entry state stands."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = Ledger(world)
        recorder = world.process.machine.recorder
        recorder.clear()
        recorder.rows_wanted = recorder.reads_wanted = True
        self._stops: dict[int, tuple[str, Mapping[str, int]]] = {}

    def stopped(self, stop: Stop, name: str) -> None:
        """Note what the run stopped for, before Python changes anything: shown with the last step before it."""
        machine = self._world.process.machine
        self._stops[machine.recorder.steps - 1] = ("" if stop.kind == "budget" else name, machine.registers())

    def close(self) -> None:
        """Record no more rows in this world."""
        recorder = self._world.process.machine.recorder
        recorder.rows_wanted = recorder.reads_wanted = False

    def steps(self) -> Iterator[Step]:
        """The steps in order. A step that ended in a stop shows the registers as they were then."""
        world, recorder = self._world, self._world.process.machine.recorder
        names = world.arch.registers
        rows = [dict(zip(names, recorder.unpack(row), strict=True)) for row in recorder.rows]
        after = [*rows[1:], world.process.machine.registers()][: len(rows)]
        by_step: dict[int, list[Access]] = {}
        for access in recorder.accesses:
            by_step.setdefault(access.step, []).append(access)
        previous: Entry | None = None
        for number, (before, later) in enumerate(zip(rows, after, strict=True)):
            then = self._stops[number][1] if number in self._stops else later
            accesses = tuple(by_step.get(number, ()))
            account = self._ledger.entry(before)
            for access in accesses:
                if access.write:
                    self._ledger.apply(access)
            yield self._step(number, before, then, accesses, account, previous)
            previous = account

    def _step(
        self, number: int, before: Mapping[str, int], then: Mapping[str, int], accesses: tuple[Access, ...],
        account: Entry, previous: Entry | None,
    ) -> Step:
        arch, world = self._world.arch, self._world
        sp, pc = arch.roles["sp"], arch.roles["pc"]
        _, code, text = next(disassemble(arch, self._bytes(before[pc]), before[pc]), (0, b"", "?"))
        notes = [*_notes(account, previous, self._ledger.entry(then))]
        if self._stops.get(number, ("", {}))[0]:
            notes.append(f"stop: {self._stops[number][0]}")
        return Step(
            number=number, pc=before[pc], where=world.program.describe(before[pc]), code=code, text=text,
            account=account, sp_change=then[sp] - before[sp],
            changed={name: then[name] for name in arch.registers if name != pc and then[name] != before[name]},
            accesses=accesses, notes=tuple(notes),
        )

    def _bytes(self, pc: int) -> bytes:
        for size in (16, 8, 4, 2, 1):
            try:
                return self._world.process.machine.read(pc, size)
            except ValueError:
                continue
        return b""


def _notes(now: Entry, previous: Entry | None, then: Entry) -> Iterator[str]:
    """What a reader must not miss about a step: from ``now`` (before it) to ``then`` (after it)."""
    if then.g != now.g:
        yield f"switch {now.g}→{then.g}"
    if then.stack != now.stack:
        yield f"SP: {now.stack or 'nowhere'}→{then.stack or 'nowhere'}"
    if then.guard != now.guard or (previous is None and now.guard != "normal"):
        yield f"guard={then.guard}"
    if not then.stack:
        yield "! SP in no stack"
    elif then.low and not now.low:
        yield "! SP below guard"
