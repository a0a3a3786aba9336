"""The structures of sendmsg and recvmsg: pieces of memory, an address, and what travels beside the bytes.

Sources: sendmsg(2), recvmsg(2), cmsg(3), unix(7).
"""

from __future__ import annotations

from typing import NamedTuple

from arch.linux import Errno
from arch.sockets import (
    CMSG,
    MSG_CTRUNC,
    MSGHDR,
    SCM_CREDENTIALS,
    SCM_MAX_FD,
    SCM_RIGHTS,
    SO_PASSCRED,
    SOCKADDR_STORAGE,
    SOL_SOCKET,
    UCRED,
)
from emu.kernel import memory
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.memory import c_int
from emu.kernel.sockets.inbox import NOBODY, Credentials, Received
from emu.kernel.sockets.socket import Socket
from emu.kernel.table import Thread

_MOST_CONTROL = 20480  # bytes


class Header(NamedTuple):
    """A msghdr: where the name and the control messages are, and how many bytes there are of them; the pieces."""

    address: int
    name: int
    name_size: int
    vector: int
    pieces: int
    control: int
    control_size: int

    @staticmethod
    def load(thread: Thread, address: int) -> Header:
        layout = MSGHDR[thread.kernel.arch.name]
        row = layout.unpack(memory.load(thread, address, layout.size))
        size = c_int(row["namelen"])
        if size < 0:
            raise Refused(Errno.EINVAL)
        name_size = min(size, SOCKADDR_STORAGE) if row["name"] else 0
        return Header(
            address, row["name"], name_size, row["iov"], row["iovlen"], row["control"], row["controllen"]
        )

    def answer(self, thread: Thread, **fields: int) -> None:
        """Store fields of it."""
        layout = MSGHDR[thread.kernel.arch.name]
        for name, value in fields.items():
            offset, size, _ = layout.fields[name]
            memory.store(thread, self.address + offset, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))


def sent(thread: Thread, header: Header) -> tuple[tuple[Stream, ...], Credentials | None]:
    """The open files and the credentials that control messages name. Raises Refused."""
    rights: tuple[Stream, ...] = ()
    credentials = None
    if header.control_size > _MOST_CONTROL:
        raise Refused(Errno.ENOBUFS)
    data = memory.load(thread, header.control, header.control_size) if header.control_size else b""
    layout, word = CMSG[thread.kernel.arch.name], thread.kernel.arch.word
    while len(data) >= layout.size:
        row = layout.unpack(data)
        if not layout.size <= row["len"] <= len(data):
            raise Refused(Errno.EINVAL)
        body = data[layout.size : row["len"]]
        if row["level"] == SOL_SOCKET and row["type"] == SCM_RIGHTS:
            rights += _files(thread, body)
        elif row["level"] == SOL_SOCKET and row["type"] == SCM_CREDENTIALS:
            credentials = _credentials(thread, body)
        else:
            raise Refused(Errno.EINVAL)
        data = data[-(-row["len"] // word) * word :]
    if len(rights) > SCM_MAX_FD:
        raise Refused(Errno.EINVAL)
    return rights, credentials


def _files(thread: Thread, body: bytes) -> tuple[Stream, ...]:
    numbers = [int.from_bytes(body[at : at + 4], "little", signed=True) for at in range(0, len(body) // 4 * 4, 4)]
    return tuple(thread.task.files.stream(number) for number in numbers)


def _credentials(thread: Thread, body: bytes) -> Credentials:
    if len(body) != UCRED.size:
        raise Refused(Errno.EINVAL)
    row = UCRED.unpack(body)
    if row["pid"] != thread.pid and row["pid"] not in thread.kernel.tasks:
        raise Refused(Errno.ESRCH)
    return Credentials(row["pid"], row["uid"], row["gid"])


def received(thread: Thread, socket: Socket, header: Header, got: Received, closing: bool) -> int:
    """Store what came beside the bytes; the flags that say whether there was room for it.

    ``closing``: whether execve closes the new descriptors. What there is no room for is closed.
    """
    room, data, flags = header.control_size, b"", 0
    if socket.options.get(SOL_SOCKET, SO_PASSCRED):
        who = got.credentials or NOBODY
        body = UCRED.pack(pid=who.pid, uid=who.owner, gid=who.group)
        data, flags = _added(thread, data, room, SCM_CREDENTIALS, body)
    if got.rights:
        fits = max(0, room - len(data) - CMSG[thread.kernel.arch.name].size) // 4
        numbers = _opened(thread, got.rights[:fits], closing)
        if numbers:
            data, _ = _added(thread, data, room, SCM_RIGHTS, b"".join(n.to_bytes(4, "little") for n in numbers))
        if len(numbers) < len(got.rights):
            flags |= MSG_CTRUNC
    memory.store(thread, header.control, data)
    header.answer(thread, controllen=len(data))
    return flags


def _opened(thread: Thread, rights: tuple[Stream, ...], closing: bool) -> list[int]:
    numbers: list[int] = []
    for stream in rights:
        try:
            numbers.append(thread.task.files.open(stream, closing))
        except Refused:
            break
    return numbers


def _added(thread: Thread, data: bytes, room: int, kind: int, body: bytes) -> tuple[bytes, int]:
    """Control messages with one more, and the flag that says it is cut if there is no room."""
    layout, word = CMSG[thread.kernel.arch.name], thread.kernel.arch.word
    size = layout.size + len(body)
    if len(data) + size > room:
        return data, MSG_CTRUNC
    head = layout.pack(len=size, level=SOL_SOCKET, type=kind)
    return (data + (head + body).ljust(-(-size // word) * word, b"\0"))[:room], 0
