"""Netlink, as far as it tells of network interfaces: there is one, loopback. Sources: netlink(7), rtnetlink(7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arch.linux import Errno
from arch.sockets import (
    AF_INET,
    AF_INET6,
    ARPHRD_LOOPBACK,
    IFA_ADDRESS,
    IFA_F_PERMANENT,
    IFA_LABEL,
    IFA_LOCAL,
    IFADDR,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_RUNNING,
    IFF_UP,
    IFINFO,
    IFLA_ADDRESS,
    IFLA_IFNAME,
    IFLA_MTU,
    LOOPBACK_MTU,
    NLM_F_MULTI,
    NLMSG,
    NLMSG_DONE,
    NLMSG_ERROR,
    RT_SCOPE_HOST,
    RTATTR,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
)
from emu.kernel.errors import Refused
from emu.kernel.sockets.addresses import HOME4, HOME6, Address, Netlink
from emu.kernel.sockets.inbox import Message
from emu.kernel.sockets.socket import Socket, Target

if TYPE_CHECKING:
    from emu.kernel.table import Thread

_INDEX, _NAME = 1, b"lo\0"
_PREFIX4, _PREFIX6 = 8, 128
_KERNEL = Netlink(0)


def _attribute(kind: int, value: bytes) -> bytes:
    head = RTATTR.pack(len=RTATTR.size + len(value), type=kind)
    return (head + value).ljust(-(-(len(head) + len(value)) // 4) * 4, b"\0")


def _link() -> bytes:
    flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP
    return IFINFO.pack(type=ARPHRD_LOOPBACK, index=_INDEX, flags=flags) + b"".join((
        _attribute(IFLA_IFNAME, _NAME), _attribute(IFLA_MTU, LOOPBACK_MTU.to_bytes(4, "little")),
        _attribute(IFLA_ADDRESS, bytes(6)),
    ))  # fmt: skip


def _address(family: int, prefix: int, host: bytes) -> bytes:
    head = IFADDR.pack(
        family=family, prefixlen=prefix, flags=IFA_F_PERMANENT, scope=RT_SCOPE_HOST, index=_INDEX
    )
    local = _attribute(IFA_LOCAL, host) + _attribute(IFA_LABEL, _NAME) if family == AF_INET else b""
    return head + _attribute(IFA_ADDRESS, host) + local


def _answers(kind: int) -> list[tuple[int, bytes]] | None:
    """What is told of interfaces, addresses or routes, None for what is not known."""
    return {
        RTM_GETLINK: [(RTM_NEWLINK, _link())],
        RTM_GETADDR: [
            (RTM_NEWADDR, _address(AF_INET, _PREFIX4, HOME4)), (RTM_NEWADDR, _address(AF_INET6, _PREFIX6, HOME6)),
        ],
        RTM_GETROUTE: [],
    }.get(kind)


class NetlinkSocket(Socket):
    """A socket that the kernel answers."""

    local: Netlink | None
    nameless = _KERNEL

    def target(self, thread: Thread, address: Address) -> Netlink:  # noqa: ARG002
        assert isinstance(address, Netlink)
        if address.port:
            raise Refused(Errno.ECONNREFUSED)
        return address

    def bind(self, thread: Thread, address: Address) -> None:
        assert isinstance(address, Netlink)
        if self.local is not None:
            raise Refused(Errno.EINVAL)
        self.local = Netlink(address.port or thread.pid)

    def connect(self, target: Target) -> bool:
        assert isinstance(target, Netlink)
        self.remote = target
        return True

    def send(self, message: Message, to: Target | None = None) -> int | None:  # noqa: ARG002
        data = bytes(message.data)
        if len(data) >= NLMSG.size:
            asked = NLMSG.unpack(data)
            same = {"seq": asked["seq"], "pid": self.local.port if self.local is not None else 0}
            found = _answers(asked["type"])
            if found is None:
                error = (-Errno.EOPNOTSUPP).to_bytes(4, "little", signed=True)
                self._tell(_packed(NLMSG_ERROR, 0, error + data[: NLMSG.size], same))
            else:
                told = b"".join(_packed(kind, NLM_F_MULTI, body, same) for kind, body in found)
                self._tell(told + _packed(NLMSG_DONE, NLM_F_MULTI, bytes(4), same))
        return len(data)

    def _tell(self, answer: bytes) -> None:
        message = Message(bytearray(answer), _KERNEL)
        if self.inbox.room < message.cost:
            raise Refused(Errno.ENOBUFS)
        self.deliver(message)


def _packed(kind: int, flags: int, body: bytes, same: dict[str, int]) -> bytes:
    return NLMSG.pack(len=NLMSG.size + len(body), type=kind, flags=flags, **same) + body
