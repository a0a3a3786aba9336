"""How everything is printed: the shape of tables, and the one place that decides about colour.

Its order: flag, NO_COLOR, FORCE_COLOR, TERM=dumb, then whether it is a tty.
"""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table


def console(colour: bool | None = None) -> Console:
    """Standard output. ``colour``: the command-line flag, None when it was not given."""
    if colour is None and os.environ.get("NO_COLOR"):
        colour = False
    if colour is None and os.environ.get("FORCE_COLOR"):
        colour = True
    if colour is None:
        colour = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
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
