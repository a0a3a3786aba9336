"""Waiting for children by pid, by group and by descriptor, and what is told of their end."""

from __future__ import annotations

import pytest
from kernel_desk import Desk
from kernel_guest import STEPS, Guest, each, finished

from arch.files import O_NONBLOCK, POLLIN
from arch.linux import SIGCHLD, Clone, Errno
from arch.structs import RUSAGE, SIGINFO_CHILD
from emu.kernel import Thread, run
from emu.kernel.calls import MOST_SPACES, MOST_TASKS, MOST_THREADS

P_ALL, P_PID, P_PGID, P_PIDFD = range(4)
NO_HANG, EXITED, NO_WAIT, CLONE, ALL = 1, 4, 0x0100_0000, 0x8000_0000, 0x4000_0000


def child(desk: Desk, exit_signal: int = SIGCHLD) -> Thread:
    """A child of the desk's process that never runs."""
    thread = desk.kernel.new_task(desk.guest.process, desk.task)
    thread.state, thread.task.exit_signal = "blocked", exit_signal
    return thread


def info(desk: Desk, kind: int, number: int, options: int = EXITED) -> dict[str, int] | None:
    """What waitid tells; None if it waits."""
    layout = SIGINFO_CHILD[desk.arch.name]
    address = desk.put(b"\xff" * layout.size)
    result = desk.call("waitid", kind, number, address, options, 0)
    if result is None:
        return None
    assert result == 0
    return layout.unpack(desk.get(address, layout.size))


@each
def test_waitid_tells_how_a_child_ended(arch: str) -> None:
    desk = Desk(arch)
    one, two = child(desk), child(desk)
    pidfd = desk.done("pidfd_open", two.pid, 0)
    desk.kernel.end_task(one.task, 7 << 8)
    desk.kernel.end_task(two.task, 9)
    wanted = {"signo": SIGCHLD, "errno": 0, "code": 1, "pid": one.pid, "uid": 0, "status": 7}
    assert info(desk, P_PID, one.pid, EXITED | NO_WAIT) == info(desk, P_PID, one.pid) == wanted
    assert info(desk, P_PIDFD, pidfd) == wanted | {"code": 2, "pid": two.pid, "status": 9}
    assert desk.call("waitid", P_ALL, 0, 0, EXITED, 0) == -Errno.ECHILD
    assert desk.call("waitid", P_PIDFD, pidfd, 0, EXITED, 0) == -Errno.ECHILD


@each
def test_waitid_waits_or_does_not(arch: str) -> None:
    desk = Desk(arch)
    one = child(desk)
    pidfd = desk.done("pidfd_open", one.pid, O_NONBLOCK)
    assert info(desk, P_ALL, 0, EXITED | NO_HANG) == dict.fromkeys(SIGINFO_CHILD[arch].fields, 0)
    assert desk.call("waitid", P_PIDFD, pidfd, 0, EXITED, 0) == -Errno.EAGAIN
    usage = desk.put(b"\xff" * RUSAGE[arch].size)
    assert desk.call("waitid", P_PGID, 0, 0, EXITED, usage) is None
    assert desk.thread.waits_for == f"a child in group {desk.task.group}"
    assert desk.woken() is None
    desk.kernel.end_task(one.task, 0)
    assert desk.woken() == 0
    assert not any(desk.get(usage, RUSAGE[arch].size))


