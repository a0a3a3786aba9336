"""2014: the newest segment is copied to one twice as large if all its frames may be moved; else one is linked."""

from __future__ import annotations

from arch.runtimes import BRANCHES, Status
from emu.runtime import fields
from emu.runtime.copying import Copying
from emu.runtime.failures import Throw
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.segmented import Segmented
from emu.runtime.stacks import Stack
from emu.runtime.struct import Struct

_REFLECT = 1  # the frame size by which newstackcall says that it is no stack check


class Hybrid(Segmented, Copying):
    """Both ways of growing. ``copies``: off, every growth links, as under GOCOPYSTACK=0."""

    copies = True

    def set_stack(self, goroutine: Goroutine, stack: Stack) -> int:
        goroutine.g["stacksize"] = stack.size
        return super().set_stack(goroutine, stack)

    def resume(self, goroutine: Goroutine) -> None:
        self.gogo(goroutine.sched)

    def newstack(self) -> None:
        """The order of the tests is the era's own."""
        m = self.m
        if m["forkstackguard"]:
            raise Throw("split stack after fork")
        if m["morebuf.g"] != m["curg"]:
            raise Throw("runtime: wrong goroutine in newstack")
        goroutine = self.current()
        status, goroutine.status = goroutine.status, Status.WAITING
        g, sched = goroutine.g, goroutine.sched
        frame, args = fields.get(m, "moreframesize"), fields.get(m, "moreargsize")
        if frame != _REFLECT:
            sched["pc"] = self.rewind(sched["pc"])
        if sched["sp"] - self.pushed < g["stackguard"] - self.era.guards.guard:
            raise Throw("runtime: split stack overflow")
        self.check_args(args)
        function = self.session.function_at(sched["pc"])
        if g["stackguard0"] == self.special("StackPreempt"):
            self._asked(goroutine, status, function)
        elif self.copies and all(f.function.copyable for f in self.frames(goroutine, made=False)):
            self._copy(goroutine, status, function)
        else:
            self._link(goroutine, status, function, frame, args)

    def rewind(self, pc: int) -> int:
        """The start of the function whose check called morestack: where the branch after the call leads."""
        for branch in BRANCHES[self.arch.name]:
            code = self.process.machine.read(pc, max(branch.opcode_at + 1, branch.start + branch.size))
            if code[branch.opcode_at] == branch.opcode:
                distance = int.from_bytes(code[branch.start : branch.start + branch.size], "little", signed=True)
                return pc + branch.origin + branch.unit * distance
        raise Throw("runtime: misuse of rewindmorestack")

    def _asked(self, goroutine: Goroutine, status: Status, function: str) -> None:
        self.refuse_preempt(goroutine, status)
        goroutine.status = status
        if self.keeps_running(status):
            self.spare(goroutine, function)
        else:
            self.give_way(goroutine, function)

    def _copy(self, goroutine: Goroutine, status: Status, function: str) -> None:
        old = goroutine.stack
        self._account(goroutine, old.size)
        self.copy_stack(goroutine, 2 * old.size)
        goroutine.status = status
        self.session.note(Event("copy", goroutine, function, old, goroutine.stack))
        self.resume(goroutine)

    def _account(self, goroutine: Goroutine, more: int) -> None:
        goroutine.g["stacksize"] += more
        if goroutine.g["stacksize"] > self.max_stack:
            raise Throw("stack overflow")

    def _link(self, goroutine: Goroutine, status: Status, function: str, frame: int, args: int) -> None:
        needed = max(frame + args + self.era.guards.extra, self.era.guards.minimum)
        size = 1 << (needed - 1).bit_length()
        self._account(goroutine, size)
        sched = goroutine.sched
        top = self.link(goroutine, size, args)
        label = self.label(goroutine, top, args)
        self.start_call(label, sched["pc"], sched["ctxt"])
        sched["ctxt"] = 0
        for field in ("moreargp", "morebuf.pc", "morebuf.sp"):
            self.m[field] = 0
        goroutine.status = status
        self.session.note(Event("link", goroutine, function, goroutine.stacks[-2], goroutine.stack))
        self.gogo(label)

    def fill_top(self, goroutine: Goroutine, address: int, args: int, free: int) -> Struct:
        top = super().fill_top(goroutine, address, args, free)
        fields.put(top, "panicwrap", fields.get(goroutine.g, "panicwrap"))
        fields.put(goroutine.g, "panicwrap", 0)
        return top

    def moved(self, goroutine: Goroutine) -> None:
        base = goroutine.stack.hi - self.layout.sizes["stktop"]
        self.set_bounds(goroutine, base, self.true_guard(goroutine))

    def oldstack(self) -> None:
        """A pending request to preempt is dropped: the guard is restored from the true one."""
        goroutine = self.current()
        status, goroutine.status = goroutine.status, Status.WAITING
        result, self.m["cret"] = self.m["cret"], 0
        goroutine.g["stacksize"] -= goroutine.stack.size
        fields.copy(self.take_top(goroutine), goroutine.sched)
        goroutine.sched["ret"] = result
        goroutine.status = status
        self.gogo(goroutine.sched)
