"""The cells of the sweep's table, an era on an arch each: what is swept in it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import process_time

from arch import golang
from sweep.mutate import OPERATORS
from sweep.run import Survivor, Sweep
from sweep.subject import Subject, of_checks, of_program, of_sources


@dataclass
class Cell:
    """Counts by operator, and what is to be explained. ``seconds``: of CPU."""

    era: str
    arch: str
    instructions: int = 0
    tried: dict[str, int] = field(default_factory=dict)
    killed: dict[str, int] = field(default_factory=dict)
    unobservable: int = 0
    unencodable: list[str] = field(default_factory=list)
    survivors: list[Survivor] = field(default_factory=list)
    seconds: float = 0.0

    def record(self) -> dict[str, object]:
        """What goes into a test's report: plain values only."""
        return asdict(self)


def subjects(era: str, arch: str, program: Path | None = None) -> list[Subject]:
    """Our sources of an era and its stack checks in each ABI; or the routines of a binary."""
    if program is not None:
        return [of_program(program, era)]
    abis = (False, True) if golang.era(era).internal.get(arch) else (False,)
    return [of_sources(era, arch), *(of_checks(era, arch, abi0) for abi0 in abis)]


def sweep(era: str, arch: str, program: Path | None = None, operators: Iterable[str] = OPERATORS) -> Cell:
    """Try every mutant of a cell."""
    cell, start = Cell(era, arch), process_time()
    wanted = tuple(operators)
    for subject in subjects(era, arch, program):
        swept = Sweep(subject)
        tally = swept.run(wanted)
        cell.instructions += len(swept.insns)
        for operator in wanted:
            cell.tried[operator] = cell.tried.get(operator, 0) + tally.tried[operator]
            cell.killed[operator] = cell.killed.get(operator, 0) + tally.killed[operator]
        cell.unobservable += tally.unobservable
        cell.unencodable += tally.unencodable
        cell.survivors += tally.survivors
    cell.seconds = process_time() - start
    return cell
