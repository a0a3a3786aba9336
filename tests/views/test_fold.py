"""Loops that are folded: nothing is lost, nothing is shown twice, and what a turn did differently is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from assembled import ARCHES
from hypothesis import given, settings
from hypothesis import strategies as st
from view_runs import COUNTERS, LOOPS, called, check, edited, recorded

from emu.trace.model import Event
from emu.trace.steps import steps
from emu.views.trace.choice import Choice
from emu.views.trace.fold import Folder, Token, Turns
from emu.views.trace.items import Again, Shown, items
from emu.views.trace.text import text_lines

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
FOLDED = Choice(fold=True)


def folded(keys: list[int], cuts: list[int]) -> list[Token]:
    """Fed in parts."""
    folder, every = Folder(), np.array(keys, np.uint64)
    edges = [0, *sorted({min(cut, len(keys)) for cut in cuts}), len(keys)]
    found: list[Token] = []
    for low, high in itertools.pairwise(edges):
        if low < high:
            found += folder.feed(every[low:high], np.arange(low, high, dtype=np.uint64) * np.uint64(3))
    return [*found, *folder.close()]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 9)), min_size=1, max_size=6
    ),
    st.lists(st.integers(0, 200), max_size=4),
)
def test_every_step_is_shown_or_counted_once(loops: list[tuple[list[int], int]], cuts: list[int]) -> None:
    keys = [key for body, times in loops for _ in range(times) for key in body]
    at = 0
    for token in folded(keys, cuts):
        if isinstance(token, Turns):
            assert token.first == 3 * at
            turn = keys[token.shown // 3 : token.shown // 3 + token.period]
            assert keys[at : at + token.period * token.times] == turn * token.times
            at += token.period * token.times
            assert (token.last, token.newest) == (3 * (at - 1), 3 * (at - token.period))
        else:
            assert token == 3 * at
            at += 1
    assert at == len(keys)


@pytest.mark.parametrize(
    ("keys", "cuts", "expected"),
    [
        ([1, 2, 3, 4], [], [0, 3, 6, 9]),
        ([7] * 100, [], [0, Turns(3, 297, 1, 99, 0, 297)]),
        ([7] * 100, [10, 11, 50], [0, Turns(3, 297, 1, 99, 0, 297)]),
        ([1, 2] * 3 + [9], [], [0, 3, Turns(6, 15, 2, 2, 0, 12), 18]),
        ([1, 2] * 3 + [1, 9], [7], [0, 3, Turns(6, 15, 2, 2, 0, 12), 18, 21]),
        ([5, 5, 5, 6], [], [0, 3, 6, 9]),
    ],
    ids=["none", "one step", "over parts", "two steps", "left in the middle", "not worth a line"],
)
def test_loops(keys: list[int], cuts: list[int], expected: list[Token]) -> None:
    assert folded(keys, cuts) == expected


def test_a_loop_in_the_turn_that_is_shown_is_folded_too() -> None:
    turns = [token for token in folded(([1] + [2, 3] * 10 + [4]) * 6, []) if isinstance(token, Turns)]
    assert [(turn.period, turn.times) for turn in turns] == [(2, 9), (22, 5)]


@each
def test_a_folded_run(arch: str) -> None:
    run = called(arch, LOOPS[arch])
    found = list(items(run, FOLDED))
    loops = [item for item in found if isinstance(item, Again)]
    assert [(loop.turns.period, loop.turns.times) for loop in loops] == [(2, 19), (43, 2)]
    assert loops[0].differs[COUNTERS[arch]] == (20, 1)
    left_out = {step for loop in loops for step in range(loop.turns.first, loop.turns.last + 1)}
    shown = [item.step.number for item in found if isinstance(item, Shown)]
    assert sorted([*left_out, *shown]) == list(range(run.steps))
    assert shown == sorted(shown)
    lines = list(text_lines(run, FOLDED, colour=False))
    assert any(line.startswith(f"  ×20  these 2 steps, to step {loops[0].turns.last}; differs: ") for line in lines)
    assert any(f"{COUNTERS[arch]} 0x14…0x1" in line for line in lines)
    plain = {step.number: step for step in steps(run)}
    assert all(item.step == plain[item.step.number] for item in found if isinstance(item, Shown))


@each
def test_what_must_be_seen_is_not_folded(arch: str) -> None:
    plain = called(arch, LOOPS[arch])
    inner = next(step.number for step in steps(plain) if step.number > 10)
    call = Event(inner, "syscall", 0, {"name": "getpid", "number": 20, "text": "getpid()"})
    failed = Event(plain.steps - 1, "check", 0, check("carried", False, inner + 9))
    found = list(items(edited(plain, events=[call, failed]), FOLDED))
    shown = {item.step.number: item for item in found if isinstance(item, Shown)}
    assert inner in shown
    assert [event.data["name"] for event in shown[inner + 9].checks] == ["carried"]


@each
def test_a_loop_over_several_pieces_is_one(arch: str) -> None:
    """With another g in each turn, and the run left in the middle of one."""
    once = recorded(arch, "systemstack")
    times = 200_000 // once.steps
    run = edited(once, times=times)
    assert len(run.pieces(0, run.steps)) > 2
    found = list(items(run, FOLDED))
    again = [item for item in found if isinstance(item, Again)]
    assert [(item.turns.period, item.turns.times) for item in again] == [(once.steps, times - 2)], "the last one ends"
    assert [item.step.number for item in found if isinstance(item, Shown)] == [
        *range(once.steps), *range(run.steps - once.steps, run.steps),
    ]
