"""The table of packages: what was found of each, as a record, as lines of a table, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from .causes import Cause, cause
from .packages import HOST, OURS, QEMU, Job
from .running import Ran, name

HEADS = ("package", "arch", "whole", "pass", "fail", "skip", "CPU s", "QEMU s", "ratio", "host s")
NAMED = ("package", "arch", "test", "outcome", "also under", "cause")
TITLE = "Tests that fail, or are skipped while they pass elsewhere:"
UNKNOWN = "?"
"""The cause that nobody has written down."""


@dataclass(frozen=True)
class Failure:
    """A test that fails, or is skipped while it passes elsewhere; why; and what else it does so under."""

    test: str
    outcome: str
    why: str
    elsewhere: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A package on an arch: its run by each runner, at the least CPU time of its rounds."""

    job: Job
    runs: dict[str, Ran]
    failures: tuple[Failure, ...]

    @property
    def ours(self) -> Ran:
        return self.runs[OURS]

    def ratio(self) -> float | None:
        """Our CPU time by QEMU's, if it is the same work: all passes there, ours ran to its end, and in one process, as
        QEMU leaves a program that is started to the host."""
        qemu = self.runs.get(QEMU)
        if qemu is None or not qemu.whole or self.ours.died or self.ours.summary.get("processes", 1) > 1:
            return None
        return self.ours.cpu / qemu.cpu

    def words(self) -> tuple[str, ...]:
        """The last that a binary said which ended before its tests did."""
        return self.ours.words if self.ours.died else ()

    def cells(self) -> tuple[str, ...]:
        """As in HEADS."""
        ours, ratio = self.ours, self.ratio()
        counts = [str(ours.count(outcome)) for outcome in ("pass", "fail", "skip")]
        times = [_seconds(self.runs.get(QEMU)), "-" if ratio is None else f"{ratio:.1f}", _seconds(self.runs.get(HOST))]
        whole = "yes" if ours.whole else "no"
        return (self.job.package, self.job.goarch, whole, *counts, f"{ours.cpu:.2f}", *times)

    def record(self) -> dict[str, Any]:
        """Plain values only."""
        runs = {
            runner: {"code": ran.code, "cpu": round(ran.cpu, 3), "outcomes": ran.outcomes, "words": ran.words}
            for runner, ran in self.runs.items()
        }
        return {
            "kind": "package", "package": self.job.package, "arch": self.job.goarch, "short": self.job.short,
            "whole": self.ours.whole, "ratio": self.ratio(), "runs": runs, "summary": self.ours.summary,
            "failures": [asdict(bad) for bad in self.failures],
        }  # fmt: skip


def row(job: Job, runs: dict[str, Ran], causes: Sequence[Cause]) -> Row:
    """With each failing test its cause."""
    ours, others = runs[OURS], {runner: ran for runner, ran in runs.items() if runner != OURS}
    passed = set().union(*(ran.passing() for ran in others.values()))
    found = [(ours.outcomes.get(test, "fail"), test) for test in ours.failing()]
    found += [("skip", test) for test in ours.skipped() if name(test) in passed]
    failures = []
    for outcome, test in found:
        known = cause(causes, job.package, job.goarch, test, outcome == "skip")
        like = {runner: ran.skipped() if outcome == "skip" else ran.failing() for runner, ran in others.items()}
        also = tuple(runner for runner, tests in like.items() if name(test) in map(name, tests))
        failures.append(Failure(test, outcome, known.why if known else UNKNOWN, also))
    return Row(job, runs, tuple(failures))


def failures(rows: Iterable[Row]) -> Iterator[tuple[str, ...]]:
    """As in NAMED."""
    for one in rows:
        for bad in one.failures:
            yield one.job.package, one.job.goarch, bad.test, bad.outcome, ", ".join(bad.elsewhere) or "-", bad.why


def totals(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each arch."""
    for goarch in dict.fromkeys(one.job.goarch for one in rows):
        mine = [one for one in rows if one.job.goarch == goarch]
        ratios = [ratio for ratio in map(Row.ratio, mine) if ratio is not None]
        middle = f"{median(ratios):.1f} (of {len(ratios)})" if ratios else "-"
        whole = sum(one.ours.whole for one in mine)
        yield f"{goarch}: {whole} of {len(mine)} packages whole, median ratio to QEMU's CPU time {middle}"


def markdown(rows: Sequence[Row], how: str) -> str:
    """The tables as a document; ``how``: what it says of itself."""
    bad = list(failures(rows))
    parts = ["# The standard library's tests under `stackcarry run`", how, _markdown(HEADS, [r.cells() for r in rows])]
    if bad:
        parts += [TITLE, _markdown(NAMED, bad)]
    return "\n\n".join([*parts, "\n".join(f"- {line}" for line in totals(rows))]) + "\n"


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _seconds(ran: Ran | None) -> str:
    if ran is None:
        return "-"
    if ran.died:
        return "died"
    return f"{ran.cpu:.2f}" if ran.whole else f"{ran.cpu:.2f} ({ran.count('fail')} fail)"
