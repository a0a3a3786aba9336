"""Moving a stack: copy what is used, adjust what is declared to point into it, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from emu.process import Process
from emu.runtime.frames import Frame, walk
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.schedule import Runtime
from emu.runtime.stacks import Stack


@dataclass(frozen=True)
class Move:
    """From ``old`` to ``delta`` bytes above it."""

    process: Process
    old: Stack
    delta: int

    def adjust(self, address: int) -> None:
        """The word at ``address`` is a pointer: make it follow if it pointed into the old stack."""
        value = self.process.word(address)
        if value in self.old:
            self.process.set_word(address, value + self.delta)


class Copying(Runtime):
    """What the eras that move stacks share."""

    def frames(self, goroutine: Goroutine, made: bool) -> list[Frame]:
        """The frames on the newest stack of a goroutine that does not run. ``made``: not in a stack check."""
        ends = [self.session.code("goexit")]
        if "lessstack" in self.session.target.routines:
            ends.append(self.session.entry("lessstack"))
        sched = goroutine.sched
        link = sched["lr"] if not self.arch.call.return_on_stack else 0
        return list(walk(self.process, self.session.guests, ends, sched["pc"], sched["sp"], link, made))

    def copy_stack(self, goroutine: Goroutine, size: int, made: bool = False) -> None:
        """Move the newest stack of a goroutine to one of ``size`` bytes, and free the old one."""
        old, sched = goroutine.stack, goroutine.sched
        frames = self.frames(goroutine, made)
        used = old.hi - sched["sp"]
        new = self.new_stack(size, goroutine)
        self.process.write(new.hi - used, self.process.machine.read(old.hi - used, used))
        move = Move(self.process, old, new.hi - old.hi)
        self.adjust_sched(goroutine, move)
        for frame in frames:
            self.adjust_frame(frame, move)
        goroutine.stacks[-1] = new
        self.moved(goroutine)
        sched["sp"] = new.hi - used
        self.session.stacks.free(old.lo, old.size)

    def moved(self, goroutine: Goroutine) -> None:
        """Write the bounds and guards of the new stack into g. A request to preempt is lost with the old guard."""
        raise NotImplementedError

    def adjust_sched(self, goroutine: Goroutine, move: Move) -> None:
        """The closure context and frame pointer that a goroutine will be resumed with; where its first frame is."""
        for field in ("ctxt", "bp"):
            if goroutine.sched.has(field):
                move.adjust(goroutine.sched.at(field))
        if goroutine.g.has("stktopsp"):
            goroutine.g["stktopsp"] += move.delta

    def adjust_frame(self, frame: Frame, move: Move) -> None:
        """The declared words of a frame, in its copy: arguments, and slots and frame pointer once they exist."""
        word, call = self.arch.word, self.arch.call
        entry = frame.entry + move.delta
        for index in frame.function.argument_pointers:
            move.adjust(entry + call.first_argument + index * word)
        if frame.made:
            slots = entry - frame.size + (0 if call.return_on_stack else word)
            for slot in frame.function.pointers:
                move.adjust(slots + slot * word)
            if self.session.guests.links:
                move.adjust(entry - word)

    def shrink(self, goroutine: Goroutine) -> bool:
        """Halve the stack of a goroutine that waits, as the collector does, if it uses less than a quarter."""
        stack, used = goroutine.stack, goroutine.stack.hi - goroutine.sched["sp"]
        if stack.size // 2 < self.era.guards.minimum or used + self.era.guards.nosplit >= stack.size // 4:
            return False
        self.copy_stack(goroutine, stack.size // 2, made=True)
        self.session.note(Event("shrink", goroutine, "", stack, goroutine.stack))
        return True
