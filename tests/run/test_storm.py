"""`run --storm`: a signal at every instruction of the trampolines, and what is told of a run that differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import toolchain
from here import Here
from whole import FOLDER, command

from emu.live.loop import Limits
from emu.live.run import Settings, open_program
from emu.live.storm import Outcome, Storm, storm

_SETTINGS = Settings(limits=Limits(100_000_000, seed=0))
_EVERY = 9  # of the instructions: a run each is what the command is for


@pytest.fixture
def campaign(goarch: str) -> Storm:
    """The program that uses every trampoline."""
    path = toolchain.build("newest", goarch, FOLDER / "trampolines")
    return storm(open_program(str(path)), (), _SETTINGS)


def test_the_signal_does_no_harm(campaign: Storm) -> None:
    assert campaign.calm.kind == "ended"
    assert len(campaign.jobs) > 100
    places = {campaign.binary.program.describe(job.address).split("+")[0] for job in campaign.jobs}
    bare = {place.removesuffix(".abi0").rsplit(".", 1)[-1] for place in places}
    assert {"mcall", "gogo", "systemstack", "morestack", "asyncPreempt", "rawVforkSyscall"} <= bare
    campaign.jobs = campaign.jobs[::_EVERY]
    unheard = campaign.unheard
    assert list(campaign.run(Here())) == [None] * len(campaign.jobs)
    assert campaign.unheard == unheard, "a job whose signal was never sent"


def _nothing(folder: Path) -> Path:
    """A program that needs few of the trampolines, and no signal."""
    (folder / "go.mod").write_text("module nothing\n\ngo 1.21\n")
    (folder / "main.go").write_text('package main\n\nfunc main() {\n\tprintln("nothing")\n}\n')
    return toolchain.build("newest", "386", folder)


def test_a_program_that_a_signal_breaks(tmp_path: Path) -> None:
    path = _nothing(tmp_path)
    binary = open_program(str(path))
    entry = binary.program.symbols["runtime.doSigPreempt"].address
    (segment,) = (s for s in binary.program.segments if s.address <= entry < s.address + len(s.data))
    code = bytearray(path.read_bytes())
    begin = entry - segment.address
    at = code.index(segment.data[begin : begin + 64])
    code[at : at + 2] = b"\x0f\x0b"  # ud2: whoever gets here dies
    broken = tmp_path / "broken"
    broken.write_bytes(code)
    campaign = storm(open_program(str(broken)), (), _SETTINGS)
    assert campaign.calm.kind == "ended"
    campaign.jobs = campaign.jobs[::12]
    found = list(campaign.run(Here()))
    assert all(difference is not None and difference.what == "exit" for difference in found)


CALM = Outcome("ended", 0, (b"one\ntwo\n", b""), (), 1000)


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (CALM._replace(output=(b"one\nthree\n", b"")), "output"),
        (CALM._replace(output=(b"one\ntwo\n", b"!")), "error output"),
        (CALM._replace(status=0x100), "exit"),
        (CALM._replace(kind="deadlock"), "exit"),
        (CALM._replace(kind="budget"), "no end"),
        (CALM._replace(broken=("mcall: SP",)), "checks"),
    ],
)
def test_what_differs(campaign: Storm, found: Outcome, what: str) -> None:
    made = Storm(campaign.binary, CALM)
    assert made.compare("here", CALM) is None
    difference = made.compare("here", found)
    assert difference is not None
    assert difference.what == what
    assert difference.expected != difference.found


def test_a_program_that_fails_by_itself_is_not_stormed(goarch: str) -> None:
    path = toolchain.build("newest", goarch, FOLDER / "trampolines")
    ran = command("run", "--storm", "--steps", "1000", "--json", str(path))
    assert ran.code == 121
    assert json.loads(ran.err)["kind"] == "refused"


def test_the_command(tmp_path: Path) -> None:
    path = _nothing(tmp_path)
    ran = command("run", "--storm", "--json", str(path))
    assert (ran.code, ran.out) == (0, b"")
    *beats, last = ran.err.splitlines()
    row = json.loads(last)
    assert len(beats) >= 4
    assert all(beat.endswith(f" of {row['runs']} runs") for beat in beats)
    assert (row["kind"], row["different"]) == ("storm", 0)
    assert row["runs"] > 50
    assert row["unreached"] > 0
