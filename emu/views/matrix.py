"""The matrix (routines x arches per era), the failures below it, and the summary line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emu.check import Result
from emu.views.console import plain_table


@dataclass
class Cell:
    """What one routine came to on one arch."""

    passed: int = 0
    holes: int = 0
    failed: int = 0
    absent: bool = False

    def add(self, result: Result) -> None:
        if result.check is None:
            self.absent = True
        elif not result.check.ok:
            self.failed += 1
        elif result.check.hole:
            self.holes += 1
        else:
            self.passed += 1

    def text(self) -> Text:
        if self.absent:
            return Text("absent", "dim")
        if self.failed:
            return Text(f"FAIL {self.failed} of {self.failed + self.passed + self.holes}", "bold red")
        if self.holes:
            return Text(f"ok {self.passed} + hole", "yellow")
        return Text(f"ok {self.passed}", "green")


@dataclass
class Summary:
    """Counts over all results. ``checks`` includes holes; absent routines are not checks."""

    checks: int = 0
    failed: int = 0
    holes: int = 0
    absent: int = 0
    failures: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        if result.check is None:
            self.absent += 1
            return
        self.checks += 1
        self.holes += bool(result.check.hole and result.check.ok)
        if not result.check.ok:
            self.failed += 1
            self.failures.append(result)

    def line(self) -> str:
        parts = [f"{self.checks} checks", f"{self.failed} failed"]
        parts += [f"{self.holes} holes (what the era lets through)"] if self.holes else []
        parts += [f"{self.absent} absent"] if self.absent else []
        return ", ".join(parts)


def _columns(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """Results by (era or file, arch), in order of appearance."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        found.setdefault((result.target.title, result.target.arch.name), []).append(result)
    return found


def print_matrix(console: Console, results: Iterable[Result]) -> Summary:
    """Print one table an era (or a file's Go version) and what failed; give back the counts."""
    kept = list(results)
    columns = _columns(kept)
    summary = Summary()
    for result in kept:
        summary.add(result)
    for title in dict.fromkeys(title for title, _ in columns):
        arches = [arch for t, arch in columns if t == title]
        console.print(Text(title, "bold"), soft_wrap=True)  # not the table's own: that would be broken at its width
        console.print(_table({arch: columns[title, arch] for arch in arches}))
    for hole in _holes(kept):
        console.print(hole, style="yellow", soft_wrap=True, markup=False)
    for failure in summary.failures:
        console.print(describe(failure), highlight=False, markup=False, style="red", soft_wrap=True)
    console.print(summary.line(), highlight=False, style="red" if summary.failed else "green")
    return summary


def _table(by_arch: dict[str, list[Result]]) -> Table:
    table = plain_table()
    table.add_column("routine")
    cells: dict[str, dict[str, Cell]] = {}
    for arch, results in by_arch.items():
        table.add_column(arch)
        for result in results:
            cells.setdefault(result.routine, {}).setdefault(arch, Cell()).add(result)
    longest = max(by_arch.values(), key=lambda results: len({result.routine for result in results}))
    order = dict.fromkeys([*(result.routine for result in longest), *cells])
    for routine, row in ((name, cells[name]) for name in order):
        table.add_row(routine, *(row[arch].text() if arch in row else Text("-", "dim") for arch in by_arch))
    return table


def _holes(results: Sequence[Result]) -> Iterator[str]:
    """Each thing that is let through, once, with the eras and routines that do so."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for result in results:
        if result.check is not None and result.check.hole and result.check.ok:
            titles = found.setdefault(result.check.hole, {})
            titles.setdefault(result.target.title, {})[f"{result.routine} on {result.target.arch.name}"] = None
    for hole, titles in found.items():
        where = "; ".join(f"{title}: {', '.join(_grouped(names))}" for title, names in titles.items())
        yield f"hole: {hole} ({where})"


def _grouped(names: Iterable[str]) -> Iterator[str]:
    """``gogo on 386, amd64`` instead of one name an arch."""
    arches: dict[str, list[str]] = {}
    for name in names:
        routine, _, arch = name.partition(" on ")
        arches.setdefault(routine, []).append(arch)
    for routine, found in arches.items():
        yield f"{routine} on {' '.join(found)}"


def describe(result: Result) -> str:
    """One failed check on a line: where, what, expected, found, step."""
    check = result.check
    assert check is not None
    where = f"{result.target.title} {result.target.arch.name} {result.routine}"
    found = f"expected {check.expected}, found {check.found} (step {check.step})"
    return f"FAIL {where}, {result.name}: {found}"
