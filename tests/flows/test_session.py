"""The session as its users see it: gates, system calls, policies, and how it ends when something is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import arch as arches
from arch import golang
from asm.guests import Function
from asm.statement import AsmError
from emu import target as targets
from emu.runtime.failures import Crash, Deadlock, Spent, Throw
from emu.runtime.goroutine import Goroutine
from emu.session import Session

CELLS = [
    pytest.param(era, arch, id=f"{era}-{arch}", marks=getattr(pytest.mark, arch))
    for era in golang.ERAS
    for arch in arches.ARCHES
]

PLAYER = Function("player", args=2, slots=3, body="""
.turn:
    argument 0; if_zero .done
    put 0; invoke hit
    invoke gosched
    argument 0; plus_constant -1; set_argument 0
    goto .turn
.done:
    system_call SYS_getpid; set_argument 1
""")
SLEEPER = Function("sleeper", "invoke park; constant 5; set_argument 0", args=1, slots=1)
LOST = Function("lost", "invoke nobody", slots=1)
FAULTY = Function("faulty", "constant 64; word_at 0")
ENDLESS = Function("endless", ".on: goto .on")
ADDER = Function("adder", "argument 0; put 0; invoke plus; get 1; set_argument 1", args=2, slots=2)
ON_G0 = Function("on_g0", "invoke scheduler", slots=1)
LEAVER = Function("leaver", "constant 3; put 0; system_call SYS_exit_group; invoke nobody", slots=3)
WRITER = Function("writer", "constant 1; put 0; address 3; put 1; constant 2; put 2; constant 0x6968; put 3; "
                  "system_call SYS_write; set_argument 0", args=1, slots=4)
ALL = (PLAYER, SLEEPER, LOST, FAULTY, ENDLESS, ADDER, ON_G0, LEAVER, WRITER)


def session_of(era: str, arch: str) -> Session:
    return Session(targets.of_era(era, arch), ALL)


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_gates_calls_and_policies(era: str, arch: str) -> None:
    session, hits = session_of(era, arch), []

    @session.gate("hit")
    def hit(session: Session) -> None:
        hits.append((session.current.name, session.argument(0)))

    @session.syscall("getpid")
    def getpid(_thread: object) -> int:
        return 42

    def by_name(runnable: Sequence[Goroutine]) -> Goroutine:
        return min(runnable, key=lambda goroutine: goroutine.name)

    session.policy = by_name
    pong, ping = session.go("player", 1, name="pong"), session.go("player", 2, name="ping")
    session.run()
    assert hits == [("ping", 2), ("ping", 1), ("pong", 1)]
    assert ping.results == pong.results == (42,)
    assert session.finished


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_a_parked_goroutine_waits_until_it_is_ready(era: str, arch: str) -> None:
    session = session_of(era, arch)
    goroutine = session.go("sleeper")
    with pytest.raises(Deadlock, match="all goroutines are asleep: sleeper 1"):
        session.run()
    session.ready(goroutine)
    session.run()
    assert goroutine.results == (5,)


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_a_gate_has_arguments_and_results(era: str, arch: str) -> None:
    session = session_of(era, arch)
    session.gate("plus")(lambda session: session.set_argument(1, session.argument(0) + 100))
    goroutine = session.go("adder", 11)
    session.run()
    assert goroutine.results == (111,)


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_what_a_guest_writes_and_how_it_ends(era: str, arch: str) -> None:
    session = session_of(era, arch)
    goroutine = session.go("writer")
    session.run()
    assert bytes(session.kernel.output[1]) == b"hi"
    assert goroutine.results == (2,)
    session.restart()
    session.go("leaver")
    session.run()
    assert session.finished
    assert session.kernel.main.task.status == 3 << 8


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_wrong_ends_say_what_is_wrong(era: str, arch: str) -> None:
    session = session_of(era, arch)
    session.go("lost")
    with pytest.raises(Crash, match=r"nobody stands for nobody: register it with @session.gate\('nobody'\)"):
        session.run()
    session.restart()
    session.go("faulty")
    with pytest.raises(Crash, match=r"fault:0x40 in faulty\+0x"):
        session.run()
    session.restart()
    session.go("endless")
    with pytest.raises(Spent, match="no end within the budget; at endless"):
        session.run(500)


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_mcall_from_g0_is_refused(era: str, arch: str) -> None:
    """The guest's stub is entered once more with g0 as the running g."""
    session = session_of(era, arch)
    session.gate("scheduler")(_call_mcall_on_g0)
    session.go("on_g0")
    with pytest.raises(Throw, match=r"mcall called on m->g0 stack"):
        session.run()


