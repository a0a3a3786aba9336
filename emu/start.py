"""Where the console script begins. Imports nothing that takes time before Ctrl-C is provided for."""

from __future__ import annotations

import gc
import os
import signal


def main() -> None:
    """The command ``stackcarry``. Until it knows what to do about an interrupt, one ends it at once."""
    signal.signal(signal.SIGINT, _interrupted)
    gc.disable()  # until the command says how often: imports leave no garbage
    from emu import cli

    cli.script()


def _interrupted(_signal: int, _frame: object) -> None:
    os._exit(130)
