"""The tests of 24 packages of the standard library under `stackcarry run`, beside QEMU and the host."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent.parent))

import toolchain

from . import causes as reasons
from . import table
from .packages import PACKAGES, Job
from .running import Ran, run

DOCUMENT = Path(__file__).with_name("table.md")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--arch", "arches", multiple=True, type=click.Choice(toolchain.GOARCHES), help="Only this one.")
@click.option("--short", is_flag=True, help="The tests' own short form.")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="Runs; the least CPU time counts.")
@click.option("--seconds", default=1200, show_default=True, type=click.IntRange(1), help="Most CPU time of a run.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each package.")
@click.option("--write", is_flag=True, help=f"Write the tables to {DOCUMENT.name} too.")
@click.argument("packages", nargs=-1, metavar="[PACKAGE]...")
def main(
    arches: tuple[str, ...], short: bool, rounds: int, seconds: int, as_json: bool, write: bool,
    packages: tuple[str, ...],
) -> None:  # fmt: skip
    """Run the tests of packages of the standard library, all 24 unless some are named, and print what came of them.

    The exit code is 1 if a test fails for a cause that causes.toml does not have, or one that it has fails no more.

    \b
    python -m tests.std
    python -m tests.std --arch arm --short errors sort
    """
    jobs = [Job(package, goarch, short) for goarch in arches or toolchain.GOARCHES for package in packages or PACKAGES]
    rows, known = [], reasons.known()
    for job in jobs:
        rows.append(table.row(job, measure(job, rounds, seconds), known))
        if as_json:
            print(json.dumps(rows[-1].record()), flush=True)
        else:
            print(" ".join(rows[-1].cells()), file=sys.stderr, flush=True)
    surprises = list(_surprises(rows, known))
    if not as_json:
        _show(rows)
    if write:
        DOCUMENT.write_text(table.markdown(rows, _how(short, rounds, seconds)))
    for line in surprises:
        click.echo(line, err=True)
    sys.exit(1 if surprises else 0)


def measure(job: Job, rounds: int, seconds: int) -> dict[str, Ran]:
    """Each runner's run of a job; runners take turns, so that a host whose speed changes slows all of them."""
    least: dict[str, Ran] = {}
    for _ in range(rounds):
        for name, command in job.commands().items():
            ran = run(command, job.folder, job.environment(), seconds)
            if name not in least or ran.cpu < least[name].cpu:
                least[name] = ran
    return least


def _surprises(rows: Sequence[table.Row], known: Sequence[reasons.Cause]) -> Iterator[str]:
    """What causes.toml does not have, and what it should have no more; short tests may leave out a known failure."""
    for row in rows:
        job = row.job
        for bad in row.failures:
            if bad.why == table.UNKNOWN:
                yield f"no cause is known: {job.package} {job.goarch} {bad.test}"
        if not job.short:
            failing = [bad.test for bad in row.failures]
            for pattern in reasons.stale(known, job.package, job.goarch, failing):
                yield f"fails no more: {job.package} {job.goarch} {pattern}"


def _show(rows: Sequence[table.Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160)
    shown = Table(*table.HEADS, box=None, pad_edge=False)
    for column in shown.columns[3:]:
        column.justify = "right"
    for row in rows:
        shown.add_row(*row.cells())
    console.print(shown)
    bad = Table(*table.NAMED, box=None, pad_edge=False)
    for cells in table.failures(rows):
        bad.add_row(*cells)
    if bad.row_count:
        console.print(f"\n{table.TITLE}", bad)
    for row in rows:
        if row.words():
            code, cpu = row.ours.code, row.ours.cpu
            how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
            console.print(f"\n{row.job.package} {row.job.goarch} ended {how} after {cpu:.0f} s of CPU; its last words:")
            console.print("\n".join(row.words()), markup=False, highlight=False)
    console.print("", *table.totals(rows), sep="\n")


def _how(short: bool, rounds: int, seconds: int) -> str:
    tests = "the tests' short form (`-test.short`)" if short else "all of the tests, not their short form"
    flag = "--short " if short else ""
    return (
        f"{toolchain.go_version('newest')}, {tests}; a run may take {seconds} s of CPU. CPU time is user and system,"
        f" the least of {rounds}; ratio: to QEMU's, measured in turns. Made by `python -m tests.std {flag}--write`."
    )


if __name__ == "__main__":
    main()
