"""Runs of many crossings: paired in order, and shown in few lines where they are alike."""

from __future__ import annotations

import numpy as np
import pytest
import traced

from emu.trace.collector import Collector
from emu.trace.meaning import passages
from emu.trace.model import Recording
from emu.trace.recording import InMemory
from emu.views.diff import FEW, print_meaning

_BETWEEN = 20  # steps elsewhere between two crossings


def _crossing(run: Recording, times: int, without: int | None = None, left_out: int | None = None) -> InMemory:
    """mcall up to its call of fn, so many times; once ``without`` its first write, or ``left_out`` as a whole."""
    made = InMemory(run.header)
    sink = Collector(run.header, made.add, run.code)
    for write in run.outside(-1, 0):
        sink.add_memory(-1, write.address, write.data)
    end = passages(run)[0].span.end
    rows, accesses = run.rows(0, end), run.accesses(0, end)
    elsewhere = np.tile(rows[:1], (_BETWEEN, 1))
    elsewhere[:, run.header.index[run.header.arch.roles["pc"]]] = run.header.program.gates["fn"]
    first = int(np.flatnonzero(accesses["write"] != 0)[0])
    at = 0
    for number in range(times):
        if number != left_out:
            here = accesses.copy() if number != without else np.delete(accesses, first)
            here["step"] += at
            sink.add_rows(at, 0, rows.tobytes())
            sink.add_accesses(here.tobytes())
            at += end
        sink.add_rows(at, 0, elsewhere.tobytes())
        at += _BETWEEN
    sink.close(at)
    return made


@pytest.mark.parametrize("arch", ["386", "amd64", "arm"])
def test_each_crossing_is_found(arch: str) -> None:
    run = traced.of_era(arch, "mcall")
    whole = _crossing(run, 12)
    found = passages(whole)
    assert [passage.title for passage in found] == ["mcall → fn"] * 12
    assert len({tuple(effect.text for effect in passage.effects) for passage in found}) == 1
    assert traced.differences(whole, _crossing(run, 12)) == []


def test_one_crossing_is_not_alike() -> None:
    run = traced.of_era("arm", "mcall")
    crossings = traced.compared(_crossing(run, 12), _crossing(run, 12, without=7))
    assert [number for number, crossing in enumerate(crossings) if crossing.differs] == [7]


def test_one_crossing_less() -> None:
    run = traced.of_era("386", "mcall")
    crossings = traced.compared(_crossing(run, 12, left_out=3), _crossing(run, 12))
    assert sum(crossing.a is None for crossing in crossings) == 1
    assert sum(crossing.differs for crossing in crossings) == 1


def test_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    run = traced.of_era("arm", "mcall")
    runs = _crossing(run, FEW + 4), _crossing(run, FEW + 4, without=5)
    print_meaning(runs, ("a", "b"), traced.compared(*runs), None)
    lines = capsys.readouterr().out.splitlines()
    alike = [line for line in lines if "without a difference" in line]
    assert alike == [
        "5 crossings without a difference: mcall ×5", f"{FEW - 2} crossings without a difference: mcall ×{FEW - 2}",
    ]
    assert sum("mcall → fn" in line for line in lines) == 1
    listed = lines[lines.index("A carries, B does not:") + 1]
    assert listed.startswith("  save: g.sched.sp ← caller's SP  (step ")


def test_the_same_difference_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """amd64 and arm differ alike in every crossing."""
    runs = _crossing(traced.of_era("amd64", "mcall"), 3), _crossing(traced.of_era("arm", "mcall"), 3)
    print_meaning(runs, ("a", "b"), traced.compared(*runs), None)
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if line.startswith("  clear: g.sched.lr ← 0")]
    assert told == ["  clear: g.sched.lr ← 0  (step 3, mcall+0xc, and 2 times more); no link register on amd64"]
