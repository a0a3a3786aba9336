"""Traces for the comparisons: of routines as they are, and with some of their instructions changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from emu import freerun
from emu import target as targets
from emu.check import world_of
from emu.target import Target
from emu.trace.align import SAME, Crossing, Pair, crossings
from emu.trace.meaning import passages
from emu.trace.model import Recording
from emu.trace.steps import steps


def trace(target: Target, routine: str, scene: str | None = None, budget: int = 10_000) -> Recording:
    """A routine's run."""
    recording = freerun.trace(target, routine, scene, budget).recording
    assert recording is not None
    return recording


def of_era(arch: str, routine: str, era: str = "modern", scene: str | None = None) -> Recording:
    """A run of a routine of our own sources."""
    return trace(targets.of_era(era, arch), routine, scene)


def compared(a: Recording, b: Recording) -> list[Crossing]:
    """Both side by side."""
    return list(crossings(passages(a), passages(b), (a.header, b.header)))


def differences(a: Recording, b: Recording) -> list[Pair]:
    """What is not carried alike."""
    return [pair for crossing in compared(a, b) for pair in crossing.pairs if pair.mark != SAME]


def shown(pairs: list[Pair]) -> list[str]:
    """Differences as short texts: mark, place and sources."""
    texts = []
    for pair in pairs:
        effect = pair.a or pair.b
        assert effect is not None
        sources = [side.source.text for side in (pair.a, pair.b) if side is not None]
        texts.append(f"{pair.mark} {effect.place.text} ← {' | '.join(dict.fromkeys(sources))}")
    return texts


@contextmanager
def patched(target: Target, address: int, code: bytes) -> Iterator[None]:
    """Other machine code at an address, for the traces that are made meanwhile."""
    process = world_of(target).process
    process.patch(address, code)
    try:
        yield
    finally:
        process.unpatch()


class Insn(NamedTuple):
    """An executed instruction, with the places that it wrote."""

    step: int
    pc: int
    code: bytes
    text: str
    writes: bool


def instructions(recording: Recording) -> list[Insn]:
    """What ran, in order."""
    return [
        Insn(step.number, step.pc, step.code, step.text, any(access.write for access in step.accesses))
        for step in steps(recording)
    ]


def without(target: Target, routine: str, insn: Insn) -> Recording:
    """The routine's run with no-ops in place of an instruction."""
    nop = target.arch.nop
    with patched(target, insn.pc, nop * (len(insn.code) // len(nop))):
        return trace(target, routine)


def reordered(target: Target, routine: str, insns: list[Insn]) -> Recording:
    """The routine's run with instructions that stand behind each other in memory in this order instead."""
    with patched(target, min(insn.pc for insn in insns), b"".join(insn.code for insn in insns)):
        return trace(target, routine)
