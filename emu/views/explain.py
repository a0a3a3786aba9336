"""`check --explain`: the arches side by side, one row per carried role."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emu.check import Result, world_of
from emu.contracts.judge import Check
from emu.target import Target
from emu.views.console import plain_table


def print_explained(console: Console, results: Iterable[Result]) -> None:
    """A table per routine and scene: role, then for each arch from where to where, and the value."""
    scenes: dict[tuple[str, str, str], dict[str, list[Result]]] = {}
    for result in results:
        if result.check is not None:
            key = (result.target.title, result.routine, result.scene)
            scenes.setdefault(key, {}).setdefault(result.target.arch.name, []).append(result)
    for (title, routine, scene), by_arch in scenes.items():
        console.print(_table(f"{title} {routine}" + (f", {scene}" if scene else ""), by_arch))
        holes = {r.check.hole for results in by_arch.values() for r in results if r.check and r.check.hole}
        for hole in sorted(holes):
            console.print(f"hole: {hole}", style="yellow", highlight=False, markup=False)
        console.print()


def _table(title: str, by_arch: dict[str, list[Result]]) -> Table:
    table = plain_table(title)
    table.add_column("role")
    rows: dict[tuple[str, str, int], dict[str, Text]] = {}
    for arch, results in by_arch.items():
        table.add_column(arch, overflow="fold")
        seen: dict[tuple[str, str], int] = {}
        for result in results:
            check = result.check
            assert check is not None
            short = (check.name if check.role == "flow" else check.role, check.moment)
            seen[short] = seen.get(short, 0) + 1
            rows.setdefault((*short, seen[short]), {})[arch] = _cell(result.target, check)
    for (role, _, _), row in rows.items():
        table.add_row(role, *(row.get(arch, Text("-", "dim")) for arch in by_arch))
    return table


def _cell(target: Target, check: Check) -> Text:
    way = " → ".join(part for part in (check.source, check.target) if part)
    way = f"{way}: " if way else ""
    found = _meaning(target, check.found)
    if check.ok:
        return Text(f"{way}{found}", "yellow" if check.hole else "")
    return Text(f"{way}{found}, not {_meaning(target, check.expected)}", "bold red")


def _meaning(target: Target, value: str) -> str:
    """A word in hex, and what it points to where that has a name."""
    if not value.startswith("0x") or " " in value:
        return value
    name = world_of(target).pointee(int(value, 16))
    return value if name.startswith("0x") else f"{name} ({value})"
