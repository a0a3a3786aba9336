"""The callbacks of a running program: native where the extension was built, Python otherwise."""

from __future__ import annotations

import ctypes
import importlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from emu.errors import BadInput
from emu.live import native

if TYPE_CHECKING:
    from emu.live.cpu import Cpu

NAMES = ("block", "entry", "breakpoint", "ticks", "interrupt", "syscall", "fill", "settle")


def callbacks(cpu: Cpu) -> tuple[dict[str, Any], Callable[[Callable[[], int]], int]]:
    """By name, something that the engine can call; and what runs the engine by a function, giving its answer.

    ``close``, of native ones only, is to be called with the address of what they share when all is over.

    The environment's STACKCARRY_LIVE is ``c`` or ``python``; without it they are native if that was built. Raises
    BadInput if ``c`` is asked for and was not built, and for another name.
    """
    wanted = os.environ.get("STACKCARRY_LIVE", "")
    if wanted not in ("", "c", "python"):
        raise BadInput(f"STACKCARRY_LIVE is c or python, not {wanted!r}")
    if wanted != "python":
        try:
            native_code: Any = importlib.import_module("emu._live")
        except ImportError:
            if wanted:
                raise BadInput("STACKCARRY_LIVE is c, but stackcarry was installed without a compiler") from None
        else:
            if native_code.size != ctypes.sizeof(native.Live):
                raise RuntimeError("emu._live was built from another version: install stackcarry again")
            found = {name: ctypes.c_void_p(getattr(native_code, name)) for name in (*NAMES, "close")}
            return found, lambda start: start()
    from emu.live.watch.judge import Judge

    judge = Judge(cpu)
    return judge.callbacks, judge.run
