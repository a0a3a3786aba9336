"""Processes and threads below the kernel: fork copies memory, vfork shares it and waits, threads share all of it."""

from __future__ import annotations

import gc
import weakref

import pytest
from kernel_guest import STEPS, VFORK, Guest, each, finished

from arch import linux
from arch.linux import Clone, Errno
from emu.kernel import Image, Outcome, Task, Thread, run
from emu.machine import Machine

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
def test_a_child_that_nobody_waits_for_is_forgotten_with_its_memory(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.fork, 0, 0, 0, 0, 0
        child .child
        wait_for .never, slot.0, 1
    .child:
        sys nr.getpid, 0, 0, 0, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    """)
    machines: list[weakref.ref[Machine]] = []

    @guest.kernel.syscall("getpid")
    def getpid(thread: Thread) -> int:
        machines.append(weakref.ref(thread.process.machine))
        return thread.pid

    assert run(guest.kernel, STEPS).kind == "budget"
    assert list(guest.kernel.tasks) == [1000, 1001]
    guest.kernel.end_task(guest.kernel.main.task, 0)
    assert list(guest.kernel.tasks) == [1000]
    gc.collect()
    assert [machine() for machine in machines] == [None]


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
    "vfork": VFORK,
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
        keep_sp slot.13
        keep_tls slot.14
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
    assert guest.process.word(guest.names["slot.13"]) == guest.names["stack"]
    assert guest.process.word(guest.names["slot.14"]) == guest.names["tls.1"]
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
