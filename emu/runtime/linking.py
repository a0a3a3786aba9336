"""Guests beside the routines of a target, in one program; a stop in front of every routine shows the crossings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from arch.habits import habits
from asm import guests as guest_code
from asm.guests import Function, Guests
from asm.hooks import Hook
from emu.target import GATES, Target

TO = "to "
"""What the names of the gates in front of the routines begin with."""

_ENTRIES, _GUEST_GATES, _STEP = GATES + 0x1000, GATES + 0x2000, 16
_GUESTS, _VALUES = 0x4E40_0000, 0x4E70_0000


def link(
    target: Target, functions: Iterable[Function], hook: Hook | None = None, *, stops: bool = True,
    names: Mapping[str, int] | None = None,
) -> tuple[Target, Guests, dict[str, int]]:
    """The target with the guests in it, the guests, and where they enter each of the target's routines.

    ``hook``: what every guest with a stack check calls first. ``stops``: they do not enter a routine itself, but a stop
    in front of it. ``names``: more numbers that the bodies may use.
    Raises AsmError; ValueError for a name that is taken.
    """
    present = {name: symbol.address for name, symbol in target.routines.items() if symbol is not None}
    entries = {name: _ENTRIES + index * _STEP for index, name in enumerate(present)} if stops else present
    guests = guest_code.build(
        functions, target.era, target.arch, habits(target.era.name, target.go), entries,
        base=_GUESTS, values_at=_VALUES, gates_at=_GUEST_GATES, hook=hook, names=names,
    )
    program, added = target.program, guests.program
    taken = {*guests.functions, *guests.gates} & {*program.symbols, *program.gates}
    if taken:
        raise ValueError(f"the target has a {', '.join(sorted(taken))} already; choose another name")
    fronts = {TO + name: address for name, address in entries.items()} if stops else {}
    gates = {**program.gates, **guests.gates, **fronts}
    linked = replace(
        program, segments=(*program.segments, *added.segments), symbols={**program.symbols, **added.symbols},
        gates=gates, lines={**program.lines, **added.lines},
    )
    return replace(target, program=linked), guests, entries
