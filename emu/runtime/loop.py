"""The loop of a session: run the machine until it stops, let whoever stands for the stop act, go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from emu.contracts.judge import kept_by_callee, name_of
from emu.kernel import loop as kernel_loop
from emu.kernel.table import Thread
from emu.machine import Stop
from emu.runtime.failures import Crash, Deadlock, Spent, Throw
from emu.runtime.linking import TO
from emu.runtime.schedule import Runtime

if TYPE_CHECKING:
    from emu.session import Session

_THROWN, _CRASHED = 2 << 8, 11  # what wait4 tells of a program that has thrown, and of one that a fault has killed
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
    "beforefork": lambda runtime: runtime.session.fork.before(),
    "afterfork": lambda runtime: runtime.session.fork.after(),
    "afterforkinchild": lambda runtime: runtime.session.fork.in_child(),
    "preemptone": lambda runtime: runtime.preempt(runtime.current()),
    "lock_heap": lambda runtime: runtime.session.heap.lock(),
    "unlock_heap": lambda runtime: runtime.session.heap.unlock(),
    "prewrite": _nothing,
    "save_gm": _nothing,
}


class Loop:
    """Drives one session. ``until``: where the routine that is being called will go on, 0 if none is.

    The loop of the session that was run drives those of its forked children too: each handles the stops of its own.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._process = session, session.process
        self._strides: dict[int, int] = {}
        self._steps = self._last = 0
        self.until = 0

    @property
    def steps(self) -> int:
        """Instructions executed so far in this session's process."""
        return self._steps + self._process.machine.recorder.steps

    def restart(self) -> None:
        """Count from here: what was executed before was so by the process that forked."""
        self._steps = self.until = 0

    def run(self, steps: int) -> None:
        """Run until the session is finished, for at most ``steps`` instructions."""
        self._last = self._session.steps + steps
        while not self._session.finished:
            self._turn()

    def wait(self, waits_for: str, until: Callable[[], int | None]) -> None:
        """In a gate: suspend the thread that is on the CPU until ``until`` gives a number; the others run meanwhile.

        Raises Deadlock if that can never be.
        """
        thread = self._session.thread
        thread.block(waits_for, until)
        self._turn(to=thread)

    def _turn(self, to: Thread | None = None) -> None:
        """Run to the next stop and handle it; with ``to``, all stops until that thread is on the CPU again."""
        session = self._session
        while True:
            stop = session.family.root.loop.next_stop()
            if stop is not None and session.thread is to:
                return
            if stop is not None:
                session.family.sessions[session.thread.process].loop.stopped(stop)
            if to is None:
                return
            if session.family.root.finished:
                raise Deadlock(f"the program has ended; thread {to.tid} waits for {to.waits_for}")

    def crossing(self, routine: str) -> None:
        """The CPU stands at the entry of a routine: from here on the record is this crossing's."""
        if self._session.watch is not None:
            recorder = self._process.machine.recorder
            self._steps += recorder.steps
            recorder.clear()
            self._session.watch.begin(self._session, routine)

    def next_stop(self) -> Stop | None:
        """Run to the next stop that is for a session; None if it is finished, or a goroutine was seen to go on."""
        session = self._session
        if self.until and session.watch is not None:
            return self._follow(self.until)
        outcome = kernel_loop.run(session.kernel, self._last - session.steps, thread=session.thread)
        if outcome.kind == "deadlock":
            raise Deadlock("; ".join(outcome.waiting))
        if outcome.kind == "ended":
            session.finished = True
            return None
        if outcome.kind == "budget" or outcome.stop is None or outcome.thread is None:
            raise Spent(f"no end within the budget; at {self._place(self._process.role('pc'))}")
        session.family.thread = outcome.thread
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

    def stopped(self, stop: Stop) -> None:
        """Handle a stop. Where a child of the program throws or crashes, it alone ends."""
        session = self._session
        task = session.thread.task
        try:
            self._act(stop)
            if session.finished and task is not session.kernel.main.task:
                session.kernel.end_task(task, 0)
        except (Throw, Crash) as failure:
            if failure.fatal:
                raise
            failure.sp, failure.step = self._process.role("sp"), session.steps
            if task is session.kernel.main.task:
                failure.fatal = True
                raise
            session.family.deaths[task.pid] = failure
            if isinstance(failure, Throw):
                session.kernel.output[2] += f"fatal error: {failure}\n".encode()
            session.kernel.end_task(task, _THROWN if isinstance(failure, Throw) else _CRASHED)

    def _act(self, stop: Stop) -> None:
        session, name = self._session, name_of(self._session.world, stop)
        if stop.kind != "exit":
            raise Crash(f"{name} in {self._place(stop.pc)}, step {session.steps}")
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
