"""Ctrl-C during a run."""

from __future__ import annotations


class Interrupt:
    """Whether the user wants the run to end. An exception raised in an engine callback would be lost; a flag is not."""

    def __init__(self) -> None:
        self.running = False
        self.asked = False

    def handle(self, _signal: int, _frame: object) -> None:
        """A SIGINT handler: the running machine stops at its next instruction; outside a run it raises at once."""
        if not self.running:
            raise KeyboardInterrupt
        self.asked = True


INTERRUPT = Interrupt()
