"""A folder of the host in the guests' tree: what is seen of it, that it is not written, that nothing leads out."""

from __future__ import annotations

import gc
import hashlib
import os
import socket
import stat as modes
import sys
from pathlib import Path
from typing import Any

import pytest
from kernel_desk import HERE, Desk
from kernel_guest import each
from test_kernel_tree import names, stat

import arch as arches
from arch.files import AT_REMOVEDIR, AT_SYMLINK_NOFOLLOW, O_APPEND, O_CREAT, O_EXCL, O_PATH, O_RDWR, O_TRUNC, O_WRONLY
from arch.linux import Errno
from emu.kernel import hostdir, hostwalk
from emu.kernel.errors import Refused
from emu.kernel.rootfs import place

ODD = "odd \udcff\n"
SECRET = b"the host's own"


def _fingerprint(folder: Path) -> str:
    """All that a folder holds, and how it looks but for when it was read."""
    rows = []
    for path in sorted([folder, *folder.rglob("*")]):
        told = path.lstat()
        row = [os.fsencode(path), told.st_mode, told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_nlink]
        if modes.S_ISLNK(told.st_mode):
            row.append(os.readlink(path))
        elif modes.S_ISREG(told.st_mode):
            row.append(path.read_bytes())
        rows.append(repr(row))
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder with a secret beside it, and ways to it that a careless walk would take."""
    (tmp_path / "secret").write_bytes(SECRET)
    folder = tmp_path / "given"
    (folder / "in" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "a").write_bytes(b"hello")
    (folder / "in" / "b").write_bytes(b"world")
    (folder / "in" / "deep" / "c").write_bytes(b"!")
    os.utime(folder / "a", ns=(1, 1_700_000_000_000_000_005))
    (folder / "a").chmod(0o640)
    (folder / os.fsdecode(ODD.encode("utf-8", "surrogateescape"))).write_bytes(b"odd")
    (folder / "hard").hardlink_to(folder / "in" / "b")
    for name, target in {
        "absolute": tmp_path / "secret", "up": "../secret", "far": "../" * 30 + str(tmp_path / "secret"),
        "folder": tmp_path, "loop": "loop", "one": "two", "two": "one", "down": "in/b", "round": "in/../a",
        "proc": "/proc/self/root", "self": "/proc/self/cwd/../secret", "hosts": "/etc/hosts", "tail": "in/deep/../../a",
    }.items():
        (folder / name).symlink_to(target)
    return folder


class Given:
    """A desk whose guest sees the folder as /given; at the end the folder is what it was."""

    def __init__(self, arch: str, host: Path, path: str = "/given") -> None:
        self.desk, self.host = Desk(arch), host
        hostdir.mount(self.desk.kernel.tree, path, str(host))

    def open(self, path: str, flags: int = 0) -> int | None:
        return self.desk.call("openat", HERE, path, flags, 0o644)

    def stat(self, path: str) -> int | None:
        return self.desk.call("newfstatat", HERE, path, self.desk.put(bytes(256)), 0)


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES])
def given(request: pytest.FixtureRequest, host: Path) -> Any:
    before = _fingerprint(host.parent)
    made = Given(request.param, host)
    yield made
    assert _fingerprint(host.parent) == before, "the host was written to"


def test_what_is_seen(given: Given) -> None:
    desk = given.desk
    assert names(desk, "/given")[:5] == [".", "..", "a", "absolute", "down"]
    assert names(desk, "/given")[2:] == sorted(os.listdir(given.host))
    assert names(desk, "/given/in") == [".", "..", "b", "deep"]
    assert [desk.read_file(f"/given/{name}") for name in ("a", "in/b", "in/deep/c", ODD)] == [
        b"hello", b"world", b"!", b"odd"]
    row = stat(desk, "/given/a")
    assert (row["mode"], row["size"], row["nlink"], row["uid"], row["gid"]) == (0o100640, 5, 1, 0, 0)
    assert (row["mtime"], row["mtime_ns"]) == (1_700_000_000, 5)
    assert stat(desk, "/given/in")["mode"] & 0o170000 == 0o40000
    assert row["ino"] == stat(desk, "/given/in/../a")["ino"] != stat(desk, "/given/in")["ino"]
    assert row["dev"] == stat(desk, "/tmp")["dev"]
    assert [given.open("/given/none"), given.open("/given/a/x"), given.open("/given/in", O_RDWR)] == [
        -Errno.ENOENT, -Errno.ENOTDIR, -Errno.EISDIR]
    assert desk.kernel.tree.used == 0
    assert names(desk, "/")[2:] == sorted([*names(Desk(desk.arch.name), "/")[2:], "given"])


@each
def test_nothing_is_read_before_a_guest_looks(arch: str, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def watch(name: str) -> None:
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, **named: (asked.append(name), real(*args, **named))[1])

    for name in ("pread", "listdir", "readlink"):
        watch(name)
    desk = Given(arch, host).desk
    assert asked == []
    stat(desk, "/given/in/b")
    assert asked == []
    descriptor = desk.done("openat", HERE, "/given/a", 0, 0)
    assert asked == []
    assert desk.read(descriptor) == b"hello"
    assert set(asked) == {"pread"}


def test_links_lead_through_the_guests_tree(given: Given) -> None:
    desk, secret = given.desk, str(given.host.parent / "secret")
    out = {"absolute": Errno.ENOENT, "up": Errno.ENOENT, "far": Errno.ENOENT, "folder/secret": Errno.ENOENT,
           "loop": Errno.ELOOP, "one": Errno.ELOOP, "proc/etc/shadow": Errno.ENOENT, "self": Errno.ENOENT}
    assert {name: given.open(f"/given/{name}") for name in out} == {name: -errno for name, errno in out.items()}
    assert {name: given.stat(f"/given/{name}") for name in out} == {name: -errno for name, errno in out.items()}
    assert [desk.read_file(f"/given/{name}") for name in ("down", "round", "tail")] == [b"world", b"hello", b"hello"]
    assert desk.read_file("/given/hosts") == b"127.0.0.1 localhost\n::1 localhost\n", "the guests' own"
    assert stat(desk, "/given/up", AT_SYMLINK_NOFOLLOW)["mode"] == 0o120777
    address = desk.put(bytes(256))
    assert desk.get(address, desk.done("readlinkat", HERE, "/given/absolute", address, 256)) == secret.encode()
    desk.write_file("/secret", b"the guest's")
    assert [desk.read_file(f"/given/{name}") for name in ("up", "../secret")] == [b"the guest's"] * 2
    for path in ("/given/../../../../.." + secret, "/given/in/../../.." + secret, secret):
        assert given.open(path) == -Errno.ENOENT


@each
def test_devices_are_not_there(arch: str, host: Path) -> None:
    os.mkfifo(host / "fifo")
    unix = socket.socket(socket.AF_UNIX)
    here = os.open(".", os.O_RDONLY)
    os.chdir(host)  # the path of a socket is short
    try:
        unix.bind("socket")
    finally:
        os.fchdir(here)
        os.close(here)
    if os.geteuid() == 0:
        os.mknod(host / "memory", modes.S_IFCHR | 0o666, os.makedev(1, 1))
        os.mknod(host / "null", modes.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(host / "disk", modes.S_IFBLK | 0o666, os.makedev(254, 0))
    made = Given(arch, host)
    hidden = {"fifo", "socket", "memory", "null", "disk"}
    assert not hidden & set(names(made.desk, "/given"))
    for name in hidden:
        assert [made.open(f"/given/{name}", flags) for flags in (0, O_RDWR, O_PATH)] == [-Errno.ENOENT] * 3
        made.desk.write_file(f"/given/{name}", b"kept in memory")
        assert made.desk.read_file(f"/given/{name}") == b"kept in memory"
    unix.close()
    assert modes.S_ISFIFO((host / "fifo").lstat().st_mode)


@each
@pytest.mark.parametrize("path", ["/given", "/"])
def test_the_whole_host_has_no_proc_sys_or_dev(arch: str, path: str) -> None:
    desk = Desk(arch)
    hostdir.mount(desk.kernel.tree, path, "/")
    top = path.rstrip("/")
    if top:
        assert not {"proc", "sys", "dev"} & set(names(desk, path))
    for name in ("proc/1/environ", "proc/cpuinfo", "proc/self/environ", "proc/self/root/etc", "sys/class", "dev/mem",
                 "dev/kmsg", "dev/pts", "dev/shm", "proc/kcore", "etc/../proc/version"):
        assert desk.call("openat", HERE, f"{top}/{name}", 0, 0) == -Errno.ENOENT, name
        assert desk.call("newfstatat", HERE, f"{top}/{name}", desk.put(bytes(256)), 0) == -Errno.ENOENT, name
    assert stat(desk, f"{top}/usr")["mode"] & 0o170000 == 0o40000
    if not top:
        assert desk.read_file("/etc/hosts") == b"127.0.0.1 localhost\n::1 localhost\n"
        assert {"true", "echo"} <= set(names(desk, "/bin"))
        for folder in ("/dev", "/proc", "/sys"):
            assert names(desk, folder) == names(Desk(arch), folder), "the guests' own"


@pytest.mark.parametrize("path", ["/proc", "/proc/self", "/proc/self/fd", "/sys", "/dev"])
def test_a_file_system_of_nobodys_cannot_be_given(path: str) -> None:
    with pytest.raises(OSError, match="nobody's files"):
        hostwalk.Mount(path)


def test_what_is_no_folder_cannot_be_given(host: Path) -> None:
    for path in (host / "a", host / "none", host / "loop"):
        with pytest.raises(OSError):  # noqa: PT011
            hostwalk.Mount(str(path))


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../secret", "/etc/passwd", "a\0b"])
def test_the_host_is_asked_for_single_names_only(host: Path, name: str) -> None:
    mount = hostwalk.Mount(str(host))
    if name != ".":
        assert mount.told((), name) is None
        with pytest.raises(Refused):
            mount.opened((), name)
    assert mount.told((name,), "secret") is None
    assert mount.listed((name,)) == {}


@each
def test_a_folder_becomes_a_link_meanwhile(arch: str, host: Path) -> None:
    made = Given(arch, host)
    desk, outside = made.desk, host.parent / "outside"
    outside.mkdir()
    (outside / "b").write_bytes(SECRET)
    (outside / "deep").mkdir()
    assert desk.read_file("/given/in/b") == b"world"
    folder = desk.done("openat", HERE, "/given/in", 0, 0)
    deep = desk.done("openat", HERE, "/given/in/deep", 0, 0)
    desk.done("chdir", "/given/in")
    (host / "in").rename(host.parent / "moved")
    (host / "in").symlink_to(outside)
    for path in ("/given/in/b", "b", "../in/b", "deep/c"):
        assert made.open(path) == -Errno.ENOENT
    assert [desk.call("openat", at, name, 0, 0) for at, name in ((folder, "b"), (deep, "c"))] == [-Errno.ENOENT] * 2
    assert stat(desk, "/given/in", AT_SYMLINK_NOFOLLOW)["mode"] == 0o120777
    address = desk.put(bytes(256))
    assert desk.get(address, desk.done("getdents64", folder, address, 256)).count(b"deep") == 0


@each
@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_file_becomes_another_thing(arch: str, kind: str, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host changes just after it was asked what a name is."""
    made, real, file = Given(arch, host), os.stat, host / "a"
    change = {"link": lambda: file.symlink_to(host.parent / "secret"), "fifo": lambda: os.mkfifo(file),
              "folder": file.mkdir}[kind]

    def swapped(path: Any, *args: Any, **named: Any) -> os.stat_result:
        told = real(path, *args, **named)
        if path == b"a":
            file.unlink()
            change()
        return told

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", swapped)
        assert made.open("/given/a") == -Errno.ENOENT


