"""Two traces of one program side by side: the steps around the first row that differs."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from emu.trace.align import OTHER, SAME
from emu.trace.model import Header, Recording
from emu.trace.samerun import Difference
from emu.trace.steps import Step, steps
from emu.views.console import console, plain_table
from emu.views.diff import STYLES, Files, Runs, json_line, print_runs, run_lines
from emu.views.names import with_target

CONTEXT = 3  # steps that are shown before the first row that differs, and from it on


def print_rows(runs: Runs, files: Files, found: Difference | None, colour: bool | None) -> None:
    """The first difference of two runs of a program, and the steps around it."""
    out = console(colour)
    print_runs(out, runs, files)
    if found is None:
        out.print(f"no difference in {runs[0].steps} steps", style="bold")
        return
    out.print()
    table = plain_table()
    for title in ("A", "", "B"):
        table.add_column(title, overflow="fold", header_style="bold")
    columns = [dict(_around(recording, found.step)) for recording in runs]
    for number in sorted({*columns[0], *columns[1]}):
        mark = "" if number < found.step else OTHER
        left, right = (column.get(number, "") for column in columns)
        style = STYLES[mark or SAME]
        table.add_row(Text(left, style), Text(mark, style), Text(right, style))
    out.print(table)
    out.print()
    for line in _differences(runs, found):
        out.print(line, markup=False, soft_wrap=True)


def _around(recording: Recording, step: int) -> Iterator[tuple[int, str]]:
    for found in steps(recording, max(0, step - CONTEXT), min(step + CONTEXT, recording.steps)):
        yield found.number, _step(recording.header, found)


def _step(header: Header, step: Step) -> str:
    changed = " ".join(f"{name}*={value:#x}" for name, value in step.changed.items())
    return f"{step.number:>5} {step.where}  {with_target(header.program, step.text)}  {changed}".rstrip()


def _differences(runs: Runs, found: Difference) -> Iterator[str]:
    if found.ended:
        yield f"{found.ended} ends before step {found.step}"
    else:
        yield f"different before step {found.step}:"
    if found.threads[0] != found.threads[1]:
        yield f"  thread: A {found.threads[0]}, B {found.threads[1]}"
    for name, (mine, its) in found.registers.items():
        yield f"  {name}: A {mine:#x}, B {its:#x}"
    for address, values in found.memory.items():
        mine_, its_ = ("?" if value is None else hex(value) for value in values)
        yield f"  [{runs[0].header.names.describe(address)}]: A {mine_}, B {its_}"


def row_lines(runs: Runs, files: Files, found: Difference | None) -> Iterator[str]:
    """JSON lines: a ``run`` for A and B, then a ``difference`` if there is one; words as hex strings."""
    yield from run_lines(runs, files)
    if found is None:
        return
    names = runs[0].header.names
    yield json_line({
        "kind": "difference", "step": found.step, "threads": found.threads, "ended": found.ended or None,
        "registers": {name: [hex(value) for value in values] for name, values in found.registers.items()},
        "memory": [
            {"address": hex(address), "at": names.describe(address),
             "values": [None if value is None else hex(value) for value in values]}
            for address, values in found.memory.items()
        ],
    })
