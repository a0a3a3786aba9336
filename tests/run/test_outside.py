"""Signals that the command gets: the guest has them as if it had been run itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from whole import HOME, PATIENCE, Program


def sent(goarch: str, way: str, *signals: int) -> tuple[int, str, str]:
    """The exit code, output and error output of a program that gets signals one after the other."""
    path = Program("outside").build("newest", goarch)
    words = [sys.executable, "-P", "-m", "emu.cli", "run", str(path), way]
    child = subprocess.Popen(
        words, cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    first = child.stdout.readline()
    assert first == "ready\n"
    for number in signals:
        time.sleep(0.3)
        os.kill(child.pid, number)
    assert child.wait(PATIENCE) is not None
    out, err = child.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, err
    return child.returncode, out, err


@pytest.mark.parametrize(("number", "name"), [
    (signal.SIGINT, "interrupt"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "hangup"),
])
def test_a_handler_of_the_guests_runs(goarch: str, number: int, name: str) -> None:
    assert sent(goarch, "handle", number) == (9, f"got {name}\n", "")


def test_without_a_handler_it_dies_of_them(goarch: str) -> None:
    code, out, err = sent(goarch, "spin", signal.SIGTERM)
    assert (code, out) == (128 + signal.SIGTERM, "")
    assert "killed by SIGTERM" in err
    assert sent(goarch, "spin", signal.SIGINT)[0] == 130


def test_quit_tells_where_everyone_is(goarch: str) -> None:
    code, _, err = sent(goarch, "spin", signal.SIGQUIT)
    assert code == 2
    assert err.startswith("SIGQUIT: quit\n")
    assert "goroutine 1 " in err
    assert "main.main()" in err


def test_a_second_interrupt_ends_the_run(goarch: str) -> None:
    assert sent(goarch, "ignore", signal.SIGINT, signal.SIGINT) == (130, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_guest_that_reads_our_input_is_ended(goarch: str, number: int) -> None:
    code, out, _ = sent(goarch, "read", number)
    assert (code, out) == (130 if number == signal.SIGINT else -number, "")
