"""The kernel below guests: processes and threads in assembly on three architectures, and what users may replace."""

from __future__ import annotations

import pytest
from kernel_guest import Guest

import arch as arches
from arch import linux
from arch.linux import Clone, Errno
from emu.kernel import Image, Outcome, Refused, Task, Thread, run

STEPS = 20_000
each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)


def finished(guest: Guest, status: int = 0) -> None:
    """Run a guest to its end; its first process exits with ``status``."""
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.kernel.main.task.status == status << 8


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
        sys nr.clone, 0x1100, 0, 0, 0, 0
        keep slot.2
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    finished(guest)
    assert [guest.slot(i) for i in range(3)] == [-Errno.ENOSYS, -Errno.ENOSYS, -Errno.EINVAL]
    assert guest.kernel.unknown == {"futex": 1, "system call 9999": 2, "clone with flags 0x1000": 1}


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


# fork: memory is copied


@each
def test_a_forked_child_has_memory_of_its_own(arch: str) -> None:
    guest = Guest(arch, """
        poke slot.1, 11
        sys nr.fork, 0, 0, 0, 0, 0
        child .child
        keep slot.0
        sys nr.wait4, -1, slot.3, 0, 0, 0
        keep slot.4
        sys nr.wait4, -1, 0, 0, 0, 0
        keep slot.5
        sys nr.getppid, 0, 0, 0, 0, 0
        keep slot.6
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        poke slot.1, 22
        sys nr.write, 1, slot.1, 1, 0, 0
        sys nr.exit, 7, 0, 0, 0, 0
    """)
    assert run(guest.kernel, STEPS, turn=1) == Outcome("ended", ())
    assert guest.slot(0) == 1001
    assert guest.slot(1) == 11
    assert guest.status(3) == 7 << 8
    assert [guest.slot(4), guest.slot(5)] == [1001, -Errno.ECHILD]
    assert guest.slot(6) == 1
    assert guest.kernel.output[1] == bytes([22])
    assert list(guest.kernel.tasks) == [1000]


