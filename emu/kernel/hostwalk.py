"""The host's side of a folder that guests see: asked by names, read only, never left.

Every path is walked name by name from the folder that was given, through descriptors and along no link. Of devices,
sockets and FIFOs, and of file systems that are no one's files (proc, sysfs, …), nothing is there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from arch.linux import Errno
from emu.kernel.errors import Refused

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_NOBODYS = frozenset(
    "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nfsd nsfs"
    " proc pstore rpc_pipefs securityfs selinuxfs sysfs tracefs".split()
)
_GONE: frozenset[int | None] = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
_ERRORS = {
    **{number: Errno.ENOENT for number in _GONE if number}, errno.EPERM: Errno.EACCES, errno.EACCES: Errno.EACCES,
    errno.EMFILE: Errno.ENFILE, errno.ENFILE: Errno.ENFILE,
}


class Handle:
    """A descriptor of the host's, closed when nobody has it any more."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        close(self.number)


class Mount:
    """A folder of the host's; paths below it are tuples of names. Raises OSError if it is none, or not to be read."""

    def __init__(self, path: str) -> None:
        self._root = Handle(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        self._known: dict[int, bool] = {}
        if not self._shown(os.fstat(self._root.number)):
            raise OSError(errno.EPERM, "its file system holds nobody's files", path)

    def told(self, folder: tuple[str, ...] = (), name: str = ".") -> os.stat_result | None:
        """What the host tells of a name in a folder, None if there is nothing that guests may see. Raises Refused."""
        try:
            with self._folder(folder) as number:
                return self._told(number, name)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise refused(error) from None

    def listed(self, folder: tuple[str, ...]) -> dict[str, os.stat_result]:
        """What a folder holds that guests may see; empty if it has gone. Raises Refused."""
        found = {}
        try:
            with self._folder(folder) as number:
                for name in _names(number):
                    told = self._told(number, name)
                    if told is not None:
                        found[name] = told
        except OSError as error:
            if error.errno not in _GONE:
                raise refused(error) from None
        return found

    def target(self, folder: tuple[str, ...], name: str) -> str:
        """Where a link leads. Raises Refused."""
        try:
            with self._folder(folder) as number:
                return os.readlink(_bytes(name), dir_fd=number).decode("utf-8", "surrogateescape")
        except OSError as error:
            raise refused(error) from None

    def opened(self, folder: tuple[str, ...], name: str) -> Handle:
        """A file, to be read. Raises Refused.

        The name is opened as a mere path first, so that nothing but a file is ever opened for reading, whatever the
        name stands for by then.
        """
        try:
            with self._folder(folder) as number:
                path = Handle(os.open(_bytes(name), _PATH, dir_fd=number))
            told = os.fstat(path.number)
            if not stat.S_ISREG(told.st_mode) or not self._shown(told):
                raise Refused(Errno.ENOENT)
            return Handle(_again(path.number))
        except OSError as error:
            raise refused(error) from None

    @contextmanager
    def _folder(self, names: tuple[str, ...]) -> Iterator[int]:
        at = self._root
        for name in names:
            at = Handle(os.open(_bytes(name), _PATH | os.O_DIRECTORY, dir_fd=at.number))
            if not self._shown(os.fstat(at.number)):
                raise FileNotFoundError(errno.ENOENT, "not shown")
        yield at.number

    def _told(self, folder: int, name: str) -> os.stat_result | None:
        try:
            told = os.fstat(folder) if name == "." else os.stat(_bytes(name), dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
        return told if any(is_kind(told.st_mode) for is_kind in kinds) and self._shown(told) else None

    def _shown(self, told: os.stat_result) -> bool:
        """Whether a file system may be looked at."""
        device = told.st_dev
        if device not in self._known:
            self._known[device] = device not in _hidden()
        return self._known[device]


def _bytes(name: str) -> bytes:
    """A name for the host, which is a single name and leads down."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise FileNotFoundError(errno.ENOENT, "no name", name)
    return name.encode("utf-8", "surrogateescape")


def _names(folder: int) -> list[str]:
    number = os.open(b".", _READ | os.O_DIRECTORY, dir_fd=folder)
    try:
        return [os.fsencode(name).decode("utf-8", "surrogateescape") for name in os.listdir(number)]
    finally:
        os.close(number)


def _again(number: int) -> int:
    """A file that is known as a path only, opened to be read; the host need not note when, if it lets us ask that."""
    path = f"/proc/self/fd/{number}"
    try:
        return os.open(path, _READ | os.O_NOATIME)
    except PermissionError:
        return os.open(path, _READ)


def _hidden() -> set[int]:
    """The devices of file systems that guests never see."""
    found = set()
    top = os.stat("/").st_dev
    for path in ("/dev", "/proc", "/sys"):
        try:
            found.add(os.stat(path).st_dev)
        except OSError:
            continue
    found.discard(top)
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:  # proc(5): the third word is major:minor, the first behind " - " the type
                before, _, behind = line.partition(" - ")
                if behind.split(" ", 1)[0] in _NOBODYS:
                    major, _, minor = before.split(" ")[2].partition(":")
                    found.add(os.makedev(int(major), int(minor)))
    except OSError:
        pass  # a host without it: what was found by name is all
    return found


def refused(error: OSError) -> Refused:
    """What a guest is told of the host's error."""
    return Refused(_ERRORS.get(error.errno or 0, Errno.EIO))
