"""Looks at every crossing of a session: the routine's own contract, and what each goroutine may rely on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emu.contracts.effect import Effect, Moment
from emu.contracts.judge import Scene, entry_of, judge_moment, nothing_else
from emu.flows.tally import Tally
from emu.routines import ROUTINES
from emu.runtime.stacks import Stack
from emu.runtime.world import World
from emu.session import Session


def _as_it_is(_world: World) -> None:
    """The state is the guest's."""


_SCENE = Scene("crossing", _as_it_is)


@dataclass(frozen=True)
class Place:
    """Where a goroutine stood when it left: what must be there again when it goes on."""

    pc: int
    sp: int
    fp: int

    def moved(self, old: Stack, delta: int) -> Place:
        """The same place on a stack that lies ``delta`` bytes higher than ``old``."""
        return Place(self.pc, self.sp + delta, self.fp + delta if self.fp in old else self.fp)


class Crossings:
    """Judges each routine by its contract; compares each goroutine's place at its return with that at its leaving."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self._routine = ""
        self._effect: Effect | None = None
        self._moments: Iterator[Moment] = iter(())
        self._left: dict[int, Place] = {}
        self._g0_sp = 0

    def begin(self, session: Session, routine: str) -> None:
        self._g0_sp = session.world.g0["sched.sp"]
        if routine == "mcall":
            self._leave(session)
        self._routine, self._effect = routine, None
        if routine in ROUTINES:
            self._effect = ROUTINES[routine].contract(entry_of(session.world, _SCENE))
            self._moments = iter(self._effect.moments)

    def reached(self, session: Session, where: str) -> None:
        if self._effect is not None:
            self._judge(session, where, self._effect)
        if where == "":
            self.arrived(session)
        self.tally.equal("g0.sched.sp is unchanged", self._g0_sp, session.world.g0["sched.sp"], session.steps)

    def arrived(self, session: Session) -> None:
        """A goroutine goes on."""
        goroutine = session.current
        place = self._left.pop(goroutine.g.address, None)
        if place is not None:
            self.compare(session, "resumed where it left", place)

    # the contract

    def _judge(self, session: Session, where: str, effect: Effect) -> None:
        """One moment of the routine that is being crossed. The last one that is seen closes its write set."""
        world, recorder = session.world, session.process.machine.recorder
        moment = next(self._moments, None)
        if moment is None:
            return
        name = f"contract of {self._routine}, at every crossing"
        stop = where or session.target.program.describe(session.process.role("pc"))
        self.tally.add(name, stop == moment.stop, f"reaches {moment.stop}", f"reaches {stop}", session.steps)
        found = list(judge_moment(world, moment, recorder.steps))
        if where != "prewrite":
            found.append(nothing_else(world, effect))
            self._effect = None
        wrong = next((check for check in found if not check.ok), None)
        if wrong is not None:
            self.tally.add(name, False, f"{wrong.name}: {wrong.expected}", wrong.found, session.steps)
        else:
            self.tally.add(name, True, "holds", "holds", session.steps)

    # the place

    def _leave(self, session: Session) -> None:
        """mcall is called: its caller goes on behind the call, with the SP it has there."""
        process, call = session.process, session.arch.call
        sp = process.role("sp")
        pc = process.word(sp) if call.return_on_stack else process.role("link")
        above = session.arch.word if call.return_on_stack else 0
        self._left[session.current.g.address] = Place(pc, sp + above, self.frame_pointer(session))

    def frame_pointer(self, session: Session) -> int:
        """The frame pointer, 0 where the era keeps none."""
        return session.process.role("fp") if session.guests.links else 0

    def compare(self, session: Session, what: str, place: Place) -> None:
        """Whether the running goroutine stands at ``place``, and the thread knows that it runs."""
        process, g, step = session.process, session.current.g, session.steps
        self.tally.equal(f"{what}: PC", place.pc, process.role("pc"), step)
        self.tally.equal(f"{what}: SP", place.sp, process.role("sp"), step)
        if session.guests.links:
            self.tally.equal(f"{what}: frame pointer", place.fp, process.role("fp"), step)
        entry = entry_of(session.world, _SCENE)
        self.tally.equal(f"{what}: g", g.address, entry.g, step)
        if entry.g_mirror is not None and entry.g_mirror.register is not None:
            self.tally.equal(f"{what}: g register", g.address, entry.registers[entry.g_mirror.register], step)