@each
def test_what_the_host_does_meanwhile_is_seen(arch: str, host: Path) -> None:
    made = Given(arch, host)
    desk = made.desk
    assert desk.read_file("/given/a") == b"hello"
    kept = desk.done("openat", HERE, "/given/a", 0, 0)
    (host / "a").unlink()
    assert made.open("/given/a") == made.stat("/given/a") == -Errno.ENOENT
    assert desk.read(kept) == b"hello", "an open file is still there"
    (host / "a").write_bytes(b"another")
    assert desk.read_file("/given/a") == b"another"
    desk.write_file("/given/in/b", b"mine")
    (host / "in" / "b").unlink()
    (host / "in" / "deep" / "c").unlink()
    (host / "in" / "deep").rmdir()
    (host / "in").rmdir()
    assert desk.read_file("/given/in/b") == b"mine", "what a guest has changed stays"
    assert names(desk, "/given/in") == [".", "..", "b"]


def test_writes_stay_in_memory(given: Given) -> None:
    desk, tree = given.desk, given.desk.kernel.tree
    reader = desk.done("openat", HERE, "/given/a", 0, 0)
    desk.write_file("/given/a", b" there", O_WRONLY | O_APPEND)
    assert desk.read_file("/given/a") == desk.read(reader) == b"hello there"
    assert tree.used == 11
    desk.write_file("/given/in/b", b"W", O_WRONLY)
    assert desk.read_file("/given/in/b") == b"World"
    assert desk.read_file("/given/hard") == b"world", "each name is a file of its own"
    desk.write_file("/given/in/b", b"short", O_WRONLY | O_TRUNC)
    assert desk.read_file("/given/in/b") == b"short"
    assert desk.call("truncate", "/given/in/deep/c", *desk.wide(3, 1)) == 0
    assert desk.read_file("/given/in/deep/c") == b"!\0\0"
    assert given.open("/given/a", O_CREAT | O_EXCL) == -Errno.EEXIST
    desk.write_file("/given/in/new", b"new")
    assert names(desk, "/given/in") == [".", "..", "b", "deep", "new"]
    assert desk.call("fchmodat", HERE, "/given/a", 0o4755) == 0
    assert desk.call("fchownat", HERE, "/given/a", 5, 6, 0) == 0
    row = stat(desk, "/given/a")
    assert (row["mode"], row["uid"], row["gid"], row["size"]) == (0o104755, 5, 6, 11)
    assert stat(desk, "/given/hard")["mode"] != row["mode"]
    assert desk.call("utimensat", HERE, "/given/hard", 0, 0) == 0
    assert stat(desk, "/given/hard")["mtime"] == desk.kernel.clock.real // 10**9


