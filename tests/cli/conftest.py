"""Running the command in this process, as a user would in a shell."""

from __future__ import annotations

import sys

import pytest
from runner import Ran, Run

from emu import cli
from emu.commands import common


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call `stackcarry` with these words; a traceback would be an exception here, and fail the test."""
    monkeypatch.setattr(common, "remember", lambda: None)  # other tests of this process are to assemble anew

    def call(*words: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["stackcarry", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call
