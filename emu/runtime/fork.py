"""What the runtime does around a fork: BeforeFork, AfterFork in the parent alone, AfterForkInChild."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arch.runtimes import RUNTIMES
from asm.guests import Function
from emu.runtime import fields
from emu.runtime.failures import Throw

if TYPE_CHECKING:
    from arch.runtimes import Fork as Facts
    from emu.session import Session

EVERY_SIGNAL = (1 << 64) - 1
_C_FRAME = 64  # words: more than is left where a caller's check has just passed


def hooks(era: str) -> tuple[Function, ...]:
    """What guests call around a fork, as the era has it: in 2014 the first has a stack check."""
    facts = RUNTIMES[era].fork
    if facts is None:
        return ()
    names = {"before_fork": "beforefork", "after_fork": "afterfork"}
    if facts.masks:
        names["after_fork_in_child"] = "afterforkinchild"
    body = "code {0}; constant value.{0}; put 0; invoke systemstack" if facts.on_g0 else "invoke {0}"
    before = {} if facts.masks else {"before_fork": _C_FRAME}
    return tuple(
        Function(name, body.format(gate), slots=before.get(name, 1), nosplit=name not in before)
        for name, gate in names.items()
    )


class Fork:
    """The hooks of one session's era; they are gates. ``profile``: how often a second the program wants to be
    profiled, 0 for never; ``timer``: how often the timer fires now. ``handled``: signals with a handler.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.profile = self.timer = self.handled = 0
        self._mask = 0

    def start_profile(self, hertz: int) -> None:
        """The program wants to be profiled."""
        self.profile = self.timer = hertz

    @property
    def _facts(self) -> Facts:
        facts = self._session.runtime.facts.fork
        if facts is None:
            raise Throw(f"era {self._session.era.name} is not told of forks")
        return facts

    @property
    def _guards(self) -> list[str]:
        """The guard words that are poisoned."""
        layout = self._session.world.layout
        names = layout.guards if self._facts.all_guards else (layout.guard,)
        return [name.removeprefix("g.") for name in names]

    def before(self) -> None:
        """No preemption, no timer, no signal from here on; no stack check passes."""
        session, facts = self._session, self._facts
        session.runtime.lock()
        self.timer = 0
        if facts.masks:
            self._mask, session.thread.mask = session.thread.mask, EVERY_SIGNAL
        g = session.current.g
        if facts.keeps:
            session.world.m[facts.keeps] = g["stackguard"]
        for name in self._guards:
            g[name] = session.era.guards.special[facts.poison]

    def after(self) -> None:
        """In the parent: all as it was. A request to preempt that came meanwhile is not put into the guard again."""
        session, facts = self._session, self._facts
        guard = session.world.m[facts.keeps] if facts.keeps else session.runtime.true_guard(session.current)
        for name in self._guards:
            session.current.g[name] = guard
        if facts.keeps:
            session.world.m[facts.keeps] = 0
        self.timer = self.profile
        if facts.masks:
            session.thread.mask = self._mask
        fields.put(session.world.m, "locks", fields.get(session.world.m, "locks") - 1)

    def in_child(self) -> None:
        """In the child: handlers of the parent must not run here; the guard stays poisoned until it executes."""
        self.handled = 0
        self._session.thread.mask = self._mask
