"""What the file tree of a world holds when it begins: devices, a few texts, the virtual programs, room for files."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from arch.linux import Errno
from arch.sockets import SOMAXCONN
from emu.kernel.errors import Refused
from emu.kernel.files import Node, Stream
from emu.kernel.nodes import Device, Directory, Generated, Link, Listing, Member, Program, Regular
from emu.kernel.opened import Full, Noise, Null, Zero
from emu.kernel.programs import PROGRAMS
from emu.kernel.virtual import Tree

if TYPE_CHECKING:
    from emu.kernel.kernel import Kernel
    from emu.kernel.table import Task

_TEXTS = {
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/hostname": "localhost\n",
    "/etc/resolv.conf": "nameserver 127.0.0.1\n",
    "/etc/services": "domain 53/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n",
    "/etc/protocols": "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size": "2097152\n",
}
_SHARED, _PRIVATE = 0o1777, 0o700  # of folders: anyone may add to it; its owner's


def _none(_status: int, _node: Node) -> Stream:
    raise Refused(Errno.ENXIO)


def furnish(kernel: Kernel) -> Tree:
    """A new tree."""
    tree = Tree(lambda: kernel.clock.real)
    for path, mode in (("/tmp", _SHARED), ("/var/tmp", _SHARED), ("/root", _PRIVATE), ("/home", 0o755)):
        tree.install(path, Directory(tree, mode))
    for path, text in _TEXTS.items():
        tree.install(path, Regular(tree, 0o644, text.encode()))
    devices: dict[str, tuple[int, Callable[[int, Node], Stream]]] = {
        "null": (0x103, Null), "zero": (0x105, Zero), "full": (0x107, Full), "tty": (0x500, _none),
        "random": (0x108, partial(Noise, kernel.random)), "urandom": (0x109, partial(Noise, kernel.random)),
    }
    for name, (number, opens) in devices.items():
        tree.install(f"/dev/{name}", Device(tree, number, opens))
    for name, main in PROGRAMS.items():
        program = tree.install(f"/bin/{name}", Program(tree, main))
        tree.install(f"/usr/bin/{name}", program)
        program.links = 2
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        tree.install(f"/dev/{name}", Link(tree, f"/proc/self/fd/{number}"))
    tree.install("/dev/fd", Link(tree, "/proc/self/fd"))
    _proc(tree)
    return tree


def place(task: Task, path: str, data: bytes) -> Regular:
    """Put the program that a process runs where its own path leads from its folder, as /proc/self/exe will say.

    Returns its file, which may be there already, in a folder that was given to the guests.
    """
    tree = task.kernel.tree
    folder = tree.path(task.folder or tree.root)
    task.executable = "/" + posixpath.normpath(posixpath.join(folder, path.replace("\\", "/"))).lstrip("/")
    try:
        there = tree.resolve(task, task.executable, tree.root).node
    except Refused:
        there = None
    if not isinstance(there, Regular):
        there = Regular(tree, 0o755, data)
        tree.install(task.executable, there)
    return there


def _proc(tree: Tree) -> None:
    own = Listing(tree, 0o555)
    for name, node in {
        "exe": Link(tree, lambda task: task.executable),
        "cwd": Link(tree, lambda task: tree.path(task.folder or tree.root)),
        "cmdline": Generated(tree, lambda task: b"".join(text.encode() + b"\0" for text in _argv(task))),
        "fd": OpenOnes(tree, own),
    }.items():
        own.hold(name, node)
    top = Listing(tree, 0o555)
    top.hold("self", own)
    top.hold("sys", Directory(tree, 0o755, top))
    tree.install("/proc", top)
    tree.install("/proc/sys/net/core/somaxconn", Regular(tree, 0o444, f"{SOMAXCONN}\n".encode()))


def _argv(task: Task) -> tuple[str, ...]:
    return task.image.argv if task.image is not None else ()


class OpenOnes(Listing):
    """/proc/self/fd: the descriptors of whoever looks."""

    def __init__(self, tree: Tree, parent: Directory) -> None:
        super().__init__(tree, 0o500, parent)

    def names(self, task: Task) -> list[str]:
        return [str(number) for number in sorted(task.files.slots)]

    def find(self, name: str, task: Task) -> Member | None:
        slot = task.files.slots.get(int(name)) if name.isdecimal() and name.isascii() else None
        return Again(self.tree, slot.stream) if slot is not None else None


class Again(Member):
    """An open file under a path: opening it gives the same one, its position included."""

    def __init__(self, tree: Tree, stream: Stream) -> None:
        super().__init__(tree, stream.node.mode, stream.node.device)
        self._stream = stream

    def open(self, task: Task, status: int) -> Stream:  # noqa: ARG002
        return self._stream
