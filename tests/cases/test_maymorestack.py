"""The case maymorestack: every cell as history says, and the protections that its variants do not remove."""

from __future__ import annotations

import subprocess
import sys

import pytest

import arch as arches
from arch.golang import HOOKS as ROUTINES
from asm.guests import Function
from asm.hooks import Hook
from emu import cases
from emu import target as targets
from emu.cases.maymorestack import _CALLED, _FRESH, Setup
from emu.cases.model import Verdict
from emu.contracts.judge import Check
from emu.flows.hooked import Program
from emu.runtime.contiguous import Contiguous
from emu.runtime.failures import Throw
from emu.runtime.goroutine import Goroutine
from emu.runtime.schedule import Runtime
from emu.session import Session

CASE = cases.get("maymorestack")
ARCHES = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
CELLS = [
    pytest.param(variant.name, name, id=f"{variant.name}-{name}", marks=getattr(pytest.mark, name))
    for variant in CASE.variants
    for name in arches.ARCHES
]


def verdict(variant: str, arch: str) -> Verdict:
    return CASE.run(CASE.variant(variant), arches.get(arch), "")


@pytest.mark.parametrize(("variant", "arch"), CELLS)
def test_every_cell_is_as_history_says_each_time_with_the_same_numbers(variant: str, arch: str) -> None:
    found = verdict(variant, arch)
    assert found.word == CASE.variant(variant).history[arch], found
    assert found.looked > 1000 or found.step > 0
    assert verdict(variant, arch) == found


@pytest.mark.parametrize("arch", ARCHES)
def test_what_breaks(arch: str) -> None:
    assert verdict("found", arch).breaks == "the counter: expected 10, found 5"
    assert verdict("recursive", arch).breaks.startswith("hook calls itself without end: ")


@pytest.mark.arm
def test_the_emitted_prologue_on_arm_loses_the_context_and_nothing_else() -> None:
    found = verdict("emitted", "arm")
    assert "→ ctxt at in_frame128_args0_context: expected " in found.breaks
    program, *_ = [line for line in found.findings if line.startswith("the program")]
    assert "Crash: fault:" in program
    assert "in advance+" in program


# Other ways to take the protection away.


class ResumesAtStart(Contiguous):
    """After a preemption a function starts again at its entry, and so calls the hook again."""

    def give_way(self, goroutine: Goroutine, function: str) -> None:
        goroutine.sched["pc"] = self.session.code(function)
        super().give_way(goroutine, function)


class AsksAgain(Contiguous):
    """Whoever is preempted for the first time finds the request still there when it goes on."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.left: list[Goroutine] = []

    def give_way(self, goroutine: Goroutine, function: str) -> None:
        self.left.append(goroutine)
        super().give_way(goroutine, function)

    def execute(self, goroutine: Goroutine) -> None:
        super().execute(goroutine)
        if self.left.count(goroutine) == 1:
            self.preempt(goroutine)


class SparesAll(Contiguous):
    """No request is ever taken."""

    def keeps_running(self, _status: object) -> bool:
        return True


class Grows(Contiguous):
    """On the smallest stack a request to move is taken for one to grow."""

    def new_size(self, goroutine: Goroutine, guard: int, function: str) -> int:
        size = super().new_size(goroutine, guard, function)
        return 2 * size if size == self.era.guards.minimum else size


def broken(arch: str, hook: str, runtime: type[Runtime]) -> list[Check]:
    program = Program(targets.of_era("modern", arch), Setup(_FRESH, Hook(hook)).functions, _CALLED, Hook(hook))
    program.session.restart(runtime)
    return [found for found in program.run() if not found.ok]


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(
    ("hook", "runtime", "says"),
    [
        ("mayMoreStackPreempt", ResumesAtStart, "runs to its end"),
        ("mayMoreStackPreempt", AsksAgain, "StackPreempt met by calls of "),
        ("mayMoreStackPreempt", SparesAll, "StackPreempt met by calls of "),
        ("mayMoreStackMove", Grows, "StackForceMove met by calls of "),
    ],
)
def test_a_runtime_that_does_not_keep_to_once_per_call(
    arch: str, hook: str, runtime: type[Runtime], says: str
) -> None:
    assert any(found.name.startswith(says) for found in broken(arch, hook, runtime))


# Requests that stood in the guard before the hook.

_POISONED = Function("poisoned", "invoke poison; invoke callee", slots=1)
_CALLEE = Function("callee", "constant 0; put 0", slots=1)


def poisoned(arch: str, hook: str, special: str) -> Session:
    session = Session(targets.of_era("modern", arch), (_POISONED, _CALLEE), Hook(hook))

    @session.gate("poison")
    def poison(session: Session) -> None:
        session.current.g["stackguard0"] = session.era.guards.special[special]

    session.go("poisoned")
    return session


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("hook", ROUTINES)
def test_the_poison_of_a_fork_is_found_by_newstack(arch: str, hook: str) -> None:
    with pytest.raises(Throw, match="stack growth after fork"):
        poisoned(arch, hook, "StackFork").run()


@pytest.mark.parametrize("arch", ARCHES)
def test_a_request_to_move_is_not_made_one_to_preempt(arch: str) -> None:
    session = poisoned(arch, "mayMoreStackPreempt", "StackForceMove")
    session.run()
    assert [(event.kind, event.function) for event in session.events if event.kind != "run"] == [
        ("preempt", "poisoned"), ("copy", "callee"),
    ]


@pytest.mark.parametrize("era", ["2011", "2014", "2017"])
def test_older_eras_have_no_hooks(era: str) -> None:
    with pytest.raises(ValueError, match="has no hooks"):
        Session(targets.of_era(era, "arm"), (_CALLEE,), Hook("mayMoreStackPreempt"))


def test_the_story_names_variants_and_commits_and_shows_what_differs() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "emu.cli", "case", "show", "maymorestack"], capture_output=True, text=True, check=True
    ).stdout
    for variant in CASE.variants:
        assert f"{variant.name} ({variant.commit}): {variant.differs}" in shown
    arm = shown[shown.index("\narm:"):]
    assert "+hook_context mayMoreStackPreempt" in arm
    assert "+ldr r7, [sp, #4]" in arm