@each
def test_what_waitid_refuses(arch: str) -> None:
    desk = Desk(arch)
    own = desk.done("pidfd_open", desk.task.pid, 0)
    asked = {(P_PIDFD, own, EXITED): Errno.ECHILD, (P_PIDFD, -1, EXITED): Errno.EINVAL,
             (P_PIDFD, 0, EXITED): Errno.EBADF, (P_PIDFD, 77, EXITED): Errno.EBADF,
             (9, 1, EXITED): Errno.EINVAL, (P_PID, 0, EXITED): Errno.EINVAL,
             (P_ALL, 0, 0): Errno.EINVAL, (P_ALL, 0, 0x40 | EXITED): Errno.EINVAL}
    assert {key: desk.call("waitid", key[0], key[1], 0, key[2], 0) for key in asked} == \
        {key: -errno for key, errno in asked.items()}
    pids = {0: Errno.EINVAL, 4711: Errno.ESRCH}
    assert {pid: desk.call("pidfd_open", pid, 0) for pid in pids} == {pid: -errno for pid, errno in pids.items()}
    assert desk.call("pidfd_open", desk.task.pid, 1) == -Errno.EINVAL
    assert desk.call("read", own, desk.put(b""), 1) == desk.call("write", own, b"", 1) == -Errno.EINVAL


@each
def test_a_child_without_a_signal_is_waited_for_with_a_flag(arch: str) -> None:
    desk = Desk(arch)
    one = child(desk, exit_signal=0)
    desk.kernel.end_task(one.task, 0)
    assert desk.call("wait4", -1, 0, 0, 0) == -Errno.ECHILD
    assert desk.call("wait4", -1, 0, 0x100, 0) == -Errno.EINVAL
    seen = info(desk, P_PID, one.pid, EXITED | NO_WAIT | ALL)
    assert seen is not None
    assert desk.call("wait4", one.pid, 0, CLONE, 0) == one.pid


@each
def test_wait4_by_group(arch: str) -> None:
    desk = Desk(arch)
    one, two = child(desk), child(desk)
    assert desk.call("setpgid", two.pid, 0) == 0
    for thread in (one, two):
        desk.kernel.end_task(thread.task, 0)
    assert desk.call("wait4", -4711, 0, 0, 0) == -Errno.ECHILD
    assert desk.call("wait4", -two.pid, 0, 0, 0) == two.pid
    assert desk.call("wait4", 0, 0, 0, 0) == one.pid


@each
def test_a_descriptor_of_a_process_polls_as_readable_at_its_end(arch: str) -> None:
    desk = Desk(arch)
    one = child(desk)
    stream = desk.task.files.stream(desk.done("pidfd_open", one.pid, 0))
    assert not stream.ready() & POLLIN
    desk.kernel.end_task(one.task, 0)
    desk.kernel.reap(one.task)
    assert stream.ready() & POLLIN


@each
def test_a_signal_by_descriptor(arch: str) -> None:
    desk = Desk(arch)
    one = child(desk)
    pidfd, own = desk.done("pidfd_open", one.pid, 0), desk.done("pidfd_open", desk.task.pid, 0)
    asked = {(own, 0, 0): 0, (pidfd, 99, 0): -Errno.EINVAL, (pidfd, 9, 1): -Errno.EINVAL, (0, 9, 0): -Errno.EBADF}
    assert {key: desk.call("pidfd_send_signal", key[0], key[1], 0, key[2]) for key in asked} == asked
    assert desk.call("pidfd_send_signal", pidfd, 9, 0, 0) == 0
    assert one.task.status == 9
    assert desk.call("wait4", -1, 0, 0, 0) == one.pid
    assert desk.call("pidfd_send_signal", pidfd, 0, 0, 0) == -Errno.ESRCH


@each
def test_groups_and_sessions(arch: str) -> None:
    desk = Desk(arch)
    own, one, two = desk.task.pid, child(desk), child(desk)
    assert [desk.call("getpgid", pid) for pid in (0, one.pid, 4711)] == [own, own, -Errno.ESRCH]
    assert [desk.call("getpgrp"), desk.call("getsid", 0)] == [own, 1]
    assert desk.call("setsid") == -Errno.EPERM, "it leads a group"
    moves = [(one.pid, 0), (two.pid, one.pid), (0, one.pid)]
    assert [desk.call("setpgid", pid, group) for pid, group in moves] == [0, 0, 0]
    refused = [(4711, 0, Errno.ESRCH), (one.pid, 4711, Errno.EPERM), (0, -1, Errno.EINVAL)]
    assert [desk.call("setpgid", pid, group) for pid, group, _ in refused] == [-errno for *_, errno in refused]
    assert desk.call("setsid") == own
    assert [desk.call("getpgrp"), desk.call("getsid", 0)] == [own, own]
    assert desk.call("setpgid", one.pid, 0) == -Errno.EPERM, "another session"
    desk.thread = two
    assert desk.call("setpgid", one.pid, 0) == -Errno.ESRCH, "no child of its own"


