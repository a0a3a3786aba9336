"""Instructions for the exclusive monitor of arches that have one: which a thread uses up when its turn comes again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Exclusive:
    """``mark``: an exclusive load from the address in the register ``pointer``; ``clear``: forget every mark."""

    mark: bytes
    pointer: str
    clear: bytes


EXCLUSIVE: Mapping[str, Exclusive] = {
    "arm": Exclusive(bytes.fromhex("9f0f91e1"), "r1", bytes.fromhex("1ff07ff5")),  # ldrex r0, [r1]; clrex
}
"""isa -> its instructions; the others have no monitor."""
