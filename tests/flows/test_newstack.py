"""newstack's tests in the order in which each era makes them, and whom it lets keep running."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations

import pytest

import arch as arches
from arch.runtimes import Status
from asm.guests import Function
from emu import target as targets
from emu.runtime import fields
from emu.runtime.failures import Throw
from emu.session import Session

STACK = 2048


def guests(word: int) -> tuple[Function, ...]:
    """start, and wide, whose frame is medium but does not fit."""
    start = Function("start", "invoke before; invoke wide; invoke after", slots=1)
    return start, Function("wide", "", slots=3900 // word)


ARCHES = tuple(arches.ARCHES)

Perturb = Callable[[Session], None]


@lru_cache(maxsize=16)
def session_of(era: str, arch: str) -> Session:
    target = targets.of_era(era, arch)
    return Session(target, guests(target.arch.word))


def run(era: str, arch: str, *changes: Perturb) -> Session:
    """Run start, with ``changes`` made between its own stack check and that of wide, which needs more stack."""
    session = session_of(era, arch)
    session.restart()

    @session.gate("after")
    def after(session: Session) -> None:
        fields.put(session.world.m, "locks", 0)  # no one may leave with a lock

    @session.gate("before")
    def before(session: Session) -> None:
        for change in changes:
            change(session)

    session.go("start", stack=STACK)
    session.go("start", stack=STACK)
    session.run(20_000)
    return session


def m(field: str, value: int) -> Perturb:
    return lambda session: fields.put(session.world.m, field, value)


def g(field: str, value: int) -> Perturb:
    return lambda session: fields.put(session.goroutines[0].g, field, value)


def guard(name: str) -> Perturb:
    """A special value into the guard that is compared."""
    return lambda session: fields.put(session.goroutines[0].g, "stackguard0", session.era.guards.special[name])


def other_g(session: Session) -> None:
    session.world.m["curg"] = session.goroutines[1].g.address


def far_below(session: Session) -> None:
    """As if SP had been far below the stack already."""
    bottom = "stack.lo" if session.goroutines[0].g.has("stack.lo") else "stackguard"
    session.goroutines[0].g[bottom] += 0x10000


def no_room(session: Session) -> None:
    session.runtime.max_stack = STACK + 1


def status(value: Status) -> Perturb:
    def change(session: Session) -> None:
        session.current.status = value

    return change


def both(*changes: Perturb) -> Perturb:
    def change(session: Session) -> None:
        for each in changes:
            each(session)

    return change


ASKED = guard("StackPreempt")
NO_P = both(ASKED, m("p", 0))

ORDER: dict[str, list[tuple[str, Perturb]]] = {
    "2011": [("runtime: split stack overflow", far_below)],
    "2014": [
        ("split stack after fork", m("forkstackguard", 1)),
        ("runtime: wrong goroutine in newstack", other_g),
        ("runtime: split stack overflow", far_below),
        ("runtime: g is running but p is not", NO_P),
    ],
    "2017": [
        ("stack growth after fork", guard("StackFork")),
        ("runtime: wrong goroutine in newstack", other_g),
        ("runtime: stack split at bad time", g("throwsplit", 1)),
        ("missing stack in newstack", g("stack.lo", 0)),
        ("runtime: split stack overflow", far_below),
        ("runtime: g is running but p is not", NO_P),
    ],
}
ORDER["modern"] = ORDER["2017"]

_GUARDS = {"stack growth after fork", "runtime: g is running but p is not"}  # both need the one guard word
_BOTTOMS = {"missing stack in newstack", "runtime: split stack overflow"}  # and both the one bound


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", ORDER)
def test_each_refusal(era: str, arch: str) -> None:
    for message, change in ORDER[era]:
        with pytest.raises(Throw, match=f"^{message}$"):
            run(era, arch, change)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", ["2014", "2017", "modern"])
def test_the_earlier_of_two_refusals_wins(era: str, arch: str) -> None:
    for (first, one), (second, other) in combinations(ORDER[era], 2):
        if {first, second} in (_GUARDS, _BOTTOMS):
            continue
        with pytest.raises(Throw, match=f"^{first}$"):
            run(era, arch, other, one)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", ["2014", "2017", "modern"])
def test_a_stack_has_a_largest_size(era: str, arch: str) -> None:
    with pytest.raises(Throw, match=r"^stack overflow$"):
        run(era, arch, no_room)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", ["2011", "2014"])
def test_arguments_come_in_words(era: str, arch: str) -> None:
    session = session_of(era, arch)
    with pytest.raises(Throw, match="argsize"):
        session.runtime.check_args(session.arch.word + 1)  # type: ignore[attr-defined]


def not_running(session: Session) -> None:
    session.p_running = False


SPARED: dict[str, list[tuple[str, Perturb]]] = {
    "2014": [
        ("locks", m("locks", 1)), ("mallocing", m("mallocing", 1)), ("gcing", m("gcing", 1)), ("p", not_running),
        ("waiting", status(Status.WAITING)), ("in a system call, locked", both(status(Status.SYSCALL), m("locks", 1))),
    ],
    "2017": [("locks", m("locks", 1)), ("mallocing", m("mallocing", 1)), ("p", not_running)],
    "modern": [
        ("locks", m("locks", 1)), ("mallocing", m("mallocing", 1)), ("p", not_running),
        ("in a system call", status(Status.SYSCALL)),
    ],
}


def preempt_off(session: Session) -> None:
    """m.preemptoff is a string: what counts is its length."""
    session.process.set_word(session.world.m.at("preemptoff") + session.arch.word, 3)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", SPARED)
def test_who_keeps_running(era: str, arch: str) -> None:
    changes = SPARED[era] + ([("preemptoff", preempt_off)] if era != "2014" else [])
    for name, change in changes:
        session = run(era, arch, lambda session: session.preempt(session.current), change)
        kinds = [event.kind for event in session.events]
        assert "spare" in kinds, name
        assert "preempt" not in kinds, name


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", SPARED)
def test_who_does_not(era: str, arch: str) -> None:
    session = run(era, arch, lambda session: session.preempt(session.current))
    kinds = [event.kind for event in session.events]
    assert kinds.count("preempt") == 2
    assert "spare" not in kinds


@pytest.mark.parametrize("arch", ARCHES)
def test_2014_refuses_to_preempt_in_a_system_call(arch: str) -> None:
    with pytest.raises(Throw, match=r"^runtime: stack split during syscall$"):
        run("2014", arch, status(Status.SYSCALL), ASKED)


@pytest.mark.parametrize("arch", ARCHES)
def test_2014_finds_a_missing_p_before_it_spares(arch: str) -> None:
    """And later eras after it: there a thread that may not be preempted needs no p."""
    late = both(NO_P, m("mallocing", 1))
    with pytest.raises(Throw, match="p is not"):
        run("2014", arch, late)
    for era in ("2017", "modern"):
        assert "spare" in [event.kind for event in run(era, arch, late).events]


@pytest.mark.parametrize("arch", ARCHES)
def test_2014_must_find_a_branch_behind_the_call(arch: str) -> None:
    session = session_of("2014", arch)
    with pytest.raises(Throw, match="misuse of rewindmorestack"):
        session.runtime.rewind(session.code("wide"))  # type: ignore[attr-defined]
