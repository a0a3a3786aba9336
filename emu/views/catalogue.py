"""`stackcarry list`: eras, arches and routines; the scenes of a routine."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

import arch as arches
from arch import golang
from emu import target as targets
from emu.check import world_of
from emu.routines import ROUTINES
from emu.rows import EXPERIMENTS, rows
from emu.views.console import console, plain_table


def print_catalogue(as_json: bool, colour: bool | None) -> None:
    """Every era with what exists on each arch."""
    found = {
        era: {arch: rows(targets.of_era(era, arch)) for arch in arches.ARCHES} for era in golang.ERAS
    }
    if as_json:
        for era, by_arch in found.items():
            record = golang.ERAS[era]
            click.echo(json.dumps({
                "kind": "era", "era": era, "commit": record.commit, "stacks": record.stacks, "routines": by_arch,
            }))
        return
    out = console(colour)
    for era, by_arch in found.items():
        record = golang.ERAS[era]
        out.print(f"era {era}: {record.stacks} stacks, Go at {record.commit}", style="bold")
        table = plain_table()
        for heading in ("routine", *by_arch):
            table.add_column(heading)
        for name in dict.fromkeys(name for names in by_arch.values() for name in names):
            table.add_row(name, *("yes" if name in names else "-" for names in by_arch.values()))
        out.print(table)


def print_scenes(names: Sequence[str], as_json: bool, colour: bool | None) -> None:
    """The scenes of each routine, in every era and arch that has it."""
    out = console(colour)
    for name in names:
        if name in EXPERIMENTS:
            doc = (EXPERIMENTS[name].run.__doc__ or "").strip().splitlines()
            click.echo(json.dumps({"kind": "experiment", "name": name}) if as_json else f"{name}: {' '.join(doc[:1])}")
            continue
        doc = (ROUTINES[name].contract.__doc__ or "").strip().splitlines()
        if not as_json:
            out.print(f"{name}: {doc[0] if doc else ''}", markup=False)
        for era in golang.ERAS:
            for arch in arches.ARCHES:
                target = targets.of_era(era, arch)
                if target.routines.get(name) is None:
                    continue
                scenes = [scene.name for scene in ROUTINES[name].scenes(world_of(target))]
                if as_json:
                    row = {"kind": "scenes", "era": era, "arch": arch, "routine": name, "scenes": scenes}
                    click.echo(json.dumps(row))
                else:
                    out.print(f"  {era:<7} {arch:<6} {', '.join(scenes)}", markup=False)
