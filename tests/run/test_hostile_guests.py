"""Programs that want too much or never end, and files that are damaged: a clear message, the right exit code."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import toolchain
from whole import FOLDER, Ran, command, process

MEMORY = 3 << 30  # bytes of address space that a run may take, code buffers of the engine included


MODES = ("spin", "calls", "sleep", "children", "output", "fork", "map", "files", "heap", "stuck", "read")


def hostile(mode: str, *options: str) -> Ran:
    """The program `hostile` in one of its modes, in a process whose memory is bounded; the arches take turns."""
    goarch = toolchain.GOARCHES[MODES.index(mode) % 3]
    path = toolchain.build("newest", goarch, FOLDER / "hostile")
    return process("run", *options, str(path), mode, memory=MEMORY)


@pytest.mark.parametrize("mode", ["spin", "calls", "sleep", "children", "output"])
def test_a_budget_ends_what_does_not_end(mode: str) -> None:
    ran = hostile(mode, "--steps", "400000")
    assert ran.code == 124
    assert "the budget is spent; --steps gives more, after 400000 blocks" in ran.err


USED_UP = {"fork": "resource temporarily unavailable", "map": "cannot allocate memory", "files": "too many open files"}


@pytest.mark.parametrize("mode", USED_UP)
def test_what_is_used_up_is_refused(mode: str) -> None:
    ran = hostile(mode)
    assert ran.code == 12
    assert f"refused: {USED_UP[mode]} true\n" in ran.out.decode()


def test_memory_that_is_used_up_ends_the_runtime() -> None:
    ran = hostile("heap")
    assert ran.code == 2
    assert "out of memory" in ran.err


@pytest.mark.parametrize("mode", ["stuck", "read"])
def test_nothing_can_happen_any_more(mode: str) -> None:
    """The runtime's monitor wakes up once in a while for ever: a budget ends that."""
    ran = hostile(mode, "--steps", "400000")
    assert ran.code == 124
    assert ran.err.startswith("stackcarry: ")


@pytest.mark.parametrize("kept", [4, 16, 52, 64, 200, 4096, 0x12345, 0.5, 0.9])
def test_a_truncated_file(kept: float, tmp_path: Path) -> None:
    goarch = toolchain.GOARCHES[int(10 * kept) % 3]
    whole = toolchain.build("newest", goarch, FOLDER / "exitcodes").read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else int(kept)])
    ran = command("run", str(path), "0")
    assert ran.code == 125
    assert str(path) in ran.err


@pytest.mark.parametrize("seed", range(18))
def test_a_damaged_file(seed: int, tmp_path: Path) -> None:
    """Bytes of the headers, then of all the file, are changed: it is refused, or runs to some end of its own."""
    goarch = toolchain.GOARCHES[seed % 3]
    data = bytearray(toolchain.build("newest", goarch, FOLDER / "exitcodes").read_bytes())
    chance = random.Random(seed)
    reach = 300 if seed % 2 else len(data)
    for _ in range(chance.choice((1, 4, 200))):
        data[chance.randrange(16, reach)] = chance.randrange(256)
    path = tmp_path / "damaged"
    path.write_bytes(data)
    ran = command("run", "--steps", "2000000", str(path), "0")
    assert ran.code in (0, 2, 121, 124, 125) or ran.code > 128, ran.err
    assert ran.err or ran.code == 0
