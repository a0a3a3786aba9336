"""Which steps a view shows: what arrays say is what the steps, one after the other, say."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from assembled import ARCHES
from view_runs import check, edited, guard_address, recorded

from emu.errors import BadInput
from emu.trace import codec
from emu.trace.model import Event, Outside, Recording
from emu.trace.reader import open_trace
from emu.trace.steps import Step, steps
from emu.trace.writer import Writer
from emu.views.trace.choice import KINDS, Choice, around
from emu.views.trace.items import Shown, items
from emu.views.trace.text import text_lines

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
RUNS = [("mcall", None), ("systemstack", None), ("morestack", None), ("rawVforkSyscall", None), ("gogo", None)]
one_of = pytest.mark.parametrize(("routine", "scene"), RUNS)


def shown(recording: Recording, choice: Choice) -> list[int]:
    return [item.step.number for item in items(recording, choice) if isinstance(item, Shown)]


def by_steps(recording: Recording, holds: Callable[[Step], object]) -> list[int]:
    return [step.number for step in steps(recording) if holds(step)]


def only(*kinds: str) -> Choice:
    return Choice(only=frozenset(kinds))


def told(step: Step, *kinds: str) -> bool:
    return any(event.kind in kinds for event in step.events)


@each
@one_of
def test_each_kind_is_what_the_steps_say(arch: str, routine: str, scene: str | None) -> None:
    run = recorded(arch, routine, scene)
    switches = by_steps(
        run, lambda s: (s.account.g, s.account.stack) != (s.then.g, s.then.stack) or told(s, "switch")
    )
    sys, memory = by_steps(run, lambda s: told(s, "syscall", "signal")), by_steps(run, lambda s: s.accesses)
    assert shown(run, only("switches")) == switches
    assert shown(run, only("sys")) == sys
    assert shown(run, only("mem")) == memory
    assert shown(run, only("switches", "mem")) == sorted({*switches, *memory})
    assert (len(switches) > 0) == (routine != "rawVforkSyscall")
    assert (len(sys) > 0) == (routine == "rawVforkSyscall")
    assert memory


@each
def test_writers_of_guards_are_shown_whoever_runs(arch: str) -> None:
    """A write to another g's guard word, one over it and more, and one by the kernel."""
    plain = recorded(arch)
    word, other = plain.header.arch.word, guard_address(plain, "g0")
    writes = [(2, other, 0x1234), (4, other - word + 1, 0)]
    run = edited(plain, writes=writes, outside=[Outside(6, guard_address(plain, "other"), bytes(word))])
    assert shown(plain, only("guard")) == by_steps(plain, lambda s: s.account.guard != s.then.guard)
    assert {2, 4, 6} <= set(shown(run, only("guard")))
    assert not {1, 3, 5} & set(shown(run, only("guard")))
    lines = list(text_lines(run, only("guard"), colour=False))
    assert any("then other's guard is written from outside: 0x0" in line for line in lines)


@each
def test_preemption_is_a_change_of_the_guard(arch: str) -> None:
    plain = recorded(arch)
    value = next(value for value, name in plain.header.special.items() if name == "StackPreempt")
    word = value.to_bytes(plain.header.arch.word, "little")
    run = edited(plain, outside=[Outside(3, guard_address(plain, "g"), word)])
    assert 3 in shown(run, only("guard"))
    line = next(line for line in text_lines(run, Choice(), colour=False) if line.startswith("    3 "))
    assert "then g's guard is written from outside: StackPreempt" in line


@each
def test_checks_stand_below_the_step_they_are_about(arch: str) -> None:
    plain = recorded(arch)
    last = plain.steps - 1
    ours = [Event(last, "check", 0, check("first", True, 2)), Event(last, "check", 0, check("second", False, 4))]
    run = edited(plain, events=ours)
    asked = list(text_lines(run, only("checks"), colour=False))
    below = {step: next(n for n, line in enumerate(asked) if line.startswith(f"    {step} ")) + 1 for step in (2, 4)}
    assert asked[below[2]] == "   ok  first: one\n"
    behind = list(itertools.takewhile(lambda line: not line[:5].strip().isdigit(), asked[below[4]:]))
    assert "    !  second: expected one, found two\n" in behind
    default = "".join(text_lines(run, Choice(), colour=False))
    assert "first: one" not in default, "what holds is only shown to those who ask"
    assert "    !  second: expected one, found two\n" in default
    about_the_end = [event for event in plain.events(last, last + 1) if event.kind == "check"]
    assert about_the_end
    assert last in shown(plain, only("checks")), "what is about the end stands below the last step"


