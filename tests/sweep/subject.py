"""What is swept: a program's instructions, the ways it is judged, and which of them execute an instruction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import arch as arches
from arch import golang
from asm import source
from asm.operands import ArmMem
from asm.program import Symbol
from asm.statement import Statement
from emu.contracts import prologue as contract
from emu.contracts.judge import Check, judge
from emu.process import Process
from emu.routines import ROUTINES
from emu.runtime.world import World
from emu.scenes import prologue
from emu.target import Target, of_binary, of_era, of_statements
from sweep.detour import CAVE, CAVE_SIZE
from sweep.mutate import Insn, read


@dataclass(frozen=True)
class Case:
    """One scene of one row of the matrix: ``run`` judges it in ``process``, which may have been patched."""

    row: str
    scene: str
    process: Process
    run: Callable[[], Iterable[Check]]

    @property
    def holds(self) -> bool:
        return all(check.ok for check in self.run())


@dataclass(frozen=True)
class Subject:
    """A target that is swept under the name ``era``, with every case it is judged by.

    ``statements``: what it was assembled from, empty for a lifted one. ``again``: the cases for other statements.
    """

    era: str
    target: Target
    cases: list[Case]
    statements: tuple[Statement, ...] = ()
    again: Callable[[list[Statement]], list[Case]] | None = None

    @property
    def process(self) -> Process:
        return self.cases[0].process


def of_sources(era_name: str, arch_name: str) -> Subject:
    """The routines of our own sources."""
    era, arch = golang.era(era_name), arches.get(arch_name)
    target = of_era(era_name, arch_name)
    return Subject(
        era_name, target, _cases(World(target)), tuple(source.load(era_name, arch_name)),
        lambda statements: _cases(World(of_statements(era, arch, statements))),
    )


def of_checks(era_name: str, arch_name: str, abi0: bool) -> Subject:
    """The stack checks in front of functions, in all forms."""
    era, arch = golang.era(era_name), arches.get(arch_name)
    statements = prologue.statements(era, arch, abi0)

    def cases(changed: Sequence[Statement]) -> list[Case]:
        world = prologue.world_of(prologue.assembled(era, arch, abi0, changed))
        return [
            Case(function.name, scene.name, world.process, partial(judge, world, scene, contract.of(function)))
            for form in prologue.FORMS
            for function in prologue.functions(era, arch, form, abi0)
            for scene in prologue.scenes(world, function)
        ]

    target = prologue.assembled(era, arch, abi0, statements)
    return Subject(era_name, target, cases(statements), tuple(statements), cases)


def of_program(path: Path, label: str) -> Subject:
    """The routines of a Go binary."""
    target = of_binary(str(path))
    world = World(target)
    world.process.machine.map(CAVE, CAVE_SIZE, executable=True)
    return Subject(label, target, _cases(world))


def _cases(world: World) -> list[Case]:
    """Every scene of every routine of a world's target."""
    return [
        Case(name, scene.name, world.process, partial(judge, world, scene, ROUTINES[name].contract))
        for name, symbol in world.target.routines.items()
        if symbol is not None and name in ROUTINES
        for scene in ROUTINES[name].scenes(world)
    ]


@dataclass
class Coverage:
    """What the unchanged program executes.

    ``steps``: address of an instruction -> (index of a case, number of the step at which it is first executed), in
    the order of the cases. ``moves``: addresses of those that write memory, SP or the register that holds g.
    """

    steps: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    moves: set[int] = field(default_factory=set)


def cover(cases: list[Case]) -> Coverage:
    """Run every case on the unchanged program. AssertionError if a check fails: then a sweep would mean nothing."""
    found = Coverage()
    for index, case in enumerate(cases):
        recorder = case.process.machine.recorder
        recorder.rows_wanted = True
        try:
            bad = [check for check in case.run() if not check.ok]
        finally:
            recorder.rows_wanted = False
        assert not bad, f"{case.row}, {case.scene}: {bad[0].name}: expected {bad[0].expected}, found {bad[0].found}"
        _count(found, index, case)
    return found


def _count(found: Coverage, index: int, case: Case) -> None:
    machine, arch = case.process.machine, case.process.arch
    names = list(arch.registers)
    pc = names.index(arch.roles["pc"])
    watched = [names.index(name) for name in (arch.roles["sp"], arch.tls.g_register) if name]
    rows = list(machine.recorder.rows)
    after = [*rows[1:], tuple(machine.registers().values())]
    writers = {access.step for access in machine.recorder.writes}
    seen: set[int] = set()
    for step, (row, following) in enumerate(zip(rows, after, strict=True)):
        if row[pc] not in seen:
            seen.add(row[pc])
            found.steps.setdefault(row[pc], []).append((index, step))
        if step in writers or any(row[i] != following[i] for i in watched):
            found.moves.add(row[pc])


@contextmanager
def patched(process: Process, patches: Mapping[int, bytes]) -> Iterator[None]:
    """The process with other bytes at some addresses."""
    for address, code in patches.items():
        process.patch(address, code)
    try:
        yield
    finally:
        process.unpatch()


def insns_of(target: Target, executed: Iterable[int]) -> list[Insn]:
    """The instructions that are swept: of our sources all; of a binary those of its routines and what they call."""
    program, arch = target.program, target.arch
    if program.lines:
        code = program.segments[0]
        found = [
            read(arch, code.data[address - code.address :], address, line.text)
            for address, line in sorted(program.lines.items())
        ]
        return [insn for insn in found if insn]
    symbols = {symbol for symbol in target.routines.values() if symbol}
    symbols |= {symbol for address in executed if (symbol := program.at(address))}
    return [insn for symbol in sorted(symbols, key=lambda s: s.address) for insn in _lifted(target, symbol)]


def _lifted(target: Target, symbol: Symbol) -> Iterator[Insn]:
    """The instructions of a function of a binary; the words that it loads relative to pc are none."""
    program, arch = target.program, target.arch
    address, end = symbol.address, symbol.address + symbol.size
    words: set[int] = set()
    while address < end:
        insn = read(arch, program.read(address, end - address), address)
        if insn is None or address in words:
            address += arch.alignment
            continue
        words |= {
            address + 8 + operand.displacement
            for operand in insn.operands
            if isinstance(operand, ArmMem) and operand.base == "pc"
        }
        yield insn
        address = insn.end
