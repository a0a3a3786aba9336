"""The callbacks of a running program: native where the extension was built, Python otherwise."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

from emu.live import native

if TYPE_CHECKING:
    from emu.live.cpu import Cpu

NAMES = ("block", "entry", "breakpoint", "ticks", "interrupt", "syscall", "fill")


def callbacks(cpu: Cpu) -> dict[str, Any]:
    """By name, something that the engine can call. STACKCARRY_LIVE=python asks for the slow ones."""
    if os.environ.get("STACKCARRY_LIVE") != "python":
        try:
            from emu import _live
        except ImportError:
            pass
        else:
            assert _live.size == ctypes.sizeof(native.Live), "the extension was built for another version"
            return {name: ctypes.c_void_p(getattr(_live, name)) for name in NAMES}
    from emu.live.watch.judge import Judge

    return Judge(cpu).callbacks
