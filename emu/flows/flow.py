"""One flow: a session of the guests, watched, and the facts that are found on the way."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from emu.flows import guests
from emu.flows.crossings import Crossings
from emu.flows.tally import Tally
from emu.runtime.failures import Failure
from emu.runtime.goroutine import Goroutine
from emu.runtime.schedule import Runtime
from emu.session import Session
from emu.target import Target

STEPS = 40_000  # a flow needs a quarter of them
LARGEST = 1 << 24  # bytes of a stack, which is more than a flow needs

RuntimeClass = type[Runtime] | None


def closures(target: Target) -> bool:
    """Whether functions of the era have a closure context."""
    return "gobuf.ctxt" in target.era.layout(target.arch)


@lru_cache(maxsize=16)
def session_of(target: Target) -> Session:
    """The session of a target's flows: guests are assembled once."""
    with_context = closures(target)
    return Session(target, (*guests.turns(with_context), *guests.recursion(target.arch.word, with_context)))


class Flow:
    """One run of a session, watched, and the facts that are found."""

    def __init__(self, target: Target, runtime: RuntimeClass) -> None:
        self.target, self.session, self.tally = target, session_of(target), Tally()
        self.session.restart(runtime)
        self.session.policy = lambda runnable: runnable[0]
        self.session.runtime.max_stack = LARGEST

    def run(self, watch: Crossings) -> None:
        """Run to the end; a failure is a fact like any other."""
        self.session.watch = watch
        end = wanted = "runs to its end"
        try:
            self.session.run(STEPS)
        except (Failure, ValueError) as failure:
            end = f"{type(failure).__name__}: {failure}"
        finally:
            self.session.watch = None
        self.tally.add(wanted, end == wanted, wanted, end, self.session.steps)

    def results(self, goroutine: Goroutine, *expected: int) -> None:
        """What a goroutine's first function returned."""
        found = goroutine.results
        name = f"results of {goroutine.name}"
        self.tally.add(name, found == expected, _words(expected), _words(found), self.session.steps)

    def count(self, kind: str) -> int:
        """How often the runtime did something."""
        return sum(event.kind == kind for event in self.session.events)

    def exactly(self, name: str, expected: int, found: int) -> None:
        """A number of events."""
        self.tally.add(name, found == expected, str(expected), str(found), self.session.steps)


def _words(values: Iterable[int]) -> str:
    return ", ".join(str(value) for value in values) or "none"
