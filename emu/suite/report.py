"""A failed assertion in words: what was expected and found, at which step, by which instruction; the last steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from emu.contracts.judge import Check
from emu.suite.normal import instruction

if TYPE_CHECKING:
    from emu.suite.run import Run

_TAIL = 8  # steps shown before the end and around the one to blame


def explain(run: Run, failed: Sequence[Check], count: int) -> str:
    """The failed checks of a run, one a line, and the steps to look at."""
    arch = run.bench.arch
    blamed = [_blamed(run, check) for check in failed]
    text = [f"{run.routine} on {arch.name}: {len(failed)} of {count} checks failed"]
    for check, step in zip(failed, blamed, strict=True):
        expected, found = _meaning(run, check.expected), _meaning(run, check.found)
        text.append(f"  {check.name}: expected {expected}{_origin(check)}, found {found} ({_when(run, step)})")
    steps = sorted({step for step in blamed if step is not None})
    return "\n".join([*text, *_shown(run, steps)])


def _origin(check: Check) -> str:
    return f", {check.source}" if check.source else ""


def _blamed(run: Run, check: Check) -> int | None:
    """The step that made the value as it was found; None if no instruction did."""
    arch = run.bench.arch
    name = check.target.split(" mod ")[0]
    register = arch.roles.get(name, name)
    if register in arch.registers:
        return run.record.last_change(register)
    return check.step if check.step < run.steps else None


def _when(run: Run, step: int | None) -> str:
    if step is None:
        return f"after {run.steps} steps"
    pc = run.record.rows[step][run.bench.arch.roles["pc"]]
    program = run.bench.program
    return f"step {step}, {program.describe(pc)}: {instruction(run.bench.arch, program, pc)}{_source(run, pc)}"


def _source(run: Run, pc: int) -> str:
    line = run.bench.program.lines.get(pc)
    return f", {line.file}:{line.number}" if line is not None else ""


def _meaning(run: Run, value: str) -> str:
    """A word in hex, and what it is where that has a name."""
    if not value.startswith("0x") or " " in value:
        return value
    name = run.bench.namer.value(int(value, 16))
    return value if name.startswith("0x") else f"{name} ({value})"


def _shown(run: Run, blamed: Sequence[int]) -> list[str]:
    """The last steps, and those to blame if they lie before."""
    first = max(run.steps - _TAIL, 0)
    text: list[str] = []
    for step in [*(step for step in blamed if step < first), *range(first, run.steps)]:
        rows = list(run.lines(range(step, step + 1)))
        mark = ">" if step in blamed else " "
        text += [f"{mark}{step:>5}  {rows[0]}", *(f"        {row}" for row in rows[1:])]
    return ["  the last steps:", *text] if text else []
