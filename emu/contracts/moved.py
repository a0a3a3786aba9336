"""What must hold when a goroutine's stack has been copied: the bytes in use are there, in the new place."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress, count
from operator import ne
from typing import Literal, NamedTuple

from arch.golang import Guards
from arch.model import Arch
from emu.contracts.judge import Check

_PIECE = 256  # words that are compared as one
_LONG = 4 << 20  # bytes


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
    at = _first_lost(arch, old, new, delta)
    if at is None:
        yield _check("words in use", "the same, or moved with the stack", 0, 0)
        return
    was, now = (arch.unpack(stack.used[at : at + arch.word]) for stack in (old, new))
    inside = old.lo <= was <= old.hi
    wanted, source = ((was + delta) & arch.mask, "the old one, moved with the stack") if inside else (was, "unchanged")
    yield _check(f"word {at:#x} bytes above SP", source, wanted, now)


def _first_lost(arch: Arch, old: Copy, new: Copy, delta: int) -> int | None:
    """Offset of the first word that is neither the old one nor, if that led into the stack, that one moved."""
    word, size = arch.word, min(len(old.used), len(new.used)) // arch.word
    if size * word > _LONG:
        return _first_lost_of_many(arch, old, new, delta, size * word)
    kind: Literal["Q", "I"] = "Q" if word == 8 else "I"
    was, now = (stack.used[: size * word] for stack in (old, new))
    before, after = (memoryview(used).cast(kind) for used in (was, now))
    lo, hi, mask = old.lo, old.hi, arch.mask
    at, gap = 0, _PIECE
    while at < size:
        end = at + gap
        if was[at * word : end * word] != now[at * word : end * word]:
            end = at + next(compress(count(), map(ne, before[at:end], after[at:end])))
            gap = end - at  # the next that differs may be as far: the frames of a recursion are alike
        if end < size and (value := before[end]) != (found := after[end]):
            if not lo <= value <= hi or found != (value + delta) & mask:
                return end * word
            at = end + 1
        else:
            at, gap = end, _PIECE
    return None


def _first_lost_of_many(arch: Arch, old: Copy, new: Copy, delta: int, size: int) -> int | None:
    """The same for stacks of megabytes. What it needs takes longer to load than a short stack to compare."""
    import numpy as np

    kind = np.dtype(f"<u{arch.word}")
    was, now = (np.frombuffer(stack.used, kind, size // arch.word) for stack in (old, new))
    moved = was + kind.type(delta & arch.mask)
    lost = (was != now) & ~((was >= old.lo) & (was <= old.hi) & (now == moved))
    return int(lost.argmax()) * arch.word if lost.any() else None


def _check(what: str, source: str, expected: int, found: int) -> Check:
    ok = expected == found
    return Check(f"{what} after the copy", ok, hex(expected), hex(found), 0, what, source, what, "copystack")
