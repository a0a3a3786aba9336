"""An era's routines with some that are not its own: of another time, or a text that is tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources

import arch as arches
from arch import barriers, golang
from asm import source
from asm.statement import Statement
from emu.target import Target, of_era, of_statements

STUB = "rawVforkSyscall"


@cache
def with_vfork(era_name: str, arch_name: str) -> Target:
    """The era's target; with Go 1.17's stub where the era forks with a copy of memory. KeyError for unknown names."""
    if STUB in golang.era(era_name).routines[arch_name]:
        return of_era(era_name, arch_name)
    return with_stub(era_name, arch_name, stub_text(era_name, arch_name))


def stub_text(era_name: str, arch_name: str) -> str:
    """The source of the era's stub, or of Go 1.17's."""
    if STUB in golang.era(era_name).routines[arch_name]:
        return source.routine_text(era_name, arch_name, STUB)
    return resources.files("asm").joinpath("vfork", f"{arch_name}.s").read_text(encoding="utf-8")


def with_stub(era_name: str, arch_name: str, text: str) -> Target:
    """The era's target with the stub in ``text``, which takes what the era's own would. Raises AsmError."""
    arch, era = arches.get(arch_name), golang.era(era_name)
    names = tuple(name for name in era.routines[arch.name] if name != STUB)
    stub = source.parse(text, f"asm/vfork/{arch_name}.s", arch)
    whole = [*_without(source.load(era_name, arch_name), STUB), *stub]
    return of_statements(era._replace(routines={**era.routines, arch.name: (*names, STUB)}), arch, whole)


@cache
def with_barriers(arch_name: str) -> Target:
    """The routines of 2017 and those of stack barriers, on the layout of 2015. KeyError for an unknown name."""
    arch, era = arches.get(arch_name), barriers.ERA
    text = resources.files("asm").joinpath("barrier", f"{arch_name}.s").read_text(encoding="utf-8")
    added = source.parse(text, f"asm/barrier/{arch_name}.s", arch)
    return of_statements(era, arch, [*source.load(era.name, arch_name), *added])


def _without(statements: Iterable[Statement], routine: str) -> Iterator[Statement]:
    """All but one routine: from its label to the next global one."""
    inside = False
    for statement in statements:
        if statement.text.endswith(":") and not statement.text.startswith("."):
            inside = statement.text == f"{routine}:"
        if not inside:
            yield statement