def test_names_are_taken_away_and_given(given: Given) -> None:
    desk = given.desk

    def call(name: str, *words: str | int) -> int | None:
        return desk.call(name, HERE, *words)

    assert [call("unlinkat", "/given/in", AT_REMOVEDIR), call("unlinkat", "/given/in", 0),
            call("unlinkat", "/given/a", AT_REMOVEDIR)] == [-Errno.ENOTEMPTY, -Errno.EISDIR, -Errno.ENOTDIR]
    assert call("unlinkat", "/given/a", 0) == call("unlinkat", "/given/empty", AT_REMOVEDIR) == 0
    assert [given.open(f"/given/{name}") for name in ("a", "empty", "round")] == [-Errno.ENOENT] * 3
    assert not {"a", "empty"} & set(names(desk, "/given"))
    assert call("unlinkat", "/given/a", 0) == -Errno.ENOENT
    desk.write_file("/given/a", b"again")
    assert desk.read_file("/given/round") == b"again"
    assert call("unlinkat", "/given/a", 0) == 0
    assert given.open("/given/a") == -Errno.ENOENT, "not the host's either"
    for path, flags in (("b", 0), ("deep/c", 0), ("deep", AT_REMOVEDIR), ("", AT_REMOVEDIR)):
        assert call("unlinkat", f"/given/in/{path}".rstrip("/"), flags) == 0
    assert call("mkdirat", "/given/in", 0o700) == 0
    assert names(desk, "/given/in") == [".", ".."], "a new folder is empty"
    assert call("unlinkat", "/given/loop", 0) == 0
    assert call("mkdirat", "/given/up", 0o700) == -Errno.EEXIST
    assert desk.kernel.tree.used == 1024


