"""`check --explain`: the arches side by side, one row per carried role."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emu.check import Result
from emu.contracts.judge import Check


def print_explained(console: Console, results: Iterable[Result]) -> None:
    """A table per routine and scene: role, then for each arch from where to where, and the value."""
    scenes: dict[tuple[str, str, str], dict[str, list[Check]]] = {}
    for result in results:
        if result.check is not None:
            key = (result.target.title, result.routine, result.scene)
            scenes.setdefault(key, {}).setdefault(result.target.arch.name, []).append(result.check)
    for (title, routine, scene), by_arch in scenes.items():
        console.print(_table(f"{title} {routine}, {scene}", by_arch))
        holes = {check.hole for checks in by_arch.values() for check in checks if check.hole}
        for hole in sorted(holes):
            console.print(f"hole: {hole}", style="yellow", highlight=False, markup=False)
        console.print()


def _table(title: str, by_arch: dict[str, list[Check]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("role")
    rows: dict[tuple[str, str, int], dict[str, Check]] = {}
    for arch, checks in by_arch.items():
        table.add_column(arch, overflow="fold")
        seen: dict[tuple[str, str], int] = {}
        for check in checks:
            short = (check.role, check.moment)
            seen[short] = seen.get(short, 0) + 1
            rows.setdefault((*short, seen[short]), {})[arch] = check
    for (role, _, _), row in rows.items():
        table.add_row(role, *(_cell(row.get(arch)) for arch in by_arch))
    return table


def _cell(check: Check | None) -> Text:
    if check is None:
        return Text("-", "dim")
    way = f"{check.source} → {check.target} " if check.source else ""
    if check.ok:
        return Text(f"{way}{check.found}", "yellow" if check.hole else "")
    return Text(f"{way}{check.found}, not {check.expected}", "bold red")
