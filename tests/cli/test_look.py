"""The options that choose what of a trace is shown: the same for `trace` and `view`, and what does not go together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runner import Run

LOOKS = [
    ("--around", "5"), ("--around", "5", "--context", "0"), ("--only", "switches"),
    ("--only", "mem", "--only", "guard"), ("--only", "checks"),
    ("--follow", "g0"), ("--fold",), ("--summary",), ("--legend",), ("--summary", "--json"),
    ("--only", "checks", "--json"), ("--only", "switches", "--follow", "g0 stack", "--fold", "--around", "7"),
]


@pytest.mark.parametrize("look", LOOKS, ids=" ".join)
def test_trace_and_view_show_the_same(run: Run, tmp_path: Path, look: tuple[str, ...]) -> None:
    path = str(tmp_path / "trace")
    assert run("trace", "mcall", "--arch", "arm", "-o", path).code == 0
    direct, viewed = run("trace", "mcall", "--arch", "arm", *look), run("view", path, *look)
    assert (direct.code, viewed.code, viewed.err) == (0, 0, "")
    assert viewed.out == direct.out
    whole = run("view", path).out
    assert viewed.out not in ("", whole) or look == ("--fold",)


def test_json_of_one_step(run: Run) -> None:
    ran = run("trace", "mcall", "--arch", "amd64", "--around", "3", "--context", "1", "--json")
    assert [json.loads(line).get("step") for line in ran.out.splitlines()] == [None, 2, 3, 4, None]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--around", "999"), "stackcarry: no step 999: the run has 28, the first is 0"),
        (("--follow", "g01"), "stackcarry: no g and no stack 'g01'; did you mean 'g0'?"),
        (("--only", "guards"), "'guards' is not one of"),
        (("--around", "-1"), "-1 is not in the range"),
        (("--legend", "--json"), "--legend is of the text"),
        (("-o", "trace", "--only", "mem"), "say what to show of it to `view`"),
        (("-o", "trace", "--json"), "say what to show of it to `view`"),
    ],
)
def test_what_cannot_be_shown(run: Run, tmp_path: Path, words: tuple[str, ...], message: str,
                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("trace", "mcall", "--arch", "arm", *words)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert not list(tmp_path.iterdir())


def test_a_schedule_is_followed_as_it_is(run: Run) -> None:
    words = ("trace", "gc-triple", "--arch", "amd64", "--variant", "committed", "--schedule", "a24b9")
    ran = run(*words, "--fold")
    assert ran.code == 2
    assert "a schedule is followed as it is" in ran.err
