"""How everything is printed: the console and the shape of tables."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table

from emu.views.colour import wanted


def console(colour: bool | None = None) -> Console:
    """Standard output. ``colour``: the command-line flag, None when it was not given."""
    colour = wanted(colour, sys.stdout)
    columns = os.environ.get("COLUMNS", "")
    width = None if sys.stdout.isatty() else int(columns) if columns.isdecimal() and int(columns) else 160
    return Console(
        force_terminal=colour, no_color=not colour, color_system="auto" if colour else None, width=width,
        highlight=False, legacy_windows=False,
    )


def plain_table(title: str = "") -> Table:
    """A table without lines, as every view draws it; the title stands above it to the left."""
    return Table(
        title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
