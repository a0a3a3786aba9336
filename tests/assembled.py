"""Small programs for the tests: one text per architecture, assembled where a target's code would stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import arch as arches
from arch import golang
from arch.model import Arch
from asm import source
from asm.assembler import assemble
from asm.program import Program, Segment
from emu.process import Process
from emu.target import CODE, DATA, OUTSIDE_GATES, RUNTIME_GATES, Target, gates

ARCHES = tuple(arches.ARCHES)
GATES = gates(RUNTIME_GATES + OUTSIDE_GATES)


def program(arch: Arch, text: str, names: Mapping[str, int] | None = None) -> Program:
    """``text`` as a program at `CODE`, with a page of writable data at `DATA` (the name ``data``): 64 counted bytes."""
    given = {"data": DATA, **(names or {})}
    made = assemble(source.parse(text, "test.s", arch), arch, base=CODE, names=given, gates=GATES)
    data = Segment(DATA, bytes(range(1, 65)), 0x100, writable=True, executable=False)
    return replace(made, segments=(*made.segments, data))


def process(arch_name: str, text: str) -> Process:
    """A process that stands at the label ``start`` of ``text``, SP at the end of its region ``stack``."""
    arch = arches.get(arch_name)
    made = Process(arch, program(arch, text))
    stack = made.add_region("stack", 0x1000)
    made.reset()
    made.set_role("sp", stack.end)
    made.set_role("pc", made.program.symbol("start").address)
    return made


def target(era_name: str, arch_name: str, text: str) -> Target:
    """A target whose routines are the global labels of ``text``, in which the era's names mean what they do there."""
    arch, era = arches.get(arch_name), golang.era(era_name)
    made = program(arch, text, era.names(arch))
    return Target(arch, era, made, made.symbols, {"iscgo": DATA, "tls_g": DATA + 16})
