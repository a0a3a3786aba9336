"""What the Go runtime's own tests ask of the programs that they run, asked of `stackcarry run`, all crossings watched.

The commands that take long are in the same table; `runtime_run` is the command that runs them.
"""

from __future__ import annotations

import re

import pytest
import runtime_run
import toolchain
from runtime_commands import COMMANDS, Command

QUICK = tuple(command for command in COMMANDS if command.sort == "quick")
TURNS = tuple(command for command in COMMANDS if command.sort == "turns")
OLD = tuple(command for command in QUICK if command.old)


def _each() -> list[object]:
    """Of the quick ones every arch's, of those of turns one arch's."""
    found = [(command, goarch) for goarch in toolchain.GOARCHES for command in QUICK if goarch in command.arches]
    return [*map(_param, found), *_in_turns(TURNS)]


def _in_turns(commands: tuple[Command, ...]) -> list[object]:
    return [_param((command, command.arches[n % len(command.arches)])) for n, command in enumerate(commands)]


def _param(pair: tuple[Command, str]) -> object:
    command, goarch = pair
    return pytest.param(*pair, id=f"{command.name} {goarch}", marks=getattr(pytest.mark, goarch))


@pytest.mark.parametrize(("command", "goarch"), _each())
def test_a_command_prints_what_the_runtime_asks(command: Command, goarch: str) -> None:
    _as_asked(command, "newest", goarch)


@pytest.mark.parametrize(("command", "goarch"), _in_turns(OLD))
def test_the_oldest_toolchain(command: Command, goarch: str) -> None:
    _as_asked(command, "1.21", goarch)


def _as_asked(command: Command, version: str, goarch: str) -> None:
    ran = runtime_run.run(command, version, goarch)
    assert runtime_run.wrong(command, ran) == [], ran.output[:4000]


def test_the_table_has_every_command() -> None:
    folder = toolchain.go_root("newest") / "src" / "runtime" / "testdata" / "testprog"
    there = set()
    for path in folder.glob("*.go"):
        if not path.stem.endswith(("_windows", "_freebsd")):
            there |= set(re.findall(r'\bregister(?:Init)?\("([^"]+)"', path.read_text()))
    named = {command.arguments[0] for command in COMMANDS if command.program == "testprog"}
    assert named - {"NonexistentTest"} == there


def test_what_is_apart_has_a_reason() -> None:
    assert all(bool(command.why) == (command.sort == "apart") for command in COMMANDS)
