"""2011: stacks are lists of segments. newstack links one, oldstack takes it away again; nothing is ever moved."""

from __future__ import annotations

from emu.access import finish
from emu.runtime import fields, segments
from emu.runtime.failures import Throw
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.schedule import Runtime
from emu.runtime.stacks import Stack
from emu.runtime.struct import Struct

_REFLECT = 1  # the frame size by which reflect.call says that it is no stack check
_SPARE = 32  # bytes that must be left below a Stktop that is made inside a segment


class Segmented(Runtime):
    """Linked segments, each with a Stktop at its top."""

    def set_stack(self, goroutine: Goroutine, stack: Stack) -> int:
        top = stack.hi - self.layout.sizes["stktop"]
        fields.clear(Struct(self.process, self.layout, "stktop", top, "stktop"))
        self.set_bounds(goroutine, top, self.true_guard(goroutine))
        return top

    def set_bounds(self, goroutine: Goroutine, base: int, guard: int) -> None:
        """Write stackbase and every guard word that the era has."""
        finish(self.process, segments.set_bounds(goroutine.g, base, guard))

    def resume(self, goroutine: Goroutine) -> None:
        """A goroutine that never ran is still at goexit: its function is called from there."""
        sched = goroutine.sched
        if sched["pc"] == self.session.code("goexit"):
            entry = goroutine.g["entry"]
            self.session.call("gogocall", sched.address, entry, 0, until=entry)
        else:
            self.gogo(sched, 0)

    # growth

    def newstack(self) -> None:
        goroutine, m = self.current(), self.m
        frame, args = fields.get(m, "moreframesize"), fields.get(m, "moreargsize")
        if m["morebuf.sp"] < goroutine.g["stackguard"] - self.era.guards.guard:
            raise Throw("runtime: split stack overflow")
        self.check_args(args)
        function = self.session.function_at(m["morepc"])
        top = self.make_top(goroutine, frame, args)
        label = self.label(goroutine, top, args)
        self.session.note(Event("link", goroutine, function, goroutine.stacks[-2], goroutine.stack))
        self.session.call("gogocall", label.address, m["morepc"], 0, until=m["morepc"])

    def check_args(self, args: int) -> None:
        """Arguments are copied by words."""
        if args % self.arch.word:
            raise Throw("runtime: stack split argsize")

    def make_top(self, goroutine: Goroutine, frame: int, args: int) -> Struct:
        """Make the Stktop of a new segment, or, for reflect.call with room to spare, one inside this segment."""
        below = self.m["morebuf.sp"] - self.layout.sizes["stktop"]
        if frame == _REFLECT and below - args - _SPARE > goroutine.g["stackguard"]:
            goroutine.stacks.append(goroutine.stack)
            return self.fill_top(goroutine, below, args, 0)
        size = max(frame + args + self.era.guards.extra, self.era.guards.minimum)
        return self.link(goroutine, size, args)

    def link(self, goroutine: Goroutine, size: int, args: int) -> Struct:
        """Make a segment and its Stktop; g is on it from now on."""
        stack = self.new_stack(size, goroutine)
        goroutine.stacks.append(stack)
        return self.fill_top(goroutine, stack.hi - self.layout.sizes["stktop"], args, size)

    def fill_top(self, goroutine: Goroutine, address: int, args: int, free: int) -> Struct:
        """Note in a Stktop where to go back to, and set g's bounds for the newest segment."""
        g, top = goroutine.g, Struct(self.process, self.layout, "stktop", address, "stktop")
        fields.clear(top)
        finish(self.process, segments.fill_top(g, self.m, top, args, free, self.true_guard(goroutine)))
        return top

    def label(self, goroutine: Goroutine, top: Struct, args: int) -> Struct:
        """Copy the arguments below ``top``, and describe a state in which they were passed by lessstack."""
        link = not self.arch.call.return_on_stack
        sp = finish(self.process, segments.pass_arguments(self.m, top, args, link))
        label = self.scratch("gobuf")
        label["sp"], label["pc"], label["g"] = sp, self.session.entry("lessstack"), goroutine.g.address
        return label

    # and back

    def oldstack(self) -> None:
        goroutine = self.current()
        old, result = self.scratch("gobuf"), self.m["cret"]
        fields.copy(self.take_top(goroutine), old)
        self.gogo(old, result)

    def take_top(self, goroutine: Goroutine) -> Struct:
        """Copy results back, free the newest segment, restore the older one's bounds; returns a copy of its gobuf."""
        g, top = goroutine.g, Struct(self.process, self.layout, "stktop", goroutine.g["stackbase"], "stktop")
        finish(self.process, segments.return_results(top))
        self.process.word(top["gobuf.g"])  # a bad one faults here
        kept = self.scratch("stktop")
        fields.copy(top, kept)
        segment = goroutine.stacks.pop()
        self.session.note(Event("unlink", goroutine, "", segment, goroutine.stack))
        size = top["free"] if top.has("free") else segment.size
        if size:
            self.session.stacks.free(g["stackguard"] - self.era.guards.guard, size)
        self.set_bounds(goroutine, kept["stackbase"], kept["stackguard"])
        if g.has("panicwrap"):
            fields.put(g, "panicwrap", fields.get(kept, "panicwrap"))
        return kept.part("gobuf", "gobuf")
