"""Virtual programs: found by their paths, fed through pipes, ended by signals and by pipes that nobody reads."""

from __future__ import annotations

import io
from typing import Any

import pytest
from kernel_desk import HERE, Desk
from kernel_guest import STEPS, Guest, each, finished

from arch.files import O_CREAT, O_RDONLY, O_WRONLY, S_IFREG
from arch.linux import Clone, Errno
from arch.structs import STAT
from emu.kernel import Image, Outcome, Task, Thread, memory, run
from emu.kernel.files import Host
from emu.kernel.nodes import Regular
from emu.kernel.programs import Steps


def started(desk: Desk, path: str, *arguments: str, environment: tuple[str, ...] = ()) -> Thread:
    """A vfork child of the desk's that executes a program."""
    texts = [desk._word(text) for text in (path.rsplit("/", 1)[-1], *arguments)]
    argv = desk.put(b"".join(desk.arch.pack(word) for word in [*texts, 0]))
    envp = desk.put(b"".join(desk.arch.pack(word) for word in [*(desk._word(text) for text in environment), 0]))
    child = desk.kernel.tasks[desk.done("clone", int(Clone.VM) | 17, 0)].threads[0]
    parent, desk.thread = desk.thread, child
    result = desk.call("execve", path, argv, envp)
    desk.thread = parent
    assert result is None
    return child


