"""Row by row: the first step that differs, and what differs there."""

from __future__ import annotations

import numpy as np
import pytest
import traced
from assembled import ARCHES

from emu import target as targets
from emu.errors import BadInput
from emu.trace.collector import Collector
from emu.trace.model import Recording
from emu.trace.recording import InMemory
from emu.trace.samerun import MOST_WORDS, check_same, first_difference

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])


def _copy(
    run: Recording, change: dict[tuple[int, str], int], wrote: dict[int, int] | None = None, steps: int | None = None
) -> InMemory:
    """The run with other values in some (step, register), and written by some accesses; cut off after ``steps``."""
    made = InMemory(run.header)
    steps = run.steps if steps is None else steps
    sink = Collector(run.header, made.add, run.code)
    for write in run.outside(-1, 0):
        sink.add_memory(-1, write.address, write.data)
    rows = run.rows(0, steps).copy()
    for (step, register), value in change.items():
        rows[step, run.header.index[register]] = value
    sink.add_rows(0, 0, rows.tobytes())
    accesses = run.accesses(0, steps).copy()
    for number, value in (wrote or {}).items():
        accesses["value"][number] = value
    sink.add_accesses(accesses.tobytes())
    for step, registers in zip(*run.cuts(0, steps), strict=True):
        sink.add_cut(int(step), registers.tolist())
    sink.close(steps)
    return made


@each
def test_no_difference(arch: str) -> None:
    runs = [traced.of_era(arch, "mcall") for _ in range(2)]
    check_same(*runs)
    assert first_difference(*runs) is None
    assert first_difference(runs[0], _copy(runs[0], {})) is None


@each
def test_a_register(arch: str) -> None:
    run = traced.of_era(arch, "mcall")
    name = run.header.arch.roles["ctxt"]
    found = first_difference(run, _copy(run, {(5, name): 7, (9, name): 8}))
    assert found is not None
    assert (found.step, list(found.registers)) == (5, [name])
    assert found.registers[name][1] == 7
    assert (found.memory, found.ended, found.threads) == ({}, "", (0, 0))


@each
def test_a_word_of_memory(arch: str) -> None:
    """It shows before the step behind the write."""
    run = traced.of_era(arch, "mcall")
    accesses = run.accesses(0, run.steps)
    number = int(np.flatnonzero(accesses["write"] != 0)[0])
    found = first_difference(run, _copy(run, {}, {number: 0x77}))
    assert found is not None
    assert found.step == int(accesses["step"][number]) + 1
    address, value = int(accesses["address"][number]), int(accesses["value"][number])
    assert (found.registers, found.memory) == ({}, {address: (value, 0x77)})


@each
def test_one_ends_early(arch: str) -> None:
    run = traced.of_era(arch, "gogo")
    for runs, ended in (((run, _copy(run, {}, steps=4)), "B"), ((_copy(run, {}, steps=4), run), "A")):
        found = first_difference(*runs)
        assert found is not None
        assert (found.step, found.ended) == (4, ended)


def test_the_state_at_the_end() -> None:
    run = traced.of_era("arm", "gogo")
    other = _copy(run, {})
    other.piece(len(other.ends) - 1).cuts[1][-1, 0] += 1
    found = first_difference(run, other)
    assert found is not None
    assert (found.step, found.ended, list(found.registers)) == (run.steps, "", ["r0"])


def test_other_begins() -> None:
    """Two scenes: memory differs before the first step, of which not all is told."""
    found = first_difference(traced.of_era("386", "mcall"), traced.of_era("386", "mcall", scene="on g0"))
    assert found is not None
    assert (found.step, "esp" in found.registers) == (0, True)
    assert 0 < len(found.memory) <= MOST_WORDS
    assert list(found.memory) == sorted(found.memory)


@pytest.mark.parametrize(
    ("a", "b", "what"),
    [
        (("386", "mcall", "modern"), ("arm", "mcall", "modern"), "architectures"),
        (("386", "mcall", "modern"), ("386", "mcall", "2017"), "programs"),
    ],
)
def test_other_programs(a: tuple[str, str, str], b: tuple[str, str, str], what: str) -> None:
    with pytest.raises(BadInput, match=f"runs of the same program: these have different {what}"):
        check_same(traced.of_era(*a), traced.of_era(*b))


def test_one_program_by_two_routines() -> None:
    """The same program: they may be compared, and differ at once."""
    runs = [traced.trace(targets.of_era("modern", "arm"), routine) for routine in ("mcall", "gogo")]
    check_same(*runs)
    found = first_difference(*runs)
    assert found is not None
    assert found.step == 0
    assert "pc" in found.registers