def _call_mcall_on_g0(session: Session) -> None:
    session.world.run_on(session.world.g0)
    funcval = session.world.habits.function == "funcval"
    session.world.enter("mcall", session.value("gosched0") if funcval else session.code("gosched0"))


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_a_runtime_gate_can_be_replaced(era: str, arch: str) -> None:
    session, seen = session_of(era, arch), []

    @session.gate("goexit0")
    def goexit0(session: Session) -> None:
        seen.append(session.current.name)
        session.runtime.goexit0()

    session.gate("plus")(lambda _: None)
    session.go("adder", 1, name="one")
    session.go("adder", 2, name="two")
    session.run()
    assert seen == ["one", "two"]


def test_a_restart_forgets_goroutines_and_keeps_what_was_registered() -> None:
    session = session_of("2014", "386")

    @session.syscall("getpid")
    def getpid(_thread: object) -> int:
        return 9

    for _ in range(2):
        goroutine = session.go("player", 0)
        session.run()
        assert goroutine.results == (9,)
        stack, steps = goroutine.stacks[0].lo, session.steps
        session.restart()
        assert not session.goroutines
        assert not session.events
    again = session.go("player", 0)
    session.run()
    assert (again.stacks[0].lo, session.steps) == (stack, steps)


def test_a_policy_must_choose_among_the_runnable() -> None:
    session = session_of("modern", "amd64")
    stranger = session.go("player", 1)
    session.restart()
    session.policy = lambda _: stranger
    session.go("player", 1)
    with pytest.raises(LookupError, match="which is not runnable"):
        session.run()


def test_names_that_do_not_exist() -> None:
    session = session_of("modern", "arm")
    with pytest.raises(KeyError, match="nothing invokes hits"):
        session.gate("hits")
    with pytest.raises(KeyError, match="no guest function ping"):
        session.go("ping")
    with pytest.raises(KeyError, match="no_such_call"):
        session.syscall("no_such_call")


def test_names_that_are_taken() -> None:
    target = targets.of_era("modern", "arm")
    for name in ("gogo", "gosched"):
        with pytest.raises(ValueError, match="already"):
            Session(target, [Function(name, "")])
    with pytest.raises(ValueError, match="the target has a other already"):
        Session(target, [Function("f", "invoke other", slots=1)])


def test_an_error_in_a_body_names_the_function_and_its_line() -> None:
    with pytest.raises(AsmError, match=r"there is no name nowhere \(in put, used at wrong:2\)"):
        Session(targets.of_era("2017", "386"), [Function("wrong", "constant 1\nput nowhere", slots=1)])


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_2011_has_no_preemption_and_no_closures(arch: str) -> None:
    session = session_of("2011", arch)
    with pytest.raises(ValueError, match="era 2011 does not preempt"):
        session.preempt(session.go("player", 1))
    with pytest.raises(ValueError, match="no closure contexts"):
        Session(targets.of_era("2011", arch), [Function("f", "context 0", ctxt=True)])


def test_there_is_room_for_only_so_many_goroutines() -> None:
    session = session_of("modern", "amd64")
    size = session.world.layout.sizes["g"]
    room = 0x10000 // (-(-size // 64) * 64 + 64)
    for _ in range(room):
        session.go("player", 1)
    with pytest.raises(MemoryError, match=f"no room for more than {room} goroutines"):
        session.go("player", 1)