def pipe(desk: Desk) -> tuple[int, int]:
    address = desk.put(bytes(8))
    desk.done("pipe2", address, 0)
    data = desk.get(address, 8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


@each
@pytest.mark.parametrize("folder", ["/bin", "/usr/bin"])
def test_programs_are_executable_files(arch: str, folder: str) -> None:
    desk = Desk(arch)
    for name in ("true", "false", "echo", "cat", "pwd"):
        row = desk.struct(STAT[arch], "newfstatat", HERE, f"{folder}/{name}", after=(0,))
        assert (row["mode"], row["size"] > 0) == (S_IFREG | 0o755, True)
        assert desk.call("faccessat2", HERE, f"{folder}/{name}", 1, 0x200) == 0


@each
@pytest.mark.parametrize(
    ("path", "arguments", "code", "said"),
    [("/bin/true", ("x",), 0, b""), ("/usr/bin/false", (), 1, b""), ("/bin/echo", ("a", "b  c"), 0, b"a b  c\n"),
     ("/bin/echo", ("-n", "a"), 0, b"a"), ("bin/echo", (), 0, b"\n"),
     ("/bin/cat", ("/etc/hostname",), 0, b"localhost\n"),
     ("/bin/pwd", (), 0, b"/\n"), ("/bin/cat", (), 0, b""),
     ("/bin/cat", ("/none", "/etc/hostname"), 1, b"localhost\n")],
)
def test_what_programs_do(arch: str, path: str, arguments: tuple[str, ...], code: int, said: bytes) -> None:
    desk = Desk(arch)
    child = started(desk, path, *arguments, environment=("A=1",))
    desk.kernel.runnable()
    assert child.task.status == code << 8
    assert bytes(desk.kernel.output[1]) == said
    assert bytes(desk.kernel.output[2]) == (b"cat: /none: ENOENT\n" if "/none" in arguments else b"")
    assert child.task.image == Image(path, (path.rsplit("/", 1)[-1], *arguments), ("A=1",))
    assert child.task.executable == "/" + path.lstrip("/")


@each
def test_cat_carries_what_comes_until_its_end(arch: str) -> None:
    desk = Desk(arch)
    (ours, theirs), (their_input, our_end) = pipe(desk), pipe(desk)
    files = desk.task.files
    files.duplicate(their_input, 0)
    files.duplicate(theirs, 1)
    for descriptor in (our_end, ours):
        files.mark(descriptor, close_on_exec=True)
    child = started(desk, "/bin/cat")
    for descriptor in (0, 1, their_input, theirs):
        files.close(descriptor)
    for descriptor in list(child.task.files.slots):
        if descriptor > 2:
            child.task.files.close(descriptor)
    desk.kernel.runnable()
    assert (child.state, child.waits_for) == ("blocked", "bytes from -")
    data = bytes(range(256)) * 1024
    sent, received = 0, b""
    while len(received) < len(data):
        sent += files.stream(our_end).write(data[sent : sent + 50_000]) or 0
        desk.kernel.runnable()
        received += files.stream(ours).read(70_000) or b""
    assert received == data
    assert child.task.status is None
    files.close(our_end)
    desk.kernel.runnable()
    assert child.task.status == 0
    assert files.stream(ours).read(1) == b""


@each
def test_a_program_dies_of_a_pipe_that_nobody_reads_and_of_a_signal(arch: str) -> None:
    desk = Desk(arch)
    reader, writer = pipe(desk)
    waiting, _ = pipe(desk)
    files = desk.task.files
    files.duplicate(waiting, 0)
    cat = started(desk, "/bin/cat")
    files.duplicate(writer, 1)
    files.close(reader)
    cat.task.files.close(reader)
    echo = started(desk, "/bin/echo", "x")
    desk.kernel.runnable()
    assert (echo.task.status, cat.task.status) == (13, None)
    assert desk.call("kill", cat.pid, 10) == 0
    assert cat.task.status == 10


@each
def test_a_program_of_ones_own_may_wait(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.vfork, 0, 0, 0, 0, 0
        child .child
        keep slot.0
        sys nr.write, 1, text + 9, 6, 0, 0
        sys nr.wait4, -1, slot.1, 0, 0, 0
        sys nr.exit, 0, 0, 0, 0, 0
    .child:
        sys nr.execve, text, 0, 0, 0, 0
    """, ("/bin/own", "parent"))

    @guest.kernel.program("/bin/own")
    def main(task: Task) -> Steps:
        output = task.kernel.output[1]
        yield "the parent", lambda: output or None
        output += b" and I"
        return 3

    finished(guest)
    assert bytes(guest.kernel.output[1]) == b"parent and I"
    assert (guest.slot(0), guest.status(1)) == (1001, 3 << 8)


@each
def test_a_program_that_waits_for_ever_is_a_deadlock(arch: str) -> None:
    guest = Guest(arch, """
        sys nr.pipe, slot.2, 0, 0, 0, 0
        sys nr.dup2, 3, 0, 0, 0, 0
        sys nr.execve, text, 0, 0, 0, 0
    """, ("/bin/cat",))
    assert run(guest.kernel, STEPS) == Outcome("deadlock", ("thread 1000 waits for bytes from -",))


@each
def test_what_execve_refuses(arch: str) -> None:
    desk = Desk(arch)
    desk.write_file("/tmp/data", b"#!")
    refused = {"/tmp": Errno.EACCES, "/etc/hosts": Errno.EACCES, "/tmp/data": Errno.EACCES, "/tmp/none": Errno.ENOENT}
    assert {path: desk.call("execve", path, 0, 0) for path in refused} == {p: -errno for p, errno in refused.items()}
    desk.done("close", desk.done("openat", HERE, "/tmp/run", O_CREAT | O_WRONLY, 0o755))
    assert desk.call("execve", "/tmp/run", 0, 0) == -Errno.ENOEXEC
    assert desk.kernel.unknown == {"execve of /tmp/run": 1}


@each
def test_another_kind_of_program_is_the_users(arch: str) -> None:
    desk = Desk(arch)
    seen: list[tuple[bytes, Image]] = []
    desk.kernel.tree.install("/opt/tool", Regular(desk.kernel.tree, 0o755, b"code"))

    def execute(thread: Thread, file: Regular, image: Image) -> None:
        seen.append((file.read(0, 10), image))
        thread.kernel.end_task(thread.task, 0)

    desk.kernel.execute = execute
    assert desk.call("execve", "/opt/tool", 0, 0) is None
    assert seen == [(b"code", Image("/opt/tool", ()))]


@each
def test_one_thread_is_left_after_execve(arch: str) -> None:
    desk = Desk(arch)
    flags = int(Clone.VM | Clone.FS | Clone.FILES | Clone.SIGHAND | Clone.THREAD)
    other = desk.done("clone", flags, 0)
    waiting, _ = pipe(desk)
    desk.task.files.duplicate(waiting, 0)
    assert desk.call("execve", "/bin/cat", 0, 0) is None
    assert [thread.tid for thread in desk.kernel.threads] == [desk.thread.tid]
    assert other not in [thread.tid for thread in desk.kernel.threads]


# the command's own streams


class Reading(io.BytesIO):
    """Counts what is asked of it, and gives a few bytes at a time."""

    asked = 0

    def read1(self, size: int | None = -1, /) -> bytes:
        self.asked += 1
        return super().read(min(size or 0, 3))


@each
def test_a_host_stream_is_read_when_the_guest_reads(arch: str) -> None:
    desk = Desk(arch)
    source, sink = Reading(b"abcdef"), io.BytesIO()
    files = desk.task.files
    for number, stream in enumerate((Host(source, O_RDONLY), Host(sink, O_WRONLY))):
        files.close(number)
        files.open(stream)
    desk.done("dup", 0)
    assert source.asked == 0
    assert [desk.read(0, 100), desk.read(0, 2), desk.read(0), desk.read(0)] == [b"abc", b"de", b"f", b""]
    assert desk.done("write", 1, "out", 3) == 3
    assert sink.getvalue() == b"out"
    assert desk.call("write", 0, "x", 1) == desk.call("read", 1, desk.put(b""), 1) == -Errno.EBADF
    source.close()
    assert desk.call("read", 0, desk.put(b" "), 1) == -Errno.EIO


@each
def test_a_closed_end_of_the_host_is_a_broken_pipe(arch: str) -> None:
    class Broken(io.BytesIO):
        def write(self, _data: Any, /) -> int:
            raise BrokenPipeError

    desk = Desk(arch)
    desk.task.files.close(1)
    desk.task.files.open(Host(Broken(), O_WRONLY))
    assert memory.c_int(desk.call("write", 1, "x", 1) or 0) == -Errno.EPIPE
    assert desk.task.status == 13
