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
