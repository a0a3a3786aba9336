"""A live run that is recorded: it goes on as it would without, and what the file says of switches is so."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from whole import HOME, PATIENCE, PROGRAMS, Ran, command, run_file, watched

from emu.live.watch.routines import HELPERS
from emu.trace.model import Event, Recording
from emu.trace.reader import open_trace

HELLO = PROGRAMS["hello"]
MANNERS = [(), ("--trace-only", "all"), ("--trace-only", "mcall", "--trace-only", "runtime.gogo")]


@functools.cache
def traced(goarch: str, file: Path, *options: str) -> Ran:
    return run_file(HELLO.build("newest", goarch), options=("--trace", str(file), *options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


def trampolines(goarch: str, folder: Path) -> Path:
    """The trace of hello's trampolines."""
    file = folder / f"{goarch}.trace"
    assert traced(goarch, file).code == 0
    return file


@pytest.mark.parametrize("options", MANNERS, ids=["trampolines", "all", "two"])
@pytest.mark.parametrize("turn", ["20000", "37"])
def test_output_counts_and_digest_are_those_of_an_unrecorded_run(
    goarch: str, tmp_path: Path, turn: str, options: tuple[str, ...]
) -> None:
    plain = watched(HELLO, "newest", goarch, "--slice", turn)
    assert plain.summary["summary"][0]["crossings"]["mcall"] > 0
    assert traced(goarch, tmp_path / "t", "--slice", turn, *options) == plain


def test_the_same_command_writes_the_same_file(goarch: str, folder: Path, tmp_path: Path) -> None:
    traced(goarch, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == trampolines(goarch, folder).read_bytes()


def _made_by(recording: Recording, event: Event, name: str) -> bool:
    """Whether an event follows an instruction of a function, or of a helper that it has called."""
    pc = recording.header.column("pc")
    assert pc is not None
    rows = recording.rows(max(0, event.step - 30), event.step + 1, [pc])[:, 0]
    functions = [recording.header.program.describe(int(at)).split("+")[0].removesuffix(".abi0") for at in rows]
    return next((function for function in reversed(functions) if function not in HELPERS[1:]), "") == name


def test_every_crossing_is_a_switch(goarch: str, folder: Path) -> None:
    """mcall goes from a goroutine to its thread's g0, morestack too: once each time that it is crossed."""
    file = trampolines(goarch, folder)
    crossings = traced(goarch, file).summary["summary"][0]["crossings"]
    with open_trace(str(file)) as recording:
        events = recording.events(-1, recording.steps + 1)
        labels = {e.data["address"]: e.data["label"] for e in events if e.kind == "struct" and e.data["kind"] == "g"}
        switches = [event for event in events if event.kind == "switch"]
        for routine, times in (("mcall", crossings["mcall"]), ("morestack", crossings["morestack_noctxt"])):
            made = [event for event in switches if _made_by(recording, event, f"runtime.{routine}")]
            made = [event for event in made if labels[event.data["to"]].startswith("g0@")]
            assert len(made) == times > 0
            assert all(labels[event.data["from"]][1:].isdigit() for event in made)


def test_mcall_begins_on_a_goroutine_and_ends_on_g0(goarch: str, folder: Path) -> None:
    with open_trace(str(trampolines(goarch, folder))) as recording:
        header = recording.header
        sp, pc = header.column("sp"), header.column("pc")
        assert sp is not None
        assert pc is not None
        symbol = header.program.symbols["runtime.mcall"]
        numbers, rows = recording.numbers(0, recording.steps), recording.rows(0, recording.steps, [sp, pc])
        inside = (rows[:, 1] >= symbol.address) & (rows[:, 1] < symbol.address + symbol.size)
        entries = numbers[rows[:, 1] == symbol.address].tolist()
        assert entries
        cuts = recording.cuts(0, recording.steps)
        for entry in entries:
            standing = recording.state(entry).standing
            assert _stack(standing.stacks, recording.state(entry).registers[header.arch.roles["sp"]])[1:].isdigit()
            left = next(n for n, cut in enumerate(cuts[0].tolist()) if cut >= entry)
            assert _stack(recording.state(int(cuts[0][left]) + 1).standing.stacks, int(cuts[1][left][sp])).startswith(
                "g0@"
            )
        assert inside.sum() > len(entries)


def _stack(stacks: dict, sp: int) -> str:  # type: ignore[type-arg]
    """The name of the stack that SP is in; of those that overlap the newest."""
    return next(name for name, stack in reversed(stacks.items()) if stack.lo < sp <= stack.hi)


def test_system_calls_threads_and_signals_are_told(goarch: str, folder: Path) -> None:
    file = trampolines(goarch, folder)
    calls = traced(goarch, file).summary["summary"][0]["calls"]
    with open_trace(str(file)) as recording:
        events = recording.events(-1, recording.steps + 1)
        told = [event.data for event in events if event.kind == "syscall"]
        for name in ("madvise", "clone", "execve", "write", "rt_sigaction"):
            assert sum(data["name"] == name for data in told) == calls[name] > 0
        assert any(data["text"].startswith('execve("/usr/bin/true", 0x') for data in told)
        assert any(data["name"] == "clone" and data["result"] > 1000 for data in told)
        begun = {event.thread for event in events if event.kind == "thread" and "ended" not in event.data}
        assert len(begun) > 3
        assert {event.data["name"] for event in events if event.kind == "signal"} >= {"SIGCHLD"}
        assert events[-1].kind == "end"
        assert events[-1].data["end"] == "exit code 0"


def test_views_and_damage(goarch: str, folder: Path, tmp_path: Path) -> None:
    file = trampolines(goarch, folder)
    assert command("view", str(file), "--json").code == 0
    assert "runtime.mcall" in command("view", "--no-pager", str(file)).out.decode()
    assert command("export", str(file), "--to", "html", "-o", str(tmp_path / "page.html")).code == 0
    broken = tmp_path / "broken"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    broken.write_bytes(data)
    ran = command("view", "--json", str(broken))
    assert ran.code == 2
    assert "damaged at byte" in ran.err


def test_names_that_are_no_functions(goarch: str, tmp_path: Path) -> None:
    ran = command(
        "run", "--trace", str(tmp_path / "t"), "--trace-only", "runtime.nothing", str(HELLO.build("newest", goarch))
    )
    assert ran.code != 0
    assert "runtime.nothing" in ran.err
    assert "--trace-only" in command("run", "--trace-only", "mcall", str(HELLO.build("newest", goarch))).err


def test_an_interrupted_run_leaves_a_whole_file(goarch: str, tmp_path: Path) -> None:
    file = tmp_path / "t"
    words = ["run", "--trace", str(file), "--trace-only", "all", str(PROGRAMS["loop"].build("newest", goarch)), "loop"]
    running = subprocess.Popen([sys.executable, "-m", "emu.cli", *words], cwd=HOME, stdout=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE
    while not file.exists() or file.stat().st_size < 1 << 20:
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(timeout=PATIENCE) == 130
    with open_trace(str(file), verify=True) as recording:
        assert recording.damage is None
        end = recording.events(recording.steps - 1, recording.steps)[-1].data
        assert (end["outcome"], end["end"]) == ("ended", "SIGINT"), "the guest was told, and died of it"
