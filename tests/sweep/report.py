"""The sweep's table: killed of tried, by era, arch and operator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PROPERTY = "sweep"
"""Under this name a test's report carries its cell."""

_HEADS = {"nop": "nop", "displacement up": "disp +word", "displacement down": "disp -word", "register": "register",
          "swap": "swap"}
_WIDTH = 12


def lines(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The table of some cells, their sum, and what could not be encoded."""
    rows = sorted(records, key=lambda record: (record["era"].startswith("go"), record["era"], record["arch"]))
    columns = "".join(f"{head:>{_WIDTH}}" for head in (*_HEADS.values(), "all"))
    yield f"{'era':<10}{'arch':<7}{'insns':>6}{columns}{'same order':>12}{'no encoding':>13}{'seconds':>9}"
    for row in [*rows, _sum(rows)]:
        counts = "".join(f"{_ratio(row, operator):>{_WIDTH}}" for operator in (*_HEADS, None))
        rest = f"{row['unobservable']:>12}{len(row['unencodable']):>13}{row['seconds']:>9.1f}"
        yield f"{row['era']:<10}{row['arch']:<7}{row['instructions']:>6}{counts}{rest}"
    yield ""
    yield "killed/tried. Same order: pairs whose order cannot be observed. No encoding: what does not fit in place:"
    for row in rows:
        yield from (f"  {row['era']} {row['arch']}: {text}" for text in row["unencodable"])


def _ratio(row: Mapping[str, Any], operator: str | None) -> str:
    killed, tried = row["killed"], row["tried"]
    if operator is None:
        return f"{sum(killed.values())}/{sum(tried.values())}"
    return f"{killed[operator]}/{tried[operator]}" if operator in tried else "-"


def _sum(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    operators = [operator for operator in _HEADS if all(operator in row["tried"] for row in rows)]
    total = {key: {o: sum(row[key][o] for row in rows) for o in operators} for key in ("tried", "killed")}
    plain = {key: sum(row[key] for row in rows) for key in ("instructions", "unobservable", "seconds")}
    unencodable = [text for row in rows for text in row["unencodable"]]
    return {"era": "all", "arch": "", **total, **plain, "unencodable": unencodable}
