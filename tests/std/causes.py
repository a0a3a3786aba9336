"""Why tests fail under `stackcarry run`, or skip what they do elsewhere: what causes.toml says."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

FILE = Path(__file__).with_name("causes.toml")


@dataclass(frozen=True)
class Cause:
    """One entry: tests of a package (patterns as of a shell) that fail on some arches, and why they do.

    ``skipped``: they do not fail, but are skipped while they pass elsewhere, if whoever runs them there may do enough.
    """

    package: str
    tests: tuple[str, ...]
    arches: tuple[str, ...]
    why: str
    skipped: bool = False

    def holds(self, package: str, goarch: str, test: str, skipped: bool) -> bool:
        """Is it this one's?"""
        named = any(fnmatchcase(test, pattern) for pattern in self.tests)
        return named and package == self.package and goarch in self.arches and skipped == self.skipped


def known() -> tuple[Cause, ...]:
    """All that the file says."""
    entries = tomllib.loads(FILE.read_text()).get("cause", [])
    return tuple(
        Cause(e["package"], tuple(e["tests"]), tuple(e["arches"]), e["why"], e.get("skipped", False)) for e in entries
    )


def cause(causes: Iterable[Cause], package: str, goarch: str, test: str, skipped: bool) -> Cause | None:
    """Why a test fails or is skipped, if it is known."""
    return next((found for found in causes if found.holds(package, goarch, test, skipped)), None)


def stale(causes: Iterable[Cause], package: str, goarch: str, failing: Iterable[str]) -> Iterator[str]:
    """The patterns of a package on an arch that no failing test has any more."""
    bad = list(failing)
    for one in causes:
        if one.package == package and goarch in one.arches and not one.skipped:
            yield from (pattern for pattern in one.tests if not any(fnmatchcase(test, pattern) for test in bad))
