"""What a case consists of. Whether a variant breaks is found by running it; here only what history says is written."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from arch import ARCHES
from arch.model import Arch

BREAKS, HOLDS = dict.fromkeys(ARCHES, "breaks"), dict.fromkeys(ARCHES, "holds")
"""Histories that are the same on every arch."""


@dataclass(frozen=True)
class Variant:
    """One state of the code. ``name`` is a word (``before``, ``committed``, ``later``).

    ``commit``: its id in Go's repository, or a release. ``differs``: in a line, how. ``history``: arch name ->
    ``breaks`` or ``holds``, as it was; an arch that is not named had no such code. ``notes``: arch name -> what a
    reader of that cell must know.
    """

    name: str
    commit: str
    differs: str
    history: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What a run found. ``breaks``: what went wrong, with names for addresses; empty if nothing did.

    ``step``: instructions executed (or, in an exploration, choices made) until then. ``looked``: how many ``unit``
    (``steps`` or ``states``) were looked at. ``schedule``: replays the run. ``findings``: further facts, a line each.
    """

    breaks: str = ""
    step: int = 0
    looked: int = 0
    unit: str = "steps"
    schedule: str = ""
    findings: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """``breaks`` or ``holds``."""
        return "breaks" if self.breaks else "holds"

    def __str__(self) -> str:
        if self.breaks:
            return f"breaks: {self.breaks} at {'step' if self.unit == 'steps' else 'choice'} {self.step}"
        return f"holds: {self.looked} {self.unit} looked at"


@dataclass(frozen=True)
class Case:
    """An experiment. ``run`` gives the verdict of a variant on an arch; with a schedule, of that one interleaving.

    ``text``: the guest's source of a variant on an arch, so that their difference can be shown. ``story``: what
    happened, in a few paragraphs. ``schedules``: whether it explores interleavings.
    """

    name: str
    title: str
    story: str
    variants: tuple[Variant, ...]
    run: Callable[[Variant, Arch, str], Verdict]
    text: Callable[[Variant, Arch], str]
    schedules: bool = False

    def variant(self, name: str) -> Variant:
        """A variant by its name; KeyError if there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(f"{self.name} has no variant {name!r}; there are: {', '.join(v.name for v in self.variants)}")

    def differences(self, arch: Arch) -> Iterator[str]:
        """How the source of each variant differs from that of the one before it, as lines of a unified diff."""
        for before, after in zip(self.variants, self.variants[1:], strict=False):
            old, new = self.text(before, arch).splitlines(), self.text(after, arch).splitlines()
            yield from difflib.unified_diff(old, new, before.name, after.name, lineterm="", n=2)


@dataclass(frozen=True)
class Cell:
    """A verdict and where it belongs. ``replay``: of one interleaving only, of which history says nothing."""

    case: Case
    variant: Variant
    arch: Arch
    verdict: Verdict
    replay: bool = False

    @property
    def as_history(self) -> bool:
        """Whether the run found what history says; of a replay, whether it holds."""
        expected = "holds" if self.replay else self.variant.history[self.arch.name]
        return self.verdict.word == expected
