"""How a trace is looked at: the options that `trace` and `view` share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypedDict, TypeVar

import click

if TYPE_CHECKING:
    from emu.trace.model import Recording
    from emu.views.trace.choice import Choice

KINDS = ("switches", "guard", "sys", "mem", "checks")
Command = TypeVar("Command", bound=Callable[..., object])


class Look(TypedDict):
    """The options by name."""

    around: int | None
    context: int
    only: tuple[str, ...]
    follow: str | None
    fold: bool
    summary: bool
    legend: bool
    pager: bool


_OPTIONS = (
    click.option("--around", type=click.IntRange(0), metavar="STEP", help="Only this step and those near it."),
    click.option("--context", default=10, show_default=True, type=click.IntRange(0), help="Steps on either side."),
    click.option("--only", multiple=True, type=click.Choice(KINDS), help="Only steps of this kind; may be repeated."),
    click.option("--follow", metavar="NAME", help="Only steps of this g, or on this stack."),
    click.option("--fold", is_flag=True, help="Show the first turn of a loop and how often it ran (×N)."),
    click.option("--summary", is_flag=True, help="Stacks, switches, guards, system calls and checks in numbers."),
    click.option("--legend", is_flag=True, help="Which colour stands for which region."),
    click.option("--pager/--no-pager", default=True, help="Whether a terminal shows it in a pager; so by default."),
)


def look_options(command: Command) -> Command:
    """Give a command the options of `Look`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chooses(look: Look) -> bool:
    """Whether any of the options says what to show."""
    return look["around"] is not None or any((look["only"], look["follow"], look["fold"], look["summary"],
                                              look["legend"]))


def show(recording: Recording, as_json: bool, colour: bool | None, look: Look, first: int = 0) -> None:
    """Show a recording from ``first`` on, or what the options choose. Raises BadInput for what it does not have."""
    from emu.progress import Progress
    from emu.views.colour import wanted
    from emu.views.console import console
    from emu.views.trace.jsonlines import json_lines, json_summary
    from emu.views.trace.report import print_legend, print_summary
    from emu.views.trace.text import text_lines

    if look["legend"] and (as_json or look["summary"]):
        raise click.UsageError("--legend is of the text; --summary has it anyway")
    progress = Progress("steps")
    if look["summary"] and not as_json:
        print_summary(recording, colour, progress)
        return
    if look["legend"]:
        print_legend(recording, console(colour))
        return
    paged = look["pager"] and not as_json and sys.stdout.isatty()
    watched = None if sys.stdout.isatty() else progress
    choice = _choice(recording, look, first)
    if as_json:
        lines = json_summary(recording, watched) if look["summary"] else json_lines(recording, choice, watched)
    else:
        lines = text_lines(recording, choice, wanted(colour, sys.stdout), watched)
    if paged:
        os.environ.setdefault("LESS", "FRX")  # colours, and no screen of its own for what fits
        click.echo_via_pager(_without_last_end(lines), color=wanted(colour, sys.stdout))
    else:
        with progress:
            sys.stdout.writelines(lines)


def _without_last_end(lines: Iterator[str]) -> Iterator[str]:
    """The last line without its end: what writes to a pager adds one."""
    held = next(lines, "")
    for line in lines:
        yield held
        held = line
    yield held.removesuffix("\n")


def _choice(recording: Recording, look: Look, first: int) -> Choice:
    from emu.views.trace.choice import Choice, around

    end = None
    if look["around"] is not None:
        first, end = around(recording, look["around"], look["context"])
    return Choice(first, end, frozenset(look["only"]), look["follow"] or "", look["fold"], look["around"])
