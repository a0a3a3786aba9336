"""Cases: experiments with a before and an after, from the history of Go's runtime. One file each, told as a story."""

from __future__ import annotations

from importlib import import_module

from emu.cases.model import Case

# In the order in which they are best read: the first three need no exploring of interleavings.
_HOMES: dict[str, str] = {
    "fork-guard": "emu.cases.fork_guard",
    "vfork-frame": "emu.cases.vfork_frame",
    "maymorestack": "emu.cases.maymorestack",
    "gc-triple": "emu.cases.gc_triple",
    "barrier-lock": "emu.cases.barrier_lock",
}


def names() -> list[str]:
    """Every case's name."""
    return list(_HOMES)


def get(name: str) -> Case:
    """A case by its name; KeyError if there is none. Imported when asked for: each needs much of the runtime."""
    case: Case = import_module(_HOMES[name]).CASE
    return case
