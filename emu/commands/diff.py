"""`diff`: two traces side by side."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from emu.commands.common import BAD_INPUT, FAILED, HOLDS, colour_option, end_with_reader, json_option

if TYPE_CHECKING:
    from emu.trace.model import Recording


@click.command()
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.option("--rows", "by_rows", is_flag=True, help="Compare row by row: two runs of the same program.")
@click.option("--shared", is_flag=True, help="Leave out what the other run has no place for: a field, a register.")
@json_option
@colour_option
def diff(a: str, b: str, by_rows: bool, shared: bool, as_json: bool, colour: bool | None) -> None:
    """Compare what two traces carry by its meaning, whatever their architectures, eras and Go versions.

    Every crossing is read as effects, such as "save: g.sched.pc ← return PC" or "load SP: SP ← g0.sched.sp".
    In the middle stands < or > for what only A or B carries, | for a place that gets something else, ~ for what is
    done before a switch here and after it there. The order of independent stores does not matter.

    Exits 1 if the runs differ, 2 if a file cannot be read or is damaged; all before the damage is compared.

    \b
    stackcarry trace mcall --arch amd64 -o amd64.trace
    stackcarry trace mcall --arch arm -o arm.trace
    stackcarry diff amd64.trace arm.trace
    stackcarry diff --rows amd64.trace amd64.trace
    """
    if by_rows and shared:
        raise click.UsageError("--shared is about what is carried; leave it out with --rows")
    end_with_reader()
    from emu.trace.reader import open_trace

    with ExitStack() as stack:
        runs = stack.enter_context(open_trace(a)), stack.enter_context(open_trace(b))
        compare = _rows if by_rows else _shared if shared else _meaning
        differ = compare(runs, (a, b), as_json, colour)
        damaged = [f"{file}: {run.damage}" for file, run in zip((a, b), runs, strict=True) if run.damage is not None]
    for line in damaged:
        click.echo(f"stackcarry: {line}", err=True)
    sys.exit(BAD_INPUT if damaged else FAILED if differ else HOLDS)


Runs = tuple["Recording", "Recording"]


def _meaning(
    runs: Runs, files: tuple[str, str], as_json: bool, colour: bool | None, *, shared: bool = False
) -> bool:
    from emu.trace import align
    from emu.trace.meaning import passages
    from emu.views.diff import meaning_lines, print_meaning

    headers = runs[0].header, runs[1].header
    found = list(align.crossings(passages(runs[0]), passages(runs[1]), headers))
    if shared:
        found = [align.shared(crossing) for crossing in found]
    if as_json:
        for line in meaning_lines(runs, files, found):
            click.echo(line)
    else:
        print_meaning(runs, files, found, colour)
    return any(crossing.differs for crossing in found)


def _shared(runs: Runs, files: tuple[str, str], as_json: bool, colour: bool | None) -> bool:
    return _meaning(runs, files, as_json, colour, shared=True)


def _rows(runs: Runs, files: tuple[str, str], as_json: bool, colour: bool | None) -> bool:
    from emu.trace.samerun import check_same, first_difference
    from emu.views.samerun import print_rows, row_lines

    check_same(*runs)
    found = first_difference(*runs)
    if as_json:
        for line in row_lines(runs, files, found):
            click.echo(line)
    else:
        print_rows(runs, files, found, colour)
    return found is not None
