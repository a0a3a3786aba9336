"""What `view` and `export` make of the trace of a whole program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from whole import PROGRAMS, command, run_file

from emu.trace.model import Event
from emu.trace.reader import open_trace
from emu.views.page.accounts import accounts

HELLO = PROGRAMS["hello"]
ADDRESS = re.compile(r"\bmmap2?\(.*\) = (\S+)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("views")


def beginning(goarch: str, folder: Path) -> Path:
    """The trace of all that hello does at first."""
    file = folder / f"{goarch}.trace"
    if not file.exists():
        options = ("--trace", str(file), "--trace-only", "all", "--steps", "40000")
        assert run_file(HELLO.build("newest", goarch), options=options).code == 124
    return file


def shown(file: Path, *options: str) -> str:
    """What `view` prints."""
    return command("view", "--no-pager", *options, str(file)).out.decode()


def test_columns_stand_below_their_names(goarch: str, folder: Path, tmp_path: Path) -> None:
    trampolines = tmp_path / "hello.trace"
    run_file(HELLO.build("newest", goarch), options=("--trace", str(trampolines)))
    for file in (trampolines, beginning(goarch, folder)):
        _, names, *lines = shown(file, "--around", "90", "--context", "90").splitlines()
        place, code, text = (names.index(name) for name in ("place", "bytes", "instruction"))
        steps = [line for line in lines if "/" in line[: names.index("stack[")]]
        assert len(steps) > 100
        for line in steps:
            assert " " not in line[place:code].rstrip(), line
            assert re.fullmatch(r"([0-9a-f]{2}){1,15}", line[code:text].rstrip()), line
            assert line[text - 1] == " " and line[text] != " ", line  # noqa: PT018


def test_calls_give_addresses_and_errors_by_name(goarch: str, folder: Path) -> None:
    text = shown(beginning(goarch, folder), "--only", "sys")
    found = ADDRESS.findall(text)
    assert len(found) > 3
    assert all(re.fullmatch("0x[0-9a-f]+", result) for result in found), found
    assert not re.search(r"\) = -\d", text)
    with open_trace(str(beginning(goarch, folder))) as recording:
        calls = [e for e in recording.events(-1, recording.steps) if e.kind == "syscall" and "mmap" in e.data["name"]]
        assert {int(result, 16) for result in found} == {e.data["result"] & recording.header.arch.mask for e in calls}


@pytest.mark.parametrize("goarch", [pytest.param("amd64", marks=pytest.mark.amd64)])
def test_words_below_a_segment_have_small_numbers(goarch: str, folder: Path) -> None:
    text = shown(beginning(goarch, folder), "--around", "60", "--context", "60")
    assert "fs:[-8]" in text
    assert "s:[0xf" not in text


def test_stacks_of_one_name_have_titles_of_their_own(goarch: str, folder: Path) -> None:
    with open_trace(str(beginning(goarch, folder))) as recording:
        found = accounts(recording, 0, recording.steps)
        first = next(iter(found.stacks))
        found.stacks[first._replace(lo=first.lo - 4096)] = len(found.stacks)
        titles = [stack["title"] for stack in found.record["stacks"]]
    assert len(set(titles)) == len(titles)
    assert titles[0] == first.name
    assert titles[-1].endswith(" #2")


def test_a_thread_that_ends_is_told_to(goarch: str, tmp_path: Path) -> None:
    file = tmp_path / "t.trace"
    run_file(PROGRAMS["threads"].build("newest", goarch), options=("--trace", str(file), "--trace-only", "mcall"))
    with open_trace(str(file)) as recording:
        events: list[Event] = [e for e in recording.changes(-1, recording.steps) if e.kind == "thread"]
    ended = [event.thread for event in events if event.data.get("ended")]
    assert ended
    assert set(ended) <= {event.thread for event in events if not event.data.get("ended")} | {1000}
