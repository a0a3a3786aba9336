"""The system calls on a whole program's memory."""

from __future__ import annotations

import pytest
from live_desk import FIXED, HERE, MOST, NO_REPLACE, PRIVATE, RW, SIZE, Desk, each

from arch.files import O_RDONLY, O_WRONLY
from arch.linux import Errno
from emu.kernel.nodes import Regular
from emu.live.space import EXECUTE, READ
from emu.machine import PAGE


@each
def test_memory_is_had_from_the_top_down(arch: str) -> None:
    desk = Desk(arch)
    first, second = (desk.mmap(0, 3 * PAGE - 5) or 0 for _ in range(2))
    assert first % PAGE == 0
    assert second == first - 3 * PAGE
    desk.process.machine.write(second, b"x" * 3 * PAGE)
    assert desk.call("munmap", second + PAGE, PAGE) == 0
    assert desk.mmap(0, PAGE) == second + PAGE
    assert desk.process.machine.read(second, 3 * PAGE) == b"x" * PAGE + bytes(PAGE) + b"x" * PAGE


@each
def test_wishes_for_an_address(arch: str) -> None:
    desk = Desk(arch)
    wish = HERE + 2 * SIZE
    assert desk.mmap(wish, PAGE) == wish
    assert desk.mmap(wish, PAGE) not in (wish, None)
    desk.process.machine.write(wish, b"old")
    assert desk.mmap(wish, PAGE, flags=NO_REPLACE) == -Errno.EEXIST
    assert desk.process.machine.read(wish, 3) == b"old"
    assert desk.mmap(wish, PAGE, flags=FIXED) == wish
    assert desk.process.machine.read(wish, 3) == bytes(3)


@each
def test_what_mmap_refuses(arch: str) -> None:
    desk = Desk(arch)
    assert desk.mmap(HERE + 1, PAGE, flags=FIXED) == -Errno.EINVAL
    assert desk.mmap(0, 0) == -Errno.EINVAL
    assert desk.mmap(0, MOST) == -Errno.ENOMEM  # with what is there it is more than the guest may have
    assert desk.mmap(0, desk.arch.mask & -PAGE, 0) == -Errno.ENOMEM
    call = "mmap" if arch == "amd64" else "mmap2"
    assert desk.call(call, 0, PAGE, RW, PRIVATE, 3, 0) == -Errno.EBADF
    assert desk.call(call, 0, PAGE, RW, PRIVATE, 0, 0) == -Errno.ENODEV
    assert not desk.kernel.unknown


@each
def test_files_are_mapped_as_they_are_now(arch: str) -> None:
    desk = Desk(arch)
    tree, call = desk.kernel.tree, "mmap" if arch == "amd64" else "mmap2"
    file = tree.install("/f", Regular(tree, 0o644, b"a" * PAGE + b"second page"))
    number = desk.main.task.files.open(file.open(desk.main.task, O_RDONLY))
    unread = desk.main.task.files.open(file.open(desk.main.task, O_WRONLY))
    offset = PAGE if arch == "amd64" else 1
    at = desk.call(call, 0, 2 * PAGE, RW, PRIVATE, number, offset)
    assert at is not None
    assert desk.process.machine.read(at, 2 * PAGE) == b"second page".ljust(2 * PAGE, b"\0")
    hidden = desk.call(call, 0, PAGE, 0, PRIVATE, number, 0)
    assert hidden is not None
    assert desk.call("mprotect", hidden, PAGE, READ) == 0
    assert desk.process.machine.read(hidden, PAGE) == b"a" * PAGE
    assert desk.call(call, 0, PAGE, READ, PRIVATE, unread, 0) == -Errno.EACCES
    assert desk.call(call, 0, PAGE, RW, 1, number, 0) == -Errno.ENODEV
    assert desk.kernel.unknown == {"mmap of a file that is shared": 1}


@each
def test_reservations_become_memory(arch: str) -> None:
    desk = Desk(arch)
    place = desk.mmap(0, 64 << 20, 0)
    assert place is not None
    assert desk.space.used == SIZE
    assert desk.call("mprotect", place + PAGE, 2 * PAGE, RW) == 0
    assert desk.space.used == SIZE + 2 * PAGE
    desk.process.machine.write(place + PAGE, b"x")
    assert desk.call("mprotect", place + PAGE, PAGE, 0) == 0
    assert desk.call("mprotect", place + PAGE, PAGE, READ | EXECUTE) == 0
    assert desk.process.machine.read(place + PAGE, 1) == b"x"
    assert desk.call("mprotect", place, 1 << 21, RW) == -Errno.ENOMEM
    assert desk.call("mprotect", HERE + SIZE - PAGE, 2 * PAGE, RW) == -Errno.ENOMEM  # its second page is nowhere
    assert desk.call("mprotect", place + 1, PAGE, RW) == -Errno.EINVAL
    assert desk.call("mprotect", 0, 0, RW) == 0


@each
def test_advice(arch: str) -> None:
    desk = Desk(arch)
    desk.process.machine.write(HERE, b"x" * 2 * PAGE)
    assert desk.call("madvise", HERE, 2 * PAGE, 14) == 0
    assert desk.process.machine.read(HERE, 1) == b"x"
    assert desk.call("madvise", HERE, PAGE - 1, 4) == 0
    assert desk.process.machine.read(HERE, 2 * PAGE) == bytes(PAGE) + b"x" * PAGE
    assert desk.call("madvise", HERE + SIZE, PAGE, 4) == -Errno.ENOMEM
    assert desk.call("madvise", HERE, PAGE, 999) == -Errno.EINVAL
    assert desk.call("madvise", HERE + 1, PAGE, 4) == -Errno.EINVAL


@each
def test_mincore(arch: str) -> None:
    desk = Desk(arch)
    assert desk.call("mincore", HERE, 3 * PAGE - 1, HERE + PAGE) == 0
    assert desk.process.machine.read(HERE + PAGE, 4) == b"\1\1\1\0"
    assert desk.call("mincore", HERE + SIZE - PAGE, 2 * PAGE, HERE) == -Errno.ENOMEM
    assert desk.call("mincore", HERE, PAGE, HERE + SIZE) == -Errno.EFAULT
    assert desk.call("mincore", HERE + 1, PAGE, HERE) == -Errno.EINVAL


@each
def test_brk(arch: str) -> None:
    desk = Desk(arch)
    desk.process.end = desk.process.start_of_heap = end = HERE + SIZE
    assert desk.call("brk", 0) == end
    assert desk.call("brk", end + PAGE + 1) == end + PAGE + 1
    desk.process.machine.write(end, b"x" * 2 * PAGE)
    assert desk.call("brk", end + 8) == end + 8
    assert desk.call("brk", end - 1) == end + 8
    assert desk.call("brk", end + MOST) == end + 8  # there is no room: nothing has changed
    assert desk.process.machine.read(end, 1) == b"x"
    with pytest.raises(ValueError, match="mapped"):
        desk.process.machine.read(end + PAGE, 1)
