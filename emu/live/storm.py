"""A storm: SIGURG at every instruction of the trampolines, one run of the program for each.

The signal is sent to the thread that first comes to the instruction where it takes it; if none ever does, to the one
that first comes there while it blocks the signal, and takes it later. A program's output must not depend on that.
"""

from __future__ import annotations

import gc
import os
import signal as host
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Literal, NamedTuple

from arch.signals import SIG_DFL, SIG_IGN, Code, Signal
from asm.goelf import GoBinary
from emu.kernel import signals
from emu.kernel.table import Thread
from emu.live.run import LiveRun, Settings, open_program
from emu.live.trampolines import instructions, routines

PATIENCE = 4  # times the blocks of the undisturbed run that a disturbed one may take
Hears = Literal["takes", "blocks", "never"]
Then = Literal["wait", "done", "handler"]  # what follows at a breakpoint: another visit, no more of them, a handler
_RANKS: dict[Hears, int] = {"never": 0, "blocks": 1, "takes": 2}


class Outcome(NamedTuple):
    """How a run ended, in plain values. ``output``: of both descriptors. ``broken``: the checks that did not hold.

    ``disturbed``: whether the signal was sent.
    """

    kind: str
    status: int
    output: tuple[bytes, bytes]
    broken: tuple[str, ...]
    blocks: int
    disturbed: bool = False


@dataclass(frozen=True)
class Job:
    """One run of the program at ``path``, with the signal at ``address``, sent to a thread that ``hears`` it so."""

    path: str
    arguments: tuple[str, ...]
    settings: Settings
    address: int
    hears: Hears


class Difference(NamedTuple):
    """A run that did not end as the undisturbed one. ``what``: no end, exit, output or checks."""

    place: str
    what: str
    expected: str
    found: str


@dataclass
class Storm:
    """A campaign. ``calm``: the run without a signal. ``unheard``: instructions that ran only where nobody would have
    heard of the signal; ``unreached``: those that never ran; ``jobs``: of the others, independent of each other."""

    binary: GoBinary
    calm: Outcome
    jobs: list[Job] = field(default_factory=list)
    unheard: int = 0
    unreached: int = 0

    def run(self, executor: Executor) -> Iterator[Difference | None]:
        """Run the jobs: for each, in order, how its run differed, or None."""
        for job, outcome in zip(self.jobs, executor.map(disturbed, self.jobs), strict=True):
            self.unheard += not outcome.disturbed
            yield self.compare(self.binary.program.describe(job.address), outcome)

    def compare(self, place: str, found: Outcome) -> Difference | None:
        """How a run with the signal at ``place`` differs from the one without; None if it does not."""
        calm = self.calm
        if found.broken:
            return Difference(place, "checks", "all hold", found.broken[0])
        if found.kind != calm.kind:
            what = "no end" if found.kind == "budget" else "exit"
            return Difference(place, what, calm.kind, found.kind)
        if found.status != calm.status:
            return Difference(place, "exit", f"status {calm.status:#x}", f"status {found.status:#x}")
        for name, was, now in zip(("output", "error output"), calm.output, found.output, strict=True):
            if was != now:
                return Difference(place, name, *_around(was, now))
        return None


def _around(was: bytes, now: bytes) -> tuple[str, str]:
    """Where two outputs begin to differ, as text."""
    pairs = enumerate(zip(was, now, strict=False))
    same = next((at for at, (one, other) in pairs if one != other), min(len(was), len(now)))
    first = was.rfind(b"\n", 0, same) + 1
    return repr(was[first : same + 40]), repr(now[first : same + 40])


def storm(binary: GoBinary, arguments: Sequence[str], settings: Settings) -> Storm:
    """Run the program undisturbed, find out which instructions it runs, and make a job of each."""
    quiet = replace(settings, host=False)
    calm = ended(LiveRun(binary, arguments, quiet))
    made = Storm(binary, calm)
    if calm.kind != "ended" or calm.broken:
        return made
    limits = replace(quiet.limits, blocks=min(quiet.limits.blocks, PATIENCE * calm.blocks))
    patient = replace(quiet, limits=limits)
    for address, hears in reached(LiveRun(binary, arguments, patient)).items():
        if hears is None:
            made.unreached += 1
        elif hears == "never":
            made.unheard += 1
        else:
            made.jobs.append(Job(str(binary.path), tuple(arguments), patient, address, hears))
    return made


def workers() -> Executor:
    """As many processes as this one may use CPUs. A storm may be given any other executor."""
    return ProcessPoolExecutor(len(os.sched_getaffinity(0)), initializer=_quiet)


def _quiet() -> None:
    """An interrupt ends the process that waits for the results, and it ends this one."""
    host.signal(host.SIGINT, host.SIG_IGN)


_open = lru_cache(maxsize=1)(open_program)


def disturbed(job: Job) -> Outcome:
    """The run of one job."""
    live = LiveRun(_open(job.path), job.arguments, job.settings)
    visit = _Visit(live, job.address, partial(_send, job.hears))
    found = ended(live)._replace(disturbed=visit.done)
    del live, visit
    gc.collect()  # an engine with hooks is a cycle
    return found


def ended(live: LiveRun) -> Outcome:
    """Run it to its end."""
    ending = live.run()
    output = live.kernel.output
    broken = tuple(f"{b.routine}: {b.what}: expected {b.expected}, found {b.found}" for b in live.found)
    return Outcome(ending.kind, ending.status, (bytes(output[1]), bytes(output[2])), broken, live.blocks)


class _Visit:
    """A breakpoint in front of the one that may be there already, until ``come`` says that it has done its work."""

    def __init__(self, live: LiveRun, address: int, come: Callable[[Thread], Then]) -> None:
        self._machine, self._main = live.process.machine, live.kernel.main.task
        self._come, self.done = come, False
        self._before = live.process.at.get(address)
        self._hook = self._machine.breakpoint(address) if self._before is None else None
        live.process.at[address] = self._arrive

    def _arrive(self, thread: Thread) -> None:
        then: Then = "wait"
        if not self.done and thread.task is self._main:
            then = self._come(thread)
            self.done = then != "wait"
            if self.done and self._hook is not None:
                self._machine.unhook(self._hook)
        if self._before is not None and then != "handler":  # control comes here again when the handler is through
            self._before(thread)


def _hears(thread: Thread) -> Hears:
    """What would come of the signal if it were sent to a thread now."""
    if thread.task.signals.action(Signal.SIGURG).handler in (SIG_DFL, SIG_IGN):
        return "never"
    return "blocks" if signals.blocks(thread, Signal.SIGURG) else "takes"


def _send(wanted: Hears, thread: Thread) -> Then:
    if _hears(thread) != wanted:
        return "wait"
    signals.send_thread(thread, signals.sent_by(thread, Signal.SIGURG, Code.TKILL))
    return "handler" if wanted == "takes" else "done"


def reached(live: LiveRun) -> dict[int, Hears | None]:
    """Address of each instruction -> the best that could be said of a thread that came there; None if none did."""
    found: dict[int, Hears | None] = {}

    def come(address: int, thread: Thread) -> Then:
        heard = _hears(thread)
        best = found[address]
        if best is None or _RANKS[heard] > _RANKS[best]:
            found[address] = heard
        return "done" if heard == "takes" else "wait"

    for symbol in routines(live.binary):
        for instruction in instructions(live.binary, symbol):
            found[instruction.address] = None
            _Visit(live, instruction.address, partial(come, instruction.address))
    live.run()
    return found