def test_names_move(given: Given) -> None:
    desk = given.desk

    def rename(old: str, new: str) -> int | None:
        return desk.call("renameat2", HERE, old, HERE, new, 0)

    assert rename("/given/in", "/tmp/out") == 0
    assert names(desk, "/tmp/out") == [".", "..", "b", "deep"]
    assert desk.read_file("/tmp/out/deep/c") == b"!"
    assert given.open("/given/in") == given.open("/given/down") == -Errno.ENOENT
    assert rename("/tmp/out/b", "/given/a") == 0
    assert desk.read_file("/given/a") == b"world"
    assert given.open("/tmp/out/b") == -Errno.ENOENT
    assert rename("/given/hard", "/given/empty") == -Errno.EISDIR
    assert rename("/tmp/out", "/given/empty") == 0
    assert names(desk, "/given/empty") == [".", "..", "deep"]
    assert rename("/given/empty", "/given/empty/deep/x") == -Errno.EINVAL
    desk.done("chdir", "/given/empty/deep")
    address = desk.put(bytes(64))
    assert desk.get(address, desk.done("getcwd", address, 64)) == b"/given/empty/deep\0"
    assert desk.call("linkat", HERE, "/given/a", HERE, "/given/link", 0) == 0
    desk.write_file("/given/link", b"both", O_WRONLY | O_TRUNC)
    assert desk.read_file("/given/a") == b"both"
    assert rename("/given/up", "/given/moved") == 0
    assert desk.call("symlinkat", "/given/a", HERE, "/given/up") == 0
    assert desk.read_file("/given/up") == b"both"


def test_copies_are_counted(given: Given) -> None:
    desk, tree = given.desk, given.desk.kernel.tree
    tree.room = 8
    descriptor = desk.done("openat", HERE, "/given/a", O_RDWR, 0)
    other = desk.done("openat", HERE, "/given/in/b", O_RDWR, 0)
    assert desk.call("write", descriptor, "H", 1) == 1
    assert desk.call("write", other, "W", 1) == -Errno.ENOSPC
    assert desk.read_file("/given/in/b") == b"world"
    assert tree.used == 5
    assert desk.call("unlinkat", HERE, "/given/a", 0) == 0
    desk.done("close", descriptor)
    assert tree.used == 0
    assert desk.call("write", other, "W", 1) == 1
    assert desk.read_file("/given/in/b") == b"World"


