"""Go tests that wait: sleeping takes no time of ours, and whoever spins on the clock sees it go."""

from __future__ import annotations

from pathlib import Path

import toolchain
from test_goexec import MODULE, go

CLOCK = toolchain.PROGRAM / "clock"
WAITING = ("TestSpin", "TestSpinPolitely", "TestSpinOnTimer", "TestTicker", "TestDeadline", "TestSleepingChild")


def test_waiting_ends(goarch: str) -> None:
    code, out = go(goarch, Path(CLOCK), "test", "-v", "-count=1", "-timeout=24h", "-exec", MODULE, ".")
    assert code == 0, out
    assert [line.split()[2] for line in out.splitlines() if line.startswith("--- PASS")] == list(WAITING)


def test_the_time_limit_of_a_test_strikes(goarch: str) -> None:
    words = ("test", "-count=1", "-timeout=2h", "-run=TestStuck", "-exec", MODULE, ".")
    code, out = go(goarch, Path(CLOCK), *words, GOSTUCK="1")
    assert code == 1
    assert "panic: test timed out after 2h0m0s" in out
    assert "TestStuck (2h0m0s)" in out
