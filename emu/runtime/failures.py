"""How a session can end before its goroutines do."""

from __future__ import annotations


class Failure(RuntimeError):
    """A session that cannot go on; the message says why and where.

    ``fatal``: not only a child of it. ``sp``, ``step``: of the thread that it happened to, and when.
    """

    fatal = False
    sp = step = 0


class Throw(Failure):
    """The runtime refused: what Go prints after ``fatal error:``."""


class Crash(Failure):
    """The guest faulted, executed a breakpoint, or reached a function that nobody stands for."""


class Deadlock(Failure):
    """Every goroutine that is left waits."""


class Spent(Failure):
    """The budget of steps is spent."""
