"""Files of the virtual tree: opening, reading, writing, naming, listing, their limits, and that none is the host's."""

from __future__ import annotations

import builtins
import os
from pathlib import Path
from typing import Any

import pytest
from kernel_desk import HERE, Desk
from kernel_guest import each

from arch.files import (
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW,
    O_APPEND,
    O_CREAT,
    O_EXCL,
    O_PATH,
    O_RDWR,
    O_TRUNC,
    O_WRONLY,
    OPEN,
    S_IFDIR,
    S_IFLNK,
    S_IFREG,
)
from arch.linux import Errno
from arch.structs import DIRENT, STAT, STATX, TIMESPEC, TIMESPEC64
from emu.kernel.clock import EPOCH, SECOND
from emu.kernel.rootfs import place


def stat(desk: Desk, path: str, flags: int = 0) -> dict[str, int]:
    return desk.struct(STAT[desk.arch.name], "newfstatat", HERE, path, after=(flags,))


def names(desk: Desk, path: str, size: int = 4096) -> list[str]:
    """What getdents64 lists, in as many calls as it takes."""
    descriptor, found = desk.done("openat", HERE, path, OPEN[desk.arch.name].directory, 0), []
    address = desk.put(bytes(size))
    while count := desk.done("getdents64", descriptor, address, size):
        data = desk.get(address, count)
        while data:
            row = DIRENT.unpack(data)
            found.append(data[DIRENT.size : row["reclen"]].split(b"\0")[0].decode("utf-8", "surrogateescape"))
            assert row["reclen"] % 8 == 0
            data = data[row["reclen"] :]
    desk.done("close", descriptor)
    return found


@each
def test_what_is_written_is_read(arch: str) -> None:
    desk = Desk(arch)
    desk.write_file("/tmp/a", b"hello")
    desk.write_file("/tmp/a", b" world", O_WRONLY | O_APPEND)
    assert desk.read_file("/tmp/a") == b"hello world"
    descriptor = desk.done("openat", HERE, "/tmp/a", O_RDWR, 0)
    assert desk.call("lseek", descriptor, -5, 2) == 6
    assert desk.call("write", descriptor, "W", 1) == 1
    assert desk.call("lseek", descriptor, 0, 1) == 7
    assert desk.call("pwrite64", descriptor, "J", 1, *desk.wide(0, 3)) == 1
    assert desk.call("lseek", descriptor, 0, 1) == 7
    address = desk.put(bytes(8))
    assert desk.call("pread64", descriptor, address, 8, *desk.wide(6, 3)) == 5
    assert desk.get(address, 5) == b"World"
    assert desk.call("ftruncate", descriptor, *desk.wide(14, 1)) == 0
    assert desk.read_file("/tmp/a") == b"Jello World\0\0\0"
    assert desk.call("truncate", "/tmp/a", *desk.wide(1, 1)) == 0
    assert desk.read_file("/tmp/a") == b"J"
    assert desk.call("lseek", descriptor, -1, 0) == -Errno.EINVAL
    assert desk.call("pread64", descriptor, address, 8, *desk.wide(1 << 63, 3)) == -Errno.EINVAL


@each
def test_a_far_offset_is_64_bits_wide(arch: str) -> None:
    desk = Desk(arch)
    far = 0x1_2345_6789
    desk.write_file("/tmp/a", b"x")
    descriptor = desk.done("openat", HERE, "/tmp/a", O_RDWR, 0)
    if desk.arch.word == 4:
        result = desk.put(bytes(8))
        assert desk.call("_llseek", descriptor, far >> 32, far & 0xFFFF_FFFF, result, 0) == 0
        assert int.from_bytes(desk.get(result, 8), "little") == far
    assert desk.call("pwrite64", descriptor, "x", 1, *desk.wide(far, 3)) == -Errno.ENOSPC
    assert desk.call("ftruncate", descriptor, *desk.wide(far, 1)) == -Errno.ENOSPC
    address = desk.put(bytes(8))
    assert desk.call("pread64", descriptor, address, 8, *desk.wide(far, 3)) == 0


