"""2017 and later: one stack for each goroutine, copied to one at least twice as large when it is too small."""

from __future__ import annotations

from arch.runtimes import Status
from emu.runtime import fields
from emu.runtime.copying import Copying
from emu.runtime.failures import Throw
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.stacks import Stack
from emu.runtime.struct import Struct


class Contiguous(Copying):
    """Copied stacks, bounded by stack.lo and stack.hi."""

    def set_stack(self, goroutine: Goroutine, stack: Stack) -> int:
        g = goroutine.g
        g["stack.lo"], g["stack.hi"] = stack.lo, stack.hi
        g["stackguard0"] = stack.lo + self.era.guards.guard
        g["stackguard1"] = self.era.guards.guard1
        return stack.hi

    def newstack(self) -> None:
        """The order of the tests is the era's own."""
        m = self.m
        asked_for = Struct(self.process, self.layout, "g", m["morebuf.g"], "morebuf.g")
        if asked_for["stackguard0"] == self.special("StackFork"):
            raise Throw("stack growth after fork")
        if asked_for.address != m["curg"]:
            raise Throw("runtime: wrong goroutine in newstack")
        goroutine = self.current()
        g, sched = goroutine.g, goroutine.sched
        if self.habits.growth.ctxt == "argument":
            sched["ctxt"] = self.session.argument(0)
        if fields.get(g, "throwsplit"):
            raise Throw("runtime: stack split at bad time")
        for field in ("pc", "lr", "sp", "g"):
            m[f"morebuf.{field}"] = 0
        self._grow(goroutine, g["stackguard0"], self.session.function_at(sched["pc"]))

    def _grow(self, goroutine: Goroutine, guard: int, function: str) -> None:
        g, sched = goroutine.g, goroutine.sched
        asked = guard == self.special("StackPreempt")
        if asked and self.keeps_running(goroutine.status):
            self.spare(goroutine, function)
            return
        if g["stack.lo"] == 0:
            raise Throw("missing stack in newstack")
        if sched["sp"] - self.pushed < g["stack.lo"]:
            raise Throw("runtime: split stack overflow")
        if asked:
            self.refuse_preempt(goroutine, Status.RUNNING)
            self.give_way(goroutine, function)
            return
        size = self.new_size(goroutine, guard, function)
        if size > self.max_stack:
            raise Throw("stack overflow")
        goroutine.status = Status.COPYSTACK
        old = goroutine.stack
        self.copy_stack(goroutine, size)
        goroutine.status = Status.RUNNING
        self.session.note(Event("copy", goroutine, function, old, goroutine.stack))
        self.resume(goroutine)

    def new_size(self, goroutine: Goroutine, guard: int, function: str) -> int:
        """Twice the old size; where the era looks at the frame, doubled until it fits."""
        old = goroutine.stack
        size = 2 * old.size
        if self.facts.fits:
            needed = self.session.guests.frames[function] + self.era.guards.guard
            while size - (old.hi - goroutine.sched["sp"]) < needed:
                size *= 2
        if self.facts.forces and guard == self.special(self.facts.forces):
            return old.size
        return size

    def moved(self, goroutine: Goroutine) -> None:
        self.set_stack(goroutine, goroutine.stack)
