"""Hooks in front of stack checks (Go's debug flag maymorestack, since Go 1.18): their code, and the calls of them.

Source: the prologues that Go 1.27.3 emits under ``-d=maymorestack=…``, read per architecture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

from arch.golang import Era
from arch.model import Arch
from asm import source
from asm.statement import Statement, scan


@dataclass(frozen=True)
class Hook:
    """What every splittable function of a program calls first.

    ``name``: a routine, guest function or gate. ``intended``: the call keeps what the code generator meant to keep;
    else it is as emitted.
    """

    name: str
    intended: bool = False

    def call(self, ctxt: bool) -> str:
        """The macro that a function begins with; ``ctxt``: it uses its closure context."""
        return f"{'intended' if self.intended else 'hook'}_{'context' if ctxt else 'plain'} {self.name}"


@cache
def _text(arch: str) -> str:
    return resources.files("asm").joinpath("hook", f"{arch}.s").read_text(encoding="utf-8")


@cache
def _listed(arch: str, isa: str) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
    """The file's macros, and the rest of it."""
    macros: list[Statement] = []
    rest: list[Statement] = []
    inside = False
    for statement in scan(_text(arch), f"asm/hook/{arch}.s", isa):
        inside = inside or statement.text.startswith(".macro")
        (macros if inside else rest).append(statement)
        inside = inside and statement.text != ".endm"
    return tuple(macros), tuple(rest)


def macros(arch: Arch) -> list[Statement]:
    """The definitions of the calls, for `asm.source.parse`."""
    return list(_listed(arch.name, arch.isa)[0])


def routines(arch: Arch) -> list[Statement]:
    """The statements of the runtime's own hooks."""
    return list(_listed(arch.name, arch.isa)[1])


def text(arch: Arch, hook: Hook, ctxt: bool) -> list[str]:
    """The instructions of a call of ``hook``; ``ctxt``: in a function that uses its closure context."""
    return [line.text for line in source.parse(hook.call(ctxt), hook.name, arch, macros=macros(arch))]


def exist(era: Era) -> bool:
    """Whether prologues of the era can have a hook."""
    return bool(era.guards.poison_min)


def statements(text: str, file: str, era: Era, arch: Arch) -> list[Statement]:
    """The statements of a text that uses the era's macros and the calls of hooks. Raises AsmError."""
    return source.parse(text, file, arch, macros=[*source.macros(era.name, arch.name), *macros(arch)])
