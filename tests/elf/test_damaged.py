"""A binary with one instruction of one routine replaced by no-ops: the command finds it, and says what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from emu import freerun
from emu import target as targets
from emu.target import Target
from emu.trace.steps import Step


def _moves_to_another_stack(step: Step) -> bool:
    return any(note.startswith("SP: ") for note in step.notes)


def _writes(step: Step) -> bool:
    return any(access.write for access in step.accesses)


# Routine -> which step is lost (the last such one), and the check that must fail.
DAMAGES: dict[str, tuple[Callable[[Step], bool], str]] = {
    "mcall": (_moves_to_another_stack, "g0's SP → sp at fn"),
    "gogo": (_moves_to_another_stack, "SP → sp at resumed"),
    "morestack": (_moves_to_another_stack, "g0's SP → sp at newstack"),
    "rawVforkSyscall": (_writes, "err → result err at caller"),
}


@pytest.mark.parametrize("routine", DAMAGES)
def test_damage_is_found_and_named(go_binary: Path, routine: str, tmp_path: Path) -> None:
    damage, check = DAMAGES[routine]
    target = targets.of_binary(str(go_binary))
    step = [step for step in freerun.trace(target, routine, None, 1000).steps if damage(step)][-1]
    copy = tmp_path / "damaged"
    copy.write_bytes(_without(go_binary, target, step))
    code, text = _check(copy, tmp_path)
    where = rf"^FAIL {re.escape(str(copy))} \(\S+\) {target.arch.name}"
    failed = re.findall(where + r" (\S+), (?:[^:]+: )?(.+?): expected", text, re.MULTILINE)
    assert code == 1
    assert (routine, check) in failed
    others = {name for name, _ in failed if not name.startswith("flow:")} - {routine}
    assert others <= ({"morestack_noctxt"} if routine == "morestack" else set()), "only what leads there fails too"
    flows = {name for name, _ in failed if name.startswith("flow:")}
    assert bool(flows) == (routine != "rawVforkSyscall"), "a flow that runs it fails too"


def _without(path: Path, target: Target, step: Step) -> bytes:
    """The file's bytes with the instruction of a step replaced by no-ops."""
    with path.open("rb") as file:
        (offset,) = ELFFile(file).address_offsets(step.pc, len(step.code))
    data = bytearray(path.read_bytes())
    assert data[offset : offset + len(step.code)] == step.code
    nop = target.arch.nop
    data[offset : offset + len(step.code)] = nop * (len(step.code) // len(nop))
    return bytes(data)


def _check(path: Path, cache: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "emu.cli", "check", "--elf", str(path), "--no-color"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, done.stdout
