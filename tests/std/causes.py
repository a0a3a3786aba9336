"""Why tests fail under `stackcarry run`: what causes.toml says."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

FILE = Path(__file__).with_name("causes.toml")


@dataclass(frozen=True)
class Cause:
    """One entry: tests of a package (patterns as of a shell) that fail on some arches, and why they do."""

    package: str
    tests: tuple[str, ...]
    arches: tuple[str, ...]
    why: str

    def holds(self, package: str, goarch: str, test: str) -> bool:
        """Is it this one's?"""
        named = any(fnmatchcase(test, pattern) for pattern in self.tests)
        return named and (package, goarch) in ((self.package, arch) for arch in self.arches)


def known() -> tuple[Cause, ...]:
    """All that the file says."""
    entries = tomllib.loads(FILE.read_text()).get("cause", [])
    return tuple(Cause(e["package"], tuple(e["tests"]), tuple(e["arches"]), e["why"]) for e in entries)


def cause(causes: Iterable[Cause], package: str, goarch: str, test: str) -> Cause | None:
    """Why a test fails, if it is known."""
    return next((found for found in causes if found.holds(package, goarch, test)), None)


def stale(causes: Iterable[Cause], package: str, goarch: str, failing: Iterable[str]) -> Iterator[str]:
    """The patterns of a package on an arch that no failing test has any more."""
    bad = list(failing)
    for one in causes:
        if one.package == package and goarch in one.arches:
            yield from (pattern for pattern in one.tests if not any(fnmatchcase(test, pattern) for test in bad))
