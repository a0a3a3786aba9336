"""JSON lines: one object a check, a summary at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from emu.check import Result
from emu.views.matrix import Summary


def check_lines(results: Iterable[Result], summary: Summary) -> Iterator[str]:
    """Lines for ``check --json``; ``summary`` is filled on the way."""
    for result in results:
        summary.add(result)
        yield json.dumps(_record(result), ensure_ascii=False)
    yield json.dumps({"kind": "summary", "checks": summary.checks, "failed": summary.failed,
                      "holes": summary.holes, "absent": summary.absent})


def _record(result: Result) -> dict[str, object]:
    target, check = result.target, result.check
    where = {"era": target.era.name, "arch": target.arch.name, "routine": result.routine}
    origin = {"file": target.file or None, "go": target.go or None}
    if check is None:
        return {"kind": "absent", **where, **origin}
    found = {"ok": check.ok, "expected": check.expected, "found": check.found, "step": check.step}
    hole = {"hole": check.hole} if check.hole else {}
    return {"kind": "check", **where, "name": result.name, **found, **origin, **hole}
