"""Copied stacks: how large the next one is, when they are halved, and what a forced move does."""

from __future__ import annotations

from functools import lru_cache

import pytest

import arch as arches
from arch.runtimes import Status
from asm.guests import Function
from emu import target as targets
from emu.runtime.contiguous import Contiguous
from emu.runtime.copying import Copying
from emu.runtime.failures import Crash, Deadlock, Throw
from emu.session import Session

ARCHES = tuple(arches.ARCHES)
WIDE = 40_000

GUESTS = (
    Function("start", "invoke before; invoke small; invoke parked", slots=1),
    Function("small", "", slots=4),
    Function("parked", "invoke park", slots=1),
    Function("stale", "address 0; put 1; invoke before; get 1; word_at 0", slots=2),
)


@lru_cache(maxsize=16)
def session_of(era: str, arch: str) -> Session:
    target = targets.of_era(era, arch)
    return Session(target, (*GUESTS, Function("wide", "invoke before", slots=WIDE // target.arch.word)))


def start(era: str, arch: str) -> Session:
    session = session_of(era, arch)
    session.restart()
    session.gate("before")(lambda _: None)
    return session


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("era", "sizes"), [("2017", [4096, 8192, 16384, 32768, 65536]), ("modern", [65536])])
def test_only_the_modern_era_doubles_until_the_frame_fits(era: str, arch: str, sizes: list[int]) -> None:
    session = start(era, arch)
    session.go("wide")
    session.run()
    assert [event.new.size for event in session.events if event.kind == "copy" and event.new] == sizes


@pytest.mark.parametrize("arch", ARCHES)
def test_2014_doubles_the_segment(arch: str) -> None:
    session = start("2014", arch)
    goroutine = session.go("wide")
    session.run()
    sizes = [event.new.size for event in session.events if event.kind == "copy" and event.new]
    assert sizes == [8192, 16384, 32768, 65536]
    assert goroutine.g["stacksize"] == 65536


@pytest.mark.parametrize("arch", ARCHES)
def test_a_forced_move_keeps_the_size(arch: str) -> None:
    session = start("modern", arch)

    @session.gate("before")
    def before(session: Session) -> None:
        session.current.g["stackguard0"] = session.era.guards.special["StackForceMove"]

    goroutine = session.go("start")
    with pytest.raises(Deadlock, match="asleep: start 1"):
        session.run()
    copies = [event for event in session.events if event.kind == "copy"]
    assert [(event.function, event.new.size) for event in copies if event.new] == [("small", 2048)]
    assert goroutine.g["stackguard0"] == goroutine.stack.lo + session.era.guards.guard


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", ["2014", "2017", "modern"])
def test_a_waiting_goroutine_is_halved_while_it_uses_less_than_a_quarter(era: str, arch: str) -> None:
    session = start(era, arch)
    goroutine = session.go("start", stack=32768)
    with pytest.raises(Deadlock, match="asleep: start 1"):
        session.run()
    runtime = session.runtime
    assert isinstance(runtime, Copying)
    sp, goroutine.sched["sp"] = goroutine.sched["sp"], goroutine.stack.hi - 32768 // 4
    assert not runtime.shrink(goroutine)
    goroutine.sched["sp"] = sp
    sizes = []
    while runtime.shrink(goroutine):
        sizes.append(goroutine.stack.size)
    assert sizes == [16384, 8192, 4096] + ([] if era == "2014" else [2048])
    session.ready(goroutine)
    session.run()
    assert goroutine.status is Status.DEAD


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", ["2014", "2017", "modern"])
def test_a_stale_pointer_faults(era: str, arch: str) -> None:
    """The address of a slot, put where no pointer is declared, leads to an unmapped page after a move."""
    session = start(era, arch)

    @session.gate("before")
    def before(session: Session) -> None:
        runtime = session.runtime
        assert isinstance(runtime, Copying)
        _save_place(session)
        runtime.copy_stack(session.current, 2 * session.current.stack.size, made=True)
        session.process.set_role("sp", session.current.sched["sp"] - _pushed(session))

    session.go("stale")
    with pytest.raises(Crash, match="fault:"):
        session.run()


def _pushed(session: Session) -> int:
    return session.arch.word if session.arch.call.return_on_stack else 0


def _save_place(session: Session) -> None:
    """Write the running goroutine's place into its sched, as if the gate had been entered by mcall."""
    process, sched = session.process, session.current.sched
    sp = process.role("sp")
    sched["pc"] = process.word(sp) if _pushed(session) else process.role("link")
    sched["sp"] = sp + _pushed(session)


@pytest.mark.parametrize("era", ["2017", "modern"])
def test_a_frame_of_code_that_is_no_guest_cannot_be_walked(era: str) -> None:
    session = start(era, "386")
    goroutine = session.go("start")
    goroutine.sched["pc"] = session.target.program.symbol("gogo").address
    runtime = session.runtime
    assert isinstance(runtime, Contiguous)
    with pytest.raises(Throw, match="unexpected return pc gogo"):
        runtime.copy_stack(goroutine, 4096)
