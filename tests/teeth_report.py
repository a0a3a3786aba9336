"""The table of changed trampolines in whole programs: what noticed a change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

PROPERTY = "teeth"
"""Under this name a test's report carries its counts."""

KINDS = ("both", "output", "checks", "neither")
"""What noticed a change: the output, the exit status or the end that never came; the checks; both; neither."""


def lines(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table of some programs."""
    heads = ("output and checks", "output", "checks alone", "nothing")
    yield f"{'go':<10}{'arch':<7}{'tried':>6}" + "".join(f"{head:>19}" for head in heads) + f"{'not run':>10}{'s':>7}"
    for row in sorted(records, key=lambda row: (row["version"], row["arch"])):
        counts = "".join(f"{row['seen'][kind]:>19}" for kind in KINDS)
        tried = sum(row["seen"].values())
        yield f"{row['version']:<10}{row['arch']:<7}{tried:>6}{counts}{row['unreached']:>10}{row['seconds']:>7.1f}"
    yield ""
    yield "What noticed a change; not run: instructions that the program never gets to."
