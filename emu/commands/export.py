"""`export` writes a trace in a form for another reader: a page for people, events for a trace viewer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from emu.commands.common import BAD_INPUT, end_with_reader

if TYPE_CHECKING:
    from emu.trace.model import Recording


def _html(recording: Recording, first: int, end: int | None) -> Iterable[str]:
    from emu.views.page import MOST, fitting, page

    if end is None and (end := fitting(recording, first)) < recording.steps:
        click.echo(f"stackcarry: a page holds {MOST} steps: these are {first} up to {end} of {recording.steps}; "
                   "--first and --end choose others", err=True)
    yield page(recording, first, end)


def _perfetto(recording: Recording, first: int, end: int | None) -> Iterable[str]:
    from emu.views.perfetto import trace_events

    return trace_events(recording, first, end)


Write = Callable[["Recording", int, int | None], Iterable[str]]
# A form: how its file's name ends, and what gives its text for the steps from one up to another (None: to the last).
FORMS: dict[str, tuple[str, Write]] = {
    "html": (".html", _html), "perfetto": (".json", _perfetto),
}


@click.command()
@click.argument("file", type=click.Path())
@click.option("--to", "form", type=click.Choice(list(FORMS)), required=True, help="The form.")
@click.option("-o", "--output", type=click.Path(allow_dash=True), help="By default FILE with the form's ending.")
@click.option("--first", default=0, type=click.IntRange(0), help="Leave out the steps before this one.")
@click.option("--end", type=click.IntRange(1), help="Leave out this step and those behind it.")
def export(file: str, form: str, output: str | None, first: int, end: int | None) -> None:
    """Write a trace as a page that needs no network (html), or for Perfetto and other viewers of trace events.

    Of a damaged file all before the damage is written; exits 2 then.

    \b
    stackcarry trace mcall --arch amd64 -o mcall.trace
    stackcarry export mcall.trace --to html
    stackcarry export mcall.trace --to perfetto -o mcall.json
    """
    end_with_reader()
    from emu.trace.reader import open_trace

    ending, write = FORMS[form]
    place = output or str(Path(file).with_suffix(ending))
    if place == file:
        raise click.UsageError(f"{file} is the trace itself: choose another name with --output")
    with open_trace(file) as recording:
        parts = iter(write(recording, first, end))
        beginning = next(parts, "")  # what cannot be written is refused before a file is made
        with click.open_file(place, "w", encoding="utf-8") as stream:
            stream.writelines(chain((beginning,), parts))
        if recording.damage is not None:
            click.echo(f"stackcarry: {file}: {recording.damage}", err=True)
            sys.exit(BAD_INPUT)
