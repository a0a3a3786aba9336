"""gc-triple: every cell as history says, what the collector does in each, and ways to break it that history has not."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest
from click.testing import CliRunner

import arch as arches
from asm.guests import Function
from emu import cases
from emu.cases.gc_triple import BLOCKS, guests, race, scanning
from emu.cases.model import Verdict
from emu.cli import cli
from emu.errors import BadInput
from emu.explore import Exploration, explore, replay
from emu.runtime.collector import LENGTHS

CASE = cases.get("gc-triple")
CELLS = [(variant.name, arch) for variant in CASE.variants for arch in variant.history]
STORY, RULES = LENGTHS.values()


@cache
def found(variant: str, arch: str) -> Verdict:
    return CASE.run(CASE.variant(variant), arches.get(arch), "")


@pytest.mark.parametrize(("variant", "arch"), CELLS)
def test_cell_is_as_history_says(variant: str, arch: str) -> None:
    verdict = found(variant, arch)
    assert verdict.word == CASE.variant(variant).history[arch], verdict
    assert (verdict.schedule != "") == (verdict.breaks != "")
    assert verdict.unit == "states"
    assert 4_000 < verdict.looked < 10_000


@pytest.mark.parametrize(("variant", "arch"), [cell for cell in CELLS if cell[0] != "later"])
def test_the_finding_replays(variant: str, arch: str) -> None:
    verdict = found(variant, arch)
    again = CASE.run(CASE.variant(variant), arches.get(arch), verdict.schedule)
    assert (again.breaks, again.step) == (verdict.breaks, verdict.step)
    assert any("collector: reads g.stackbase" in line for line in again.findings)
    assert CASE.run(CASE.variant("later"), arches.get(arch), verdict.schedule).breaks == ""


@pytest.mark.parametrize("arch", ["386", "arm"])
def test_before_on_32_bits(arch: str) -> None:
    """Both readings end in unmapped memory; what is handed to scanblock differs."""
    told = "\n".join(found("before", arch).findings)
    assert "Kept: the collector keeps the dead block" in told
    story, rules = (_line(told, name, "Crash: scanblock") for name in LENGTHS)
    passed = int(story.split("length ")[1].split(")")[0])
    assert 0xFFFF_0000 < passed < 1 << 32
    assert f"(length {passed - (1 << 32)})" in rules
    assert f"{passed + (1 << 64) - (1 << 32)} bytes" in rules
    assert "uses" not in told


def test_before_on_64_bits() -> None:
    """What the commit tells: nothing is scanned, a live block freed. By the front end's rules it crashes there too."""
    told = "\n".join(found("before", "amd64").findings)
    assert "Kept: the collector keeps the dead block" in told
    assert "the program uses the live block" in _line(told, STORY.name, "Freed:")
    assert "18446744073709547" in _line(told, RULES.name, "Crash: scanblock")
    assert told.count("Crash") == told.count("Freed") == 1


def _line(told: str, *parts: str) -> str:
    (line,) = (line for line in told.splitlines() if all(part in line for part in parts))
    return line


@pytest.mark.parametrize("arch", ["386", "amd64", "arm"])
def test_committed_throws_and_misses_one(arch: str) -> None:
    """The base of the new segment and the guard of the old one pass every check."""
    told = found("committed", arch).findings
    kinds = [line.split(":")[0] for line in told[:-1]]
    assert kinds.count("Throw") == 4
    assert kinds.count("Kept") == 1
    assert set(kinds) == {"Throw", "Kept"}


def test_numbers_are_equal_from_run_to_run() -> None:
    again = CASE.run(CASE.variant("before"), arches.get("arm"), "")
    assert again == found("before", "arm")


# ways to break it


def explored(arch: str, functions: list[Function], variant: str = "later", checks: bool = True) -> Exploration:
    rule = replace(scanning(CASE.variant(variant), STORY), checks=checks)
    return explore(race(arches.get(arch), rule, functions))


def changed(arch: str, name: str, old: str, new: str, variant: str = "later") -> list[Function]:
    functions = guests(CASE.variant(variant), arches.get(arch).word)
    assert any(old in f.body for f in functions if f.name == name)
    return [replace(f, body=f.body.replace(old, new, 1)) if f.name == name else f for f in functions]


CLEAR = "constant 0\nset_word_at 2, g.gcstack"
UNLOCK = "constant 0\nset_word_at 1, sched.lock"


