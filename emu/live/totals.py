"""What was seen of the processes of a run, all together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from emu.live.guest import Guest

MOST_TOLD = 1000  # programs beside the first whose depth is kept
_PRIME, _WORD = 0x100_0000_01B3, (1 << 64) - 1


class Totals:
    """``distance``: the smallest distance of SP to its guard, in bytes, by who came there. ``memory``: bytes that one
    process had accessible at most; ``hook``: preemptions that a maymorestack hook asked for, and those lost."""

    def __init__(self) -> None:
        self.blocks = self.answered = self.growths = self.shrinks = self.memory = self.processes = 0
        self.crossings: Counter[str] = Counter()
        self.hook: tuple[int, int] | None = None
        self.distance: dict[str, int] = {}
        self.digest: int | None = None

    def with_(self, guests: Iterable[Guest]) -> Totals:
        """These, and what was seen of some guests more."""
        sum_ = Totals()
        sum_.__dict__.update(self.__dict__, crossings=self.crossings.copy(), distance=dict(self.distance))
        for guest in guests:
            sum_.add(guest)
        return sum_

    def add(self, guest: Guest) -> None:
        """Count what was seen of a guest. Of one that is not the first, only where SP was nearest to a guard."""
        live, watching, rare = guest.process.machine.live, guest.watching, guest.rare
        self.processes += 1
        self.blocks += live.blocks
        self.answered += live.answered
        self.memory = max(self.memory, guest.process.space.peak)
        self.digest = live.digest if self.digest is None else (self.digest ^ live.digest) * _PRIME & _WORD
        if rare is not None:
            self.crossings.update(rare.counts)
            self.growths += rare.growths
            self.shrinks += rare.shrinks
        if watching is None:
            return
        self.crossings.update(watching.counts())
        if watching.hooked:
            asked, lost = self.hook or (0, 0)
            self.hook = asked + watching.hook()[0], lost + watching.hook()[1]
        depths = watching.depths()
        if not guest.name:
            self.distance.update(depths)
        elif depths and len(self.distance) < MOST_TOLD:
            self.distance[guest.name] = min(depths.values())
