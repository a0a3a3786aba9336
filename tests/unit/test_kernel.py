"""The kernel below guests: what it captures and refuses, how a run ends, and what users may replace."""

from __future__ import annotations

import pytest
from kernel_guest import STEPS, VFORK, Guest, each, finished

import arch as arches
from arch.linux import Errno
from emu.kernel import Outcome, Refused, Thread, run

# write, and what is not there


@each
def test_what_is_written_is_captured_and_reaches_nobody(arch: str, capfd: pytest.CaptureFixture[str]) -> None:
    guest = Guest(arch, """
        sys nr.write, 1, text, 6, 0, 0
        keep slot.0
        sys nr.write, 2, text + 7, 4, 0, 0
        keep slot.1
        sys nr.write, 1, nowhere, 0, 0, 0
        keep slot.2
        sys nr.exit_group, 3, 0, 0, 0, 0
    """, ("hello\n", "oops"))
    finished(guest, 3)
    assert guest.kernel.output == {1: b"hello\n", 2: b"oops"}
    assert [guest.slot(i) for i in range(3)] == [6, 4, 0]
    assert capfd.readouterr() == ("", "")


@each
def test_write_refuses_other_descriptors_and_memory_that_is_not_there(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.write, 3, text, 6, 0, 0
        keep slot.0
        sys nr.write, 0, text, 6, 0, 0
        keep slot.1
        sys nr.write, 1, nowhere, 1, 0, 0
        keep slot.2
        sys nr.write, 1, nowhere - 4, 8, 0, 0
        keep slot.3
        sys nr.write, 1, heap, 0x7fffffff, 0, 0
        keep slot.4
        sys nr.write, 1, last, 16, 0, 0
        keep slot.5
        sys nr.exit, 0, 0, 0, 0, 0
    """, ("hello\n",), {"last": arches.get(arch).mask})
    finished(guest)
    assert [guest.slot(i) for i in range(6)] == [-Errno.EBADF] * 2 + [-Errno.EFAULT] * 4
    assert guest.kernel.output == {1: b"", 2: b""}


@each
def test_what_is_not_modelled_is_enosys_and_named(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.futex, 0, 0, 0, 0, 0
        keep slot.0
        sys 9999, 0, 0, 0, 0, 0
        keep slot.1
        sys 9999, 0, 0, 0, 0, 0
        sys nr.clone, 0x2100, 0, 0, 0, 0
        keep slot.2
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    finished(guest)
    assert [guest.slot(i) for i in range(3)] == [-Errno.ENOSYS, -Errno.ENOSYS, -Errno.EINVAL]
    assert guest.kernel.unknown == {"futex": 1, "system call 9999": 2, "clone with flags 0x2000": 1}


@each
def test_the_kernel_destroys_what_it_destroys_and_keeps_the_rest(arch: str) -> None:
    guest = Guest(arch, "sys nr.getpid, 1, 2, 3, 4, 5\n leave\n")
    convention, roles = guest.arch.syscall, guest.arch.roles
    assert guest.process.run(STEPS).kind == "syscall"
    before = guest.process.machine.registers()
    guest.kernel.trap(guest.kernel.main)
    after = guest.process.machine.registers()
    assert after.pop(convention.result) == 1000
    for register, role in convention.destroyed.items():
        assert after.pop(register) == before[roles[role]]
        assert before[register] != before[roles[role]]
    assert after == {name: before[name] for name in after}
    assert sorted(convention.destroyed) == (["r11", "rcx"] if arch == "amd64" else [])


# the end of a run


@each
def test_a_vfork_child_that_never_ends_spends_the_budget(arch: str) -> None:
    guest = Guest(arch, f"""
        {VFORK}
        child .child
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        spin
    """)
    outcome = run(guest.kernel, 5000)
    assert (outcome.kind, outcome.waiting) == ("budget", ("thread 1000 waits for vfork child 1001",))
    assert outcome.thread is not None
    assert (outcome.thread.tid, outcome.thread.pid) == (1001, 1001)
    assert guest.process.machine.recorder.steps == 5000
    assert run(guest.kernel, 10).kind == "budget"
    guest.kernel.end_task(outcome.thread.task, 9)  # a fatal signal releases the parent too
    assert run(guest.kernel, STEPS) == Outcome("ended", ())


@each
def test_a_deadlock_is_told_from_the_end(arch: str) -> None:
    guest = Guest(arch, f"""
        {VFORK}
        child .child
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.futex, 0, 0, 0, 0, 0
        keep slot.0
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    answers: list[int] = []

    @guest.kernel.syscall("futex")
    def futex(thread: Thread) -> None:
        thread.block("a futex", lambda: answers.pop() if answers else None)

    waiting = ("thread 1000 waits for vfork child 1001", "thread 1001 waits for a futex")
    assert run(guest.kernel, STEPS) == Outcome("deadlock", waiting)
    answers.append(-Errno.EINTR)
    finished(guest)
    assert guest.slot(0) == -Errno.EINTR


@each
def test_a_run_stops_at_gates_and_faults_and_goes_on(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.getpid, 0, 0, 0, 0, 0
        leave
    """)
    outcome = run(guest.kernel, STEPS)
    assert outcome.kind == "stop"
    assert outcome.thread is guest.kernel.main
    assert outcome.stop is not None
    assert (outcome.stop.kind, outcome.stop.pc) == ("exit", guest.program.gates["gate"])
    guest.process.set_role("pc", guest.names["nowhere"])
    outcome = run(guest.kernel, STEPS)
    assert outcome.stop is not None
    assert (outcome.stop.kind, outcome.stop.address) == ("fault", guest.names["nowhere"])
    guest.process.set_role("pc", guest.program.symbol("start").address)
    assert run(guest.kernel, STEPS).kind == "stop"


@each
def test_two_runs_are_the_same(arch: str) -> None:
    def record() -> tuple[list[tuple[int, int]], int]:
        guest = Guest(arch, """
            sys nr.clone, 0x50f00, spare, 0, 0, 0
            child .second
            wait_for .wait4, slot.0, 1
            sys nr.getpid, 0, 0, 0, 0, 0
            sys nr.fork, 0, 0, 0, 0, 0
            sys nr.getpid, 0, 0, 0, 0, 0
            sys nr.exit_group, 0, 0, 0, 0, 0
        .second:
            sys nr.getpid, 0, 0, 0, 0, 0
            poke slot.0, 1
            spin
        """)
        order: list[tuple[int, int]] = []

        @guest.kernel.syscall("getpid")
        def getpid(thread: Thread) -> int:
            order.append((thread.tid, thread.process.machine.recorder.steps))
            return thread.pid

        assert run(guest.kernel, STEPS, turn=7).kind == "ended"
        return order, guest.process.machine.recorder.steps

    first = record()
    assert [tid for tid, _ in first[0]] == [1001, 1000, 1002, 1000]
    assert record() == first


# what users register


@each
def test_a_user_replaces_and_adds_calls(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.getpid, 1, 2, 3, 4, 5
        keep slot.0
        sys nr.gettid, 1, 2, 3, 4, 5
        keep slot.1
        sys nr.futex, -1, heap, 3, 4, 5
        keep slot.2
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    kernel = guest.kernel
    seen: list[tuple[int, ...]] = []

    @kernel.syscall("getpid")
    def getpid(_thread: Thread, *args: int) -> int:
        seen.append(args[:5])
        return -Errno.EPERM

    @kernel.syscall("gettid")
    def gettid(_thread: Thread, first: int, second: int) -> int:
        seen.append((first, second))
        return 7

    @kernel.syscall("futex")
    def futex(_thread: Thread, address: int) -> int:
        seen.append((address,))
        raise Refused(Errno.EAGAIN)

    finished(guest)
    assert seen == [(1, 2, 3, 4, 5), (1, 2), (guest.arch.mask,)]
    assert [guest.slot(i) for i in range(3)] == [-Errno.EPERM, 7, -Errno.EAGAIN]
    assert kernel.unknown == {}


@each
def test_a_handler_that_forgets_its_result_is_told_so(arch: str) -> None:
    guest = Guest(arch, "sys nr.getpid, 0, 0, 0, 0, 0\n leave\n")
    guest.kernel.syscall("getpid")(lambda _thread: None)
    with pytest.raises(TypeError, match="the handler of getpid returned None"):
        run(guest.kernel, STEPS)


@each
def test_a_call_that_linux_does_not_have_is_no_name(arch: str) -> None:
    with pytest.raises(KeyError, match=f"no system call 'get_pid' on {arch}"):
        Guest(arch, "leave\n").kernel.syscall("get_pid")
