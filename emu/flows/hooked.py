"""A guest program whose every stack check has a hook in front of it: what it computes, and what each call led to.

Two goroutines work on one counter, a third recurses through frames of every size, a fourth calls and gives way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from arch.golang import HOOKS
from asm.guests import Function
from asm.hooks import Hook
from emu.contracts.judge import Check
from emu.flows import guests
from emu.flows.growths import Growths
from emu.flows.tally import Tally
from emu.runtime.endless import recursion_of
from emu.runtime.failures import Failure
from emu.runtime.goroutine import Event
from emu.session import Session
from emu.target import Target

ROUNDS, LEVELS, AGAIN, DEPTH, TURNS = 5, 8, 2, 3, 10
STEPS = 40_000


def _moved(event: Event) -> bool:
    """The stack was copied to another one of its size, which nobody does who needs more room."""
    return event.kind == "copy" and event.old is not None and event.new is not None and event.old.size == event.new.size


_ANSWERS = {"StackPreempt": lambda event: event.kind == "preempt", "StackForceMove": _moved}
"""What is asked for in the guard -> whether an event is the answer to it."""


class Program:
    """One run. ``counting``: worker(counter, rounds), which adds ``rounds`` to the word at ``counter``, and whom it
    calls: name -> times in all. ``steps``: instructions executed. ``calls``: function -> how often it was called.
    """

    def __init__(
        self, target: Target, workers: Iterable[Function], counting: Mapping[str, int], hook: Hook | None
    ) -> None:
        recursion = guests.recursion(target.arch.word, closures=True)
        self.session = Session(target, (*workers, *recursion, *guests.turns(closures=True)), hook)
        self.hook, self.tally = hook, Tally()
        self.calls = Counter({"root": 1, "player": 1, "step": TURNS, **counting})
        self._left = [DEPTH, 1]
        self.session.gate("depth")(lambda session: session.set_argument(0, self._left.pop(0)))
        self.session.gate("tick")(self._tick)
        if hook and hook.name in self.session.target.program.gates:
            self.session.gate(hook.name)(lambda _: None)  # to come back having destroyed all it may

    @property
    def steps(self) -> int:
        return self.session.steps

    def _tick(self, session: Session) -> None:
        """A level of the recursion was entered: the function that this gate returns to."""
        process = session.process
        on_stack = session.arch.call.return_on_stack
        self.calls[session.function_at(process.word(process.role("sp")) if on_stack else process.role("link"))] += 1

    def run(self) -> Iterator[Check]:
        """Run to the end, or to where it fails; then everything that was looked at."""
        session, tally = self.session, self.tally
        counter = session.world.alloc(session.arch.word)
        session.process.set_word(counter, 0)
        for name in ("worker 1", "worker 2"):
            session.go("worker", counter, ROUNDS, name=name)
        root = session.go("root", LEVELS, AGAIN, name="root")
        player = session.go("player", 1, TURNS, name="player")
        others = [session.world.g0, session.world.gsignal]
        guards = [g["stackguard0"] for g in others]
        session.watch = Growths(tally)
        end = wanted = "runs to its end"
        try:
            session.run(STEPS)
        except (Failure, ValueError) as failure:
            end = recursion_of(session) or f"{type(failure).__name__}: {failure}"
        tally.add(wanted, end == wanted, wanted, end, session.steps)
        if end == wanted:
            totals = (guests.total(LEVELS, DEPTH, True), guests.total(AGAIN, 1, True))
            self._equal("the counter", 2 * ROUNDS, session.process.word(counter))
            self._equal("results of root", totals, root.results)
            self._equal("results of player", (TURNS, TURNS + TURNS * (TURNS + 1) // 2), player.results)
            for g, guard in zip(others, guards, strict=True):
                self._equal(f"guard of {g.label}", hex(guard), hex(g["stackguard0"]))
            self._once()
        yield from tally.checks()

    def _once(self) -> None:
        """Every call of a function whose check has a hook met the request of that, and no other did."""
        request = HOOKS.get(self.hook.name) if self.hook else None
        if request is None:
            return
        met = Counter(event.function for event in self.session.events if _ANSWERS[request](event))
        for name, times in sorted(self.calls.items()):
            self._equal(f"{request} met by calls of {name}", times, met[name])
        self._equal(f"functions that met {request}", sorted(self.calls), sorted(met))

    def _equal(self, name: str, expected: object, found: object) -> None:
        self.tally.add(name, expected == found, str(expected), str(found), self.session.steps)
