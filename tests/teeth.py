"""Whole programs with one instruction of their trampolines changed: what the output shows, and what only checks see."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from time import process_time
from typing import Any

from sweep.mutate import encode, mutants, read
from sweep.run import Survivor
from teeth_report import KINDS

import arch as arches
from asm.goelf import GoBinary
from emu.live.loop import Limits
from emu.live.run import LiveRun, Settings, open_program
from emu.live.storm import Outcome, ended, reached
from emu.live.trampolines import instructions, routines

OPERATORS = ("nop", "displacement up", "displacement down")
_PATIENCE = 2  # times the blocks of the unchanged program
_SETTINGS = Settings(keep_going=True, limits=Limits(100_000_000, seed=0))


@dataclass(frozen=True)
class Job:
    """A program with ``code`` at ``address``; ``blocks``: what it may run."""

    path: str
    address: int
    code: bytes
    blocks: int


@dataclass
class Bite:
    """The counts for one program, and what is to be explained. ``unreached``: instructions that never run."""

    version: str
    arch: str
    seen: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    unreached: int = 0
    unencodable: int = 0
    silent: list[Survivor] = field(default_factory=list)
    unseen: list[Survivor] = field(default_factory=list)
    seconds: float = 0.0

    def record(self) -> dict[str, Any]:
        """What goes into a test's report: plain values only."""
        return asdict(self)


def bite(path: Path, version: str, arch: str, executor: Executor, every: int = 1) -> Bite:
    """Run every change of a program's trampolines, or one in ``every`` so many.

    AssertionError if the unchanged program is not right.

    ``silent``: changes that leave the output right, and that only checks notice. ``unseen``: that nothing notices.
    """
    binary, found = open_program(str(path)), Bite(version, arch)
    right = ended(LiveRun(binary, (), _SETTINGS))
    assert (right.kind, right.broken) == ("ended", ()), right
    changes = list(_changes(binary, found))[::every]
    jobs = [Job(str(path), address, code, _PATIENCE * right.blocks) for address, code, _ in changes]
    for job, (_, _, change), (checked, seconds) in zip(jobs, changes, executor.map(run, jobs), strict=True):
        found.seconds += seconds
        same = _same(checked, right)
        if checked.broken and same:  # checks cost virtual time: another place may be struck without them
            alone, seconds = run(job, checks=False)
            found.seconds += seconds
            same = _same(alone, right)
        kind = ("neither" if same else "output") if not checked.broken else ("checks" if same else "both")
        found.seen[kind] += 1
        if kind == "neither":
            found.unseen.append(change)
        if kind == "checks":
            found.silent.append(change)
    return found


def _same(one: Outcome, other: Outcome) -> bool:
    return (one.kind, one.status, one.output) == (other.kind, other.status, other.output)


def _changes(binary: GoBinary, found: Bite) -> Iterator[tuple[int, bytes, Survivor]]:
    """Address, bytes, and what they mean, of every change of an instruction that is executed."""
    arch = arches.get(binary.arch)
    heard = reached(LiveRun(binary, (), _SETTINGS))
    for symbol in routines(binary):
        name = symbol.name.removesuffix(".abi0").rsplit(".", 1)[-1]
        for instruction in instructions(binary, symbol):
            insn = read(arch, instruction.code, instruction.address)
            if insn is None or heard[instruction.address] is None:
                found.unreached += 1
                continue
            for mutant in mutants(arch, insn):
                if mutant.operator in OPERATORS:
                    code = encode(arch, mutant)
                    if code is None or len(code) > mutant.size:
                        found.unencodable += 1
                    elif code != insn.code:
                        yield insn.address, code, Survivor(name, mutant.operator, mutant.shown, mutant.change, True)


_open = lru_cache(maxsize=1)(open_program)


def run(job: Job, checks: bool = True) -> tuple[Outcome, float]:
    """How a changed program ends, and the CPU's seconds that it took."""
    begun = process_time()
    settings = replace(_SETTINGS, checked=checks, limits=replace(_SETTINGS.limits, blocks=job.blocks))
    live = LiveRun(_open(job.path), (), settings)
    live.process.machine.write(job.address, job.code)
    found = ended(live)
    del live
    gc.collect()  # an engine with hooks is a cycle
    return found, process_time() - begun
