"""Where SP was, step by step, and what the steps did below it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from emu.contracts.judge import Check
from emu.suite.normal import Record

if TYPE_CHECKING:
    from emu.suite.bench import Bench


def _sps(bench: Bench, record: Record) -> list[int]:
    """SP before each instruction, and at the end."""
    sp = bench.arch.roles["sp"]
    return [*(row[sp] for row in record.rows), record.then(len(record.rows) - 1)[sp]]


def lowest(bench: Bench, record: Record) -> dict[str, int]:
    """Stack -> the lowest SP on it, for the stacks that SP was on."""
    low: dict[str, int] = {}
    for sp in _sps(bench, record):
        name = bench.stack_at(sp)
        if name is not None:
            low[name] = min(sp, low.get(name, sp))
    return low


def visits(bench: Bench, record: Record, names: Iterable[str]) -> Check:
    """SP was on these stacks, one after the other, and nowhere else."""
    found: list[str] = []
    when = 0
    for step, sp in enumerate(_sps(bench, record)):
        name = bench.stack_at(sp) or "nowhere"
        if found[-1:] != [name]:
            found.append(name)
            when = max(step - 1, 0)
    wanted, way = ", ".join(names), ", ".join(found)
    return Check("stacks that SP is on", way == wanted, wanted, way, when, "SP way")


def below_sp(bench: Bench, record: Record) -> Check:
    """Nothing is read below SP as it is before an instruction, or written below SP as it is after it.

    The red zone is left out; so are the stacks that SP is not on.
    """
    sps, spare = _sps(bench, record), bench.arch.c.red_zone
    wanted = f"nothing below SP{f' less {spare} bytes' if spare else ''} is used"
    for access in record.accesses:
        sp = sps[access.step + 1] if access.write else sps[access.step]
        stack = bench.stack_at(sp)
        if stack is not None and access.address in bench.stacks[stack] and access.address < sp - spare:
            what = "writes" if access.write else "reads"
            found = f"{what} {bench.namer.place(access.address)}, SP is {bench.namer.place(sp)}"
            return Check("safe from signal handlers", False, wanted, found, access.step, "signal")
    return Check("safe from signal handlers", True, wanted, "", len(record.rows), "signal")
