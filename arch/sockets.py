"""What Linux says about sockets: families, kinds, options, flags and structures; what 386 calls through socketcall.

Sources: Go's syscall/zerrors_linux_*.go and ztypes_linux_*.go, syscall_linux_386.go, the kernel's uapi headers
socket.h, in.h, in6.h, net.h, netlink.h, rtnetlink.h. Only the sizes of words differ between the three architectures.
"""

from __future__ import annotations

from collections.abc import Mapping

from arch.structs import Layout, layout

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 0, 1, 2, 10, 16
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET = 1, 2, 3, 5
SOCK_TYPE, SOCK_NONBLOCK, SOCK_CLOEXEC = 0xF, 0x800, 0x80000
IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6 = 0, 6, 17, 41
NETLINK_ROUTE = 0

SHUT_RD, SHUT_WR, SHUT_RDWR = 0, 1, 2
SOMAXCONN = 4096  # the longest queue of connections that nobody has accepted
UNIX_PATH_MAX = 108
UDP_MAX: Mapping[int, int] = {AF_INET: 65507, AF_INET6: 65527}  # bytes of a datagram
EPHEMERAL = range(32768, 61000)  # ports that are given to those that ask for none

# flags of send and recv
MSG_OOB, MSG_PEEK, MSG_CTRUNC, MSG_TRUNC, MSG_DONTWAIT, MSG_EOR = 1, 2, 8, 0x20, 0x40, 0x80
MSG_WAITALL, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_MORE, MSG_CMSG_CLOEXEC = 0x100, 0x2000, 0x4000, 0x8000, 0x40000000

# options: their level, and what each level has
SOL_SOCKET = 1
SO_REUSEADDR, SO_TYPE, SO_ERROR, SO_DONTROUTE, SO_BROADCAST = 2, 3, 4, 5, 6
SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE, SO_PRIORITY, SO_LINGER = 7, 8, 9, 10, 12, 13
SO_REUSEPORT, SO_PASSCRED, SO_PEERCRED, SO_RCVLOWAT = 15, 16, 17, 18
SO_ACCEPTCONN, SO_SNDBUFFORCE, SO_RCVBUFFORCE, SO_PROTOCOL, SO_DOMAIN = 30, 32, 33, 38, 39
TCP_NODELAY, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT = 1, 3, 4, 5, 6
TCP_DEFER_ACCEPT, TCP_QUICKACK, TCP_USER_TIMEOUT = 9, 12, 18
IP_TOS, IP_TTL, IP_MULTICAST_TTL, IP_MULTICAST_LOOP = 1, 2, 33, 34
IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_V6ONLY, IPV6_TCLASS = 16, 18, 19, 26, 67
BUFFER = 212992  # bytes of a socket's buffer if nothing else is said
BUFFERS = range(2304, (1 << 20) + 1)  # what SO_RCVBUF and SO_SNDBUF lead to

# control messages
SCM_RIGHTS, SCM_CREDENTIALS = 1, 2
SCM_MAX_FD = 253

SOCKADDR_STORAGE = 128  # bytes of the longest address
INET_SIZE, INET6_SIZE, NETLINK_SIZE = 16, 28, 12
LINGER = layout("onoff:i32 linger:i32")
UCRED = layout("pid:i32 uid:u32 gid:u32")
MSGHDR: Mapping[str, Layout] = {
    "386": layout("name:u32 namelen:u32 iov:u32 iovlen:u32 control:u32 controllen:u32 flags:i32"),
    "amd64": layout("name:u64 namelen:u32 _:4 iov:u64 iovlen:u64 control:u64 controllen:u64 flags:i32", 56),
    "arm": layout("name:u32 namelen:u32 iov:u32 iovlen:u32 control:u32 controllen:u32 flags:i32"),
}
CMSG: Mapping[str, Layout] = {
    "386": layout("len:u32 level:i32 type:i32"),
    "amd64": layout("len:u64 level:i32 type:i32"),
    "arm": layout("len:u32 level:i32 type:i32"),
}

# netlink: what asks for interfaces and addresses, and what is told of them
NLMSG = layout("len:u32 type:u16 flags:u16 seq:u32 pid:u32")
NLMSG_ERROR, NLMSG_DONE, NLM_F_MULTI = 2, 3, 2
RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR, RTM_GETROUTE = 16, 18, 20, 22, 26
IFINFO = layout("family:u8 _:1 type:u16 index:i32 flags:u32 change:u32")
IFADDR = layout("family:u8 prefixlen:u8 flags:u8 scope:u8 index:u32")
RTATTR = layout("len:u16 type:u16")
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU = 1, 3, 4
IFA_ADDRESS, IFA_LOCAL, IFA_LABEL = 1, 2, 3
IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_LOWER_UP = 1, 8, 0x40, 0x10000
ARPHRD_LOOPBACK, RT_SCOPE_HOST, IFA_F_PERMANENT = 772, 254, 0x80
LOOPBACK_MTU = 65536

SOCKETCALL: Mapping[int, tuple[str, int]] = {
    1: ("socket", 3), 2: ("bind", 3), 3: ("connect", 3), 4: ("listen", 2), 5: ("accept", 3), 6: ("getsockname", 3),
    7: ("getpeername", 3), 8: ("socketpair", 4), 9: ("send", 4), 10: ("recv", 4), 11: ("sendto", 6),
    12: ("recvfrom", 6), 13: ("shutdown", 2), 14: ("setsockopt", 5), 15: ("getsockopt", 5), 16: ("sendmsg", 3),
    17: ("recvmsg", 3), 18: ("accept4", 4),
}  # fmt: skip
"""What socketcall's first argument names, and how many words its second one points at."""
