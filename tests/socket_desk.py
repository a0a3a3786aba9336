"""System calls on sockets made from Python: addresses, messages, and the three architectures' ways to ask."""

from __future__ import annotations

from kernel_desk import Desk

from arch.sockets import AF_INET, AF_INET6, AF_UNIX, CMSG, MSGHDR, SOCK_NONBLOCK, SOCKETCALL, SOL_SOCKET
from arch.structs import IOVEC

HOME, HOME6 = bytes((127, 0, 0, 1)), bytes(15) + b"\1"
NUMBERS = {name: number for number, (name, _) in SOCKETCALL.items()}


def inet(port: int, host: bytes = HOME) -> bytes:
    return AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + host + bytes(8)


def inet6(port: int, host: bytes = HOME6) -> bytes:
    return AF_INET6.to_bytes(2, "little") + port.to_bytes(2, "big") + bytes(4) + host + bytes(4)


def unix(name: bytes) -> bytes:
    return AF_UNIX.to_bytes(2, "little") + name


class Sockets(Desk):
    """A desk that asks as Go does: on 386 all calls go through socketcall."""

    def ask(self, name: str, *arguments: int | str | bytes) -> int | None:
        if self.arch.name != "386":
            return self.call(name, *arguments)
        words = [self._word(argument) for argument in arguments]
        return self.call("socketcall", NUMBERS[name], b"".join(word.to_bytes(4, "little") for word in words))

    def must(self, name: str, *arguments: int | str | bytes) -> int:
        result = self.ask(name, *arguments)
        assert result is not None
        assert result >= 0, (name, arguments, result)
        return result

    # addresses

    def bind(self, descriptor: int, address: bytes) -> int | None:
        return self.ask("bind", descriptor, address, len(address))

    def connect(self, descriptor: int, address: bytes) -> int | None:
        return self.ask("connect", descriptor, address, len(address))

    def named(self, call: str, descriptor: int, room: int = 128) -> bytes:
        """The address that getsockname or getpeername tells."""
        at, size = self.put(bytes(128)), self.put(room.to_bytes(4, "little"))
        self.must(call, descriptor, at, size)
        return self.get(at, int.from_bytes(self.get(size, 4), "little"))

    def listener(self, family: int, kind: int, address: bytes, backlog: int = 8) -> tuple[int, bytes]:
        """A socket that listens, and where; it does not wait."""
        made = self.must("socket", family, kind | SOCK_NONBLOCK, 0)
        assert self.bind(made, address) == 0
        self.must("listen", made, backlog)
        return made, self.named("getsockname", made)

    def accept(self, descriptor: int, flags: int = SOCK_NONBLOCK) -> int | None:
        return self.ask("accept4", descriptor, 0, 0, flags)

    def connection(self, family: int, kind: int, address: bytes) -> tuple[int, int]:
        """Who connected, and who was accepted; neither waits."""
        listens, where = self.listener(family, kind, address)
        client = self.must("socket", family, kind | SOCK_NONBLOCK, 0)
        assert self.connect(client, where) == 0
        server = self.accept(listens)
        assert server is not None
        assert server >= 0
        self.done("close", listens)
        return client, server

    def pair(self, kind: int) -> tuple[int, int]:
        at = self.put(bytes(8))
        self.must("socketpair", AF_UNIX, kind, 0, at)
        data = self.get(at, 8)
        return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")

    # options

    def option(self, descriptor: int, level: int, option: int) -> int:
        at, size = self.put(bytes(4)), self.put((4).to_bytes(4, "little"))
        self.must("getsockopt", descriptor, level, option, at, size)
        return int.from_bytes(self.get(at, 4), "little")

    def set_option(self, descriptor: int, level: int, option: int, value: int) -> int | None:
        return self.ask("setsockopt", descriptor, level, option, value.to_bytes(4, "little"), 4)

    # messages

    def send(self, descriptor: int, data: bytes, flags: int = 0) -> int | None:
        return self.ask("sendto", descriptor, data, len(data), flags, 0, 0)

    def receive(self, descriptor: int, size: int = 4096, flags: int = 0) -> bytes | int | None:
        """The bytes, a negative error number, or None while it waits."""
        at = self.put(bytes(min(size, 0x8000)))
        found = self.ask("recvfrom", descriptor, at, size, flags, 0, 0)
        return found if found is None or found < 0 else self.get(at, min(found, size))

    def header(self, pieces: list[tuple[int, int]], control: int = 0, control_size: int = 0) -> int:
        """A msghdr of pieces of memory."""
        layout = IOVEC[self.arch.name]
        vector = self.put(b"".join(layout.pack(base=at, len=size) for at, size in pieces))
        return self.put(MSGHDR[self.arch.name].pack(
            iov=vector, iovlen=len(pieces), control=control, controllen=control_size
        ))  # fmt: skip

    def send_files(self, descriptor: int, data: bytes, *files: int) -> int | None:
        body = b"".join(one.to_bytes(4, "little", signed=True) for one in files)
        control = CMSG[self.arch.name].pack(len=CMSG[self.arch.name].size + len(body), level=SOL_SOCKET, type=1) + body
        header = self.header([(self.put(data), len(data))], self.put(control), len(control))
        return self.ask("sendmsg", descriptor, header, 0)

    def receive_files(self, descriptor: int, room: int = 64, flags: int = 0) -> tuple[bytes, list[int], int]:
        """The bytes, the new descriptors, and the flags that are told."""
        at, control = self.put(bytes(64)), self.put(bytes(64))
        header = self.header([(at, 1), (at + 1, 63)], control, room)
        count = self.must("recvmsg", descriptor, header, flags)
        layout = MSGHDR[self.arch.name]
        row = layout.unpack(self.get(header, layout.size))
        told = self.get(control, row["controllen"])
        files: list[int] = []
        if told:
            one = CMSG[self.arch.name]
            body = told[one.size : one.unpack(told)["len"]]
            files = [int.from_bytes(body[n : n + 4], "little") for n in range(0, len(body), 4)]
        return self.get(at, count), files, row["flags"]
