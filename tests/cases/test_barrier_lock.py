"""barrier-lock: every cell as history says, what each finding is, and more ways to lose the lock."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

import arch as arches
from asm.guests import Function
from emu import cases
from emu.cases.barrier_lock import functions, profiling
from emu.cases.model import Verdict
from emu.explore import Exploration, explore, replay

CASE = cases.get("barrier-lock")
ARCHES = ("386", "amd64", "arm")
CELLS = [(variant.name, arch) for variant in CASE.variants for arch in variant.history]
EMPTY = "inner returns to stackBarrier, and the walk's copy of g.stkbar has no entry 0"


@cache
def found(variant: str, arch: str) -> Verdict:
    return CASE.run(CASE.variant(variant), arches.get(arch), "")


@pytest.mark.parametrize(("variant", "arch"), CELLS)
def test_cell_is_as_history_says(variant: str, arch: str) -> None:
    verdict = found(variant, arch)
    assert set(CASE.variant(variant).history) == set(ARCHES)
    assert verdict.word == CASE.variant(variant).history[arch], verdict
    assert (verdict.schedule != "") == (verdict.breaks != "")
    assert verdict.unit == "states"
    assert 150 < verdict.looked < 1000


@pytest.mark.parametrize(("variant", "arch"), [cell for cell in CELLS if cell[0] in ("before", "g0")])
def test_what_is_found(variant: str, arch: str) -> None:
    """The access out of range of the issue, first; with one entry too few; and one barrier taken for another."""
    verdict = found(variant, arch)
    assert verdict.breaks == f"index out of range: {EMPTY}"
    kinds = [line.removeprefix("Throw: ").split(":")[0] for line in verdict.findings[:-1]]
    assert kinds == ["index out of range", "index out of range", "missed stack barrier", "index out of range"]
    assert "middle returns to stackBarrier, and the walk's copy of g.stkbar has no entry 1" in verdict.findings[3]
    assert "middle returns to stackBarrier, but the next barrier is in inner" in verdict.findings[2]


@pytest.mark.parametrize(("variant", "arch"), [cell for cell in CELLS if cell[0] in ("before", "g0")])
def test_the_finding_replays(variant: str, arch: str) -> None:
    verdict = found(variant, arch)
    again = CASE.run(CASE.variant(variant), arches.get(arch), verdict.schedule)
    assert (again.breaks, again.step) == (verdict.breaks, verdict.step)
    told = again.findings[: again.step]
    taken = next(i for i, line in enumerate(told) if "thread: gentraceback reads g.stkbar.len" in line)
    stored = next(i for i, line in enumerate(told) if "collector: scanstack writes the return PC of inner" in line)
    assert taken < stored
    assert told[-1].endswith("thread: gentraceback reads the return PC of inner")
    fixed = "committed" if variant == "before" else "later"
    assert CASE.run(CASE.variant(fixed), arches.get(arch), verdict.schedule).breaks == ""


@pytest.mark.parametrize("arch", ARCHES)
def test_the_goroutine_returns_through_two_barriers(arch: str) -> None:
    """The collector first; then the walk over barriers that are all in place, and the way back through them."""
    for variant in CASE.variants:
        scene = profiling(arches.get(arch), functions(variant, arches.get(arch).word))
        ended = replay(scene.race, "b500a500")
        assert ended.failure is None
        assert scene.g["stkbarPos"] == scene.g["stkbar.len"] == 2
        told = [what for who, what in ended.steps if who == "thread"]
        assert sum("stackBarrier" in what and "reads g.stkbar.array" in what for what in told) == 2
        assert sum("stackBarrier" in what and "reads stkbar[1].savedLRVal" in what for what in told) == 1
        assert sum("gentraceback reads stkbar[1].savedLRVal" in what for what in told) == 1


@pytest.mark.parametrize(("variant", "arch"), CELLS)
def test_with_a_barrier_in_every_frame(variant: str, arch: str) -> None:
    """The same verdicts; four barriers that are hit."""
    cpu = arches.get(arch)
    scene = profiling(cpu, functions(CASE.variant(variant), cpu.word), offset=0)
    result = explore(scene.race)
    breaks = CASE.variant(variant).history[arch] == "breaks"
    assert {f.kind for f in result.findings} == ({"Throw"} if breaks else set())
    assert len(result.findings) == (10 + 6 if breaks else 0), "an entry is missing at its frame or above; is another's"
    assert replay(scene.race, "b500a500").failure is None
    assert scene.g["stkbarPos"] == 4


def test_numbers_are_equal_from_run_to_run() -> None:
    for variant in CASE.variants:
        assert CASE.run(variant, arches.get("arm"), "") == found(variant.name, "arm")


# ways to break it


def changed(variant: str, arch: str, name: str, old: str, new: str) -> Exploration:
    """What is found if one function is another."""
    cpu = arches.get(arch)

    def change(function: Function) -> Function:
        if function.name != name:
            return function
        assert old in function.body
        return replace(function, body=function.body.replace(old, new, 1))

    return explore(profiling(cpu, tuple(map(change, functions(CASE.variant(variant), cpu.word)))).race)


FREE = "argument 0\nput 0\ninvoke freeStackLock"
LOCK = "argument 0\nput 0\ninvoke lockStack"


@pytest.mark.parametrize("name", ["sigprof", "collector"])
@pytest.mark.parametrize("arch", ARCHES)
def test_the_lock_is_not_released(arch: str, name: str) -> None:
    result = changed("committed", arch, name, FREE, "constant 0")
    assert {f.kind for f in result.findings} == {"Deadlock"}
    assert {"sigprof": "collector", "collector": "thread"}[name] in str(result.findings[0].failure)


@pytest.mark.parametrize("name", ["sigprof", "collector"])
@pytest.mark.parametrize("arch", ARCHES)
def test_only_one_of_the_two_locks(arch: str, name: str) -> None:
    result = changed("committed", arch, name, LOCK, "constant 0")
    assert EMPTY in str(result.findings[0].failure)


@pytest.mark.parametrize("arch", ARCHES)
def test_the_walker_releases_before_it_walks(arch: str) -> None:
    walk = "invoke gentraceback"
    result = changed("committed", arch, "sigprof", f"{walk}\n{FREE}", f"{FREE}\n{walk}")
    assert EMPTY in str(result.findings[0].failure)


@pytest.mark.parametrize("arch", ARCHES)
def test_the_lock_is_taken_although_it_is_held(arch: str) -> None:
    """tryStackLock is asked, and its answer is passed over."""
    result = changed("committed", arch, "lockStack", "if_zero .taken", "goto .taken")
    assert EMPTY in str(result.findings[0].failure)


@pytest.mark.parametrize("arch", ARCHES)
def test_the_lock_is_not_taken_in_one_step(arch: str) -> None:
    """cmpxchg without its lock prefix; a store-exclusive that nobody asks whether it was done."""
    cpu = arches.get(arch)
    scene = profiling(cpu, functions(CASE.variant("committed"), cpu.word))
    program, symbol = scene.world.program, scene.world.program.symbol("tryStackLock")
    lines = {at: line.text for at, line in program.lines.items() if symbol.address <= at < symbol.address + symbol.size}
    if cpu.isa == "arm":
        at = max(at for at, text in lines.items() if text.startswith("bne"))
        scene.process.patch(at, cpu.nop)
    else:
        at = next(at for at, text in lines.items() if text.startswith("lock cmpxchg"))
        scene.process.patch(at, cpu.nop[:1])
    try:
        found = explore(scene.race)
    finally:
        scene.process.unpatch()
    assert any(EMPTY in str(finding.failure) for finding in found.findings)


@pytest.mark.parametrize("arch", ARCHES)
def test_the_goroutine_goes_on_while_it_is_scanned(arch: str) -> None:
    """Its status set back too early: it returns from frames that are still to be walked and replaced."""
    scan, let_go = f"{LOCK}\ninvoke scanstack\n{FREE}", "invoke casfromgscanstatus"
    early = changed("committed", arch, "collector", f"{scan}\n{let_go}", f"{let_go}\n{scan}")
    assert {f.kind for f in early.findings} == {"Astray", "Crash"}


@pytest.mark.parametrize("arch", ARCHES)
def test_a_lost_result_is_seen(arch: str) -> None:
    result = changed("committed", arch, "inner", "plus 1", "get 1")
    assert {f.kind for f in result.findings} == {"Astray"}


def test_show() -> None:
    assert "stkbarPos" in CASE.story
    lines = list(CASE.differences(arches.get("arm")))
    assert lines.count("+invoke lockStack") == 2
    assert "+invoke systemstack" in lines
    assert "+word_at m.curg" in lines
    assert sum(line.startswith(("+", "-")) and line[:3] not in ("+++", "---") for line in lines) < 60