@each
@pytest.mark.parametrize("name", ["g0", "g0 stack", "g"])
def test_following_a_g_or_a_stack(arch: str, name: str) -> None:
    run = recorded(arch, "systemstack")
    wanted = by_steps(
        run, lambda s: name in (s.account.g, s.then.g, s.account.stack, s.account.stack.removesuffix(" stack"))
    )
    assert shown(run, Choice(follow=name)) == wanted
    assert 0 < len(wanted) < run.steps
    assert shown(run, Choice(follow=name, only=frozenset({"mem"}))) == sorted(
        {*wanted} & {*shown(run, only("mem"))}
    )


def test_a_name_that_is_none() -> None:
    with pytest.raises(BadInput, match=r"no g and no stack 'g1'; did you mean 'g'\?; there are: g, g stack, g0"):
        shown(recorded("arm"), Choice(follow="g1"))


@each
def test_around_a_step(arch: str) -> None:
    run = recorded(arch)
    first, end = around(run, 5, 2)
    lines = list(text_lines(run, Choice(first, end, marked=5), colour=False))[2:-1]
    assert [line[:5] for line in lines] == ["    3", "    4", ">   5", "    6", "    7"]
    assert around(run, 1, 3) == (0, 5)
    assert around(run, run.steps - 1, 3) == (run.steps - 4, run.steps)
    whole = list(text_lines(run, Choice(), colour=False))
    assert lines == [(">" if line[4] == "5" else " ") + line[1:] for line in whole[5:10]]
    with pytest.raises(BadInput, match=f"no step {run.steps}: the run has {run.steps}"):
        around(run, run.steps, 3)


@each
def test_events_of_steps_without_rows_are_lines_of_their_own(arch: str) -> None:
    plain = recorded(arch)
    call = Event(4, "syscall", 0, {"name": "getpid", "number": 20, "text": "getpid()", "result": 7})
    g, g0 = (next(s.g for s in plain.header.stacks if s.label == label) for label in ("g", "g0"))
    switch = Event(5, "switch", 0, {"from": g, "to": g0})
    run = edited(plain, events=[call, switch], left_out=[(3, 6)])
    lines = list(text_lines(run, Choice(), colour=False))
    at = lines.index("    4  getpid() = 7\n")
    assert lines[at + 1] == "    5  switch g→g0\n"
    assert (lines[at - 1][:5], lines[at + 2][:5]) == ("    2", "    6")
    assert [line[:5] for line in text_lines(run, only("sys"), colour=False)][2:-1] == ["    4"]


def test_what_is_not_shown_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long run whose switches are at its end, the whole rows of the last piece are read, and of no other."""
    plain = recorded("amd64")
    path = f"{tmp_path}/long.trace"
    writer = Writer(path, plain.header, plain.code)
    count = 200_000
    for write in plain.outside(-1, 0):
        writer.add_memory(*write)
    first = plain.rows(0, 1)
    writer.add_rows(0, 0, first.repeat(count, axis=0).tobytes())
    writer.add_rows(count, 0, plain.rows(0, plain.steps).tobytes())
    accesses = plain.accesses(0, plain.steps).copy()
    accesses["step"] += count
    writer.add_accesses(accesses.tobytes())
    writer.close(count + plain.steps)
    read: list[int] = []
    rows = codec.Coded.rows.func  # type: ignore[attr-defined]
    monkeypatch.setattr(codec.Coded, "rows", property(lambda piece: (read.append(piece.first), rows(piece))[1]))
    with open_trace(path) as recording:
        assert len(recording.pieces(0, recording.steps)) > 2
        found = shown(recording, only("switches"))
    assert [step - count for step in found] == shown(plain, only("switches"))
    assert len(set(read)) == 1, read


def test_the_commands_offer_the_kinds_there_are() -> None:
    from emu.commands import look

    assert tuple(KINDS) == look.KINDS
