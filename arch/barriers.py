"""Stack barriers (Go 1.5 to 1.8): the layout of their time, and where they go.

The routines are those of 2017, when barriers had just gone. Source: 87f97c73d37d; offsets computed from field order.
"""

from __future__ import annotations

from arch import tables
from arch.golang import ERAS, Era

FIRST = 1024
"""Bytes above SP where the first barrier may be; the next are at twice that, and so on. 0: in every frame."""

ROUTINES = ("stackBarrier", "tryStackLock", "freeStackLock")

_2017 = ERAS["2017"]

# It keeps the name of the era whose sources it is assembled from, and so their habits.
ERA: Era = _2017._replace(
    commit="87f97c73d37d",
    guards=_2017.guards._replace(guard=640, nosplit=512),
    layouts=tables.layouts(tables.E2015),
    routines={name: (*routines, *ROUTINES) for name, routines in _2017.routines.items()},
)


def most(size: int) -> int:
    """How many barriers there is room for at the top of a stack of ``size`` bytes."""
    found, reach = 1, FIRST
    while reach < size:
        found, reach = found + 1, 2 * reach
    return found
