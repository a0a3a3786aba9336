"""A program that a signal ends is told of in one line: which signal, on which thread, where, and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import whole

from arch import ARCHES
from asm.goelf import load

ENTRY = 24  # where e_entry stands in the file


def _without_entry(goarch: str, into: Path) -> Path:
    """A program that begins where nothing is mapped."""
    data = bytearray(whole.PROGRAMS["hello"].build("newest", goarch).read_bytes())
    word = ARCHES[goarch].word
    data[ENTRY : ENTRY + word] = (0x1234).to_bytes(word, "little")
    into.write_bytes(data)
    return into


def _deaf(into: Path) -> Path:
    """A program for arm whose handler of signals touches address 0 at its first instruction."""
    path = whole.PROGRAMS["panics"].build("newest", "arm")
    symbol = next(s for s in load(path).program.symbols.values() if s.name.removesuffix(".abi0") == "runtime.sigtramp")
    code, data = load(path).program.read(symbol.address, symbol.size), path.read_bytes()
    assert data.count(code) == 1
    store = bytes.fromhex("0000a0e3" "040080e5")  # mov r0, #0; str r0, [r0, #4]
    into.write_bytes(data.replace(code, store + code[len(store) :]))
    return into


def test_the_first_instruction_is_nowhere(goarch: str, tmp_path: Path) -> None:
    path = _without_entry(goarch, tmp_path / "nowhere")
    ran = whole.command("run", str(path))
    assert (ran.code, ran.out) == (139, b"")
    assert ran.err == "stackcarry: killed by SIGSEGV: thread 1000 at 0x1234 (PC 0x1234), touching 0x1234\n"
    (ending,) = whole.run_file(path).summary["ending"]
    assert ending == {
        "kind": "ending", "outcome": "killed", "signal": "SIGSEGV", "thread": 1000, "pc": "0x1234", "at": "0x1234",
        "address": "0x1234", "why": "", "blocks": ending["blocks"],
    }  # fmt: skip


def test_a_fault_in_a_handler_names_the_routine(tmp_path: Path) -> None:
    ran = whole.command("run", "--no-check", str(_deaf(tmp_path / "deaf")), "nil")
    assert ran.code == 139
    assert re.fullmatch(
        r"stackcarry: killed by SIGSEGV: thread 1000 at runtime\.sigtramp\+0x4 \(PC 0x[0-9a-f]+\), touching 0x4; "
        r"its handler cannot run: the thread blocks it\n", ran.err.splitlines(keepends=True)[-1],
    )  # fmt: skip


def test_a_signal_that_it_sends_itself(goarch: str) -> None:
    path = whole.PROGRAMS["panics"].build("newest", goarch)
    ran = whole.run_file(path, "panic", options=("--env", "GOTRACEBACK=crash"))
    assert ran.code == 134
    (ending,) = ran.summary["ending"]
    assert (ending["signal"], ending["why"], ending["address"]) == ("SIGABRT", "sent by itself", None)
    assert ending["at"].startswith("runtime.")


@pytest.mark.parametrize("code", ["0", "121", "255"])
def test_who_exits_is_not_told_of(code: str) -> None:
    path = whole.PROGRAMS["code 0"].build("newest", "386")
    assert whole.command("run", str(path), code).err == ""
