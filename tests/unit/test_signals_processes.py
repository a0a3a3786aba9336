"""What signals do to processes and threads: who dies, who is told of whom, and who gets what was sent to all."""

from __future__ import annotations

from kernel_guest import STEPS, finished
from signal_guest import SignalGuest, each

from arch.linux import Errno
from arch.signals import SIG_IGN, Act, Code, Signal
from emu.kernel import Outcome, run

END = "sys nr.exit_group, 0, 0, 0, 0, 0\n"
CATCH = "sys nr.rt_sigaction, SIGUSR1, act.0, 0, 8, 0\n"
SEND = "sys nr.kill, 1000, SIGUSR1, 0, 0, 0\n"
HANDLER = "handler:\ntake slot.12\ncount slot.11\ndone\n"


def _guest(arch: str, text: str, flags: Act = Act(0)) -> SignalGuest:  # noqa: B008
    """One whose ``act.0`` is the handler at ``handler``; ``slot.11`` counts, and is 0."""
    guest = SignalGuest(arch, text)
    guest.action(0, "handler", flags)
    guest.pointers(11, 0)
    return guest


# what signals do to those who do not handle them


@each
def test_most_signals_end_a_process_and_some_are_ignored(arch: str) -> None:
    guest = _guest(arch, """
        sys nr.kill, 1000, SIGURG, 0, 0, 0
        keep slot.0
        sys nr.kill, 1000, SIGCHLD, 0, 0, 0
        sys nr.rt_sigaction, SIGTERM, act.1, 0, 8, 0
        sys nr.kill, 1000, SIGTERM, 0, 0, 0
        sys nr.kill, 1000, SIGTSTP, 0, 0, 0
        keep slot.1
        sys nr.kill, 1000, SIGINT, 0, 0, 0
        keep slot.2
    """ + END + HANDLER)
    guest.action(1, SIG_IGN)
    guest.pointers(2, 5)
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.kernel.main.task.status == Signal.SIGINT
    assert [guest.slot(0), guest.slot(1), guest.slot(2)] == [0, 0, 5]
    assert guest.kernel.unknown == {"a stop by SIGTSTP": 1}


@each
def test_nobody_handles_blocks_or_survives_sigkill(arch: str) -> None:
    guest = _guest(arch, """
        sys nr.rt_sigaction, SIGKILL, act.0, 0, 8, 0
        keep slot.0
        sys nr.rt_sigprocmask, 2, set.0, 0, 8, 0
        sys nr.kill, 1000, SIGKILL, 0, 0, 0
        spin
    """ + HANDLER)
    guest.mask(0, *Signal)
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.kernel.main.task.status == Signal.SIGKILL
    assert guest.slot(0) == -Errno.EINVAL


@each
def test_receivers_that_are_not_there(arch: str) -> None:
    guest = _guest(arch, """
        sys nr.kill, 1000, 0, 0, 0, 0
        keep slot.0
        sys nr.kill, 1001, SIGUSR1, 0, 0, 0
        keep slot.1
        sys nr.kill, 1000, 65, 0, 0, 0
        keep slot.2
        sys nr.tgkill, 1000, 1001, SIGUSR1, 0, 0
        keep slot.3
        sys nr.tgkill, 999, 1000, SIGUSR1, 0, 0
        keep slot.4
        sys nr.tkill, 0, SIGUSR1, 0, 0, 0
        keep slot.5
    """ + END + HANDLER)
    finished(guest)
    assert [guest.slot(i) for i in range(6)] == [
        0, -Errno.ESRCH, -Errno.EINVAL, -Errno.ESRCH, -Errno.ESRCH, -Errno.EINVAL,
    ]


# children


