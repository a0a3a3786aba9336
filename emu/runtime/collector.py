"""The collector of 2011, as far as it concerns stacks: it stops the world, scans a goroutine's segments, and sweeps.

Its routines are generators of accesses (`emu.access`). Sources: the facts of runtime.gc, mark, scanstack and scanblock
at 370276a3e58c. Marking is conservative: every word that leads into a block marks it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arch.layout import Layout
from arch.runtimes import Status
from emu.access import Accesses, acquire, get, put, read_bytes, until
from emu.process import Process
from emu.runtime.arena import Arena
from emu.runtime.failures import Crash, Throw
from emu.runtime.struct import Struct

FIELDS = ("lock", "mcpu", "mcpumax", "gcwaiting", "waitstop", "stopped", "readyonstop")
"""Words of the scheduler that matter here. ``readyonstop`` is g's in Go; the era's layout does not have it."""


def sched_layout(word: int) -> Layout:
    """The layout of our `sched`."""
    offsets = {f"sched.{name}": index * word for index, name in enumerate(FIELDS)}
    return Layout(word, offsets, {"sched": len(FIELDS) * word})


def new_sched(process: Process, procs: int) -> Struct:
    """A scheduler with all of its ``procs`` threads running."""
    region = process.add_region("sched", len(FIELDS) * process.arch.word)
    sched = Struct(process, sched_layout(process.arch.word), "sched", region.address, "sched")
    for name in FIELDS:
        sched[name] = 0
    sched["mcpu"] = sched["mcpumax"] = procs
    return sched


@dataclass(frozen=True)
class Length:
    """How the difference of two pointers becomes the length that scanblock loops to.

    ``unsigned``: as an unsigned word, which is then a positive number of 64 bits where words have 32; otherwise as a
    signed one. ``wraps``: the loop takes a negative length for one near 2**64; otherwise it is not entered.
    """

    name: str
    unsigned: Mapping[int, bool]
    wraps: bool

    def passed(self, difference: int, word: int) -> int:
        """The argument of 64 bits, signed."""
        return difference % (1 << 8 * word) if self.unsigned[word] else difference

    def looped(self, passed: int) -> int:
        """How many bytes the loop covers."""
        return passed % (1 << 64) if self.wraps else max(passed, 0)


LENGTHS = {
    length.name: length
    for length in (
        Length("as the commit tells it", {4: True, 8: False}, wraps=False),
        Length("by the C front end's rules", {4: False, 8: False}, wraps=True),
    )
}
"""Two readings of one conversion. Which of them that day's compiler made is not known; no run here can decide it."""


@dataclass(frozen=True)
class Scanning:
    """How scanstack and scanblock are written. ``tests``: whose gcstack decides whether the saved triple is used: of
    ``gp``, the goroutine that is scanned, of ``g``, the one that collects, or of nobody, "". ``checks``: they throw
    when what they find can't be true. ``length``: see there.
    """

    tests: str
    checks: bool
    length: Length


@dataclass(frozen=True)
class Collector:
    """What it works on: ``gp`` is scanned, ``g`` is its own. ``dead``: blocks that it ought to free."""

    arena: Arena
    sched: Struct
    gp: Struct
    g: Struct
    guard: int
    procs: int
    dead: frozenset[str]
    scanning: Scanning

    def run(self) -> Accesses[None]:
        """One collection. Raises Throw, Crash, Kept."""
        yield from self._stop_the_world()
        status = yield from get(self.gp, "status")
        if status == Status.RUNNING:
            raise Throw("mark - world not stopped")
        marked: set[str] = set()
        told: list[str] = []
        if status != Status.DEAD:
            yield from self._scanstack(marked, told)
        yield from self.arena.sweep(frozenset(marked), self.dead, ", ".join(told))
        yield from self._start_the_world()

    def _stop_the_world(self) -> Accesses[None]:
        """Goroutines in system calls do not count: nobody waits for them."""
        sched, word = self.sched, self.arena.word
        yield from acquire(sched.at("lock"), word)
        yield from put(sched, "gcwaiting", 1)
        yield from put(sched, "mcpumax", 1)
        while (yield from get(sched, "mcpu")) > 1:
            yield from put(sched, "stopped", 0)
            yield from put(sched, "waitstop", 1)
            yield from put(sched, "lock", 0)
            yield from until(sched.at("stopped"), word, 1)
            yield from acquire(sched.at("lock"), word)
        yield from put(sched, "lock", 0)

    def _start_the_world(self) -> Accesses[None]:
        yield from acquire(self.sched.at("lock"), self.arena.word)
        yield from put(self.sched, "mcpumax", self.procs)
        yield from put(self.sched, "gcwaiting", 0)
        yield from put(self.sched, "lock", 0)

    def _scanstack(self, marked: set[str], told: list[str]) -> Accesses[None]:
        """Each segment of gp from its SP up to its base. The order of the reads is that of the C text."""
        gp, rule = self.gp, self.scanning
        stk = yield from get(gp, "stackbase")
        guard = (yield from get(gp, "stackguard")) if rule.checks else 0
        sp = yield from get(gp, "sched.sp")
        if rule.tests and (yield from get({"g": self.g, "gp": gp}[rule.tests], "gcstack")):
            stk = yield from get(gp, "gcstack")
            sp = yield from get(gp, "gcsp")
            guard = yield from get(gp, "gcguard")
        while stk:
            if rule.checks and (sp < guard - self.guard or stk < sp):
                raise Throw(f"scanstack: {self._from(sp, stk)}, guard {self.arena.describe(guard)}")
            yield from self._scanblock(sp, stk, marked, told)
            top = Struct(gp.process, gp.layout, "stktop", stk, "stktop")
            sp = yield from get(top, "gobuf.sp")
            if rule.checks:
                guard = yield from get(top, "stackguard")
            stk = yield from get(top, "stackbase")

    def _from(self, sp: int, stk: int) -> str:
        return f"from sp {self.arena.describe(sp)} to base {self.arena.describe(stk)}"

    def _scanblock(self, sp: int, stk: int, marked: set[str], told: list[str]) -> Accesses[None]:
        """Mark what the words from ``sp`` on lead to, and what the words of that lead to."""
        arena, rule = self.arena, self.scanning
        passed = rule.length.passed(stk - sp, arena.word)
        if rule.checks and not 0 <= passed < 1 << 8 * arena.word:
            raise Throw(f"scanblock: {passed} bytes {self._from(sp, stk)}")
        looped = rule.length.looped(passed)
        text = f"{looped} bytes (length {passed}) {self._from(sp, stk)}"
        if sp + looped > arena.end:
            raise Crash(f"scanblock runs into what is not mapped: {text}")
        told.append(text)
        ranges = [(sp, looped)]
        while ranges:
            at, size = ranges.pop()
            for block in arena.led_to((yield from read_bytes(at, size))):
                if block.name not in marked:
                    marked.add(block.name)
                    ranges.append((block.address, block.size))
