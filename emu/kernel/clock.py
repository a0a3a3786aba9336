"""Virtual time: it goes on as guests run, and jumps when all of them wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from emu.kernel.kernel import Kernel

EPOCH = 1_767_225_600_000_000_000
"""Nanoseconds from 1970 to 2026-01-01 00:00 UTC, when every run begins."""
SECOND = 1_000_000_000


class Timer(Protocol):
    """Something that happens at a time. ``due``: nanoseconds of the clock; None while it is not armed."""

    due: int | None

    def fire(self, kernel: Kernel) -> None:
        """What happens; sets ``due`` anew, or to None."""


@dataclass
class Clock:
    """Nanoseconds since the start: ``ran`` tells those of the guests' own running, ``jumped`` were waited for."""

    ran: Callable[[], int] = lambda: 0
    jumped: int = 0
    timers: list[Timer] = field(default_factory=list)

    @property
    def now(self) -> int:
        return self.ran() + self.jumped

    @property
    def real(self) -> int:
        """Nanoseconds since 1970."""
        return EPOCH + self.now

    def advance(self, to: int) -> None:
        """Jump ahead; a time that has passed is no error."""
        self.jumped += max(0, to - self.now)

    def due(self) -> int | None:
        """When the next timer fires."""
        return min((timer.due for timer in self.timers if timer.due is not None), default=None)

    def fire(self, kernel: Kernel) -> None:
        """Let every timer that is due happen, the earliest first."""
        while True:
            ready = [timer for timer in self.timers if timer.due is not None and timer.due <= self.now]
            if not ready:
                return
            min(ready, key=lambda timer: timer.due or 0).fire(kernel)
