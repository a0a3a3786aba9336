"""Running, checking and showing. `Session` is where to start: goroutines on real assembly, Python for the rest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asm.guests import Function
    from emu.session import Session
    from emu.target import of_binary, of_era

__all__ = ["Function", "Session", "of_binary", "of_era"]

_HOMES = {"Function": "asm.guests", "Session": "emu.session", "of_binary": "emu.target", "of_era": "emu.target"}


def __getattr__(name: str) -> Any:
    """What is exported is imported when it is first asked for: the engines take a while."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