@each
def test_the_end_of_a_child_is_told(arch: str) -> None:
    guest = _guest(arch, """
        sys nr.rt_sigaction, SIGCHLD, act.0, 0, 8, 0
        sys nr.fork, 0, 0, 0, 0, 0
        child other
        go begun
    begun:
        wait_for told, slot.11, 1
        sys nr.wait4, -1, slot.1, 0, 0, 0
        keep slot.0
    """ + END + "other:\nsys nr.exit, 9, 0, 0, 0, 0\n" + HANDLER)
    infos = []
    guest.kernel.on_signal = lambda _thread, frame: infos.append(frame.info)
    finished(guest)
    assert [(info.signal, info.code, info.ints[0], info.ints[2]) for info in infos] == [
        (Signal.SIGCHLD, Code.CLD_EXITED, 1001, 9)
    ]
    assert (guest.slot(0), guest.status(1)) == (1001, 9 << 8)


@each
def test_who_ignores_sigchld_need_not_wait(arch: str) -> None:
    guest = _guest(arch, """
        sys nr.rt_sigaction, SIGCHLD, act.1, 0, 8, 0
        sys nr.fork, 0, 0, 0, 0, 0
        child other
        sys nr.wait4, -1, 0, 0, 0, 0
        keep slot.0
    """ + END + "other:\nsys nr.exit, 9, 0, 0, 0, 0\n" + HANDLER)
    guest.action(1, SIG_IGN)
    finished(guest)
    assert guest.slot(0) == -Errno.ECHILD
    assert list(guest.kernel.tasks) == [1000]


@each
def test_a_forked_child_has_its_parents_handlers_and_none_of_its_signals(arch: str) -> None:
    guest = _guest(arch, CATCH + "sys nr.rt_sigprocmask, 0, set.0, 0, 8, 0\n" + SEND + """
        sys nr.fork, 0, 0, 0, 0, 0
        child other
        sys nr.wait4, -1, slot.1, 0, 0, 0
    """ + END + """
    other:
        sys nr.rt_sigprocmask, 1, set.0, 0, 8, 0
        sys nr.getpid, 0, 0, 0, 0, 0
        sys nr.kill, 1001, SIGUSR1, 0, 0, 0
        sys nr.exit, 5, 0, 0, 0, 0
    """ + HANDLER)
    guest.mask(0, Signal.SIGUSR1)
    seen: list[int] = []
    guest.kernel.on_signal = lambda thread, _frame: seen.append(thread.pid)
    finished(guest)
    assert guest.status(1) == 5 << 8
    assert seen == [1001]


# threads

THREAD = """
    sys nr.clone, 0x10f00, spare, 0, 0, 0
    child other
    go begun
begun:
"""


@each
def test_a_signal_for_the_process_goes_to_a_thread_that_takes_it(arch: str) -> None:
    guest = _guest(arch, CATCH + THREAD + """
        sys nr.rt_sigprocmask, 0, set.0, 0, 8, 0
        wait_for ready, slot.1, 1
    """ + SEND + "wait_for told, slot.11, 1\n" + END + """
    other:
        poke slot.1, 1
        spin
    """ + HANDLER)
    guest.pointers(1, 0)
    guest.mask(0, Signal.SIGUSR1)
    seen: list[int] = []
    guest.kernel.on_signal = lambda thread, _frame: seen.append(thread.tid)
    finished(guest)
    assert seen == [1001]


@each
def test_a_signal_for_a_thread_goes_to_no_other(arch: str) -> None:
    guest = _guest(arch, CATCH + THREAD + """
        wait_for ready, slot.1, 1
        sys nr.tgkill, 1000, 1001, SIGUSR1, 0, 0
        wait_for told, slot.11, 1
    """ + END + """
    other:
        poke slot.1, 1
        sys nr.pause, 0, 0, 0, 0, 0
        keep slot.2
        spin
    """ + HANDLER, Act.RESTART)
    guest.pointers(1, 0)
    seen: list[tuple[int, int]] = []
    guest.kernel.on_signal = lambda thread, frame: seen.append((thread.tid, frame.info.code))
    finished(guest)
    assert seen == [(1001, Code.TKILL)]


@each
def test_the_death_of_one_thread_by_a_signal_is_that_of_all(arch: str) -> None:
    guest = _guest(arch, THREAD + "sys nr.pause, 0, 0, 0, 0, 0\nspin\n" + """
    other:
        sys nr.tgkill, 1000, 1001, SIGABRT, 0, 0
        spin
    """ + HANDLER)
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.kernel.main.task.status == Signal.SIGABRT
