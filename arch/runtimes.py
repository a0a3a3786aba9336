"""What the scheduler and the stack code of each era's runtime do differently.

Sources: newstack, oldstack, copystack, newproc and schedule at the commits that the era records name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """A goroutine's status; the numbers are those of every era, ``COPYSTACK`` of those that only copy."""

    RUNNABLE = 1
    RUNNING = 2
    SYSCALL = 3
    WAITING = 4
    DEAD = 6
    COPYSTACK = 8


@dataclass(frozen=True)
class Fork:
    """What one era's runtime does around a fork.

    ``poison``: the special guard that stands in the guard words meanwhile. ``keeps``: the field of m that keeps the
    true guard, and by which newstack knows of the fork; ``""``: the guard is computed again, and newstack knows by the
    poison. ``all_guards``: every guard word is poisoned, and not just the one that is compared. ``masks``: signals
    are blocked, and handlers reset in the child. ``on_g0``: the work is done on g0's stack, by systemstack.
    """

    poison: str
    keeps: str = ""
    all_guards: bool = False
    masks: bool = False
    on_g0: bool = False


@dataclass(frozen=True)
class Runtime:
    """One era's runtime.

    ``starts``: a goroutine's first function is in ``entry`` and called by gogocall, or in ``sched`` and resumed like
    any other. ``status``: the field of g that holds the status. ``keeps_running``: fields of m that forbid to
    preempt while they are not 0 (for a string, not empty); ``spared``: statuses that do. ``throws_first``: a request
    to preempt where none may be is found out before, and not after, it is asked whether the goroutine may keep
    running. ``fits``: a copy is as large as the function's frame needs, not just twice the old stack. ``forces``: the
    special guard that asks for a copy of the same size. ``limit``: bytes of a word -> largest stack, in bytes.
    ``fork``: None where the runtime is not told of forks.
    """

    starts: str
    status: str
    keeps_running: tuple[str, ...] = ()
    spared: frozenset[Status] = frozenset()
    throws_first: bool = False
    fits: bool = False
    forces: str = ""
    limit: Mapping[int, int] | None = None
    fork: Fork | None = None


@dataclass(frozen=True)
class Branch:
    """A branch instruction: which byte holds ``opcode``, where the displacement starts, how long it is and what its
    units are, and what it counts from (bytes above the instruction's address).
    """

    opcode: int
    opcode_at: int
    start: int
    size: int
    unit: int
    origin: int


# The branches that 2014's newstack knows behind a call of morestack: short and near jump; branch on lower or same.
_JUMPS = (Branch(0xEB, 0, 1, 1, 1, 2), Branch(0xE9, 0, 1, 4, 1, 5))
BRANCHES: Mapping[str, tuple[Branch, ...]] = {
    "386": _JUMPS, "amd64": _JUMPS, "arm": (Branch(0x9A, 3, 0, 3, 4, 8),),
}

_LIMIT = {4: 250_000_000, 8: 1_000_000_000}

RUNTIMES: dict[str, Runtime] = {
    "2011": Runtime(starts="entry", status="status"),
    "2014": Runtime(
        starts="sched", status="status", keeps_running=("locks", "mallocing", "gcing"),
        spared=frozenset(Status) - {Status.RUNNING}, throws_first=True, limit=_LIMIT,
        fork=Fork("StackPoison", keeps="forkstackguard", all_guards=True),
    ),
    "2017": Runtime(
        starts="sched", status="atomicstatus", keeps_running=("locks", "mallocing", "preemptoff"), limit=_LIMIT,
        fork=Fork("StackFork", masks=True, on_g0=True),
    ),
    "modern": Runtime(
        starts="sched", status="atomicstatus", keeps_running=("locks", "mallocing", "preemptoff"),
        spared=frozenset({Status.SYSCALL}), fits=True, forces="StackForceMove", limit=_LIMIT,
        fork=Fork("StackFork", masks=True),
    ),
}

# Fields that are no words: name -> bytes. For a string, what is asked is its length.
WIDTHS: Mapping[str, int] = {
    "g.status": 2, "g.atomicstatus": 4, "g.ispanic": 1, "g.preempt": 1, "g.throwsplit": 1, "g.panicwrap": 4,
    "g.stackLock": 4,
    "m.locks": 4, "m.mallocing": 4, "m.gcing": 4, "m.moreframesize": 4, "m.moreargsize": 4,
    "stktop.argsize": 4, "stktop.panicwrap": 4, "stktop.panic": 1, "stktop.malloced": 1,
}
