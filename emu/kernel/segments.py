"""The system calls that say where a thread's own segment begins. Sources: set_thread_area(2), arch_prctl(2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.linux import ARCH_GET_FS, ARCH_SET_FS, TLS_ENTRY, Errno
from emu.kernel import memory
from emu.kernel.errors import Refused
from emu.kernel.table import Thread

_ANY = 0xFFFF_FFFF


def set_thread_area(thread: Thread, descriptor: int) -> int:
    """Take a base from a descriptor. The thread then loads its segment register itself."""
    data = memory.load(thread, descriptor, 16)
    entry, base = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4))
    if entry not in (_ANY, TLS_ENTRY):
        raise Refused(Errno.EINVAL)
    thread.tls = base
    thread.process.machine.set_tls_base(base)
    memory.store(thread, descriptor, TLS_ENTRY.to_bytes(4, "little"))
    return 0


def arch_prctl(thread: Thread, code: int, address: int) -> int:
    if code == ARCH_SET_FS:
        thread.tls = address
        thread.process.machine.set_tls_base(address)
        return 0
    if code == ARCH_GET_FS:
        memory.store(thread, address, thread.kernel.arch.pack(thread.tls))
        return 0
    raise Refused(Errno.EINVAL)


def set_tid_address(thread: Thread, address: int) -> int:
    thread.clear_tid = address
    return thread.tid


def set_robust_list(_thread: Thread, _head: int, _size: int) -> int:
    """Locks of ended threads are not given free: Go has none."""
    return 0


CALLS: Mapping[str, Callable[..., int | None]] = {
    "set_thread_area": set_thread_area, "arch_prctl": arch_prctl, "set_tid_address": set_tid_address,
    "set_robust_list": set_robust_list,
}