@each
def test_vectors(arch: str) -> None:
    desk = Desk(arch)
    descriptor = desk.done("openat", HERE, "/tmp/v", O_CREAT | O_RDWR, 0o600)
    pieces = [desk.put(b"abc"), 3, desk.put(b""), 0, desk.put(b"defg"), 4]
    vector = desk.put(b"".join(desk.arch.pack(word) for word in pieces))
    assert desk.call("writev", descriptor, vector, 3) == 7
    assert desk.call("lseek", descriptor, 0, 0) == 0
    assert desk.call("readv", descriptor, vector, 3) == 7
    assert desk.call("readv", descriptor, vector, -1) == -Errno.EINVAL
    assert desk.call("writev", descriptor, vector, 1025) == -Errno.EINVAL
    assert desk.read_file("/tmp/v") == b"abcdefg"


@each
def test_flags_of_open(arch: str) -> None:
    desk, own = Desk(arch), OPEN[arch]
    desk.write_file("/tmp/a", b"1234")
    answers = {
        ("/tmp/a", O_CREAT | O_EXCL): -Errno.EEXIST, ("/tmp/none", 0): -Errno.ENOENT, ("/tmp", O_RDWR): -Errno.EISDIR,
        ("/tmp", O_CREAT): -Errno.EISDIR, ("/tmp/a/", 0): -Errno.ENOTDIR, ("/tmp/a/b", 0): -Errno.ENOTDIR,
        ("/tmp/a", own.directory): -Errno.ENOTDIR, ("/tmp/new/", O_CREAT): -Errno.EISDIR, ("", 0): -Errno.ENOENT,
        ("/tmp/" + "n" * 256, O_CREAT): -Errno.ENAMETOOLONG, ("/tmp/no/new", O_CREAT): -Errno.ENOENT,
        ("/" + "x/" * 2100, 0): -Errno.ENAMETOOLONG, ("/dev/tty", O_RDWR): -Errno.ENXIO,
        ("/proc/self/new", O_CREAT): -Errno.EPERM, ("/proc/self/cgroup", 0): -Errno.ENOENT,
        ("/proc/self/cmdline", O_RDWR): -Errno.EACCES, ("/tmp", 0x400000 | own.directory | O_RDWR): -Errno.EOPNOTSUPP,
    }
    assert {key: desk.call("openat", HERE, key[0], key[1], 0o644) for key in answers} == answers
    assert desk.call("openat", HERE, desk.put(b"x") + 0x100000, 0, 0) == -Errno.EFAULT
    assert desk.call("openat", 77, "a", 0, 0) == -Errno.EBADF
    assert desk.call("openat", 1, "a", 0, 0) == -Errno.ENOTDIR
    desk.done("close", desk.done("openat", HERE, "/tmp/a", O_TRUNC | O_WRONLY, 0))
    assert desk.read_file("/tmp/a") == b""
    folder = desk.done("openat", HERE, "/tmp", own.directory, 0)
    inside = desk.done("openat", folder, "a", O_PATH, 0)
    assert desk.call("read", inside, desk.put(b""), 1) == -Errno.EBADF
    assert desk.call("read", folder, desk.put(b""), 1) == -Errno.EISDIR
    assert desk.call("getdents64", inside, desk.put(bytes(64)), 64) == -Errno.ENOTDIR
    assert desk.call("getdents64", folder, desk.put(bytes(64)), 8) == -Errno.EINVAL


@each
def test_access_modes(arch: str) -> None:
    desk = Desk(arch)
    desk.write_file("/tmp/a", b"1234")
    reads, writes = (desk.done("openat", HERE, "/tmp/a", flags, 0) for flags in (0, O_WRONLY))
    assert desk.call("write", reads, "x", 1) == -Errno.EBADF
    assert desk.call("read", writes, desk.put(b""), 1) == -Errno.EBADF
    assert desk.call("ftruncate", reads, *desk.wide(0, 1)) == -Errno.EINVAL
    assert desk.call("faccessat", HERE, "/tmp/a", 1) == -Errno.EACCES
    assert [desk.call("faccessat2", HERE, path, 1, 0x200) for path in ("/tmp", "/bin/cat")] == [0, 0]
    assert desk.call("faccessat", HERE, "/tmp/a", 8) == -Errno.EINVAL


