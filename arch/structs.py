"""What the kernel and a program exchange in memory: the structures of Linux, field by field, per architecture.

Sources: Go's syscall/ztypes_linux_*.go and internal/runtime/syscall/linux, the kernel's uapi headers (stat.h, epoll.h,
uio.h, poll.h, resource.h, utsname.h) and the manual pages getdents64(2), statx(2), waitid(2).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_BYTES = {"i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "u64": 8}


class Layout(NamedTuple):
    """A structure: ``size`` bytes; ``fields``: name -> (offset, bytes, signed). What lies between them is padding."""

    size: int
    fields: Mapping[str, tuple[int, int, bool]]

    def pack(self, **values: int) -> bytes:
        """The structure with these fields, each modulo its size, and zeros elsewhere."""
        data = bytearray(self.size)
        for name, value in values.items():
            offset, size, _ = self.fields[name]
            data[offset : offset + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
        return bytes(data)

    def unpack(self, data: bytes) -> dict[str, int]:
        """All fields of a structure that begins ``data``."""
        return {
            name: int.from_bytes(data[offset : offset + size], "little", signed=signed)
            for name, (offset, size, signed) in self.fields.items()
        }


def layout(text: str, size: int | None = None) -> Layout:
    """A layout from ``name:type`` words in order; ``_:N`` skips N bytes. ``size``: of the whole, if more follows."""
    fields: dict[str, tuple[int, int, bool]] = {}
    offset = 0
    for word in text.split():
        name, kind = word.split(":")
        if name == "_":
            offset += int(kind)
            continue
        fields[name] = (offset, _BYTES[kind], kind.startswith("i"))
        offset += _BYTES[kind]
    return Layout(offset if size is None else size, MappingProxyType(fields))


_TIMES = "atime:i{w} atime_ns:i{w} mtime:i{w} mtime_ns:i{w} ctime:i{w} ctime_ns:i{w}"

# stat64 on 386 and arm. ``short_ino``: the inode number's low word, where old programs look for it.
STAT: Mapping[str, Layout] = {
    "386": layout(
        "dev:u64 _:4 short_ino:u32 mode:u32 nlink:u32 uid:u32 gid:u32 rdev:u64 _:4 size:i64 blksize:u32 blocks:u64 "
        + _TIMES.format(w=32) + " ino:u64"
    ),
    "amd64": layout(
        "dev:u64 ino:u64 nlink:u64 mode:u32 uid:u32 gid:u32 _:4 rdev:u64 size:i64 blksize:i64 blocks:i64 "
        + _TIMES.format(w=64), 144
    ),
    "arm": layout(
        "dev:u64 _:4 short_ino:u32 mode:u32 nlink:u32 uid:u32 gid:u32 rdev:u64 _:8 size:i64 blksize:u32 _:4 blocks:u64 "
        + _TIMES.format(w=32) + " ino:u64"
    ),
}

STATX = layout(
    "mask:u32 blksize:u32 _:8 nlink:u32 uid:u32 gid:u32 mode:u16 _:2 ino:u64 size:u64 blocks:u64 _:8 "
    "atime:i64 atime_ns:u32 _:4 btime:i64 btime_ns:u32 _:4 ctime:i64 ctime_ns:u32 _:4 mtime:i64 mtime_ns:u32 _:4 "
    "rdev_major:u32 rdev_minor:u32 dev_major:u32 dev_minor:u32", 256
)

DIRENT = layout("ino:u64 off:i64 reclen:u16 type:u8")  # the name follows; the next entry is at a multiple of 8
DIRENT_ALIGNMENT = 8

# ``data`` is the program's own.
EPOLL_EVENT: Mapping[str, Layout] = {
    "386": layout("events:u32 data:u64"),
    "amd64": layout("events:u32 data:u64"),
    "arm": layout("events:u32 _:4 data:u64"),
}

POLL = layout("fd:i32 events:i16 revents:i16")

_LONGS = {"386": 32, "amd64": 64, "arm": 32}


def _per_word(text: str) -> Mapping[str, Layout]:
    """The layout on each architecture, where ``{w}`` in the text stands for the bits of C's long."""
    return {arch: layout(text.format(w=bits)) for arch, bits in _LONGS.items()}


TIMESPEC = _per_word("sec:i{w} nsec:i{w}")
TIMESPEC64 = layout("sec:i64 nsec:i64")  # what the calls with time64 in their names take, and statx aside all new ones
TIMEVAL = _per_word("sec:i{w} usec:i{w}")
IOVEC = _per_word("base:u{w} len:u{w}")
RLIMIT = _per_word("cur:u{w} max:u{w}")
RLIMIT64 = layout("cur:u64 max:u64")
RUSAGE = _per_word(
    "utime:i{w} utime_us:i{w} stime:i{w} stime_us:i{w} maxrss:i{w} "
    + " ".join(f"unused{n}:i{{w}}" for n in range(13))
)

# flock64 on 386 and arm.
FLOCK: Mapping[str, Layout] = {
    "386": layout("type:i16 whence:i16 start:i64 len:i64 pid:i32"),
    "amd64": layout("type:i16 whence:i16 _:4 start:i64 len:i64 pid:i32 _:4"),
    "arm": layout("type:i16 whence:i16 _:4 start:i64 len:i64 pid:i32 _:4"),
}

_STATFS = (
    "type:u{w} bsize:u{w} blocks:u64 bfree:u64 bavail:u64 files:u64 ffree:u64 fsid:u64 namelen:u{w} frsize:u{w} "
    "flags:u{w} _:{spare}"
)
# statfs64 on 386 and arm.
STATFS: Mapping[str, Layout] = {
    arch: layout(_STATFS.format(w=bits, spare=bits // 2)) for arch, bits in _LONGS.items()
}
TMS = _per_word("utime:i{w} stime:i{w} cutime:i{w} cstime:i{w}")

# siginfo_t as waitid and SIGCHLD fill it.
SIGINFO_CHILD: Mapping[str, Layout] = {
    arch: layout(f"signo:i32 errno:i32 code:i32 {pad} pid:i32 uid:u32 status:i32", 128)
    for arch, pad in {"386": "", "amd64": "_:4", "arm": ""}.items()
}

_SYSINFO = (
    "uptime:i{w} load1:u{w} load5:u{w} load15:u{w} totalram:u{w} freeram:u{w} sharedram:u{w} bufferram:u{w} "
    "totalswap:u{w} freeswap:u{w} procs:u16 _:{pad} totalhigh:u{w} freehigh:u{w} unit:u32"
)
SYSINFO: Mapping[str, Layout] = {
    "386": layout(_SYSINFO.format(w=32, pad=2), 64),
    "amd64": layout(_SYSINFO.format(w=64, pad=6), 112),
    "arm": layout(_SYSINFO.format(w=32, pad=2), 64),
}

UTSNAME_FIELD = 65  # bytes of each of utsname's six texts, the NUL included
