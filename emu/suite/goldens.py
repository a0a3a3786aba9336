"""Golden texts beside the tests: ``goldens/<test file>/<test>.txt``, and which of them no test of a whole run used.

Each process of a run keeps an `Account` of its own; the one that reports adds them up.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "goldens"
_MOST = 60  # lines of a difference that are shown


@dataclass
class Account:
    """What one process of a test run knows of goldens; all paths as text.

    ``used``: golden -> the test that compared or wrote it. ``tests``: test file -> its tests that may use goldens.
    ``partial``: test files of which only some tests were chosen. ``folders``: folders of goldens in directories that
    were searched for tests.
    """

    used: dict[str, str] = field(default_factory=dict)
    tests: dict[str, set[str]] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def pack(self) -> dict[str, Any]:
        """Plain lists and dictionaries, for another process."""
        return {
            "used": self.used, "partial": sorted(self.partial), "folders": sorted(self.folders),
            "tests": {file: sorted(tests) for file, tests in self.tests.items()},
        }

    def add(self, packed: Mapping[str, Any]) -> None:
        """Take in what another process packed."""
        self.used |= packed["used"]
        self.partial |= set(packed["partial"])
        self.folders |= set(packed["folders"])
        for file, names in packed["tests"].items():
            self.tests.setdefault(file, set()).update(names)

    def unused(self, passed: set[str]) -> list[Path]:
        """Goldens that no test used, of test files whose tests all ran and passed, or that are gone.

        None in a run where no test has goldens: the folder may be somebody else's.
        """
        if not any(self.tests.values()):
            return []
        found: set[Path] = set()
        for file, tests in self.tests.items():
            if file not in self.partial and tests <= passed:
                found |= set(_texts(_folder(Path(file))))
        for folder in map(Path, self.folders):
            gone = (place for place in folder.iterdir() if not (folder.parent / f"{place.name}.py").exists())
            found |= {text for place in gone if place.is_dir() for text in _texts(place)}
        return sorted(path for path in found if str(path) not in self.used)


def _folder(test_file: Path) -> Path:
    return test_file.parent / FOLDER / test_file.stem


def _texts(folder: Path) -> Iterator[Path]:
    return folder.glob("*.txt")


def remove(paths: Iterable[Path]) -> None:
    """Delete goldens, and folders that are empty then."""
    for path in paths:
        path.unlink()
        for folder in (path.parent, path.parent.parent):
            if not any(folder.iterdir()):
                folder.rmdir()


class Golden:
    """The goldens of one test: call it with what must be as it was."""

    def __init__(self, account: Account, test_file: Path, test: str, update: bool) -> None:
        self._account, self._folder, self._update = account, _folder(test_file), update
        self._test = test
        self._seen: set[Path] = set()

    def __call__(self, text: str, name: str = "") -> None:
        """Compare a text with the golden of this test; ``name`` tells several apart. Raises AssertionError."""
        __tracebackhide__ = True
        stem = "-".join(filter(None, re.split(r"[^\w.+]+", f"{self._test}-{name}")))
        path = self._folder / f"{stem}.txt"
        owner = self._account.used.setdefault(str(path), self._test)
        if owner != self._test or path in self._seen:
            raise AssertionError(f"{path.name} is the golden of {owner} already: give this text a name of its own")
        self._seen.add(path)
        before = path.read_bytes().decode() if path.exists() else None
        if before == text:
            return
        if not self._update:
            raise AssertionError(_difference(path, before, text))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def _difference(path: Path, before: str | None, now: str) -> str:
    place = "/".join(path.parts[-3:])
    if before is None:
        return f"there is no {place} yet; pytest --stackcarry-update writes it"
    rows = list(difflib.unified_diff(before.splitlines(), now.splitlines(), "golden", "now", n=2, lineterm=""))
    more = [f"... and {len(rows) - _MOST} lines more"] if len(rows) > _MOST else []
    head = f"not as in {place}; pytest --stackcarry-update accepts what is now"
    return "\n".join([head, *rows[:_MOST], *more])
