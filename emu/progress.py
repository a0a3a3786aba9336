"""How far a long job has come, on standard error: on a terminal at once, elsewhere in a line now and then."""

from __future__ import annotations

import sys
import time
from types import TracebackType

EVERY = 0.2  # seconds between two states of a terminal's line
BEAT = 10.0  # seconds between two lines of a file that nobody may look at


class Progress:
    """A number that grows, shown while the ``with`` block runs; a terminal's line is wiped at its end."""

    def __init__(self, unit: str) -> None:
        self._unit, self._shown, self._tty = unit, False, sys.stderr.isatty()
        self._pause = EVERY if self._tty else BEAT
        self._next = time.monotonic() + self._pause

    def __enter__(self) -> Progress:
        return self

    def count(self, number: int) -> None:
        """It is so many now."""
        if time.monotonic() >= self._next:
            self._next, self._shown = time.monotonic() + self._pause, self._tty
            sys.stderr.write(f"\r{number} {self._unit}" if self._tty else f"{number} {self._unit}\n")
            sys.stderr.flush()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Bar:
    """How much of a whole is done, while the ``with`` block runs: a bar on a terminal, and elsewhere a line at each
    quarter of the way, and whenever there was none for a while."""

    _WIDTH, _QUARTERS = 30, 4

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._done, self._tty = 0, sys.stderr.isatty()
        self._next = 0.0 if self._tty else time.monotonic() + BEAT

    def __enter__(self) -> Bar:
        return self

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if not self._tty:
            quarter = self._done * self._QUARTERS // self._total > (self._done - 1) * self._QUARTERS // self._total
            if quarter or time.monotonic() >= self._next:
                self._next = time.monotonic() + BEAT
                sys.stderr.write(f"{self._done} of {self._total} {self._unit}\n")
                sys.stderr.flush()
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            full = self._done * self._WIDTH // self._total
            sys.stderr.write(f"\r[{'#' * full}{' ' * (self._WIDTH - full)}] {self._done} of {self._total} {self._unit}")
            sys.stderr.flush()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if self._tty and self._done:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
