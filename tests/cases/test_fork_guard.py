"""The case fork-guard: every cell, what is behind its verdicts, and the protection taken away in other ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from click.testing import CliRunner

import arch as arches
from arch.habits import habits
from arch.model import Arch
from arch.runtimes import RUNTIMES
from asm.guests import Function
from emu import target
from emu.cases import fork_guard
from emu.cases.fork_guard import ALL, CASE, SCENES, Linking, Scene, guests, look
from emu.cases.model import Verdict
from emu.cli import cli
from emu.runtime.contiguous import Contiguous
from emu.runtime.fork import Fork
from emu.runtime.hybrid import Hybrid
from emu.session import Session

CELLS = [(variant.name, arch) for variant in CASE.variants for arch in variant.history]
each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ALL])


def run(name: str, arch: str) -> Verdict:
    return CASE.run(CASE.variant(name), arches.get(arch), "")


@pytest.mark.parametrize(("name", "arch"), CELLS)
def test_every_cell_is_as_history_says_and_the_same_each_time(name: str, arch: str) -> None:
    verdict = run(name, arch)
    assert verdict.word == CASE.variant(name).history[arch], verdict
    assert verdict.looked > 0
    assert run(name, arch) == verdict


def test_every_variant_has_a_scene_of_its_own() -> None:
    assert list(SCENES) == [variant.name for variant in CASE.variants]
    assert len({(scene.era, scene.hooks, scene.shared, scene.child, scene.other, scene.runtime, scene.room)
                for scene in SCENES.values()}) == len(SCENES)


# what is behind the verdicts


@each
def test_the_child_waits_for_a_lock_that_nobody_holds_there(arch: str) -> None:
    assert run("before", arch).breaks == (
        "deadlock: thread 1000 waits for child 1002; "
        "thread 1002 waits for the heap lock, held by thread 1001, whom its process does not have"
    )


@each
def test_the_parent_wakes_up_on_a_stack_that_its_child_left(arch: str) -> None:
    found = run("before-shared", arch)
    assert "SP is in a stack that process 1002 left when it grew in walk" in found.breaks
    assert "in fork_exec+" in found.breaks


SINK = "argument 0\nif_zero .end\nplus_constant -1; put 0; invoke sink\n.end:\nput 0; system_call SYS_exit_group"


@each
def test_on_segments_the_parent_wakes_up_with_the_bounds_of_one_that_its_child_left(
    arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene("2014", hooks=False, shared=ALL, runtime=Linking)
    assert look(scene, arches.get(arch)).breaks == "the child grows its stack in walk"  # and comes back from there
    plain, sink = fork_guard.guests, Function("sink", SINK, args=1, slots=6)
    monkeypatch.setattr(fork_guard, "guests", lambda scene, record: (*plain(scene, record), sink))
    deep = look(replace(scene, child="sink"), arches.get(arch))
    assert deep.breaks.startswith("after the fork the parent's g.stackguard0 is")


@pytest.mark.parametrize("name", ["committed", "committed-shared", "later", "modern", "huge-modern", "linked-later"])
@each
def test_the_first_stack_check_in_the_child_throws(name: str, arch: str) -> None:
    said = "split stack after fork" if SCENES[name].era == "2014" else "stack growth after fork"
    (told,) = run(name, arch).findings
    assert told.startswith("process 1002 ends after ")
    assert told.endswith(f": {said}; it had entered 0 functions with a stack check")


@pytest.mark.parametrize("name", ["committed-shared", "modern"])
def test_a_throw_leaves_g0_behind_in_a_word_that_parent_and_child_share(name: str) -> None:
    for arch in ("386", "amd64"):
        assert run(name, arch).breaks == "after the fork the parent's running g is g0, and was main"
    assert run(name, "arm").word == "holds"


@pytest.mark.parametrize("name", ["huge-committed", "huge-later"])
@each
def test_a_huge_frame_passes_the_poison_and_leaves_the_stack(name: str, arch: str) -> None:
    assert "bytes below main stack" in run(name, arch).breaks


@each
def test_oldstack_looks_for_a_segment_by_the_poison(arch: str) -> None:
    poison = (-1315 - 256) & arches.get(arch).mask
    assert run("linked", arch).breaks.endswith(f"free of a stack that is none: 4096 bytes at {poison:#x}")
    found = run("linked-found", arch)
    assert "after the fork the parent's g.stackguard0 is" in found.breaks
    inside = int(found.findings[0].split("it had entered ")[1].split()[0])
    assert inside > 0  # the poison went with the segment: only true need of a stack brings the child to newstack


@pytest.mark.parametrize(
    ("name", "arch"), [cell for cell in CELLS if cell[0] in ("preempted-later", "preempted-modern")]
)
def test_a_request_undoes_the_poison_and_the_child_grows(name: str, arch: str) -> None:
    found = run(name, arch)
    assert "SP is in a stack that process 1002 left when it grew in walk" in found.breaks
    assert all("grows its stack in walk (copy)" in told for told in found.findings)


@each
def test_a_request_undoes_no_poison_that_m_knows_of_nor_on_copied_memory(arch: str) -> None:
    (told,) = run("preempted-committed", arch).findings
    assert "split stack after fork; it had entered 0 functions" in told
    (told,) = look(Scene("2017", other="sysmon"), arches.get(arch)).findings
    assert "stack growth after fork; it had entered 0 functions" in told


# the protection taken away in other ways

Hook = Callable[[Fork], None]
_BEFORE, _AFTER = Fork.before, Fork.after


def put_back(words: dict[str, str]) -> Hook:
    """An AfterFork that forgets a word of m or g."""

    def after(hooks: Fork) -> None:
        session = hooks._session
        structs = {"m": session.world.m, "g": session.current.g}
        kept = {name: structs[struct][name] for name, struct in words.items()}
        _AFTER(hooks)
        for name, struct in words.items():
            structs[struct][name] = kept[name]

    return after


def timer_stays_off(hooks: Fork) -> None:
    _AFTER(hooks)
    hooks.timer = 0


def signals_stay_blocked(hooks: Fork) -> None:
    mask = hooks._session.thread.mask
    _AFTER(hooks)
    hooks._session.thread.mask = mask


def by_a_word(hooks: Fork) -> None:
    _AFTER(hooks)
    g = hooks._session.current.g
    for name in hooks._guards:
        g[name] += hooks._session.arch.word


FORGETFUL: list[tuple[str, str, Hook, str]] = [
    ("2014", "guard", put_back({"stackguard0": "g"}), "g.stackguard0 is"),
    ("2014", "true guard", put_back({"stackguard": "g"}), "g.stackguard is"),
    ("2014", "kept guard", put_back({"forkstackguard": "m"}), "m.forkstackguard is"),
    ("2014", "locks", put_back({"locks": "m"}), "m.locks is 0x1, and was 0x0"),
    ("2014", "timer", timer_stays_off, "profile timer is 0x0, and was 0x64"),
    ("2014", "a word off", by_a_word, "g.stackguard0 is"),
    ("2017", "guard", put_back({"stackguard0": "g"}), "g.stackguard0 is"),
    ("2017", "mask", signals_stay_blocked, "signal mask is 0xffffffffffffffff, and was 0x0"),
    ("modern", "locks", put_back({"locks": "m"}), "m.locks is 0x1, and was 0x0"),
]


@pytest.mark.parametrize(("era", "hook", "named"), [row[:1] + row[2:] for row in FORGETFUL],
                         ids=[f"{row[0]}-{row[1]}" for row in FORGETFUL])
@each
def test_an_after_fork_that_forgets(
    era: str, hook: Hook, named: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look(Scene(era), arches.get(arch)).word == "holds"
    monkeypatch.setattr(Fork, "after", hook)
    found = look(Scene(era), arches.get(arch))
    assert found.breaks.startswith(f"after the fork the parent's {named}")


@pytest.mark.parametrize("era", ["2014", "2017", "modern"])
@each
def test_the_guard_put_back_in_the_child_too(era: str, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = fork_guard.fork_exec

    def fork_exec(scene: Scene, record: Arch) -> str:
        text = plain(scene, record).replace("invoke after_fork\n", "")
        return text.replace("reload_g", "reload_g\nput 3\ninvoke after_fork\nget 3")

    monkeypatch.setattr(fork_guard, "fork_exec", fork_exec)
    found = look(Scene(era), arches.get(arch))
    assert "deadlock" in found.breaks


def only(name: str) -> Hook:
    """A BeforeFork that poisons one guard word alone."""

    def before(hooks: Fork) -> None:
        g = hooks._session.current.g
        kept = {other: g[other] for other in ("stackguard0", "stackguard") if other != name}
        _BEFORE(hooks)
        for other, value in kept.items():
            g[other] = value

    return before


@each
def test_a_poison_in_the_wrong_guard_word(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fork, "before", only("stackguard"))
    assert "a stack check passes in the child" in look(Scene("2014"), arches.get(arch)).breaks
    monkeypatch.setattr(Fork, "before", only("stackguard0"))
    assert look(Scene("2014"), arches.get(arch)).word == "holds"


class Trusting2014(Hybrid):
    """newstack does not ask whether there was a fork."""

    def newstack(self) -> None:
        self.m["forkstackguard"] = 0
        super().newstack()


class Repairing2014(Trusting2014):
    """And puts the guards right."""

    def newstack(self) -> None:
        guard = self.true_guard(self.current())
        self.current().g["stackguard0"] = self.current().g["stackguard"] = guard
        super().newstack()


class TrustingLater(Contiguous):
    """The same, where it would know by the guard."""

    def newstack(self) -> None:
        self.current().g["stackguard0"] = self.true_guard(self.current())
        super().newstack()


@pytest.mark.parametrize(
    ("era", "runtime"), [("2014", Repairing2014), ("2017", TrustingLater), ("modern", TrustingLater)]
)
@each
def test_a_newstack_that_does_not_ask(era: str, runtime: type[Hybrid] | type[Contiguous], arch: str) -> None:
    assert "deadlock" in look(Scene(era, runtime=runtime), arches.get(arch)).breaks


@each
def test_in_2014_the_second_poisoned_word_stops_a_newstack_that_does_not_ask(arch: str) -> None:
    found = look(Scene("2014", runtime=Trusting2014), arches.get(arch))
    assert found.word == "holds"
    assert "runtime: split stack overflow; it had entered 0 functions" in found.findings[0]


# the story


def test_variants_differ_only_in_the_named_lines() -> None:
    arm = arches.get("arm")
    before, committed = (CASE.text(CASE.variant(name), arm).splitlines() for name in ("before", "committed"))
    assert [line for line in committed if line not in before] == [
        "    invoke before_fork", "    invoke after_fork", "before_fork:  // stack check, 64 slots",
        "    invoke beforefork", "after_fork:  // no stack check, 1 slots", "    invoke afterfork",
    ]
    assert [line for line in before if line not in committed] == []
    shared = CASE.text(CASE.variant("committed-shared"), arm).splitlines()
    assert set(shared) ^ set(committed) == {
        "    constant 0x11  // SIGCHLD", "    constant 0x4111  // SIGCHLD, CLONE_VM, CLONE_VFORK",
    }


def test_the_commands_tell_the_story_and_run_the_table() -> None:
    shown = CliRunner().invoke(cli, ["case", "show", "fork-guard", "--no-color"])
    assert shown.exit_code == 0
    for variant in CASE.variants:
        assert f"{variant.name} ({variant.commit}): {variant.differs}" in shown.output
    assert "+    invoke before_fork" in shown.output
    ran = CliRunner().invoke(cli, ["case", "run", "fork-guard", "--json"])
    assert ran.exit_code == 0
    assert '{"kind": "summary", "cells": 46, "unlike_history": 0}' in ran.output


@each
def test_2017_works_on_g0_by_its_own_systemstack(arch: str) -> None:
    assert RUNTIMES["2017"].fork
    assert RUNTIMES["2017"].fork.on_g0
    assert habits("2017").system
    session = Session(target.of_era("2017", arch), guests(Scene("2017"), arches.get(arch)))
    where = []

    @session.gate("beforefork")
    def before(now: Session) -> None:
        g0 = now.world.stacks["g0"]
        where.append(g0.address <= now.process.role("sp") < g0.end)
        now.fork.before()

    for gate in ("about_to_fork", "has_forked", "entered"):
        session.gate(gate)(lambda _: None)
    session.start_thread("allocator")
    session.go("main")
    session.run()
    assert where == [True]
    assert session.kernel.output[2] == b"fatal error: stack growth after fork\n"
