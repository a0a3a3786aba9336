"""Ctrl-C during a run."""

from __future__ import annotations

from typing import Protocol


class Running(Protocol):
    """What can be told to stop."""

    def halt(self) -> None:
        """Stop before the next instruction."""


class Interrupt:
    """Whether the user wants the run to end. An exception raised in an engine callback would be lost; a flag is not.

    While native code runs no Python handler does: a run returns to Python every few milliseconds for it.
    """

    def __init__(self) -> None:
        self.running: Running | None = None
        self.asked = False

    def handle(self, _signal: int, _frame: object) -> None:
        """A SIGINT handler: the running machine stops at its next instruction; outside a run it raises at once."""
        if self.running is None:
            raise KeyboardInterrupt
        self.asked = True
        self.running.halt()

    def consume(self) -> None:
        """Raise the KeyboardInterrupt that was asked for. Between two instructions: what was recorded is whole."""
        self.asked = False
        raise KeyboardInterrupt


INTERRUPT = Interrupt()
