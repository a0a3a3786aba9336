"""The loop of a session: run the machine until it stops, let whoever stands for the stop act, go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.contracts.judge import kept_by_callee, name_of
from emu.kernel import loop as kernel_loop
from emu.machine import Stop
from emu.runtime.failures import Crash, Deadlock, Spent, Throw
from emu.runtime.linking import TO
from emu.runtime.schedule import Runtime

if TYPE_CHECKING:
    from emu.session import Session

_LONGEST = 100  # instructions that a routine may need to resume a goroutine

_REFUSALS = {
    "badmcall": "runtime: mcall called on m->g0 stack", "badmcall2": "runtime: mcall function returned",
    "badmorestackg0": "morestack on g0", "badmorestackgsignal": "morestack on gsignal", "badctxt": "ctxt != 0",
    "badsystemstack": "systemstack called from unexpected goroutine", "abort": "abort",
    "caller": "a routine that never returns has returned",
}


def _nothing(_runtime: Runtime) -> None:
    """The collector and C code are not modelled: they only spoil registers."""


_BUILT_IN: dict[str, Callable[[Runtime], None]] = {
    "newstack": lambda runtime: runtime.newstack(),
    "oldstack": lambda runtime: runtime.oldstack(),
    "gosched0": lambda runtime: runtime.gosched0(),
    "park0": lambda runtime: runtime.park0(),
    "goexit0": lambda runtime: runtime.goexit0(),
    "prewrite": _nothing,
    "save_gm": _nothing,
}


class Loop:
    """Drives one session. ``until``: where the routine that is being called will go on, 0 if none is."""

    def __init__(self, session: Session) -> None:
        self._session, self._process = session, session.process
        self._strides: dict[int, int] = {}
        self._steps = 0
        self.until = 0

    @property
    def steps(self) -> int:
        """Instructions executed so far."""
        return self._steps + self._process.machine.recorder.steps

    def run(self, steps: int) -> None:
        """Run until the session is finished, for at most ``steps`` instructions."""
        last = self.steps + steps
        while not self._session.finished:
            stop = self._next_stop(last)
            if stop is not None:
                self._stopped(stop)

    def crossing(self, routine: str) -> None:
        """The CPU stands at the entry of a routine: from here on the record is this crossing's."""
        if self._session.watch is not None:
            recorder = self._process.machine.recorder
            self._steps += recorder.steps
            recorder.clear()
            self._session.watch.begin(self._session, routine)

    def _next_stop(self, last: int) -> Stop | None:
        """Run to the next stop that is for the session; None if it is finished, or a goroutine was seen to go on."""
        if self.until and self._session.watch is not None:
            return self._follow(self.until)
        outcome = kernel_loop.run(self._session.kernel, last - self.steps)
        if outcome.kind == "deadlock":
            raise Deadlock("; ".join(outcome.waiting))
        if outcome.kind == "ended":
            self._session.finished = True
            return None
        if outcome.kind == "budget" or outcome.stop is None or outcome.thread is None:
            raise Spent(f"no end within the budget; at {self._place(self._process.role('pc'))}")
        if outcome.thread.process is not self._process:
            raise Crash(f"a forked process stopped at {self._place(outcome.stop.pc)}")
        return outcome.stop

    def _follow(self, until: int) -> Stop | None:
        """Step through a routine until it goes on at ``until``; None then, or the stop that came first.

        How many steps that takes is remembered for the next time: mostly it is the same again.
        """
        start, taken = self._process.role("pc"), 0
        stride = self._strides.get(start, 1)
        while taken < _LONGEST:
            stop = self._process.run(stride)
            taken, stride = taken + stride, 1
            if stop.pc == until and stop.kind in ("budget", "exit"):
                self.until, self._strides[start] = 0, taken
                if self._session.watch is not None:
                    self._session.watch.reached(self._session, "")
                return None
            if stop.kind != "budget":
                return stop
        here = self._place(self._process.role("pc"))
        raise Crash(f"a routine does not go on at {self._place(until)}; it is at {here}")

    def _stopped(self, stop: Stop) -> None:
        session, name = self._session, name_of(self._session.world, stop)
        if stop.kind != "exit":
            raise Crash(f"{name} in {self._place(stop.pc)}, step {self.steps}")
        if name.startswith(TO):
            routine = name.removeprefix(TO)
            symbol = session.target.routines[routine]
            assert symbol is not None
            self._process.set_role("pc", symbol.address)
            self.crossing(routine)
            return
        if session.watch is not None:
            session.watch.reached(session, name)
        self._handle(name)
        if self._process.role("pc") == stop.pc and not session.finished:
            self._process.return_from_call(kept_by_callee(session.world))

    def _handle(self, name: str) -> None:
        session = self._session
        if name in session.gates:
            session.gates[name](session)
        elif name in _BUILT_IN:
            try:
                _BUILT_IN[name](session.runtime)
            except ValueError as problem:  # the runtime touched what is not mapped
                raise Crash(f"{name}: {problem}") from None
        elif name in _REFUSALS:
            raise Throw(_REFUSALS[name])
        else:
            raise Crash(f"nobody stands for {name}: register it with @session.gate({name!r})")

    def _place(self, pc: int) -> str:
        return self._session.world.describe(pc)
