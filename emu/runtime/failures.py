"""How a session can end before its goroutines do."""

from __future__ import annotations


class Failure(RuntimeError):
    """A session that cannot go on; the message says why and where. ``fatal``: not only a child of it."""

    fatal = False


class Throw(Failure):
    """The runtime refused: what Go prints after ``fatal error:``."""


class Crash(Failure):
    """The guest faulted, executed a breakpoint, or reached a function that nobody stands for."""


class Deadlock(Failure):
    """Every goroutine that is left waits."""


class Spent(Failure):
    """The budget of steps is spent."""