# clone


@each
@pytest.mark.parametrize("flags", [0x5111, 0x5100, 0x1011])
def test_clone_gives_a_descriptor_of_the_child(arch: str, flags: int) -> None:
    guest = Guest(arch, f"""
        sys nr.clone, {flags:#x}, 0, slot.1, 0, 0
        child .child
        keep slot.0
        sys nr.waitid, 3, 3, slot.4, 0x80000004, 0
        keep slot.2
        sys nr.waitid, 3, 3, slot.4, 4, 0
        keep slot.3
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.close, 3, 0, 0, 0, 0
        sys nr.exit, 5, 0, 0, 0, 0
    """)
    finished(guest)
    with_signal = bool(flags & 0xFF)
    answers = [-Errno.ECHILD, 0] if with_signal else [0, -Errno.ECHILD]
    assert [guest.slot(0), guest.status(1), guest.slot(2), guest.slot(3)] == [1001, 3, *answers]
    assert guest.kernel.unknown == {}


@each
def test_clone_refuses_a_descriptor_that_it_cannot_give(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.clone, 0x5111, 0, nowhere, 0, 0
        keep slot.0
        sys nr.clone, 0x51f00, 0, slot.1, 0, 0
        keep slot.2
        sys nr.clone, 0x105111, 0, slot.1, 0, 0
        keep slot.3
        sys nr.clone, 0x5111, 0, slot.1, 0, 0
        keep slot.4
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    guest.kernel.main.task.files.most = 3
    finished(guest)
    assert [guest.slot(n) for n in (0, 2, 3, 4)] == [-Errno.EMFILE, -Errno.EINVAL, -Errno.EINVAL, -Errno.EMFILE]
    assert list(guest.kernel.tasks) == [1000]


@each
def test_processes_threads_and_memories_are_limited(arch: str) -> None:
    desk = Desk(arch)
    thread = int(Clone.VM | Clone.FS | Clone.FILES | Clone.SIGHAND | Clone.THREAD)
    assert [desk.call("clone", 0x11, 0) for _ in range(MOST_SPACES)][-2:] == [1000 + MOST_SPACES - 1, -Errno.EAGAIN]
    for _ in range(MOST_TASKS - MOST_SPACES - 1):
        desk.done("clone", int(Clone.VM) | SIGCHLD, 0)
    last = desk.done("clone", int(Clone.VM) | SIGCHLD, 0)
    assert desk.call("clone", int(Clone.VM) | SIGCHLD, 0) == -Errno.EAGAIN
    assert desk.done("clone", thread, 0) > last
    desk.kernel.end_task(desk.kernel.tasks[last], 0)
    assert desk.call("clone", int(Clone.VM) | SIGCHLD, 0) == -Errno.EAGAIN, "it is there until it is waited for"
    assert desk.call("wait4", last, 0, 0, 0) == last
    desk.done("clone", int(Clone.VM) | SIGCHLD, 0)
    for _ in range(MOST_THREADS):
        desk.kernel.new_thread(desk.task).state = "blocked"
    assert desk.call("clone", thread, 0) == -Errno.EAGAIN


@each
def test_a_program_that_forks_for_ever_comes_to_an_end(arch: str) -> None:
    guest = Guest(arch, """
    .again:
        sys nr.clone, 0x111, 0, 0, 0, 0
        child .again
        sys nr.wait4, -1, 0, 0, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    assert run(guest.kernel, 4 * STEPS).kind == "ended"
    assert guest.kernel.tasks.keys() == {1000}
