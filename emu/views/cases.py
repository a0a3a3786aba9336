"""`stackcarry case`: the list, a case's story, and the table of verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import click
from rich.table import Table
from rich.text import Text

import arch as arches
from emu import cases
from emu.cases.model import Case, Cell, Variant
from emu.errors import BadInput
from emu.views.console import console, plain_table


def chosen(
    names: Sequence[str], arch_names: Sequence[str], variants: Sequence[str], replay: bool = False
) -> Iterator[tuple[Case, Variant, str]]:
    """The cells that were asked for: (case, variant, arch name). ``replay``: only of cases that have schedules.

    Raises BadInput for names that do not exist.
    """
    for name in names:
        if name not in cases.names():
            raise BadInput(f"no case {name!r}; there are: {', '.join(cases.names())}")
    for name in names or cases.names():
        case = cases.get(name)
        if replay and not case.schedules:
            raise BadInput(f"{name} explores no interleavings: --schedule is for cases that do")
        try:
            picked = [case.variant(v) for v in variants] or case.variants
        except KeyError as error:
            if len(names) == 1:
                raise BadInput(error.args[0]) from None
            picked = [v for v in case.variants if v.name in variants]
        for variant in picked:
            for arch in arches.ARCHES:
                if arch in variant.history and (arch in arch_names or not arch_names):
                    yield case, variant, arch


def print_list(as_json: bool, colour: bool | None) -> None:
    """Every case with its variants."""
    out = console(colour)
    for case in map(cases.get, cases.names()):
        if as_json:
            variants = {v.name: {"commit": v.commit, "history": dict(v.history)} for v in case.variants}
            click.echo(json.dumps({"kind": "case", "name": case.name, "title": case.title, "variants": variants}))
            continue
        out.print(f"{case.name}: {case.title}", style="bold", markup=False)
        table = Table.grid(padding=(0, 2, 0, 0))
        for variant in case.variants:
            table.add_row(f"  {variant.name}", variant.commit, variant.differs)
        out.print(table)


def print_story(case: Case, colour: bool | None) -> None:
    """The story, the variants with their commits, and how their sources differ."""
    out = console(colour)
    out.print(f"{case.name}: {case.title}\n", style="bold", markup=False)
    out.print(case.story.strip() + "\n", markup=False)
    for variant in case.variants:
        out.print(f"{variant.name} ({variant.commit}): {variant.differs}", markup=False, soft_wrap=True)
        for arch, note in variant.notes.items():
            out.print(f"  {arch}: {note}", markup=False, soft_wrap=True)
    for record in arches.ARCHES.values():
        if all(record.name in variant.history for variant in case.variants):
            out.print(f"\n{record.name}:", style="bold")
            for line in case.differences(record):
                out.print(Text(line, {"+": "green", "-": "red"}.get(line[:1], "")), soft_wrap=True)


def print_cells(cells: Iterable[Cell], as_json: bool, colour: bool | None, findings: bool) -> bool:
    """A table per case (with ``findings`` all that was seen, too), or JSON lines; whether all is as history says."""
    kept: list[Cell] = []
    for cell in cells:
        kept.append(cell)
        if as_json:
            click.echo(json.dumps(_record(cell), ensure_ascii=False))
    wrong = [cell for cell in kept if not cell.as_history]
    if as_json:
        click.echo(json.dumps({"kind": "summary", "cells": len(kept), "unlike_history": len(wrong)}))
        return not wrong
    out = console(colour)
    for case in dict.fromkeys(cell.case.name for cell in kept):
        out.print(_table(case, [cell for cell in kept if cell.case.name == case]))
        for cell in kept:
            for finding in cell.verdict.findings if findings and cell.case.name == case else ():
                line = f"  {cell.variant.name}, {cell.arch.name}: {finding}"
                out.print(line, markup=False, soft_wrap=True, style="dim")
    told = f"{len(kept)} cells, {len(wrong)} {'break' if kept[0].replay else 'not as history says'}"
    out.print(told, style="red" if wrong else "green")
    return not wrong


def _table(name: str, cells: Sequence[Cell]) -> Table:
    table = plain_table(name)
    replays = any(cell.verdict.schedule for cell in cells)
    for heading in ("variant", "arch", "verdict", *(("schedule",) if replays else ())):
        table.add_column(heading, overflow="fold")
    for cell in cells:
        style = "" if cell.as_history else "bold red"
        verdict = Text(str(cell.verdict), style or ("yellow" if cell.verdict.breaks else "green"))
        if not (cell.as_history or cell.replay):
            verdict.append(f"; history says it {cell.variant.history[cell.arch.name]}")
        table.add_row(cell.variant.name, cell.arch.name, verdict, *((cell.verdict.schedule,) if replays else ()))
    return table


def _record(cell: Cell) -> dict[str, object]:
    verdict = cell.verdict
    return {
        "kind": "cell", "case": cell.case.name, "variant": cell.variant.name, "arch": cell.arch.name,
        "verdict": verdict.word, "what": verdict.breaks, "step": verdict.step, "looked": verdict.looked,
        "unit": verdict.unit, "schedule": verdict.schedule, "findings": list(verdict.findings),
        "as_history": cell.as_history,
    }


def print_followed(
    name: str, variant: str, arch: str, schedule: str, as_json: bool, colour: bool | None
) -> bool:
    """One interleaving of a case, an access to shared memory a line; whether it breaks. Raises BadInput."""
    picked = next(chosen([name], [arch], [variant], replay=True), None)
    if picked is None:
        raise BadInput(f"{name} has no variant {variant} on {arch}")
    verdict = picked[0].run(picked[1], arches.get(arch), schedule)
    if as_json:
        for line in verdict.findings:
            click.echo(json.dumps({"kind": "step", "told": line.strip()}, ensure_ascii=False))
        click.echo(json.dumps({"kind": "end", "end": verdict.breaks or "ends well", "schedule": schedule}))
    else:
        out = console(colour)
        for line in verdict.findings:
            out.print(line, markup=False, soft_wrap=True)
        out.print(verdict.breaks or "ends well", markup=False, style="bold", soft_wrap=True)
    return bool(verdict.breaks)
