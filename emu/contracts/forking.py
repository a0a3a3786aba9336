"""What must hold when a goroutine forks: the child ends without having touched what the parent goes on with.

Guests tell where they are by three gates: `about_to_fork`, `has_forked` (in the parent, in the same frame), and
`entered`, in the body of every function that has a stack check.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emu.runtime import fields
from emu.runtime.failures import Crash, Deadlock, Failure
from emu.runtime.goroutine import Event
from emu.session import Session

_GROWTHS = ("copy", "link")
_BOUNDS = ("stack.lo", "stack.hi", "stackbase")


@dataclass(frozen=True)
class Broken:
    """``what`` does not hold, as was seen after ``step`` instructions of all processes."""

    what: str
    step: int


class Forking:
    """Looks on while a session runs. ``broken``: what did not hold, the gravest first. ``facts``: what else was seen.

    ``entered``: pid -> how many functions with a stack check were entered there after the fork.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: dict[str, int] = {}
        self._after: int | None = None
        self._failure: Failure | None = None
        self._changed: list[Broken] = []
        self._entered: list[tuple[int, int]] = []
        session.gate("about_to_fork")(self._about_to_fork)
        session.gate("has_forked")(self._has_forked)
        session.gate("entered")(lambda now: self._entered.append((now.thread.pid, session.steps)))

    def run(self, steps: int) -> None:
        """Run the session to its end; a failure is a finding."""
        try:
            self._session.run(steps)
        except Failure as failure:
            failure.step = failure.step or self._session.steps
            self._failure = failure

    # where the guests are

    def _state(self, session: Session) -> dict[str, int]:
        """What the parent must find again."""
        g, m = session.current.g, session.world.m
        names = [name.removeprefix("g.") for name in session.world.layout.guards]
        found = {f"g.{name}": g[name] for name in (*names, *(name for name in _BOUNDS if g.has(name)))}
        found["m.locks"] = fields.get(m, "locks")
        if m.has("forkstackguard"):
            found["m.forkstackguard"] = m["forkstackguard"]
        registers, tls = session.process.machine.registers(), session.arch.tls
        slot = 0 if tls.g_register else session.world.slot("g")
        found["running g"] = registers[tls.g_register] if tls.g_register else session.process.word(slot)
        return found | {"SP": session.process.role("sp"), "profile timer": session.fork.timer,
                        "signal mask": session.thread.mask}

    def _about_to_fork(self, session: Session) -> None:
        self._before = self._state(session)

    def _has_forked(self, session: Session) -> None:
        self._after = session.steps
        for name, value in self._state(session).items():
            if value != self._before[name]:
                now, was = self._named(value), self._named(self._before[name])
                text = f"after the fork the parent's {name} is {now}, and was {was}"
                self._changed.append(Broken(text, session.steps))

    def _named(self, value: int) -> str:
        """A value, by the name of what it is the g of."""
        gs = {goroutine.g.address: goroutine.g.label for goroutine in self._session.goroutines}
        gs[self._session.world.g0.address] = "g0"
        return gs.get(value) or hex(value)

    # what was found

    @property
    def _main(self) -> int:
        return self._session.kernel.main.pid

    @property
    def _events(self) -> list[Event]:
        """What any process's runtime did, in order of time; a forked child repeats what was before the fork."""
        sessions = self._session.family.sessions.values()
        found = {(event.step, event.pid, event.kind): event for s in sessions for event in s.events}
        return [found[key] for key in sorted(found)]

    @property
    def broken(self) -> list[Broken]:
        """The gravest first: that is what comes first in time, but for growths that may yet lead to worse."""
        found = sorted([*self._changed, *self._failed(), *self._crashes()], key=lambda broken: broken.step)
        found += self._growths()
        inside = [step for pid, step in self._entered if pid != self._main]
        if inside:
            found.append(Broken(f"a stack check passes in the child, {len(inside)} times", inside[0]))
        return found

    @property
    def facts(self) -> tuple[str, ...]:
        told = [
            f"process {pid} ends after {failure.step} steps: {failure}; it had entered {self._inside(pid)} functions"
            " with a stack check"
            for pid, failure in self._session.family.deaths.items()
        ]
        grown = [
            f"process {event.pid} grows its stack in {event.function} ({event.kind}) after {event.step} steps"
            for event in self._events if event.kind in _GROWTHS
        ]
        return (*told, *grown)

    def _inside(self, pid: int) -> int:
        return sum(pid == other for other, _ in self._entered)

    def _failed(self) -> Iterator[Broken]:
        failure = self._failure
        if isinstance(failure, Deadlock):
            yield Broken(f"deadlock: {failure}", failure.step)
        elif failure is not None:
            yield Broken(f"the parent: {failure}{self._stray(failure)}", failure.step)

    def _crashes(self) -> Iterator[Broken]:
        for failure in self._session.family.deaths.values():
            if isinstance(failure, Crash):
                yield Broken(f"the child: {failure}{self._stray(failure)}", failure.step)

    def _stray(self, failure: Failure) -> str:
        """Where SP was, if on no stack in use."""
        live = [s for session in self._session.family.sessions.values() for s in session.stacks.live.values()]
        if not isinstance(failure, Crash) or any(stack.lo <= failure.sp <= stack.hi for stack in live):
            return ""
        for event in self._events:
            if event.old and event.old.lo <= failure.sp <= event.old.hi:
                return f"; SP is in a stack that process {event.pid} left when it grew in {event.function}"
        above = min((stack for stack in live if stack.lo > failure.sp), key=lambda stack: stack.lo, default=None)
        return f"; SP is {above.lo - failure.sp} bytes below {above.region.name}" if above else "; SP is in no stack"

    def _growths(self) -> Iterator[Broken]:
        for event in self._events:
            if event.kind in _GROWTHS and event.pid != self._main:
                yield Broken(f"the child grows its stack in {event.function}", event.step)
            elif event.kind in _GROWTHS and self._after is not None and event.step > self._after:
                yield Broken(f"after the fork the parent grows its stack in {event.function}", event.step)
