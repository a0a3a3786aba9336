"""Who a process is and what it may have, and what a fork hands on."""

from __future__ import annotations

from kernel_desk import Desk
from kernel_guest import each

from arch.linux import Errno
from arch.structs import RLIMIT, RLIMIT64, RUSAGE, SYSINFO
from emu.kernel.clock import SECOND

INFINITE = (1 << 64) - 1


@each
def test_ids(arch: str) -> None:
    desk = Desk(arch)
    calls = ("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid")
    assert [desk.call(name) for name in calls] == [1000, 1000, 1, 0, 0, 0, 0]
    groups = desk.put((5).to_bytes(4, "little") + (6).to_bytes(4, "little"))
    assert [desk.call("setgroups", 2, groups), desk.call("getgroups", 0, 0)] == [0, 2]
    stored = desk.put(bytes(8))
    assert desk.call("getgroups", 1, stored) == -Errno.EINVAL
    assert desk.call("getgroups", 2, stored) == 2
    assert desk.get(stored, 8) == desk.get(groups, 8)
    assert [desk.call("setgid", 3), desk.call("setresuid", -1, 4, -1)] == [0, 0]
    assert [desk.call(name) for name in calls[3:]] == [4, 4, 3, 3]
    assert [desk.call("setreuid", -1, -1), desk.call("getuid")] == [0, 4]


@each
def test_limits(arch: str) -> None:
    desk = Desk(arch)
    row = desk.put(bytes(16))
    assert desk.call("prlimit64", 0, 7, 0, row) == 0
    assert RLIMIT64.unpack(desk.get(row, 16)) == {"cur": 1024, "max": 4096}
    assert desk.call("prlimit64", 0, 7, RLIMIT64.pack(cur=10, max=20), row) == 0
    assert desk.task.files.most == 10
    refused = [(7, RLIMIT64.pack(cur=10, max=21), Errno.EPERM), (7, RLIMIT64.pack(cur=3, max=2), Errno.EINVAL),
               (99, RLIMIT64.pack(), Errno.EINVAL)]
    assert [desk.call("prlimit64", 0, kind, new, 0) for kind, new, _ in refused] == [-errno for *_, errno in refused]
    assert desk.call("prlimit64", 4711, 7, 0, row) == -Errno.ESRCH
    layout = RLIMIT[arch]
    assert desk.struct(layout, "getrlimit", 7) == {"cur": 10, "max": 20}
    everything = (1 << 8 * desk.arch.word) - 1
    assert desk.struct(layout, "getrlimit", 0) == {"cur": everything, "max": everything}
    assert desk.struct(layout, "getrlimit", 3) == {"cur": 8 << 20, "max": everything}
    assert desk.call("setrlimit", 3, layout.pack(cur=1 << 20, max=everything)) == 0
    assert desk.call("prlimit64", 0, 3, 0, row) == 0
    assert RLIMIT64.unpack(desk.get(row, 16)) == {"cur": 1 << 20, "max": INFINITE}


@each
def test_the_machine(arch: str) -> None:
    desk = Desk(arch)
    names = desk.put(bytes(6 * 65))
    assert desk.call("uname", names) == 0
    texts = [desk.get(names + 65 * n, 65).rstrip(b"\0").decode() for n in range(6)]
    assert texts == ["Linux", "localhost", "6.6.0", "#1", {"386": "i686", "amd64": "x86_64", "arm": "armv7l"}[arch],
                     "(none)"]
    desk.kernel.cpus = 3
    mask = desk.put(bytes(64))
    assert desk.call("sched_getaffinity", 0, 64, mask) == desk.arch.word
    assert desk.get(mask, desk.arch.word) == desk.arch.pack(7)
    assert desk.call("sched_getaffinity", 0, 1, mask) == -Errno.EINVAL
    assert desk.call("sched_getaffinity", 4711, 64, mask) == -Errno.ESRCH
    desk.kernel.cpus = 65
    assert desk.call("sched_getaffinity", 0, 64, mask) == 3 * 4 if desk.arch.word == 4 else 16
    desk.kernel.clock.advance(5 * SECOND)
    row = desk.struct(SYSINFO[arch], "sysinfo")
    assert (row["uptime"], row["procs"], row["unit"]) == (5, 1, 1)


@each
def test_time_that_was_used(arch: str) -> None:
    desk = Desk(arch)
    desk.thread.ran = 2 * SECOND + 3000
    row = desk.struct(RUSAGE[arch], "getrusage", 0)
    assert (row["utime"], row["utime_us"], row["stime"]) == (2, 3, 0)
    assert not any(desk.struct(RUSAGE[arch], "getrusage", -1).values())
    assert desk.call("getrusage", 5, desk.put(bytes(256))) == -Errno.EINVAL


@each
def test_random_bytes_are_the_runs_own(arch: str) -> None:
    one, two = Desk(arch), Desk(arch)
    drawn = []
    for desk in (one, two, one):
        address = desk.put(bytes(32))
        assert desk.call("getrandom", address, 32, 0) == 32
        drawn.append(desk.get(address, 32))
    assert drawn[0] == drawn[1] != drawn[2]
    assert one.call("getrandom", one.guest.names["nowhere"], 1, 0) == -Errno.EFAULT


@each
def test_what_a_forked_process_takes_over(arch: str) -> None:
    desk = Desk(arch)
    desk.done("chdir", "/tmp")
    desk.done("umask", 0o077)
    desk.done("setgid", 9)
    desk.done("prlimit64", 0, 3, RLIMIT64.pack(cur=1, max=2), 0)
    desk.task.executable = "/tmp/x"
    parent = desk.thread
    desk.thread = desk.kernel.tasks[desk.done("clone", 0x111, 0)].threads[0]
    folder = desk.put(bytes(8))
    assert desk.get(folder, desk.done("getcwd", folder, 8)) == b"/tmp\0"
    assert [desk.call("umask", 0), desk.call("getgid"), desk.call("getpgrp")] == [0o077, 9, 1000]
    assert desk.task.executable == "/tmp/x"
    desk.done("chdir", "/")
    desk.done("prlimit64", 0, 3, RLIMIT64.pack(cur=0, max=0), 0)
    assert (parent.task.umask, parent.task.limits) == (0o077, {3: (1, 2)})
    assert parent.task.folder is desk.kernel.tree.root.find("tmp", parent.task)


@each
def test_prctl_takes_what_changes_nothing(arch: str) -> None:
    desk = Desk(arch)
    assert [desk.call("prctl", option, 0) for option in (15, 1, 8, 0x53564D41)] == [0, 0, 0, -Errno.EINVAL]
    assert [desk.call("prctl", 8, value) for value in (1, 2)] == [0, -Errno.EINVAL]  # PR_SET_KEEPCAPS
