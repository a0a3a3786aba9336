"""What must hold when a goroutine's stack has been copied: the bytes in use are there, in the new place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from arch.golang import Guards
from arch.model import Arch
from emu.contracts.judge import Check


class Copy(NamedTuple):
    """A stack before or after: bounds, guard word, saved SP, and the bytes from there to the top."""

    lo: int
    hi: int
    guard: int
    sp: int
    used: bytes


def moved(arch: Arch, guards: Guards, old: Copy, new: Copy, size: int) -> Iterator[Check]:
    """``size``: bytes that the new stack was to have."""
    delta = new.hi - old.hi
    yield _check("size", "the new stack", size, new.hi - new.lo)
    special = (value & arch.mask for value in guards.special.values())  # another thread may have asked for something
    normal = new.lo + guards.guard
    yield _check("guard", "lo + StackGuard", new.guard if new.guard in special else normal, new.guard)
    yield _check("saved SP", "as far from the top as before", old.sp + delta, new.sp)
    yield _check("bytes in use", "carried", len(old.used), len(new.used))
    word = arch.word
    for at in range(0, min(len(old.used), len(new.used)) // word * word, word):
        was, now = old.used[at : at + word], new.used[at : at + word]
        if was == now:
            continue
        value = arch.unpack(was)
        expected = (value + delta) & arch.mask
        inside = old.lo <= value <= old.hi
        if not inside or arch.unpack(now) != expected:
            wanted, source = (expected, "the old one, moved with the stack") if inside else (value, "unchanged")
            yield _check(f"word {at:#x} bytes above SP", source, wanted, arch.unpack(now))
            return
    yield _check("words in use", "the same, or moved with the stack", 0, 0)


def _check(what: str, source: str, expected: int, found: int) -> Check:
    ok = expected == found
    return Check(f"{what} after the copy", ok, hex(expected), hex(found), 0, what, source, what, "copystack")
