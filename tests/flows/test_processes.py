"""Sessions with more than one thread or process: who acts in whose memory, and how children end."""

from __future__ import annotations

import pytest

import arch as arches
from arch import golang
from asm.guests import Function
from emu import target as targets
from emu.runtime.failures import Crash, Deadlock, Throw
from emu.runtime.fork import EVERY_SIGNAL, Fork, hooks
from emu.session import Session

CELLS = [
    pytest.param(era, arch, id=f"{era}-{arch}", marks=getattr(pytest.mark, arch))
    for era in golang.ERAS
    for arch in arches.ARCHES
]
each = pytest.mark.parametrize(("era", "arch"), CELLS)
later = pytest.mark.parametrize(("era", "arch"), [cell for cell in CELLS if cell.values[0] != "2011"])

EXIT = "put 0; system_call SYS_exit"
FORK = """
constant {flags}; put 0; constant 0; put 1; put 2; put 3; system_call SYS_clone; if_zero .child
put 0; address 3; put 1; constant 0; put 2; system_call SYS_wait4
get 3; set_argument 0; goto .parent
.child:
{child}
constant 7; put 0; system_call SYS_exit_group
.parent:
"""
DEEP = Function("deep", "argument 0; if_zero .end\nplus_constant -1; put 0; invoke deep\n.end:", args=1, slots=6)
YIELDS = "; ".join(["system_call SYS_sched_yield"] * 5)
GROW = "constant 150; put 0; invoke deep"


def forker(child: str, flags: int = 17) -> Function:
    return Function("forker", FORK.format(flags=flags, child=child), args=1, slots=4)


def session_of(era: str, arch: str, *guests: Function) -> Session:
    return Session(targets.of_era(era, arch), guests)


def holder(turns: int) -> Function:
    """A thread that has the heap's lock while the others have so many turns."""
    body = "invoke lock_heap\n" + turns * "system_call SYS_sched_yield\n" + f"invoke unlock_heap; constant 0; {EXIT}"
    return Function("holder", body, slots=3, nosplit=True)


@each
def test_growth_waits_for_the_lock_of_the_heap(era: str, arch: str) -> None:
    session = session_of(era, arch, Function("main", f"system_call SYS_sched_yield\n{GROW}", slots=4), DEEP, holder(2))
    freed = []

    @session.gate("unlock_heap")
    def unlock(now: Session) -> None:
        freed.append((now.steps, now.heap.holder))
        now.heap.unlock()

    session.start_thread("holder")
    session.go("main")
    session.run()
    ((step, tid),) = freed
    assert tid == 1001
    grown = [event for event in session.events if event.kind in ("copy", "link")]
    assert grown
    assert all(event.step >= step for event in grown)
    assert session.heap.holder == 0


@each
def test_a_lock_that_is_never_freed_is_a_deadlock(era: str, arch: str) -> None:
    keeper = Function("holder", f"invoke lock_heap; constant 0; {EXIT}", slots=3, nosplit=True)
    session = session_of(era, arch, Function("main", f"system_call SYS_sched_yield\n{GROW}", slots=4), DEEP, keeper)
    session.start_thread("holder")
    session.go("main")
    with pytest.raises(Deadlock, match="thread 1000 waits for the heap lock, held by thread 1001, whom its"):
        session.run()


@each
def test_a_forked_child_has_a_runtime_of_its_own(era: str, arch: str) -> None:
    session = session_of(era, arch, forker(GROW), DEEP)
    goroutine = session.go("forker")
    before = goroutine.stack
    session.run()
    assert goroutine.results == (7 << 8,)
    assert goroutine.stack == before
    assert {event.pid for event in session.events} == {1000}
    (child,) = (one for one in session.family.sessions.values() if one is not session)
    (twin,) = child.goroutines
    assert twin is not goroutine
    assert {event.pid for event in child.events} == {1000, 1001}
    assert child.process is not session.process
    assert child.world.process is child.runtime.process is child.process
    assert twin.g.process is child.process
    assert session.steps == child.steps > session.loop.steps


