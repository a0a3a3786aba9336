"""From what was asked for on the command line to targets and their rows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import arch as arches
from arch import golang
from asm.goelf import ElfError
from emu import target as targets
from emu.errors import BadInput
from emu.routines import EXPERIMENTS, ROUTINES, rows
from emu.target import Target


def routine_names() -> list[str]:
    """Every row that any target can have."""
    return [*ROUTINES, *EXPERIMENTS]


def routine_name(given: str) -> str:
    """The row's name for what a user typed: ``runtime.mcall`` is ``mcall``. Raises BadInput."""
    name = given.removeprefix("runtime.").removeprefix("syscall.")
    if name in ROUTINES or name in EXPERIMENTS:
        return name
    near = difflib.get_close_matches(name, routine_names(), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `stackcarry list` shows what exists"
    raise BadInput(f"no routine {given!r}{hint}")


def era_name(given: str) -> str:
    """An era by its name or by a Go release. Raises BadInput."""
    try:
        return golang.era(given).name
    except KeyError as error:
        raise BadInput(error.args[0]) from None


def arch_name(given: str) -> str:
    """An arch by its Go name. Raises BadInput."""
    try:
        return arches.get(given).name
    except KeyError as error:
        raise BadInput(error.args[0]) from None


def binary(path: str, wanted: Sequence[str] = ()) -> Target:
    """The target in a Go binary; BadInput if it can't be used or is of none of the ``wanted`` arches."""
    try:
        found = targets.of_binary(path)
    except ElfError as error:
        raise BadInput(str(error)) from None
    if wanted and found.arch.name not in wanted:
        raise BadInput(f"{path}: a program for {found.arch.name}, not for {' or '.join(wanted)}; leave --arch out")
    return found


def select(
    eras: Iterable[str], arch_names: Iterable[str], files: Iterable[str], routines: Iterable[str]
) -> list[tuple[Target, list[str]]]:
    """Targets in order of era and arch, each with the rows to check; with ``files`` only those binaries."""
    wanted_arches = [arch_name(name) for name in arch_names]
    wanted_eras = [era_name(name) for name in eras]
    names = [routine_name(name) for name in routines]
    chosen: list[Target] = []
    for path in files:
        found = binary(path, wanted_arches)
        if wanted_eras and found.era.name not in wanted_eras:
            raise BadInput(f"{path}: of era {found.era.name}; leave --era out")
        chosen.append(found)
    if not chosen:
        chosen = [
            targets.of_era(era, arch)
            for era in golang.ERAS if era in wanted_eras or not wanted_eras
            for arch in arches.ARCHES if arch in wanted_arches or not wanted_arches
        ]
    picked = [(target, [row for row in rows(target) if row in names or not names]) for target in chosen]
    return [(target, kept) for target, kept in picked if kept]