@each
def test_stat_tells_kind_size_times_and_links(arch: str) -> None:
    desk = Desk(arch)
    desk.kernel.clock.advance(7 * SECOND + 5)
    desk.done("umask", 0o027)
    desk.done("close", desk.done("openat", HERE, "/tmp/a", O_CREAT | O_WRONLY, 0o666))
    desk.write_file("/tmp/a", b"x" * 1000)
    row = stat(desk, "/tmp/a")
    assert (row["mode"], row["size"], row["nlink"], row["blocks"]) == (S_IFREG | 0o640, 1000, 1, 2)
    assert (row["mtime"], row["mtime_ns"]) == (EPOCH // SECOND + 7, 5)
    assert row["ino"] != stat(desk, "/tmp")["ino"]
    assert stat(desk, "/tmp")["mode"] == S_IFDIR | 0o1777
    assert stat(desk, "/bin/true")["ino"] == stat(desk, "/usr/bin/true")["ino"]
    extended = desk.struct(STATX, "statx", HERE, "/tmp/a", 0, 0x7FF)
    assert (extended["mode"], extended["size"], extended["ino"]) == (S_IFREG | 0o640, 1000, row["ino"])
    descriptor = desk.done("openat", HERE, "/tmp/a", 0, 0)
    assert desk.struct(STAT[arch], "fstat", descriptor) == row
    assert desk.struct(STAT[arch], "newfstatat", descriptor, "", after=(0x1000,)) == row


@each
def test_attributes_change(arch: str) -> None:
    desk = Desk(arch)
    desk.write_file("/tmp/a", b"")
    assert desk.call("fchmodat", HERE, "/tmp/a", 0o4751) == 0
    assert desk.call("fchownat", HERE, "/tmp/a", 5, -1, 0) == 0
    times = desk.put(TIMESPEC[arch].pack(sec=1, nsec=2) + TIMESPEC[arch].pack(sec=-3, nsec=4))
    assert desk.call("utimensat", HERE, "/tmp/a", times, 0) == 0
    row = stat(desk, "/tmp/a")
    assert (row["mode"] & 0o7777, row["uid"], row["gid"]) == (0o4751, 5, 0)
    assert [row[name] for name in ("atime", "atime_ns", "mtime", "mtime_ns")] == [1, 2, -3, 4]
    now = desk.put(TIMESPEC[arch].pack(nsec=0x3FFFFFFF) + TIMESPEC[arch].pack(nsec=0x3FFFFFFE))
    descriptor = desk.done("openat", HERE, "/tmp/a", 0, 0)
    assert desk.call("utimensat", descriptor, 0, now, 0) == 0
    row = stat(desk, "/tmp/a")
    assert [row["atime"], row["mtime"]] == [EPOCH // SECOND, -3]
    assert desk.call("fchmod", descriptor, 0o600) == 0
    assert desk.call("fchown", descriptor, 1, 2) == 0
    bad = desk.put(TIMESPEC[arch].pack(nsec=SECOND) + TIMESPEC[arch].pack())
    assert desk.call("utimensat", HERE, "/tmp/a", bad, 0) == -Errno.EINVAL
    if desk.arch.word == 4:
        far = desk.put(TIMESPEC64.pack(sec=1 << 33) * 2)
        assert desk.call("utimensat_time64", HERE, "/tmp/a", far, 0) == 0


@each
def test_folders_are_made_listed_and_removed(arch: str) -> None:
    desk = Desk(arch)
    for name in ("c", "a", "b\udcff", "\u00e4"):
        assert desk.call("mkdirat", HERE, f"/tmp/{name}", 0o755) == 0
    wanted = [".", "..", *sorted(["a", "b\udcff", "c", "\u00e4"])]
    assert names(desk, "/tmp") == wanted
    assert names(desk, "/tmp", 32) == wanted
    assert desk.call("mkdirat", HERE, "/tmp/a", 0o755) == -Errno.EEXIST
    assert desk.call("mkdirat", HERE, "/tmp/a/x/y", 0o755) == -Errno.ENOENT
    desk.write_file("/tmp/a/f", b"")
    remove = [("/tmp/a", 0, Errno.EISDIR), ("/tmp/a", AT_REMOVEDIR, Errno.ENOTEMPTY), ("/tmp/none", 0, Errno.ENOENT),
              ("/tmp/a/f", AT_REMOVEDIR, Errno.ENOTDIR), ("/tmp/c/.", AT_REMOVEDIR, Errno.EINVAL),
              ("/", AT_REMOVEDIR, Errno.EBUSY), ("/proc", AT_REMOVEDIR, Errno.EPERM)]
    assert [desk.call("unlinkat", HERE, path, flags) for path, flags, _ in remove] == [-errno for *_, errno in remove]
    assert [desk.call("unlinkat", HERE, "/tmp/a/f", 0), desk.call("unlinkat", HERE, "/tmp/a/", AT_REMOVEDIR)] == [0, 0]
    assert names(desk, "/tmp") == [name for name in wanted if name != "a"]


@each
def test_a_folder_that_is_emptied_while_it_is_listed(arch: str) -> None:
    desk = Desk(arch)
    for name in "abcdef":
        desk.write_file(f"/tmp/{name}", b"")
    descriptor, address = desk.done("openat", HERE, "/tmp", 0, 0), desk.put(bytes(256))
    assert desk.done("getdents64", descriptor, address, 80) == 72
    for name in "abcdef":
        assert desk.call("unlinkat", HERE, f"/tmp/{name}", 0) == 0
    assert desk.call("getdents64", descriptor, address, 256) == 0
    assert desk.call("lseek", descriptor, 0, 0) == 0
    assert desk.call("getdents64", descriptor, address, 256) == 48


@each
def test_the_working_directory(arch: str) -> None:
    desk = Desk(arch)
    address = desk.put(bytes(64))

    def where() -> bytes:
        return desk.get(address, desk.done("getcwd", address, 64))

    assert where() == b"/\0"
    desk.done("mkdirat", HERE, "/tmp/in", 0o755)
    assert desk.call("chdir", "tmp/in") == 0
    assert where() == b"/tmp/in\0"
    desk.write_file("file", b"x")
    assert desk.read_file("/tmp/in/file") == desk.read_file("../in/./file") == b"x"
    assert desk.call("getcwd", address, 4) == -Errno.ERANGE
    assert desk.call("chdir", "file") == -Errno.ENOTDIR
    folder = desk.done("openat", HERE, "/tmp", 0, 0)
    assert [desk.call("unlinkat", HERE, "file", 0), desk.call("unlinkat", folder, "in", AT_REMOVEDIR)] == [0, 0]
    assert desk.call("getcwd", address, 64) == -Errno.ENOENT
    assert desk.call("openat", HERE, "new", O_CREAT, 0) == -Errno.ENOENT
    assert desk.call("fchdir", folder) == 0
    assert where() == b"/tmp\0"


@each
def test_renaming(arch: str) -> None:
    desk = Desk(arch)
    desk.write_file("/tmp/a", b"A")
    desk.write_file("/tmp/b", b"B")
    for name in ("d", "e", "e/full"):
        desk.done("mkdirat", HERE, f"/tmp/{name}", 0o755)

    def rename(old: str, new: str, flags: int = 0) -> int | None:
        return desk.call("renameat2", HERE, f"/tmp/{old}", HERE, f"/tmp/{new}", flags)

    refused = [("a", "d", Errno.EISDIR), ("d", "a", Errno.ENOTDIR), ("d", "e", Errno.ENOTEMPTY),
               ("e", "e/full/in", Errno.EINVAL), ("none", "x", Errno.ENOENT), ("d/.", "x", Errno.EBUSY),
               ("a", "../proc/x", Errno.EPERM)]
    assert [rename(old, new) for old, new, _ in refused] == [-errno for *_, errno in refused]
    assert rename("a", "b", 1) == -Errno.EEXIST
    assert rename("a", "b", 2) == -Errno.EINVAL
    assert [rename("a", "b"), rename("b", "b"), rename("e", "d"), rename("d/full", "f")] == [0, 0, 0, 0]
    assert desk.read_file("/tmp/b") == b"A"
    assert names(desk, "/tmp") == [".", "..", "b", "d", "f"]
    assert desk.call("renameat", HERE, "/tmp/b", HERE, "/tmp/f/b") == 0
    assert desk.read_file("/tmp/d/../f/b") == b"A"


@each
def test_links(arch: str) -> None:
    desk, own = Desk(arch), OPEN[arch]
    desk.write_file("/tmp/a", b"A")
    assert desk.call("symlinkat", "a", HERE, "/tmp/soft") == 0
    assert desk.call("symlinkat", "/tmp/", HERE, "/tmp/up") == 0
    assert desk.call("symlinkat", "loop", HERE, "/tmp/loop") == 0
    assert desk.call("symlinkat", "new", HERE, "/tmp/dangling") == 0
    assert desk.call("symlinkat", "x", HERE, "/tmp/a") == -Errno.EEXIST
    assert desk.read_file("/tmp/up/up/soft") == b"A"
    assert stat(desk, "/tmp/soft")["mode"] == S_IFREG | 0o644
    assert stat(desk, "/tmp/soft", AT_SYMLINK_NOFOLLOW)["mode"] == S_IFLNK | 0o777
    assert desk.call("openat", HERE, "/tmp/soft", own.nofollow, 0) == -Errno.ELOOP
    assert desk.call("openat", HERE, "/tmp/loop", 0, 0) == -Errno.ELOOP
    assert desk.call("openat", HERE, "/tmp/dangling", O_CREAT | O_EXCL, 0) == -Errno.EEXIST
    desk.write_file("/tmp/dangling", b"N")
    assert desk.read_file("/tmp/new") == b"N"
    address = desk.put(bytes(16))
    assert desk.call("readlinkat", HERE, "/tmp/up", address, 3) == 3
    assert desk.get(address, 3) == b"/tm"
    assert desk.call("readlinkat", HERE, "/tmp/a", address, 3) == -Errno.EINVAL
    assert desk.call("linkat", HERE, "/tmp/soft", HERE, "/tmp/hard", AT_SYMLINK_FOLLOW) == 0
    assert stat(desk, "/tmp/a")["nlink"] == 2
    assert desk.call("unlinkat", HERE, "/tmp/a", 0) == 0
    assert desk.read_file("/tmp/hard") == b"A"
    assert desk.call("linkat", HERE, "/tmp", HERE, "/tmp/x", 0) == -Errno.EPERM
    assert desk.call("linkat", HERE, "/tmp/hard", HERE, "/tmp/x/", 0) == -Errno.ENOENT
    assert desk.call("symlinkat", "missing", HERE, "/tmp/nowhere") == 0
    assert desk.call("mkdirat", HERE, "/tmp/nowhere/", 0o755) == -Errno.EEXIST, "a name, not what it stands for"
    assert desk.call("unlinkat", HERE, "/tmp/up/", AT_REMOVEDIR) == desk.call("unlinkat", HERE, "/tmp/up/", 0) \
        == -Errno.ENOTDIR
    assert stat(desk, "/tmp/up/", AT_SYMLINK_NOFOLLOW)["mode"] == S_IFDIR | 0o1777, "a slash follows a link"


@each
def test_what_is_there_from_the_start(arch: str) -> None:
    desk = Desk(arch)
    assert desk.read_file("/etc/hosts").startswith(b"127.0.0.1")
    assert desk.read_file("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") == b"2097152\n"
    assert desk.read_file("/dev/null") == b""
    assert desk.read_file("/dev/zero", 9) == bytes(9)
    noise = desk.read_file("/dev/urandom", 16)
    assert noise != desk.read_file("/dev/urandom", 16)
    assert noise == Desk(arch).read_file("/dev/urandom", 16)
    full = desk.done("openat", HERE, "/dev/full", O_WRONLY, 0)
    assert desk.call("write", full, "x", 1) == -Errno.ENOSPC
    null = desk.done("openat", HERE, "/dev/null", O_RDWR, 0)
    assert desk.call("write", null, "xyz", 3) == 3
    desk.task.executable = "/tmp/program"
    address = desk.put(bytes(32))
    assert desk.call("readlinkat", HERE, "/proc/self/exe", address, 32) == 12
    assert desk.get(address, 12) == b"/tmp/program"
    assert names(desk, "/proc/self/fd")[2:] == ["0", "1", "2", str(full), str(null), str(null + 1)]
    desk.write_file("/dev/stdout", b"out", O_WRONLY)
    assert bytes(desk.kernel.output[1]) == b"out"


@each
@pytest.mark.parametrize(
    ("path", "at"),
    [("prog", "/prog"), ("./a/prog", "/a/prog"), ("../../prog", "/prog"), ("//b/prog", "/b/prog"),
     ("c\\prog", "/c/prog")],
)
def test_a_program_is_where_its_path_leads(arch: str, path: str, at: str) -> None:
    desk = Desk(arch)
    place(desk.task, path, b"code")
    assert desk.read_file("/proc/self/exe") == desk.read_file(at) == b"code"
    assert desk.task.executable == at
    assert desk.kernel.tree.used == 0


@each
def test_room_is_bounded_and_comes_back(arch: str) -> None:
    desk = Desk(arch)
    tree = desk.kernel.tree
    tree.room = 100_000
    descriptor = desk.done("openat", HERE, "/tmp/a", O_CREAT | O_RDWR, 0o600)
    assert desk.call("write", descriptor, bytes(60_000), 60_000) == 60_000
    assert desk.call("write", descriptor, bytes(60_000), 60_000) == -Errno.ENOSPC
    for number in range(100):
        result = desk.call("openat", HERE, f"/tmp/{number}", O_CREAT, 0)
        if result == -Errno.ENOSPC:
            break
        desk.done("close", result or 0)
    assert 30 < number < 40
    assert desk.call("mkdirat", HERE, "/tmp/d", 0) == desk.call("symlinkat", "x", HERE, "/tmp/s") == -Errno.ENOSPC
    for one in range(number):
        desk.done("unlinkat", HERE, f"/tmp/{one}", 0)
    desk.done("unlinkat", HERE, "/tmp/a", 0)
    assert tree.used > 60_000, "an open file keeps its room"
    assert desk.call("pread64", descriptor, desk.put(b"  "), 2, *desk.wide(0, 3)) == 2
    desk.done("close", descriptor)
    assert tree.used == 0


@each
def test_copy_file_range(arch: str) -> None:
    desk = Desk(arch)
    desk.write_file("/tmp/a", b"0123456789")
    source = desk.done("openat", HERE, "/tmp/a", 0, 0)
    target = desk.done("openat", HERE, "/tmp/b", O_CREAT | O_RDWR, 0o600)
    offset = desk.put((4).to_bytes(8, "little"))
    assert desk.call("copy_file_range", source, offset, target, 0, 3, 0) == 3
    assert desk.call("copy_file_range", source, 0, target, 0, 100, 0) == 10
    assert desk.get(offset, 8) == (7).to_bytes(8, "little")
    assert desk.read_file("/tmp/b") == b"4560123456789"
    back, front = (desk.put(at.to_bytes(8, "little")) for at in (0, 5))
    assert desk.call("copy_file_range", target, back, target, front, 6, 0) == -Errno.EINVAL, "they overlap"
    assert desk.call("copy_file_range", target, back, target, front, 5, 0) == 5
    assert desk.call("copy_file_range", 0, 0, target, 0, 100, 0) == -Errno.EINVAL
    assert desk.call("splice", source, 0, target, 0, 100, 0) == -Errno.EINVAL


# the host


_OUTSIDE = (
    "/etc/shadow", "/proc/1/environ", "/proc/cpuinfo", "/proc/self/environ", "/proc/self/root/etc/shadow", "/dev/sda",
    "/dev/mem", "/tmp/../../../../etc/shadow", "/proc/self/cwd/../etc/shadow", "/proc/self/fd/../../1/environ",
    "/tmp/link/etc/shadow", __file__, os.devnull + "/../sda", "//etc//shadow", "/sys/class", "/run", "CON", "C:\\",
)


@each
@pytest.mark.parametrize("path", _OUTSIDE)
def test_no_path_leads_to_the_host(arch: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(arch)
    desk.done("symlinkat", "/proc/self/root", HERE, "/tmp/link")
    desk.done("symlinkat", "../" * 30, HERE, "/tmp/top")

    def touched(*arguments: Any, **_named: Any) -> Any:
        raise AssertionError(f"the host was asked for {arguments}")

    for name in ("open", "stat", "lstat", "scandir", "listdir", "readlink", "access"):
        monkeypatch.setattr(os, name, touched)
    monkeypatch.setattr(builtins, "open", touched)
    monkeypatch.setattr(Path, "open", touched)
    for start in ("", "/tmp/top/" if path.startswith("/") else ""):
        assert desk.call("openat", HERE, start + path, 0, 0) in (-Errno.ENOENT, -Errno.ENOTDIR)
        assert desk.call("newfstatat", HERE, start + path, desk.put(bytes(256)), 0) in (-Errno.ENOENT, -Errno.ENOTDIR)
        assert desk.call("execve", start + path, 0, 0) in (-Errno.ENOENT, -Errno.ENOTDIR)
    assert stat(desk, "/tmp/top/..")["ino"] == stat(desk, "/")["ino"]
