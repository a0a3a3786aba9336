"""How long the sweep takes: the no-ops of all eras and arches in one process, then every operator.

Run it from the project's folder: ``python tests/benchmarks/bench_sweep.py [PROGRAM]…``; programs are Go binaries.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).parent.parent))

from sweep.cells import Cell, sweep
from sweep.mutate import OPERATORS
from sweep.report import lines

import arch as arches
from arch import golang
from emu.target import of_binary


def main(programs: list[str]) -> None:
    cells = _timed("no-ops", ("nop",))
    cells = _timed("all operators", OPERATORS)
    for path in programs:
        target = of_binary(path)
        cells.append(sweep(f"{target.go}", target.arch.name, Path(path)))
    print("\n".join(lines([asdict(cell) for cell in cells])))


def _timed(what: str, operators: Iterable[str]) -> list[Cell]:
    """Sweep our sources, and say how long it took."""
    wall, cpu = perf_counter(), process_time()
    cells = [sweep(era, arch, operators=operators) for era in golang.ERAS for arch in arches.ARCHES]
    wall, cpu = perf_counter() - wall, process_time() - cpu
    tried = sum(sum(cell.tried.values()) for cell in cells)
    print(f"{what}: {tried} mutants in {cpu:.1f} s of CPU, {wall:.1f} s by the clock: {tried / cpu:.0f} a second")
    return cells


if __name__ == "__main__":
    main(sys.argv[1:])
