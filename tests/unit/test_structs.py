"""Structure layouts against what Go's own declarations add up to, and against the host's headers by way of ctypes."""

from __future__ import annotations

import ctypes

import pytest

from arch import structs
from arch.structs import Layout

SIZES = {  # 386, amd64, arm
    "STAT": (96, 144, 104), "EPOLL_EVENT": (12, 12, 16), "TIMESPEC": (8, 16, 8), "TIMEVAL": (8, 16, 8),
    "IOVEC": (8, 16, 8), "RLIMIT": (8, 16, 8), "RUSAGE": (72, 144, 72), "SIGINFO_CHILD": (128, 128, 128),
    "SYSINFO": (64, 112, 64),
}
OFFSETS = [
    ("STAT", "386", {"mode": 16, "rdev": 32, "size": 44, "blksize": 52, "blocks": 56, "mtime": 72, "ino": 88}),
    ("STAT", "amd64", {"ino": 8, "mode": 24, "rdev": 40, "size": 48, "atime": 72, "mtime": 88, "ctime": 104}),
    ("STAT", "arm", {"mode": 16, "rdev": 32, "size": 48, "blksize": 56, "blocks": 64, "mtime": 80, "ino": 96}),
    ("EPOLL_EVENT", "386", {"data": 4}), ("EPOLL_EVENT", "arm", {"data": 8}),
    ("SIGINFO_CHILD", "386", {"pid": 12, "status": 20}), ("SIGINFO_CHILD", "amd64", {"pid": 16, "status": 24}),
]


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name: str) -> None:
    rows: dict[str, Layout] = getattr(structs, name)
    assert tuple(rows[arch].size for arch in ("386", "amd64", "arm")) == SIZES[name]


@pytest.mark.parametrize(("name", "arch", "offsets"), OFFSETS)
def test_offsets(name: str, arch: str, offsets: dict[str, int]) -> None:
    fields = getattr(structs, name)[arch].fields
    assert {field: fields[field][0] for field in offsets} == offsets


def test_statx_is_as_the_manual_says() -> None:
    offsets = {name: offset for name, (offset, _, _) in structs.STATX.fields.items()}
    wanted = {"mode": 28, "ino": 32, "size": 40, "atime": 64, "btime": 80, "ctime": 96, "mtime": 112, "dev_minor": 140}
    assert {name: offsets[name] for name in wanted} == wanted
    assert structs.STATX.size == 256


def test_a_field_keeps_its_sign_and_is_cut_to_its_size() -> None:
    one = structs.layout("a:i32 _:4 b:u64", 24)
    data = one.pack(a=-2, b=1 << 64)
    assert (len(data), one.unpack(data)) == (24, {"a": -2, "b": 0})
    with pytest.raises(KeyError):
        one.pack(c=1)


def test_dirent_and_poll_are_as_c_lays_them_out() -> None:
    class Dirent(ctypes.LittleEndianStructure):
        _fields_ = (("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_uint16),
                    ("type", ctypes.c_uint8), ("name", ctypes.c_char * 256))

    class Poll(ctypes.LittleEndianStructure):
        _fields_ = (("fd", ctypes.c_int32), ("events", ctypes.c_int16), ("revents", ctypes.c_int16))

    for ours, its in ((structs.DIRENT, Dirent), (structs.POLL, Poll)):
        assert {name: offset for name, (offset, _, _) in ours.fields.items()} == {
            name: getattr(its, name).offset for name in ours.fields
        }
    assert structs.DIRENT.size == Dirent.name.offset
