"""Records a world's run into a sink, from the moment its entry state stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from arch import linux
from asm.program import Program
from emu.contracts.judge import Check
from emu.machine import Stop
from emu.naming import Region, Struct
from emu.process import poison
from emu.runtime.struct import Struct as LiveStruct
from emu.runtime.world import World
from emu.target import Target
from emu.trace.collector import Open
from emu.trace.model import Header, Limits, Stack


def header_of(world: World, entered: str, command: Sequence[str] = ()) -> Header:
    """What views need to know of a world, in the state that it is entered in."""
    arch, era, target = world.arch, world.era, world.target
    regions = [Region(r.name, r.address, r.size, _kind(r.name)) for r in world.process.regions]
    special = {value & arch.mask: name for name, value in era.guards.special.items()}
    owners = {f"{g.label} stack": g for g in world.gs}
    return Header(
        arch_name=arch.name, command=tuple(command), name=target.file or f"era {era.name}", sha256=_identity(target),
        go=target.go or era.name, entered=entered, columns=arch.registers, program=replace(world.program, segments=()),
        regions=regions, structs=[Struct(s.kind, s.address, s.label) for s in world.structs],
        stacks=[_stack(world, r, owners.get(r.name), special) for r in regions if r.kind == "stack"],
        limits=Limits(era.guards.small + era.guards.nosplit), special=special, layout=world.layout,
        g_register=arch.tls.g_register, g_word=None if arch.tls.g_register else world.slot("g"),
        exact=world.named_words, values=world.func_values, segments=_segments(world.program),
    )


def _kind(name: str) -> str:
    return "stack" if name.endswith("stack") else "data"


def _segments(program: Program) -> list[Region]:
    kinds = {True: "code", False: "data"}
    return [Region(kinds[s.executable], s.address, s.size, kinds[s.executable]) for s in program.segments]


def _stack(world: World, region: Region, g: LiveStruct | None, special: dict[int, str]) -> Stack:
    """A stack with what its guard word is when it is not special: what it is now, or else what its era makes it."""
    lo, hi = region.address, region.address + region.size
    if g is None:
        return Stack(region.name, region.name.removesuffix(" stack"), 0, lo, hi, 0)
    guard = g[world.layout.guard.removeprefix("g.")]
    return Stack(region.name, g.label, g.address, lo, hi, lo + world.era.guards.guard if guard in special else guard)


def _identity(target: Target) -> str:
    """SHA-256 of the program: of its file, or of the bytes that were assembled, with their addresses."""
    if target.file:
        return hashlib.sha256(Path(target.file).read_bytes()).hexdigest()
    found = hashlib.sha256()
    for segment in target.program.segments:
        found.update(segment.address.to_bytes(8, "little") + segment.data)
    return found.hexdigest()


class Tracer:
    """Records a world's run. Create it when the entry state stands: what memory holds then is the first to be kept.

    ``judged``: the recorder keeps the accesses as well, for contracts that look at the writes. ``pc``: of the last
    instruction that was handed over.
    """

    def __init__(
        self, world: World, entered: str, open_sink: Open, command: Sequence[str] = (), *, judged: bool = False
    ) -> None:
        self._world, self._recorder = world, world.process.machine.recorder
        self._sink = open_sink(header_of(world, entered, command), self._code)
        for address, data in known_memory(world):
            self._sink.add_memory(-1, address, data)
        self._recorder.clear()
        self._recorder.sink, self._recorder.keeps_accesses = self._took, judged
        self._recorder.rows_wanted = self._recorder.reads_wanted = True
        self._stopped_after = -1
        self.pc, self._columns = 0, len(world.arch.registers)
        self._pc_column = world.arch.registers.index(world.arch.roles["pc"])
        world.process.told = self._written

    def _code(self, address: int, size: int) -> bytes:
        try:
            return self._world.process.machine.read(address, size)
        except ValueError:
            return b""

    def _written(self, address: int, data: bytes) -> None:
        """Python wrote into memory between two steps."""
        self._sink.add_memory(self._recorder.steps - 1, address, data)

    def _took(self, first: int, rows: memoryview, accesses: memoryview) -> None:
        """What was recorded since the last time, from the recorder's rings."""
        if rows:
            self.pc = rows.cast("Q")[self._pc_column - self._columns]
            self._sink.add_rows(first, 0, rows)
        self._sink.add_accesses(accesses)

    def stopped(self, stop: Stop, name: str) -> None:
        """Note what the run stopped for, before Python changes anything: shown with the last step before it."""
        self._recorder.drain()
        registers, step = self._world.process.machine.registers(), self._recorder.steps - 1
        if step < 0:
            return
        self._stopped_after = step
        self._sink.add_cut(step, list(registers.values()))
        kind, data = self._event(stop, name, registers)
        self._sink.add_event(step, kind, 0, data)

    def _event(self, stop: Stop, name: str, registers: dict[str, int]) -> tuple[str, dict[str, object]]:
        if stop.kind == "exit":
            return "gate", {"name": name, "stop": name}
        if stop.kind != "syscall":
            return "stop", {"why": stop.kind, "stop": "" if stop.kind == "budget" else name}
        convention = self._world.arch.syscall
        number = registers[convention.number]
        called = linux.name(self._world.arch, number) or f"call {number}"
        arguments = [registers[register] for register in convention.arguments]
        shown = ", ".join(f"{argument:#x}" for argument in arguments)
        text = f"{called}({shown})"
        return "syscall", {"name": called, "number": number, "arguments": arguments, "text": text, "stop": name}

    def end(self, scene: str, outcome: str, end: str, checks: Iterable[Check] = ()) -> None:
        """The run is over: its verdicts, and how it ended. Nothing more is recorded in this world."""
        self._recorder.drain()
        steps = self._recorder.steps
        if self._stopped_after < steps - 1:  # interrupted
            self._sink.add_cut(steps - 1, list(self._world.process.machine.registers().values()))
        for check in checks:
            self._sink.add_event(steps - 1, "check", 0, {
                "name": check.name, "ok": check.ok, "expected": check.expected, "found": check.found,
                "role": check.role, "step": check.step, "moment": check.moment,
            })
        data = {"scene": scene, "outcome": outcome, "end": end, "steps": steps}
        self._sink.add_event(steps - 1, "end", 0, data)
        self._sink.close(steps)
        self._recorder.rows_wanted = self._recorder.reads_wanted = self._recorder.keeps_accesses = False
        self._recorder.sink = self._world.process.told = None


def known_memory(world: World) -> Iterator[tuple[int, bytes]]:
    """Runs of words in the world's regions that somebody wrote: the others hold poison."""
    word = world.arch.word
    for region in world.process.regions:
        data = world.process.machine.read(region.address, region.size)
        start: int | None = None
        for offset in range(0, region.size + word, word):
            at = region.address + offset
            written = offset < region.size and data[offset : offset + word] != poison(at, word).to_bytes(word, "little")
            if written and start is None:
                start = offset
            elif not written and start is not None:
                yield region.address + start, data[start:offset]
                start = None
