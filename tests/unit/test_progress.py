"""What long jobs say of how far they have come."""

from __future__ import annotations

import io
import sys

import pytest

from emu import progress
from emu.progress import BEAT, EVERY, Bar, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the module sees."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_file_gets_a_line_now_and_then(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress("steps") as shown:
        for number in range(100):
            clock[0] = number * BEAT / 40
            shown.count(number)
    assert sys.stderr.getvalue() == "40 steps\n80 steps\n"


def test_a_terminal_has_one_line(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress("steps") as shown:
        for number in range(3):
            clock[0] = number * EVERY
            shown.count(number)
    assert sys.stderr.getvalue() == "\r1 steps\r2 steps\r\x1b[K"


def test_who_is_fast_says_nothing(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (io.StringIO(), Terminal()):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress("steps") as shown:
            shown.count(1)
        assert stream.getvalue() == ""
    assert clock == [0.0]


def test_a_slow_bar_speaks_between_quarters(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Bar(8, "runs") as bar:
        for _ in range(8):
            clock[0] += BEAT if clock[0] < BEAT else BEAT / 8
            bar.step()
    beats = [int(line.split()[0]) for line in sys.stderr.getvalue().splitlines()]
    assert beats == [1, 2, 4, 6, 8]