@pytest.mark.parametrize("arch", ["386", "amd64", "arm"])
def test_gcstack_cleared_too_early(arch: str) -> None:
    early = changed(arch, "exitsyscall", f"invoke runtime_gosched\n{CLEAR}", f"{CLEAR}\ninvoke runtime_gosched")
    found_early = explored(arch, early).findings
    assert {f.kind for f in found_early} == {"Throw", "Kept", "Freed"}
    freed = next(f for f in found_early if f.kind == "Freed")  # nil between the test and the use: nothing is scanned
    rule = scanning(CASE.variant("later"), STORY)
    told = replay(race(arches.get(arch), rule, early), freed.schedule).steps
    seen = [who for who, what in told if what.endswith("g.gcstack") and "entersyscall" not in what]
    assert seen == ["collector", "goroutine", "collector"]


@pytest.mark.parametrize("arch", ["386", "amd64", "arm"])
def test_the_scheduler_lock_is_not_released(arch: str) -> None:
    kept = changed(arch, "exitsyscall", f"{UNLOCK}\ninvoke runtime_gosched", "invoke runtime_gosched")
    result = explored(arch, kept)
    assert {f.kind for f in result.findings} == {"Deadlock"}
    assert result.ends > 0  # the fast path still releases it
    told = str(result.findings[0].failure)
    assert "gosched0 waits for sched.lock" in told


def test_the_triple_is_saved_without_the_lock_and_in_the_wrong_order() -> None:
    """gcstack, which says that the triple is there, before gcsp: seen only when the lock is released before."""
    word = "get 2\nword_at {}\nset_word_at 2, g.{}\n"
    sp, stack = word.format("g.sched.sp", "gcsp"), word.format("g.stackbase", "gcstack")
    wrong = changed("amd64", "entersyscall", sp + stack, stack + sp)
    assert not explored("amd64", wrong).findings
    (enter,) = (f for f in wrong if f.name == "entersyscall")
    head, tail = enter.body.split(".saved:\n")
    unlocked = replace(enter, body=f"{head}.saved:\n{UNLOCK}\n{tail.removesuffix(UNLOCK)}")
    assert explored("amd64", [unlocked if f.name == "entersyscall" else f for f in wrong]).findings


def test_it_is_the_linked_segment_that_breaks_it() -> None:
    """With room for exitsyscall's frame even the oldest code holds."""
    roomy = [replace(f, slots=4) if f.name == "exitsyscall" else f for f in guests(CASE.variant("before"), 8)]
    assert not explored("amd64", roomy, "before", checks=False).findings


@pytest.mark.parametrize("arch", ["386", "amd64", "arm"])
def test_a_segment_below_the_older_one(arch: str) -> None:
    """Then the more frequent pair is the wrong way round. With 64 bits that alone does no harm: nothing is scanned from
    it, but the walk goes on to the older segment by the newer one's Stktop.
    """
    below = dict(sorted(BLOCKS.items(), key=lambda block: (block[0] != "segment B", block[0] == "segment A")))
    kinds = {}
    for variant in CASE.variants:
        space = race(arches.get(arch), scanning(variant, STORY), guests(variant, arches.get(arch).word), below)
        kinds[variant.name] = {f.kind for f in explore(space).findings}
    assert kinds["before"] == ({"Kept"} if arch == "amd64" else {"Kept", "Crash"})
    assert kinds["committed"] == {"Throw", "Kept"}
    assert kinds["later"] == set()


def test_a_schedule_may_be_any() -> None:
    """Choices of a thread that has ended are passed over; the rest runs to its end."""
    space = race(arches.get("arm"), scanning(CASE.variant("later"), STORY), guests(CASE.variant("later"), 4))
    assert replay(space, "b500a500").failure is None
    assert replay(space, "a").failure is None


def test_show() -> None:
    assert "committed" in CASE.story
    lines = list(CASE.differences(arches.get("386")))
    assert "+if gp.gcstack != nil: from gp.gcsp to gp.gcstack" in lines
    assert "-if g.gcstack != nil: from gp.gcsp to gp.gcstack" in lines
    assert "+set_word_at 2, g.gcguard" in lines
    assert sum(line.startswith(("+", "-")) and line[:3] not in ("+++", "---") for line in lines) < 40


def test_the_command_replays_a_schedule() -> None:
    """Step by step; a word that is no schedule is bad input."""
    schedule = found("before", "amd64").schedule
    one = ["case", "run", "gc-triple", "--arch", "amd64", "--variant"]
    broken = CliRunner().invoke(cli, [*one, "before", "--schedule", schedule, "--explain"])
    assert broken.exit_code == 1
    assert "1 cells, 1 break" in broken.output
    assert "collector: reads sched.mcpu" in broken.output
    holds = CliRunner().invoke(cli, [*one, "later", "--schedule", schedule, "--json"])
    cell, summary = (json.loads(line) for line in holds.output.splitlines())
    assert (cell["verdict"], cell["unit"], cell["schedule"]) == ("holds", "steps", schedule)
    assert summary["unlike_history"] == 0
    assert isinstance(CliRunner().invoke(cli, [*one, "later", "--schedule", "3z"]).exception, BadInput)
