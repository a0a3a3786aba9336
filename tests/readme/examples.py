"""The README's examples: found, run, and (by ``python tests/readme/examples.py``) written anew.

A ``console`` block holds commands after ``$ `` and what they print; a line ``...`` stands for any lines left
out. A ``python`` block is a whole program; the ``text`` block behind it, if any, is what it prints. A block behind
a line ``<!-- file: NAME -->`` is a file that later commands may use.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"(?:^<!-- file: (?P<file>\S+) -->\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: ``kind`` is its language, ``file`` the name it is saved under, ``line`` its place."""

    kind: str
    body: str
    file: str | None
    line: int


@dataclass(frozen=True)
class Command:
    """One command of a console block and the output that the README shows for it."""

    text: str
    shown: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """All fenced blocks in order."""
    for match in _BLOCK.finditer(text):
        yield Block(match["kind"], match["body"], match["file"], text.count("\n", 0, match.start()) + 1)


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    parts = re.split(r"^\$ ", block.body, flags=re.M)
    line = block.line + 1
    for part in parts[1:]:
        text, _, shown = part.partition("\n")
        yield Command(text, shown, line)
        line += part.count("\n")


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What a command prints, both streams, run by a shell in ``folder``."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def matches(shown: str, printed: str) -> bool:
    """Whether an output is what is shown; a shown line ``...`` stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line.strip() == "..." else re.escape(line.rstrip()) + r"\n" for line in shown.splitlines()
    )
    return re.fullmatch(pattern, printed) is not None


def environment(path: str, go: Path, cache: Path) -> dict[str, str]:
    """What the commands see: the tools under test, a Go toolchain that asks no network, plain text."""
    return {
        "PATH": os.pathsep.join([path, str(go / "bin"), "/usr/bin", "/bin"]),
        "HOME": str(cache), "XDG_CACHE_HOME": str(cache), "GOCACHE": str(cache / "gobuild"), "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=mod", "GOPROXY": "off", "CGO_ENABLED": "0", "LC_ALL": "C.UTF-8", "COLUMNS": "110",
    }


def _renew(text: str, folder: Path, seen: dict[str, str]) -> str:
    """The README with every console output as it is now; outputs that show ``...`` are kept if they still match."""

    def renewed(match: re.Match[str]) -> str:
        if match["file"]:
            (folder / match["file"]).write_text(match["body"])
        if match["kind"] != "console":
            return match[0]
        block = Block(match["kind"], match["body"], None, 0)
        body = ""
        for command in commands(block):
            printed = run(command.text, folder, seen)
            shown = command.shown if matches(command.shown, printed) else printed
            body += f"$ {command.text}\n{shown}"
        return match[0].replace(match["body"], body)

    return _BLOCK.sub(renewed, text)


if __name__ == "__main__":
    import shutil
    import tempfile

    sys.path.insert(0, str(Path(__file__).parents[1]))
    import toolchain

    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / "work"
        shutil.copytree(toolchain.PROGRAM, place)
        go = toolchain.go_root(toolchain.VERSIONS[-1])
        tools = environment(str(Path(sys.executable).parent), go, Path(name) / "cache")
        README.write_text(_renew(README.read_text(), place, tools))
