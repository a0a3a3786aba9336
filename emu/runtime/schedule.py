"""The scheduler that all eras share: goroutines are made, chosen, resumed by gogo, and end.

Its methods are gates: they run while the thread is on g0's stack, where mcall or morestack has left it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from arch.habits import habits
from arch.runtimes import RUNTIMES, Status
from emu.runtime import fields
from emu.runtime.failures import Deadlock, Throw
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.stacks import Stack
from emu.runtime.struct import Struct

if TYPE_CHECKING:
    from emu.session import Session


class Runtime(ABC):
    """The runtime of one era, for one session. Subclasses know its stacks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.era, self.arch, self.layout = session.era, session.arch, session.world.layout
        self.process = session.world.process
        self.facts = RUNTIMES[self.era.name]
        self.habits = habits(self.era.name, session.target.go)
        self.queue: deque[Goroutine] = deque()
        self.max_stack = (self.facts.limit or {}).get(self.arch.word, 0)

    @abstractmethod
    def set_stack(self, goroutine: Goroutine, stack: Stack) -> int:
        """Write a stack's bounds and guards into g; returns where its usable part ends."""

    @abstractmethod
    def newstack(self) -> None:
        """What morestack calls: the running goroutine's stack is too small, or its guard asks for something."""

    def oldstack(self) -> None:
        """What lessstack calls, in eras that have one: a function on a linked segment has returned."""
        raise Throw("oldstack in an era without segments")

    # the thread's structs

    @property
    def m(self) -> Struct:
        return self.session.world.m

    @property
    def pushed(self) -> int:
        """Bytes that a call pushes."""
        return self.arch.word if self.arch.call.return_on_stack else 0

    def current(self) -> Goroutine:
        """The goroutine that was running when the thread came to g0."""
        return self.session.goroutine(self.m["curg"])

    def true_guard(self, goroutine: Goroutine) -> int:
        """What the guard word is when it asks for nothing."""
        return goroutine.stack.lo + self.era.guards.guard

    def scratch(self, kind: str) -> Struct:
        """A zeroed struct in the running gate's own frame."""
        size = -(-self.layout.sizes[kind] // 16) * 16
        sp = (self.process.role("sp") - size) & -16
        self.process.set_role("sp", sp)
        made = Struct(self.process, self.layout, kind, sp, kind)
        fields.clear(made)
        return made

    def new_stack(self, size: int, goroutine: Goroutine) -> Stack:
        """Memory for a stack or segment, from the heap: that takes its lock."""
        self.session.heap.lock()
        stack = self.session.stacks.make(size, goroutine.name)
        self.session.heap.unlock()
        return stack

    # making goroutines

    def new(self, goroutine: Goroutine, arguments: tuple[int, ...]) -> None:
        """Fill a zeroed g as the era's newproc does: it will call its function, which returns to goexit."""
        g, sched, word = goroutine.g, goroutine.sched, self.arch.word
        top = self.set_stack(goroutine, goroutine.stack)
        sp = first = top - goroutine.words * word
        if not self.arch.call.return_on_stack:
            sp -= word  # where a caller would have saved its link
            self.process.set_word(sp, 0)
        for index, value in enumerate(arguments):
            self.process.set_word(first + index * word, value)
        goroutine.arguments_at = goroutine.stack.hi - first
        g["goid"] = self.session.count
        g["m"] = self.m.address
        sched["sp"], sched["pc"], sched["g"] = sp, self.session.code("goexit"), g.address
        if g.has("stktopsp"):
            g["stktopsp"] = sp
        if self.facts.starts == "entry":
            g["entry"] = self.session.code(goroutine.function)
        else:
            value = self.session.value(goroutine.function)
            self.start_call(sched, self.session.code(goroutine.function), value)
        self.ready(goroutine)

    def start_call(self, buf: Struct, fn: int, ctxt: int) -> None:
        """Make ``buf`` look as if it had just called ``fn``: what the eras since 2014 have instead of gogocall."""
        if self.arch.call.return_on_stack:
            buf["sp"] -= self.arch.word
            self.process.set_word(buf["sp"], buf["pc"])
        else:
            if buf["lr"]:
                raise Throw("invalid use of gostartcall")
            buf["lr"] = buf["pc"]
        buf["pc"], buf["ctxt"] = fn, ctxt

    # choosing and resuming

    def ready(self, goroutine: Goroutine) -> None:
        """It can run: to the end of the queue."""
        goroutine.status = Status.RUNNABLE
        self.queue.append(goroutine)

    def schedule(self) -> None:
        """Resume the goroutine that the policy chooses; end the session when none is left."""
        if "locks" in self.facts.keeps_running and fields.get(self.m, "locks"):
            raise Throw("schedule: holding locks")
        if not self.queue:
            waiting = [g.name for g in self.session.goroutines if g.status is Status.WAITING]
            if waiting:
                raise Deadlock(f"all goroutines are asleep: {', '.join(waiting)}")
            self.session.finished = True
            return
        chosen = self.session.policy(tuple(self.queue))
        if chosen not in self.queue:
            raise LookupError(f"the policy chose {chosen!r}, which is not runnable")
        self.queue.remove(chosen)
        self.execute(chosen)

    def execute(self, goroutine: Goroutine) -> None:
        """Run a goroutine now. A request to preempt it is taken back: it has waited long enough."""
        goroutine.status = Status.RUNNING
        self.m["curg"] = goroutine.g.address
        if goroutine.g.has("preempt"):
            fields.put(goroutine.g, "preempt", 0)
            goroutine.g[self.layout.guard.removeprefix("g.")] = self.true_guard(goroutine)
        self.session.note(Event("run", goroutine))
        self.resume(goroutine)

    def resume(self, goroutine: Goroutine) -> None:
        """Go on in what g.sched describes."""
        self.gogo(goroutine.sched)

    def gogo(self, buf: Struct, *more: int) -> None:
        """Leave g0 for ``buf``, by the era's own routine."""
        self.session.call("gogo", buf.address, *more, until=buf["pc"])

    # what goroutines ask of it, by mcall

    def gosched0(self) -> None:
        """It lets others run."""
        self.ready(self._leaving())
        self.schedule()

    def park0(self) -> None:
        """It waits until someone calls `ready`."""
        self._leaving().status = Status.WAITING
        self.schedule()

    def goexit0(self) -> None:
        """It has ended: its results are noted and its stacks freed."""
        goroutine, word = self._leaving(), self.arch.word
        first = goroutine.stacks[0].hi - goroutine.arguments_at
        goroutine.results = tuple(
            self.process.word(first + index * word) for index in range(goroutine.passed, goroutine.words)
        )
        goroutine.status = Status.DEAD
        for stack in goroutine.stacks:
            self.session.stacks.free(stack.lo, stack.size)
        self.schedule()

    def _leaving(self) -> Goroutine:
        """The goroutine that mcall hands over as fn's argument."""
        goroutine = self.session.goroutine(self.session.argument(0, routine="mcall"))
        self.m["curg"] = 0
        return goroutine

    # preemption through the guard

    def preempt(self, goroutine: Goroutine) -> None:
        """Ask a goroutine to give way at its next stack check. Raises ValueError where the era cannot."""
        if "StackPreempt" not in self.era.guards.special:
            raise ValueError(f"era {self.era.name} does not preempt")
        fields.put(goroutine.g, "preempt", 1)
        goroutine.g[self.layout.guard.removeprefix("g.")] = self.era.guards.special["StackPreempt"]

    def lock(self) -> None:
        """The thread must not lose its goroutine: it is not preempted meanwhile."""
        fields.put(self.m, "locks", fields.get(self.m, "locks") + 1)

    def unlock(self) -> None:
        """Undo a `lock`. With the last one, a request that was put off is put into the guard again."""
        left = fields.get(self.m, "locks") - 1
        fields.put(self.m, "locks", left)
        goroutine = self.current()
        if not left and goroutine.g.has("preempt") and fields.get(goroutine.g, "preempt"):
            self.preempt(goroutine)

    def special(self, name: str) -> int | None:
        """A special guard as a word; None where the era has none of this name."""
        value = self.era.guards.special.get(name)
        return None if value is None else value & self.arch.mask

    def keeps_running(self, status: Status) -> bool:
        """Whether a goroutine may not be preempted now."""
        busy = any(self._busy(name) for name in self.facts.keeps_running)
        return busy or not self.session.p_running or status in self.facts.spared

    def _busy(self, name: str) -> bool:
        """Whether a field of m is not 0; of a string, its length counts, which is the second word."""
        if name == "preemptoff":
            return self.process.word(self.m.at(name) + self.arch.word) != 0
        return fields.get(self.m, name) != 0

    def refuse_preempt(self, goroutine: Goroutine, status: Status) -> None:
        """Throw where a request to preempt can only be a mistake."""
        if goroutine.g.address == self.m["g0"]:
            raise Throw("runtime: preempt g0")
        unlocked = fields.get(self.m, "locks") == 0
        if status is Status.RUNNING and not self.m["p"] and unlocked:
            raise Throw("runtime: g is running but p is not")
        if self.facts.throws_first and status is Status.SYSCALL and unlocked:
            raise Throw("runtime: stack split during syscall")

    def spare(self, goroutine: Goroutine, function: str) -> None:
        """Let it keep running for now. g.preempt stays set: it will be preempted another time."""
        goroutine.g[self.layout.guard.removeprefix("g.")] = self.true_guard(goroutine)
        self.session.note(Event("spare", goroutine, function))
        self.resume(goroutine)

    def give_way(self, goroutine: Goroutine, function: str) -> None:
        """Act as if it had called gosched."""
        self.session.note(Event("preempt", goroutine, function))
        self.m["curg"] = 0
        self.ready(goroutine)
        self.schedule()
