"""The layout of Go's runtime structs in each release from 1.21 on, for programs that carry no DWARF.

The numbers stand in releases.txt, which tests/releases/generate.py writes from the DWARF of programs built by real
toolchains. A row is a field, a struct's size or a constant; a column is a release. ``-`` says that the release has
no such field, ``~`` that its point releases do not agree: such a field is not known without DWARF.
386 and arm share the 32-bit rows.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from arch.layout import Layout

_FILE = Path(__file__).with_name("releases.txt")
_ABSENT, _DIFFERS = "-", "~"


@cache
def _rows() -> dict[str, list[tuple[str, list[str]]]]:
    """What stands in the first column -> name and values of its rows."""
    rows: dict[str, list[tuple[str, list[str]]]] = {}
    for line in _FILE.read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            kind, name, *values = line.split()
            rows.setdefault(kind, []).append((name, values))
    return rows


def known() -> tuple[str, ...]:
    """The releases of the table, the oldest first: ``go1.21`` …"""
    ((_, releases),) = _rows()["release"]
    return tuple(releases)


def measured(release: str) -> tuple[str, ...]:
    """The toolchains (``go1.21.13`` …) whose programs the column of a release was read from."""
    ((_, versions),) = _rows()["measured"]
    return tuple(versions[known().index(release)].split(","))


def of_version(version: str) -> str | None:
    """The release of the table that a toolchain's version belongs to: ``go1.24`` for ``go1.24.3``.

    None for a release outside of the table, and for a version that says it is changed or unfinished (an
    experiment, a release candidate, a development tree): its structs may be others.
    """
    found = re.fullmatch(r"(go1\.[1-9][0-9]*)(?:\.[0-9]+)?", version)
    return found[1] if found and found[1] in known() else None


def layout(release: str, word: int) -> Layout:
    """The layout in a release of the table, for pointers of ``word`` bytes.

    A size that differs between point releases is the largest of them.
    """
    numbers = _column(str(word), release)
    offsets = {name: value for name, value in numbers.items() if "." in name}
    return Layout(word, offsets, {name: value for name, value in numbers.items() if "." not in name})


def constants(release: str) -> dict[str, int]:
    """The stack constants of a release of the table, by bare name: ``stackGuard`` …"""
    return _column("constant", release)


def _column(kind: str, release: str) -> dict[str, int]:
    column = known().index(release)
    return {
        name: int(values[column]) for name, values in _rows()[kind] if values[column] not in (_ABSENT, _DIFFERS)
    }