@each
def test_a_large_file_is_read_where_it_is_asked_for(arch: str, host: Path) -> None:
    size = 1 << 40
    with open(host / "large", "wb") as large:
        large.seek(size - 4)
        large.write(b"tail")
    made = Given(arch, host)
    desk = made.desk
    assert stat(desk, "/given/large")["size"] == size
    descriptor, address = desk.done("openat", HERE, "/given/large", O_RDWR, 0), desk.put(bytes(8))
    assert desk.call("pread64", descriptor, address, 8, *desk.wide(size - 6, 3)) == 6
    assert desk.get(address, 6) == b"\0\0tail"
    assert desk.call("write", descriptor, "x", 1) == -Errno.ENOSPC
    desk.done("close", desk.done("openat", HERE, "/given/large", O_WRONLY | O_TRUNC, 0))
    assert stat(desk, "/given/large")["size"] == desk.kernel.tree.used == 0
    assert (host / "large").stat().st_size == size


_HEARD: list[tuple[str, tuple[Any, ...]]] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _HEARD is not None and (event == "open" or event.startswith(("os.", "shutil.", "subprocess."))):
        _HEARD.append((event, arguments))


def test_the_host_is_only_ever_asked_and_read(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the interpreter's own account of it."""
    others = [Given(given.desk.arch.name, given.host) for _ in range(2)]
    sys.addaudithook(_hear)
    heard: list[tuple[str, tuple[Any, ...]]] = []
    with monkeypatch.context() as patch:
        patch.setitem(globals(), "_HEARD", heard)
        test_writes_stay_in_memory(given)
        test_names_are_taken_away_and_given(others[0])
        test_names_move(others[1])
    assert {event for event, _ in heard} == {"open", "os.listdir"}
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    for path, _, flags in (arguments for event, arguments in heard if event == "open"):
        assert not flags & writing, path
        assert flags & os.O_NOFOLLOW or path == b"." or path.startswith("/proc/self/"), path


@each
def test_what_the_host_refuses_is_refused(arch: str, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Given(arch, host)
    for number, answer in ((13, Errno.EACCES), (1, Errno.EACCES), (24, Errno.ENFILE), (5, Errno.EIO), (116, Errno.EIO)):

        def refuse(*_args: Any, number: int = number, **_named: Any) -> Any:
            raise OSError(number, "no")

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            assert made.open("/given/a") == -answer
            assert made.open("/given/in/b") == -answer
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", refuse)
            assert made.stat("/given/in") == -answer
        descriptor = made.desk.done("openat", HERE, "/given/a", 0, 0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", refuse)
            assert made.desk.call("read", descriptor, made.desk.put(bytes(8)), 8) == -answer
        made.desk.done("close", descriptor)


@each
def test_no_descriptor_of_the_hosts_is_left_open(arch: str, host: Path) -> None:
    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = opened()
    made = Given(arch, host)
    for _ in range(3):
        assert made.desk.read_file("/given/in/deep/c") == b"!"
        names(made.desk, "/given")
        made.open("/given/in/none")
    assert opened() == before + 1, "the folder itself"
    descriptors = [made.desk.done("openat", HERE, "/given/a", O_RDWR, 0) for _ in range(3)]
    assert opened() == before + 2, "one for a file, however often it is open"
    assert made.desk.call("write", descriptors[0], "x", 1) == 1
    assert opened() == before + 1, "a copy needs none"


@each
def test_folders_are_one_with_those_of_the_tree(arch: str, host: Path) -> None:
    made = Given(arch, host, "/usr")
    assert {"in", "bin", "a"} <= set(names(made.desk, "/usr"))
    assert "true" in names(made.desk, "/usr/bin")
    assert made.desk.read_file("/usr/in/b") == b"world"
    place(made.desk.task, "/usr/in/deep/program", b"code")
    assert made.desk.read_file("/proc/self/exe") == b"code"
    assert names(made.desk, "/usr/in/deep") == [".", "..", "c", "program"]


def test_a_program_that_lies_in_a_given_folder(given: Given) -> None:
    desk = given.desk
    place(desk.task, "/given/a", b"hello")
    assert (desk.task.executable, desk.read_file("/proc/self/exe")) == ("/given/a", b"hello")
    desk.done("chdir", "/given/in")
    place(desk.task, "../in/b", b"world")
    assert desk.task.executable == "/given/in/b"
    assert desk.kernel.tree.used == 0
