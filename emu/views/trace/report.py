"""The summary of a trace as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console

from emu.progress import Progress
from emu.trace.model import Recording
from emu.views.console import console, plain_table
from emu.views.trace.line import head
from emu.views.trace.palette import Palette
from emu.views.trace.summary import Counted, Summary, summary


def print_summary(recording: Recording, colour: bool | None, progress: Progress) -> None:
    """Stacks, switches, guards, system calls, what is wrong, checks, how the run ended; and what colours stand for."""
    out = console(colour)
    with progress:
        found = summary(recording, progress)
    out.print(next(head(recording.header)).removeprefix("# ") + f" · {found.steps} steps", style="bold", markup=False)
    _stacks(out, found)
    _table(out, "switches", ("from", "to", "at"), found.switches)
    _table(out, "guard changes", ("g", "from", "to", "at"), found.guards)
    _table(out, "writers of guards", ("g", "at", "writes"), found.writers)
    _table(out, "system calls", ("name",), found.calls)
    _table(out, "signals", ("name",), found.signals)
    for finding in found.findings:
        out.print(f"! {finding.what}: from step {finding.first}, {finding.steps} steps", style="bold red", markup=False)
    if found.wrong > len(found.findings):
        out.print(f"! and {found.wrong - len(found.findings)} more of this kind", style="bold red", markup=False)
    if found.checks:
        out.print(f"checks: {found.checks}, {len(found.failed)} failed")
    for check in found.failed:
        text = f"! {check['name']}: expected {check['expected']}, found {check['found']}"
        out.print(text, style="bold red", markup=False)
    print_legend(recording, out)
    if found.end:
        out.print(found.end, style="bold", markup=False)


def _stacks(out: Console, found: Summary) -> None:
    table = plain_table("stacks")
    for name in ("stack", "of", "size", "deepest", "at step", "above guard", "steps there"):
        table.add_column(name, justify="left" if name in ("stack", "of") else "right")
    for depth in found.stacks.values():
        stack = depth.stack
        left = "-" if depth.left is None else str(depth.left)
        numbers = (stack.hi - stack.lo, stack.hi - depth.sp, depth.step)
        table.add_row(stack.name, stack.label, *map(str, numbers), left, str(depth.steps))
    out.print(table)


def _table(out: Console, title: str, names: Iterable[str], counted: Mapping[tuple[str, ...], Counted]) -> None:
    if not counted:
        return
    table = plain_table(title)
    for name in names:
        table.add_column(name, overflow="fold")
    for name in ("times", "first step"):
        table.add_column(name, justify="right")
    for key, count in counted.items():
        table.add_row(*key, str(count.times), str(count.first))
    out.print(table)


def print_legend(recording: Recording, out: Console) -> None:
    """What the colours of values stand for, by address."""
    palette = Palette(recording)
    palette.before(recording.steps)
    table = plain_table("what values point to")
    for name in ("region", "from", "to", "colour"):
        table.add_column(name)
    for span in palette.legend():
        table.add_row(span.name, f"{span.lo:#x}", f"{span.hi:#x}", span.colour, style=span.colour)
    out.print(table)