@each
def test_ids_of_a_forked_child(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.clone, 17, 0, 0, 0, 0
        child .child
        sys nr.wait4, 1001, 0, 0, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.getpid, 0, 0, 0, 0, 0
        keep slot.0
        sys nr.gettid, 0, 0, 0, 0, 0
        keep slot.1
        sys nr.getppid, 0, 0, 0, 0, 0
        keep slot.2
        sys nr.write, 1, slot.0, 24, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    finished(guest)
    word = guest.arch.word
    data = bytes(guest.kernel.output[1])
    assert [guest.arch.unpack(data[i : i + word]) for i in range(0, 3 * word, word)] == [1001, 1001, 1000]


@each
def test_an_orphan_belongs_to_init(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.fork, 0, 0, 0, 0, 0
        child .child
        sys nr.exit, 5, 0, 0, 0, 0
    .child:
        sys nr.getppid, 0, 0, 0, 0, 0
        keep slot.0
        sys nr.write, 1, slot.0, 1, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    finished(guest, 5)
    assert guest.kernel.output[1] == b"\1"
    assert list(guest.kernel.tasks) == [1000]


@each
def test_wait4_without_children_and_without_waiting(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.wait4, -1, 0, 0, 0, 0
        keep slot.0
        sys nr.fork, 0, 0, 0, 0, 0
        child .child
        sys nr.wait4, -1, 0, 1, 0, 0
        keep slot.1
        sys nr.wait4, 4711, 0, 0, 0, 0
        keep slot.2
        sys nr.wait4, 1001, nowhere, 0, 0, 0
        keep slot.3
        sys nr.wait4, 1001, 0, 0, 0, 0
        keep slot.4
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    finished(guest)
    assert [guest.slot(i) for i in range(5)] == [-Errno.ECHILD, 0, -Errno.ECHILD, -Errno.EFAULT, 1001]


# vfork: memory and stack are shared, the caller waits


VFORKS = {
    "vfork": "sys nr.vfork, 0, 0, 0, 0, 0",
    "clone": f"sys nr.clone, {Clone.VM | Clone.VFORK | 17:#x}, 0, 0, 0, 0",
}


@each
@pytest.mark.parametrize("how", VFORKS)
def test_a_vfork_child_shares_memory_and_its_parent_waits(arch: str, how: str) -> None:
    guest = Guest(arch, f"""
        poke slot.1, 11
        keep_sp slot.8
        {VFORKS[how]}
        child .child
        keep slot.0
        keep_sp slot.9
        sys nr.write, 1, text, 6, 0, 0
        sys nr.wait4, -1, slot.4, 0, 0, 0
        keep slot.5
        sys nr.getpid, 0, 0, 0, 0, 0
        keep slot.6
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        keep_sp slot.10
        poke slot.1, 22
        poke slot.4, -1
        sys nr.getpid, 0, 0, 0, 0, 0
        keep slot.2
        sys nr.getppid, 0, 0, 0, 0, 0
        keep slot.3
        sys nr.write, 1, text + 7, 5, 0, 0
        sys nr.exit, 253, 0, 0, 0, 0
    """, ("parent", "child"))
    seen: list[list[str]] = []

    @guest.kernel.syscall("getppid")
    def getppid(thread: Thread) -> int:
        seen.append([f"{t.tid}: {t.state} {t.waits_for}" for t in thread.kernel.threads])
        return thread.task.parent_pid

    assert run(guest.kernel, STEPS, turn=1) == Outcome("ended", ())
    assert seen == [["1000: blocked vfork child 1001", "1001: runnable "]]
    assert [guest.slot(i) for i in range(7)] == [1001, 22, 1001, 1000, guest.slot(4), 1001, 1000]
    assert guest.status(4) == 253 << 8
    assert guest.kernel.output[1] == b"childparent"
    assert guest.slot(8) == guest.slot(9) == guest.slot(10) != 0


@each
def test_execve_releases_the_parent_and_is_noted(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.vfork, 0, 0, 0, 0, 0
        child .child
        keep slot.0
        sys nr.wait4, -1, slot.1, 0, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.execve, text, slot.4, 0, 0, 0
        keep slot.2
        sys nr.exit, 253, 0, 0, 0, 0
    """, ("/bin/true", "true", "-x"))
    guest.pointers(4, guest.names["text"], guest.names["text"] + 10, guest.names["text"] + 15, 0)
    images: list[tuple[int, Image | None]] = []

    @guest.kernel.program("/bin/true")
    def main(task: Task) -> int:
        images.append((task.pid, task.image))
        task.kernel.output[1] += b"I ran"
        return 9

    guest.process.set_word(guest.names["slot.2"], 0)
    finished(guest)
    assert images == [(1001, Image("/bin/true", ("/bin/true", "true", "-x")))]
    assert guest.slot(0) == 1001
    assert guest.status(1) == 9 << 8
    assert guest.slot(2) == 0
    assert guest.kernel.output[1] == b"I ran"


@each
def test_execve_is_refused_and_the_child_says_so(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.vfork, 0, 0, 0, 0, 0
        child .child
        sys nr.wait4, -1, slot.1, 0, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.execve, text, 0, 0, 0, 0
        keep slot.4
        sys nr.execve, nowhere, 0, 0, 0, 0
        keep slot.5
        sys nr.execve, text, nowhere - 2, 0, 0, 0
        keep slot.6
        sys nr.execve, endless, 0, 0, 0, 0
        keep slot.7
        sys nr.exit, 253, 0, 0, 0, 0
    """, ("/bin/none",), {"endless": 0x200000})
    guest.process.machine.map(0x200000, 0x2000)
    guest.process.machine.write(0x200000, b"x" * 0x2000)
    finished(guest)
    wanted = [-Errno.ENOENT, -Errno.EFAULT, -Errno.EFAULT, -Errno.ENAMETOOLONG]
    assert [guest.slot(i) for i in range(4, 8)] == wanted
    assert guest.status(1) == 253 << 8


@each
def test_only_the_thread_that_called_vfork_waits(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.clone, 0x50f00, spare, 0, 0, 0
        child .second
        poke slot.0, 0
        sys nr.vfork, 0, 0, 0, 0, 0
        child .child
        sys nr.exit_group, 0, 0, 0, 0, 0
    .child:
        wait_for .wait1, slot.1, 5
        sys nr.exit, 0, 0, 0, 0, 0
    .second:
        wait_for .wait2, slot.0, 0
        poke slot.1, 5
        spin
    """)
    finished(guest)
    assert guest.slot(1) == 5


# threads


@each
def test_a_thread_has_its_own_stack_and_tls_and_shares_the_rest(arch: str) -> None:
    flags = Clone(0x50F00) | Clone.SETTLS | Clone.PARENT_SETTID | Clone.CHILD_SETTID | Clone.CHILD_CLEARTID
    described = linux.TLS_DESCRIPTOR_BASE[arch]
    meant = {"tls": "slot.9" if described is not None else "tls.2", "child_tid": "slot.6"}
    fourth, fifth = (meant[name] for name in linux.CLONE_ARGUMENTS[arch][3:])
    guest = Guest(arch, f"""
        sys nr.clone, {int(flags):#x}, spare, slot.5, {fourth}, {fifth}
        child .second
        keep slot.0
        wait_for .wait3, slot.4, 1
        sys nr.exit, 0, 0, 0, 0, 0
    .second:
        keep_sp slot.1
        keep_tls slot.2
        sys nr.getpid, 0, 0, 0, 0, 0
        keep slot.3
        sys nr.gettid, 0, 0, 0, 0, 0
        keep slot.7
        sys nr.getppid, 0, 0, 0, 0, 0
        keep slot.8
        poke slot.4, 1
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    guest.pointers(10, guest.names["tls.2"])  # the second word of a descriptor that starts at slot.9
    child_tids: list[int] = []

    @guest.kernel.syscall("gettid")
    def gettid(thread: Thread) -> int:
        child_tids.append(guest.status(6))
        return thread.tid

    finished(guest)
    assert guest.slot(0) == guest.status(5) == guest.slot(7) == 1001
    assert child_tids == [1001]
    assert guest.status(6) == 0
    assert guest.process.word(guest.names["slot.1"]) == guest.names["spare"]
    assert guest.process.word(guest.names["slot.2"]) == guest.names["tls.2"]
    assert [guest.slot(3), guest.slot(8)] == [1000, 1]


@each
@pytest.mark.parametrize("what", ["thread", "vfork child", "forked child"])
def test_a_child_begins_with_its_parents_registers_and_leaves_them_alone(arch: str, what: str) -> None:
    call = {
        "thread": "sys nr.clone, 0x50f00, 0, slot.5, 4, 5",
        "vfork child": "sys nr.clone, 0x4111, 0, slot.5, 4, 5",
        "forked child": "sys nr.clone, 0x11, 0, slot.5, 4, 5",
    }[what]
    guest = Guest(arch, f"""
        {call}
        child .child
        leave
    .child:
        keep_tls slot.12
        leave
    """)
    assert guest.process.run(STEPS).kind == "syscall"
    trapped = guest.process.machine.registers()
    guest.kernel.trap(guest.kernel.main)
    child = guest.kernel.threads[1]
    guest.kernel.load(child)
    begun = child.process.machine.registers()
    assert begun[guest.arch.syscall.result] == 0
    free = {guest.arch.syscall.result, *guest.arch.syscall.destroyed}
    assert {r: v for r, v in begun.items() if r not in free} == {r: v for r, v in trapped.items() if r not in free}
    assert child.process.run(STEPS).kind == "exit"
    assert child.process.word(guest.names["slot.12"]) == guest.names["tls.1"]
    child.process.set_registers({r: 0x5555 for r in guest.arch.registers if r != guest.arch.roles["flags"]})
    guest.kernel.end_thread(child, 0)
    assert guest.kernel.runnable() == [guest.kernel.main]
    guest.kernel.load(guest.kernel.main)
    back = guest.process.machine.registers()
    assert back[guest.arch.syscall.result] == 1001
    assert {r: v for r, v in back.items() if r not in free} == {r: v for r, v in trapped.items() if r not in free}


@each
@pytest.mark.parametrize("flags", [0x10000, 0x10100, 0x800])
def test_clone_refuses_flags_that_contradict_each_other(arch: str, flags: int) -> None:
    guest = Guest(arch, f"""
        sys nr.clone, {flags:#x}, 0, 0, 0, 0
        keep slot.0
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    finished(guest)
    assert guest.slot(0) == -Errno.EINVAL
    assert list(guest.kernel.tasks) == [1000]


@each
def test_exit_ends_one_thread_and_exit_group_all(arch: str) -> None:
    text = """
        sys nr.clone, 0x50f00, spare, 0, 0, 0
        child .second
        sys nr.exit, 3, 0, 0, 0, 0
    .second:
        poke slot.0, 1
        sys nr.{last}, 4, 0, 0, 0, 0
    """
    one = Guest(arch, text.format(last="exit"))
    finished(one, 4)
    assert one.slot(0) == 1
    all_ = Guest(arch, text.replace("nr.exit, 3", "nr.exit_group, 3").format(last="exit"))
    finished(all_, 3)
    assert all_.slot(0) != 1


# the end of a run


@each
def test_a_vfork_child_that_never_ends_spends_the_budget(arch: str) -> None:
    guest = Guest(arch, f"""
        {VFORKS["vfork"]}
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
        {VFORKS["vfork"]}
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


@each
def test_a_copied_process_goes_its_own_way(arch: str) -> None:
    guest = Guest(arch, "poke slot.0, 1\n poke slot.1, 2\n leave\n")
    twin = guest.process.copy()
    assert twin.machine.registers() == guest.process.machine.registers()
    assert twin.regions == guest.process.regions
    assert twin.run(STEPS).kind == "exit"
    slots = [guest.names["slot.0"], guest.names["slot.1"]]
    assert [twin.word(at) for at in slots] == [1, 2]
    assert [guest.process.word(at) for at in slots] != [1, 2]
    assert twin.word(guest.names["tls.1"]) == guest.names["tls.1"]
    region = twin.add_region("more", 0x1000)
    assert guest.process.region(region.address) is None