@each
def test_a_child_that_throws_or_crashes_ends_alone(era: str, arch: str) -> None:
    for child, failure, status in (
        ("constant 64; word_at 0", Crash, 11), ("invoke thrower", Throw, 2 << 8), ("invoke nobody", Crash, 11),
    ):
        session = session_of(era, arch, forker(child))
        if "thrower" in child:
            @session.gate("thrower")
            def thrower(_: Session) -> None:
                raise Throw("on purpose")

        goroutine = session.go("forker")
        session.run()
        assert goroutine.results == (status,)
        assert isinstance(session.family.deaths[1001], failure)
        assert not session.family.deaths[1001].fatal
        said = b"fatal error: on purpose\n" if failure is Throw else b""
        assert session.kernel.output[2] == said


@each
def test_the_program_ends_while_a_child_waits(era: str, arch: str) -> None:
    body = FORK.format(flags=17, child=GROW).replace("system_call SYS_wait4", YIELDS)
    guest = Function("forker", "invoke lock_heap\n" + body + "\ninvoke unlock_heap", args=1, slots=4)
    session = session_of(era, arch, guest, DEEP)
    session.go("forker")
    with pytest.raises(Deadlock, match="the program has ended; thread 1001 waits for the heap lock, held by"):
        session.run()


@each
def test_the_parent_throws_while_its_child_waits(era: str, arch: str) -> None:
    body = FORK.format(flags=17, child=GROW).replace("system_call SYS_wait4", f"{YIELDS}; invoke nobody")
    session = session_of(era, arch, Function("forker", "invoke lock_heap\n" + body, args=1, slots=4), DEEP)
    session.go("forker")
    with pytest.raises(Crash, match="nobody stands for nobody"):
        session.run()
    assert not session.family.deaths


# what the runtime does around a fork


@later
def test_around_a_fork_every_word_is_changed_and_put_back(era: str, arch: str) -> None:
    around = Function("main", "invoke look; invoke before_fork; invoke look; invoke after_fork; invoke look", slots=4)
    session = session_of(era, arch, around, *hooks(era))
    seen: list[dict[str, int]] = []

    @session.gate("look")
    def look(now: Session) -> None:
        g, m = now.current.g, now.world.m
        seen.append({field: g[field.removeprefix("g.")] for field in now.world.layout.guards} | {
            "locks": m["locks"], "timer": now.fork.timer, "mask": now.thread.mask,
            "kept": m["forkstackguard"] if m.has("forkstackguard") else 0,
        })

    session.go("main")
    session.fork.start_profile(100)
    session.run()
    before, during, after = seen
    assert before == after
    special = session.era.guards.special
    poison = special.get("StackPoison", special.get("StackFork", 0)) & session.arch.mask
    poisoned = {"g.stackguard0", "g.stackguard"} if era == "2014" else {"g.stackguard0"}
    expected = {**before, **dict.fromkeys(poisoned, poison), "locks": 1, "timer": 0}
    expected |= {"kept": before["g.stackguard"]} if era == "2014" else {"mask": EVERY_SIGNAL}
    assert during == expected


@pytest.mark.parametrize(("era", "arch"), [cell for cell in CELLS if cell.values[0] in ("2017", "modern")])
def test_the_child_puts_back_its_mask_and_no_guard(era: str, arch: str) -> None:
    session = session_of(era, arch, Function(
        "main", "invoke before_fork; invoke after_fork_in_child; invoke look", slots=4
    ), *hooks(era))
    session.fork.handled = 5

    @session.gate("look")
    def look(now: Session) -> None:
        assert now.thread.mask == 3
        assert now.fork.handled == 0
        assert now.current.g["stackguard0"] == now.runtime.special("StackFork")
        now.fork.after()

    session.go("main")
    session.kernel.main.mask = 3
    session.run()


def test_2011_is_not_told_of_forks() -> None:
    assert hooks("2011") == ()
    with pytest.raises(Throw, match="era 2011 is not told of forks"):
        Fork(session_of("2011", "arm", DEEP)).before()
