"""The recursion through frames of every size: growth and the way back, and requests to preempt in the middle of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from emu.contracts.judge import Check
from emu.flows import guests
from emu.flows.flow import Flow, RuntimeClass, closures
from emu.flows.growths import Growths
from emu.runtime import fields
from emu.runtime.copying import Copying
from emu.runtime.goroutine import Goroutine
from emu.target import Target

GROWTHS = 10  # that one recursion must need at least
LEVELS, AGAIN = 34, 4  # above the levels of huge frames; and when it is entered a second time
LINKED_DEPTH = 4  # levels of huge frames where each is a segment of its own
TAKEN, SPARED = ("medium", "small", "medium", "small", "huge"), ("medium",)  # whose checks find the requests
OTHERS = 8  # turns of the goroutine that runs instead: more than there are requests


class Recursion(Flow):
    """A flow of the recursion. ``ticks``: how many levels were entered."""

    def __init__(self, target: Target, runtime: RuntimeClass, depth: int) -> None:
        super().__init__(target, runtime)
        self._depth, self.ticks = depth, 0
        self.session.gate("depth")(lambda session: session.set_argument(0, self._next_depth()))
        self.session.gate("tick")(lambda _: self._tick())

    def _next_depth(self) -> int:
        """How many levels of huge frames to go down: after the first time one is enough."""
        depth, self._depth = self._depth, 1
        return depth

    def _tick(self) -> None:
        self.ticks += 1
        self.tick()

    def tick(self) -> None:
        """A level of the recursion has filled its frame."""

    def total(self, n: int, depth: int) -> int:
        """What one call of the recursion returns."""
        return guests.total(n, depth, closures(self.target))


class _Shrinking(Recursion):
    """Goroutines that wait for their turn are shrunk as far as the collector would, where the era moves stacks."""

    def pick(self, runnable: Sequence[Goroutine]) -> Goroutine:
        runtime = self.session.runtime
        if isinstance(runtime, Copying):
            for goroutine in runnable:
                while runtime.shrink(goroutine):
                    pass
        return runnable[0]


def growth(target: Target, runtime: RuntimeClass = None) -> Iterator[Check]:
    """A recursion through small, medium and huge frames: segments are linked and left, or stacks are copied."""
    copies = target.era.stacks != "segmented"
    depth = 1 + (target.era.guards.minimum << GROWTHS - 1) // guests.HUGE if copies else LINKED_DEPTH
    flow = _Shrinking(target, runtime, depth)
    yield from _grow(flow, depth, {"copy"} if copies else {"link"})


class _Pinned(_Shrinking):
    """The first time it is as deep as it goes, the goroutine is asked to give way; it returns without another check."""

    dropped = ""

    def tick(self) -> None:
        if self.ticks == LEVELS + 1 + LINKED_DEPTH + 1:
            self.session.preempt(self.session.current)

    def pick(self, runnable: Sequence[Goroutine]) -> Goroutine:
        if self.ticks and not self.dropped:
            g, guard = runnable[0].g, self.session.runtime.true_guard(runnable[0])
            asked = "g.preempt is set" if fields.get(g, "preempt") else "g.preempt is clear"
            self.dropped = f"{self.count('preempt')} times, {asked}, guard {g['stackguard0'] - guard:+}"
        return super().pick(runnable)


def growth_link(target: Target, runtime: RuntimeClass = None) -> Iterator[Check]:
    """The same where one of the functions may not be moved: segments are linked, others still copied.

    On the way back oldstack puts the true guard where a request to preempt was: 2014 really loses it.
    """
    flow = _Pinned(target, runtime, LINKED_DEPTH)
    functions = flow.session.guests.functions
    pinned = {**functions, "medium": replace(functions["medium"], copyable=False)}
    with flow.session.describing(pinned):
        yield from _grow(flow, LINKED_DEPTH, {"copy", "link"})
    kept = "0 times, g.preempt is set, guard +0"
    yield Check(
        "a request to preempt that is pending at a return through lessstack is taken", flow.dropped == kept, kept,
        flow.dropped, flow.session.steps, "flow", hole="oldstack restores the guard and drops the request",
    )


def _grow(flow: _Shrinking, depth: int, kinds: set[str]) -> Iterator[Check]:
    session = flow.session
    session.policy = flow.pick
    goroutine = session.go("root", LEVELS, AGAIN, name="root")
    flow.run(Growths(flow.tally))
    flow.results(goroutine, flow.total(LEVELS, depth), flow.total(AGAIN, 1))
    events = [event.kind for event in session.events]
    first = events[: events.index("run", 1)] if events.count("run") > 1 else events
    grown = sum(first.count(kind) for kind in kinds)
    flow.tally.add("growths in one recursion", grown >= GROWTHS, f"at least {GROWTHS}", str(grown), session.steps)
    seen = {kind for kind in ("copy", "link") if kind in events}
    wanted, found = (" and ".join(sorted(ways)) for ways in (kinds, seen))
    flow.tally.add("ways of growing", seen == kinds, wanted, found, session.steps)
    flow.exactly("segments that were left", events.count("link"), events.count("unlink"))
    yield from flow.tally.checks()


class _Asking(Recursion):
    """Asks one goroutine to give way, so that each form of the stack check finds the request; once it must wait."""

    def __init__(self, target: Target, runtime: RuntimeClass) -> None:
        super().__init__(target, runtime, 2)
        self.asked = self.session.go("root", 6, 0, name="asked")
        self.other = self.session.go("player", 7, OTHERS, name="other")

    def tick(self) -> None:
        runtime = self.session.runtime
        if self.ticks == 5:  # in small: medium's check finds it and lets it be
            runtime.lock()
        if self.ticks == 6:
            runtime.unlock()
        elif self.ticks in (1, 2, 3, 5, 7):
            self.session.preempt(self.asked)


def preempt(target: Target, runtime: RuntimeClass = None) -> Iterator[Check]:
    """Requests to preempt, through the guard, in the middle of the recursion: each is taken, once."""
    flow = _Asking(target, runtime)
    flow.run(Growths(flow.tally))
    flow.results(flow.asked, flow.total(6, 2), flow.total(0, 1))
    flow.results(flow.other, OTHERS, OTHERS * 7 + OTHERS * (OTHERS + 1) // 2)
    events = flow.session.events
    for what, kind, expected in (("requests taken", "preempt", TAKEN), ("requests put off", "spare", SPARED)):
        found = tuple(event.function for event in events if event.kind == kind)
        name = f"{what}, by whose check"
        flow.tally.add(name, found == expected, ", ".join(expected), ", ".join(found), flow.session.steps)
    after = [events[i + 1].goroutine.name for i, event in enumerate(events[:-1]) if event.kind == "preempt"]
    flow.exactly("times that another goroutine ran instead", len(TAKEN), after.count("other"))
    yield from flow.tally.checks()
