"""Every command's help has examples of it, and they do what is said: they are run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import toolchain

from emu.cli import cli

# Examples that end with another exit code than 0, and why.
CODES = {
    "--variant committed --schedule a24b9": 1,  # this interleaving breaks
    "stackcarry diff amd64.trace arm.trace": 1,  # the architectures carry different things
    "--out result ./program": 125,  # this program writes no such file, which is said
}
FILES = {
    "switch.s": "switch:\n    str sp, [r0]\n    ldr sp, [r1]\n    mov pc, lr\n",
    "trampoline.s": "save:\n    mov qword ptr [r14 + g.sched.sp], rsp\n    ret\n",
}
WRITES = re.compile(r"-o (\S+)|--trace (\S+)|--to html|--install")


def commands(group: click.Group, words: tuple[str, ...] = ("stackcarry",)) -> Iterator[tuple[tuple[str, ...], str]]:
    """All commands: their words, their help."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command.help or ""


COMMANDS = dict(commands(cli))


def examples(text: str) -> list[str]:
    """The examples in a command's help."""
    return [line.strip() for line in text.splitlines() if re.match(r"\s*stackcarry\s", line)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the examples name: a program, assembly."""
    shutil.copy(toolchain.build("newest", "amd64", toolchain.PROGRAM), tmp_path / "program")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_examples_of_help(words: tuple[str, ...], folder: Path) -> None:
    found = examples(COMMANDS[words])
    assert any(example.startswith(" ".join(words)) for example in found), "a command shows how it is called"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for example in found:
        before = {file.name for file in folder.iterdir()}
        done = subprocess.run(
            example, shell=True, cwd=folder, env={**os.environ, "PATH": path, "COLUMNS": "160"}, timeout=300,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )
        expected = next((code for part, code in CODES.items() if part in example), 0)
        assert done.returncode == expected, f"{example}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        written = {file.name for file in folder.iterdir()} - before
        assert done.stdout or written, f"{example} shows nothing"
        assert bool(written) == bool(WRITES.search(example)), f"{example} writes {written}"


def test_the_codes_are_of_examples() -> None:
    every = [example for text in COMMANDS.values() for example in examples(text)]
    assert all(any(part in example for example in every) for part in CODES)
