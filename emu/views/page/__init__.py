"""A trace as one HTML file that needs nothing else: no network, no server.

The page's own text, style and script stand beside this module; the plot is drawn by Bokeh, whose script comes with
its Python package (the extra ``html``). Everything of the run is data that the script shows as text: nothing of it
is read as HTML. A policy in the page forbids it to load anything.
"""

from __future__ import annotations

import html
from importlib import metadata, resources
from pathlib import Path

from emu.errors import BadInput
from emu.trace.model import Recording
from emu.views.page.pack import pack
from emu.views.page.told import told

MOST = 250_000  # steps of a page; a longer part of a run would load slowly
_SCRIPTS = (
    "data", "memory", "names", "run", "scale", "draw", "stacks", "timeline", "code", "tables", "events", "main",
)
_PLOTS = ("bokeh.min.js", "bokeh-api.min.js")


def page(recording: Recording, first: int = 0, end: int | None = None) -> str:
    """The page of the steps ``first`` up to ``end``. Raises BadInput for too many (see `fitting`) or none, and without
    Bokeh."""
    end = recording.steps if end is None else min(end, recording.steps)
    lacking = [role for role in ("sp", "pc") if recording.header.column(role) is None]
    if lacking:
        raise BadInput(f"a page needs the registers sp and pc in every row; this trace lacks {' and '.join(lacking)}")
    count = len(recording.numbers(first, end))
    if not count:
        raise BadInput(f"no step is recorded between {first} and {end}: the run has {recording.steps}")
    if count > MOST:
        raise BadInput(f"a page holds at most {MOST} steps, these are {count}: choose some with --first and --end")
    parts = {
        "TITLE": html.escape(_title(recording)), "STYLE": _own("page.css"), "DATA": pack(*told(recording, first, end)),
        "PLOTS": "\n".join(_bokeh(name) for name in _PLOTS),
        "SCRIPT": "\n".join(_own(f"{name}.js") for name in _SCRIPTS),
    }
    pieces = enumerate(_own("page.html").split("@@"))
    return "".join(parts[piece] if number % 2 else piece for number, piece in pieces)


def fitting(recording: Recording, first: int = 0) -> int:
    """The end of the longest part from ``first`` on that a page can hold."""
    room = MOST
    for low, high in recording.pieces(first, recording.steps):
        inside = recording.numbers(low, high)
        if len(inside) > room:
            return int(inside[room])
        room -= len(inside)
    return recording.steps


def _title(recording: Recording) -> str:
    header = recording.header
    return f"{header.entered} · {header.arch_name} · {header.name}"


def _own(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _bokeh(name: str) -> str:
    """A script of Bokeh's package, found without importing it (that takes longer than making the page)."""
    try:
        found = metadata.distribution("bokeh").locate_file(f"bokeh/server/static/js/{name}")
        text = Path(str(found)).read_text(encoding="utf-8")
    except (metadata.PackageNotFoundError, OSError):
        raise BadInput("the page's plot needs Bokeh: pip install 'stackcarry[html]'") from None
    return text.replace("</script", "<\\/script")
