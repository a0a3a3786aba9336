"""Running a test binary once: what each of its tests came to, and what it cost."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import toolchain

ENDS = ("pass", "fail", "skip")
UNFINISHED = "unfinished"
"""The outcome of a test that was running when its binary ended."""
WHOLE = "(the binary)"
"""Stands for a test where a binary ended badly without one running."""
_LAST = 12  # lines that a binary's last words have
_SUMMARY = '{"kind": "summary"'


@dataclass(frozen=True)
class Ran:
    """A test binary's run. ``code``: its exit code, negative if a signal ended it. ``cpu``: seconds, user and system,
    children included. ``outcomes``: by test. ``words``: the last lines that it wrote. ``summary``: the run's counts, of
    a run of ours."""

    code: int
    cpu: float
    outcomes: dict[str, str]
    words: tuple[str, ...]
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Does `go test` say ok?"""
        return self.code == 0

    @property
    def died(self) -> bool:
        """Did it end before its tests did? They end with 0, or 1 if one failed."""
        ended = set(self.outcomes.values()) <= set(ENDS)
        return not ended or not (self.whole or (self.code == 1 and "fail" in self.outcomes.values()))

    def count(self, outcome: str) -> int:
        """How many tests came to this; a test that never ended has failed."""
        wanted = ("fail", UNFINISHED) if outcome == "fail" else (outcome,)
        return sum(found in wanted for found in self.outcomes.values())

    def failing(self) -> list[str]:
        """The tests that failed, without those that failed only because a part of theirs did."""
        bad = sorted(test for test, outcome in self.outcomes.items() if outcome in ("fail", UNFINISHED))
        bad = [test for test in bad if not any(other.startswith(f"{test}/") for other in bad)]
        return bad or ([] if self.whole else [WHOLE])

    def passing(self) -> set[str]:
        """The tests that passed, by `name`."""
        return {name(test) for test, outcome in self.outcomes.items() if outcome == "pass"}

    def skipped(self) -> list[str]:
        """The tests that said that they cannot be made."""
        return sorted(test for test, outcome in self.outcomes.items() if outcome == "skip")


def name(test: str) -> str:
    """A test's name without the addresses that some have in theirs: the same by each runner."""
    return re.sub(r"(?<![0-9A-Za-z])0x[0-9a-f]{5,}", "0x", test)


def run(command: Sequence[str], folder: Path, environment: dict[str, str], seconds: int) -> Ran:
    """Run it in ``folder``, for at most so many seconds of CPU, and four times as many by the clock."""
    with TemporaryFile() as out, TemporaryFile() as err:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=environment,
            start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
        )  # fmt: skip
        clock = threading.Timer(4 * seconds, os.killpg, (child.pid, signal.SIGKILL))
        clock.start()
        _, status, usage = os.wait4(child.pid, 0)
        clock.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        _end_all(child.pid)
        said, complained = _text(out), _text(err)
    summary: dict[str, Any] = {}
    words = [line for line in map(_plain, said) if line.strip() != "=== NAME"]
    for line in complained:
        if line.startswith(_SUMMARY):
            summary = json.loads(line)
        else:
            words.append(line)
    cpu = usage.ru_utime + usage.ru_stime
    return Ran(child.returncode, cpu, outcomes(said), tuple(words[-_LAST:]), summary)


def outcomes(said: Sequence[str]) -> dict[str, str]:
    """By test, what a binary's output tells of it."""
    converter = toolchain.tool("newest", "test2json")
    done = subprocess.run(
        [str(converter)], input="\n".join(said) + "\n", capture_output=True, text=True, errors="replace", check=True
    )
    found: dict[str, str] = {}
    for line in done.stdout.splitlines():
        event = json.loads(line)
        if "Test" not in event:
            continue
        if event["Action"] in ("run", "cont"):
            found[event["Test"]] = UNFINISHED
        elif event["Action"] == "pause":
            del found[event["Test"]]  # it waits for its turn, and did nothing if none comes
        elif event["Action"] in ENDS:
            found[event["Test"]] = event["Action"]
    return found


def _plain(line: str) -> str:
    """A line without the marks for test2json."""
    return line.replace("\x16", "")


def _text(stream: Any) -> list[str]:
    stream.seek(0)
    text: str = stream.read().decode(errors="replace")
    return text.splitlines()


def _end_all(group: int) -> None:
    """What a test left running."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
