"""Descriptors below the kernel: tables, pipes that wait, what fork copies and execve closes."""

from __future__ import annotations

import pytest
from kernel_guest import STEPS, Guest, each, finished

from arch.linux import O_CLOEXEC, Errno
from arch.signals import Signal, bit
from emu.kernel import Outcome, Task, run
from emu.kernel.errors import Refused
from emu.kernel.files import Empty, Files
from emu.kernel.pipes import CAPACITY, Reader

EXIT = "sys nr.exit, 0, 0, 0, 0, 0\n"


def ints(guest: Guest, index: int) -> tuple[int, int]:
    """The two C ints from a slot on."""
    data = guest.process.machine.read(guest.names[f"slot.{index}"], 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


@each
def test_a_pipe_carries_bytes(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.pipe, slot.2, 0, 0, 0, 0
        sys nr.write, 4, text, 5, 0, 0
        keep slot.0
        sys nr.read, 3, slot.8, 3, 0, 0
        keep slot.1
        sys nr.read, 3, slot.8 + 3, 100, 0, 0
        keep slot.4
        sys nr.close, 4, 0, 0, 0, 0
        sys nr.read, 3, slot.8, 100, 0, 0
        keep slot.5
        sys nr.close, 4, 0, 0, 0, 0
        keep slot.6
        sys nr.read, 0, slot.8, 100, 0, 0
        keep slot.7
    """ + EXIT, ("hello",))
    finished(guest)
    assert ints(guest, 2) == (3, 4)
    assert [guest.slot(i) for i in (0, 1, 4, 5, 6, 7)] == [5, 3, 2, 0, -Errno.EBADF, 0]
    assert guest.process.machine.read(guest.names["slot.8"], 5) == b"hello"


@each
def test_a_reader_waits_for_its_child_and_sees_its_end(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.pipe2, slot.2, 0, 0, 0, 0
        sys nr.fork, 0, 0, 0, 0, 0
        child .child
        sys nr.close, 4, 0, 0, 0, 0
        sys nr.read, 3, slot.8, 8, 0, 0
        keep slot.0
        sys nr.read, 3, slot.9, 8, 0, 0
        keep slot.1
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.getpid, 0, 0, 0, 0, 0
        sys nr.write, 4, text, 2, 0, 0
    """ + EXIT, ("hi",))
    finished(guest)
    assert [guest.slot(0), guest.slot(1)] == [2, 0]


@each
def test_who_holds_the_last_writing_end_waits_for_ever(arch: str) -> None:
    guest = Guest(arch, "sys nr.pipe, slot.2, 0, 0, 0, 0\n sys nr.read, 3, slot.8, 8, 0, 0\n" + EXIT)
    waiting = ("thread 1000 waits for bytes from descriptor 3",)
    assert run(guest.kernel, STEPS) == Outcome("deadlock", waiting)


@each
def test_a_full_pipe_makes_its_writer_wait(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.pipe, slot.2, 0, 0, 0, 0
        sys nr.fork, 0, 0, 0, 0, 0
        child .child
        sys nr.close, 3, 0, 0, 0, 0
        sys nr.write, 4, large, size, 0, 0
        keep slot.0
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.read, 3, large, 0x800, 0, 0
        sys nr.read, 3, large, 0x800, 0, 0
        sys nr.read, 3, large, 0x20000, 0, 0
    """ + EXIT, extra={"large": 0x200000, "size": CAPACITY + 0x800})
    guest.process.machine.map(0x200000, 0x20000)
    finished(guest)
    assert guest.slot(0) == CAPACITY + 0x800


@each
def test_what_execve_closes(arch: str) -> None:
    guest = Guest(arch, f"""
        sys nr.pipe2, slot.2, {O_CLOEXEC}, 0, 0, 0
        sys nr.dup2, 4, 9, 0, 0, 0
        keep slot.0
        sys nr.dup3, 4, 10, {O_CLOEXEC}, 0, 0
        sys nr.dup3, 4, 4, 0, 0, 0
        keep slot.1
        sys nr.dup2, 4, 4, 0, 0, 0
        keep slot.6
        sys nr.dup2, 77, 77, 0, 0, 0
        keep slot.7
        sys nr.dup2, 4, 4000, 0, 0, 0
        keep slot.8
        sys nr.dup3, 4, 2, 1, 0, 0
        keep slot.9
        sys nr.vfork, 0, 0, 0, 0, 0
        child .child
        sys nr.close, 1, 0, 0, 0, 0
        keep slot.5
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.close, 1, 0, 0, 0, 0
        sys nr.execve, text, 0, 0, 0, 0
    """, ("/bin/true",))
    kept: list[list[int]] = []

    @guest.kernel.program("/bin/true")
    def main(task: Task) -> int:
        kept.append(sorted(task.files.slots))
        return 0

    finished(guest)
    assert kept == [[0, 2, 9]]
    assert [guest.slot(i) for i in (0, 1, 5, 6, 7, 8, 9)] == [
        9, -Errno.EINVAL, 0, 4, -Errno.EBADF, -Errno.EBADF, -Errno.EINVAL,
    ]


@each
def test_output_follows_a_duplicate(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.dup2, 1, 7, 0, 0, 0
        sys nr.close, 1, 0, 0, 0, 0
        sys nr.write, 1, text, 1, 0, 0
        keep slot.0
        sys nr.write, 7, text, 2, 0, 0
    """ + EXIT, ("out",))
    finished(guest)
    assert guest.slot(0) == -Errno.EBADF
    assert guest.kernel.output == {1: b"ou", 2: b""}


@each
@pytest.mark.parametrize("files", [False, True])
def test_clone_shares_the_table_if_it_is_told_to(arch: str, files: bool) -> None:
    guest = Guest(arch, f"""
        sys nr.clone, {0x4111 | (0x400 if files else 0):#x}, 0, 0, 0, 0
        child .child
        sys nr.write, 1, text, 2, 0, 0
        keep slot.0
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.close, 1, 0, 0, 0, 0
    """ + EXIT, ("hi",))
    finished(guest)
    assert guest.slot(0) == (-Errno.EBADF if files else 2)


@each
def test_pipes_are_refused(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.pipe, nowhere, 0, 0, 0, 0
        keep slot.0
        sys nr.pipe2, slot.2, 0x4000, 0, 0, 0
        keep slot.1
        sys nr.pipe, slot.2, 0, 0, 0, 0
        keep slot.4
        sys nr.pipe, slot.2, 0, 0, 0, 0
        keep slot.5
        sys nr.close, 3, 0, 0, 0, 0
        sys nr.write, 4, text, 1, 0, 0
        keep slot.6
        sys nr.write, 4, nowhere, 1, 0, 0
        keep slot.7
        sys nr.read, 4, slot.8, 1, 0, 0
        keep slot.9
        sys nr.read, 0, nowhere, 1, 0, 0
        keep slot.10
    """ + EXIT, ("x",))
    guest.kernel.main.task.files.most = 6
    guest.kernel.main.mask = bit(Signal.SIGPIPE)
    finished(guest)
    assert [guest.slot(i) for i in (0, 1, 4, 5, 6, 7, 9, 10)] == [
        -Errno.EFAULT, -Errno.EINVAL, 0, -Errno.EMFILE, -Errno.EPIPE, -Errno.EFAULT, -Errno.EBADF, -Errno.EFAULT,
    ]
    assert guest.kernel.unknown == {"pipe2 with flags 0x4000": 1}


def test_a_table_closes_its_streams_with_its_last_process() -> None:
    files, reader = Files(), Reader()
    assert files.open(Empty()) == 0
    assert files.open(reader.writer) == 1
    twin = files.copy()
    assert files.share() is files
    assert reader.writer.users == 2
    files.drop()
    assert reader.writer.users == 2
    files.drop()
    twin.close(1)
    assert reader.writer.users == 0
    assert reader.read(1) == b""
    with pytest.raises(Refused):
        files.stream(1)
