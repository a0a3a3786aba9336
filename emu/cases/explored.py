"""Verdicts of cases that explore interleavings: in one or more *readings*, models of what is not known for certain."""

from __future__ import annotations

from collections.abc import Mapping

from emu.cases.model import Verdict
from emu.explore import explore, replay
from emu.race import Race


def verdict(readings: Mapping[str, Race], schedule: str) -> Verdict:
    """Explore all of each race; with a schedule, follow that one interleaving. Raises BadInput for one that is none."""
    return _followed(readings, schedule) if schedule else _explored(readings)


def _explored(readings: Mapping[str, Race]) -> Verdict:
    found = {name: explore(race) for name, race in readings.items()}
    findings = {n: [f"{f.kind}: {f.failure} (schedule {f.schedule})" for f in e.findings] for n, e in found.items()}
    numbers = {
        name: [f"{e.states} states, {e.transitions} transitions, {e.blocked} blocked, {e.ends} ends"]
        for name, e in found.items()
    }
    lines = (*_merged(findings), *_merged(numbers))
    states = sum(e.states for e in found.values())
    worst = next((f for e in found.values() for f in e.findings), None)
    if worst is None:
        return Verdict(looked=states, unit="states", findings=lines)
    return Verdict(str(worst.failure), worst.steps, states, "states", worst.schedule, lines)


def _followed(readings: Mapping[str, Race], schedule: str) -> Verdict:
    """Told step by step for the first reading that fails, or the first; how it ends in each."""
    ends = {name: replay(race, schedule) for name, race in readings.items()}
    told = next((end for end in ends.values() if end.failure), next(iter(ends.values())))
    lines = [f"{number:3} {who}: {what}" for number, (who, what) in enumerate(told.steps, 1)]
    lines += _merged({name: [str(end.failure or "ends well")] for name, end in ends.items()})
    breaks, steps = str(told.failure or ""), len(told.steps)
    return Verdict(breaks, steps, steps, "states" if breaks else "steps", schedule, tuple(lines))


def _merged(lines: Mapping[str, list[str]]) -> list[str]:
    """Lines, each behind the name of the reading that it belongs to, if not to all."""
    told = dict.fromkeys(line for some in lines.values() for line in some)
    names = {line: [name for name, some in lines.items() if line in some] for line in told}
    return [line if len(name) == len(lines) else f"{', '.join(name)}: {line}" for line, name in names.items()]
