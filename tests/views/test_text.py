"""The text of a trace: its head, colours, the summary, and a pager on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from assembled import ARCHES
from view_runs import check, edited, guard_address, recorded

from emu.progress import Progress
from emu.trace.model import Event, Outside, Recording
from emu.trace.steps import steps
from emu.views.trace.choice import Choice
from emu.views.trace.palette import Palette
from emu.views.trace.report import print_summary
from emu.views.trace.summary import OUTSIDE, summary
from emu.views.trace.text import text_lines

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@each
def test_the_head_names_the_run_and_the_columns(arch: str) -> None:
    run = recorded(arch)
    about, columns, first, *_ = text_lines(run, Choice(), colour=False)
    assert about == f"# mcall, switch · {arch} · era modern\n"
    assert columns.startswith("#step  thread/g ")
    step = next(steps(run))
    for name, shown in (("thread/g", "m/g "), ("place", step.where), ("bytes", step.code.hex())):
        assert first[columns.index(name):].startswith(shown)
    instruction = first[columns.index("instruction"):]
    assert instruction.startswith(step.text)


@each
def test_colour_changes_nothing_but_colour(arch: str) -> None:
    run = recorded(arch, "systemstack")
    plain, coloured = (list(text_lines(run, Choice(), colour=colour)) for colour in (False, True))
    assert [ESCAPE.sub("", line).rstrip() for line in coloured] == [line.rstrip() for line in plain]
    assert not any("\x1b" in line for line in plain)


@each
def test_a_value_has_the_colour_of_what_it_points_to(arch: str) -> None:
    run = recorded(arch)
    palette = Palette(run)
    colours = {span.name: span.colour for span in palette.legend()}
    stacks = [colours[stack.name] for stack in run.header.stacks]
    assert len(set(stacks)) == len(stacks), "stacks can be told from each other"
    for stack in run.header.stacks:
        assert palette.of(stack.lo) == palette.of(stack.hi - 1) == colours[stack.name]
    assert palette.of(0) == ""
    assert palette.of(run.header.program.gates["badmcall"]) == colours["code"]
    sp, line = run.header.arch.roles["sp"], next(
        line for line in text_lines(run, Choice(), colour=True) if "SP: g stack→g0 stack" in line
    )
    code = {"cyan": "36", "green": "32", "bright_blue": "94", "bright_cyan": "96"}[colours["g0 stack"]]
    assert re.search(rf"{sp}\*=\x1b\[{code}m0x", line)


@each
def test_the_colour_of_a_stack_that_comes_and_goes(arch: str) -> None:
    plain = recorded(arch)
    lo = 0x1000
    data = {"name": "late stack", "label": "late", "g": 0, "lo": lo, "hi": lo + 64, "guard": 0}
    run = edited(plain, events=[
        Event(3, "stack", 0, data), Event(6, "stack", 0, {"name": "late stack", "gone": True}),
    ])
    palette = Palette(run)
    seen = []
    for step in range(run.steps):
        palette.before(step)
        seen.append(bool(palette.of(lo + 8)))
    assert [step for step, there in enumerate(seen) if there] == [4, 5, 6]


def counted(run: Recording) -> tuple[Counter[tuple[str, str, str]], dict[str, int]]:
    """Switches and deepest places, by going through the steps."""
    switches: Counter[tuple[str, str, str]] = Counter()
    deepest: dict[str, int] = {}
    for step in steps(run):
        if step.account.g != step.then.g:
            switches[step.account.g, step.then.g, step.where] += 1
        for entry in (step.account, step.then):
            if entry.stack:
                deepest[entry.stack] = max(deepest.get(entry.stack, 0), entry.depth)
    return switches, deepest


@each
@pytest.mark.parametrize("routine", ["mcall", "systemstack", "morestack", "rawVforkSyscall", "gogo"])
def test_the_summary_is_what_the_steps_say(arch: str, routine: str) -> None:
    run = recorded(arch, routine)
    found = summary(run)
    switches, deepest = counted(run)
    assert {key: count.times for key, count in found.switches.items()} == switches
    assert {stack.name: stack.hi - depth.sp for stack, depth in found.stacks.items()} == deepest
    assert sum(depth.steps for depth in found.stacks.values()) == sum(bool(s.account.stack) for s in steps(run))
    for stack, depth in found.stacks.items():
        there = next(step for step in steps(run) if step.number == depth.step)
        assert stack.hi - depth.sp in (there.account.depth, there.then.depth)
    calls = Counter(e.data["name"] for e in run.events(-1, run.steps) if e.kind == "syscall")
    assert {name: count.times for (name,), count in found.calls.items()} == calls
    checks = [event for event in run.events(-1, run.steps) if event.kind == "check"]
    assert (found.checks, found.failed, found.wrong) == (len(checks), [], 0)
    assert found.end is not None
    assert "its contract holds" in found.end


@each
def test_the_summary_over_many_pieces(arch: str) -> None:
    once = recorded(arch, "systemstack")
    times = 150_000 // once.steps
    run = edited(once, times=times)
    one, many = summary(once), summary(run)
    assert len(run.pieces(0, run.steps)) > 2
    assert {key: (count.times, count.first) for key, count in many.switches.items()} == {
        key: (count.times * times, count.first) for key, count in one.switches.items()
    }
    assert {s.name: d.steps for s, d in many.stacks.items()} == {s.name: d.steps * times for s, d in one.stacks.items()}


@each
def test_who_wrote_guards_and_what_failed(arch: str, capsys: pytest.CaptureFixture[str]) -> None:
    plain = recorded(arch)
    word = plain.header.arch.word
    special = next(value for value, name in plain.header.special.items() if name == "StackPreempt")
    run = edited(
        plain, events=[Event(plain.steps - 1, "check", 0, check("carried", False, 4))],
        outside=[Outside(3, guard_address(plain, "g"), special.to_bytes(word, "little"))],
        writes=[(5, guard_address(plain, "g0"), 0x77), (6, guard_address(plain, "g0") + 1, 0)],
    )
    found, where = summary(run), {step.number: step.where for step in steps(run)}
    assert {key: count.first for key, count in found.writers.items()} == {
        ("g", OUTSIDE, "StackPreempt"): 3, ("g0", where[5], "0x77"): 5, ("g0", where[6], "a part"): 6,
    }
    assert ("g", "normal", "StackPreempt", OUTSIDE) in found.guards
    assert [failed["name"] for failed in found.failed] == ["carried"]
    assert [finding.kind for finding in found.findings].count("guard") == 1, "g0's guard means nothing any more"
    print_summary(run, False, Progress("steps"))
    told = capsys.readouterr().out
    assert re.search(r"g +outside +StackPreempt +1 +3", told), told
    assert "! carried: expected one, found two" in told
    assert "! the guard word of g0 is" in told


@pytest.fixture
def trace_file(tmp_path: Path) -> Path:
    path = tmp_path / "mcall.trace"
    command = [sys.executable, "-m", "emu.cli", "trace", "mcall", "--arch", "arm", "-o", str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


def on_a_terminal(words: list[str], environment: dict[str, str]) -> str:
    """What a command writes to a terminal."""
    ours, its = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "emu.cli", *words], stdin=its, stdout=its, stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", **environment},
    )
    os.close(its)
    seen = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        seen += part
    assert child.wait(60) == 0
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_pager(trace_file: Path, tmp_path: Path) -> None:
    pager, kept = tmp_path / "pager", tmp_path / "kept"
    pager.write_text(f'#!/bin/sh\necho "$LESS" > {kept}\ncat >> {kept}\necho paged\n')
    pager.chmod(0o755)
    environment = {"PAGER": str(pager), "LESS": "", "NO_COLOR": ""}
    assert on_a_terminal(["view", str(trace_file)], environment) == "paged\n"
    settings, *lines = kept.read_text().splitlines(keepends=True)
    with_colour = "".join(lines)
    direct = on_a_terminal(["view", str(trace_file), "--no-pager"], environment)
    assert with_colour == direct
    assert "\x1b[" in direct
    assert on_a_terminal(["view", str(trace_file), "--no-color"], environment) == "paged\n"
    assert kept.read_text().splitlines(keepends=True)[1:] == [
        line.rstrip() + "\n" for line in ESCAPE.sub("", direct).splitlines()
    ]
    assert settings == "\n", "what the user has set is left as it is"


def test_nothing_but_a_terminal_gets_one(trace_file: Path) -> None:
    command = [sys.executable, "-m", "emu.cli", "view", str(trace_file)]
    done = subprocess.run(command, env={**os.environ, "PAGER": "false"}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# mcall, switch")
