"""Every example of the README does what it shows."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import examples
import pytest
import toolchain

TEXT = examples.README.read_text()


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the examples; `stackcarry` is the one installed beside this interpreter."""
    go = toolchain.go_root("newest")
    return examples.environment(str(Path(sys.executable).parent), go, tmp_path_factory.mktemp("cache"))


def test_console_examples(tools: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(toolchain.PROGRAM, folder)
    ran = 0
    for block in examples.blocks(TEXT):
        if block.file:
            (folder / block.file).write_text(block.body)
        if block.kind != "console":
            continue
        for command in examples.commands(block):
            printed = examples.run(command.text, folder, tools)
            assert examples.matches(command.shown, printed), f"README line {command.line}: {command.text}\n{printed}"
            ran += 1
    assert ran >= 6


def test_python_examples(tools: dict[str, str], tmp_path: Path) -> None:
    found = list(examples.blocks(TEXT))
    ran = 0
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.kind != "python" or block.file:
            continue
        program = tmp_path / "example.py"
        program.write_text(block.body)
        command = [sys.executable, str(program)]
        done = subprocess.run(
            command, cwd=tmp_path, env=tools, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        if following is not None and following.kind == "text":
            assert done.stdout == following.body, f"README line {block.line}"
        ran += 1
    assert ran >= 1


def test_a_wrong_example_is_caught() -> None:
    assert examples.matches("one\n...\nfour\n", "one\ntwo\nthree\nfour\n")
    assert not examples.matches("one\n...\nfive\n", "one\ntwo\nthree\nfour\n")
    assert not examples.matches("one\n", "one\ntwo\n")
