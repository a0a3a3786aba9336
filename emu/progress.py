"""How far a long job has come: on standard error, and only if someone can see it there."""

from __future__ import annotations

import sys
import time
from types import TracebackType

EVERY = 0.2  # seconds between two lines


class Progress:
    """A number that grows, shown on one line while the ``with`` block runs, and wiped at its end."""

    def __init__(self, unit: str) -> None:
        self._unit, self._shown = unit, False
        self._next = time.monotonic() + EVERY if sys.stderr.isatty() else float("inf")

    def __enter__(self) -> Progress:
        return self

    def count(self, number: int) -> None:
        """It is so many now."""
        if self._next < float("inf") and time.monotonic() >= self._next:
            self._next, self._shown = time.monotonic() + EVERY, True
            sys.stderr.write(f"\r{number} {self._unit}")
            sys.stderr.flush()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


class Bar:
    """How much of a whole is done, while the ``with`` block runs: a bar on a terminal, and elsewhere a line at each
    quarter of the way."""

    _WIDTH, _QUARTERS = 30, 4

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._done, self._tty, self._next = 0, sys.stderr.isatty(), 0.0

    def __enter__(self) -> Bar:
        return self

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if not self._tty:
            if self._done * self._QUARTERS // self._total > (self._done - 1) * self._QUARTERS // self._total:
                sys.stderr.write(f"{self._done} of {self._total} {self._unit}\n")
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
