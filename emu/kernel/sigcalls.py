"""The system calls on signals. Sources: the manual pages of Linux."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.linux import Errno
from arch.signals import (
    LAST,
    MASK_SIZE,
    SIG_BLOCK,
    SIG_SETMASK,
    SIG_UNBLOCK,
    SIGNALS,
    SMALLEST_STACK,
    UNCATCHABLE,
    Act,
    Code,
    Field,
    Stack,
)
from emu.kernel import frames, memory, signals
from emu.kernel.errors import Refused
from emu.kernel.memory import c_int
from emu.kernel.pending import Action, AltStack
from emu.kernel.table import Task, Thread
from emu.kernel.waits import read_time


def _signal(word: int, zero: bool = False) -> int:
    signal = c_int(word)
    if not 0 <= signal <= LAST or (not signal and not zero):
        raise Refused(Errno.EINVAL)
    return signal


def _mask(thread: Thread, address: int, size: int) -> int:
    if size != MASK_SIZE:
        raise Refused(Errno.EINVAL)
    return int.from_bytes(memory.load(thread, address, MASK_SIZE), "little")


def _store_mask(thread: Thread, address: int, mask: int) -> None:
    memory.store(thread, address, mask.to_bytes(MASK_SIZE, "little"))


# handlers and masks


def rt_sigaction(thread: Thread, number: int, new: int, old: int, size: int) -> int:
    signal, task = _signal(number), thread.task
    if size != MASK_SIZE or (new and signal in UNCATCHABLE):
        raise Refused(Errno.EINVAL)
    structs = SIGNALS[thread.kernel.arch.name].structs
    before = task.signals.action(signal)
    action = _action(memory.load(thread, new, structs.action_size), structs.action) if new else before
    if old:
        memory.store(thread, old, _struct(before, structs.action, structs.action_size))
    if new:
        _act(thread, signal, action)
    return 0


def _act(thread: Thread, signal: int, action: Action) -> None:
    task = thread.task
    task.signals.actions[signal] = action
    if signals.ignored(action, signal):
        task.signals.pending.drop(signal)
        for other in task.threads:
            other.signals.pending.drop(signal)


def _action(data: bytes, fields: Mapping[str, Field]) -> Action:
    values = {
        name: int.from_bytes(data[field.offset : field.offset + field.size], "little")
        for name, field in fields.items()
    }
    flags = Act(values["flags"] & 0xFFFF_FFFF)
    return Action(values["handler"], flags, values["restorer"], signals.blockable(values["mask"]))


def _struct(action: Action, fields: Mapping[str, Field], size: int) -> bytes:
    data = bytearray(size)
    for name, field in fields.items():
        value = int(getattr(action, name))
        data[field.offset : field.offset + field.size] = value.to_bytes(field.size, "little")
    return bytes(data)


def rt_sigprocmask(thread: Thread, how: int, new: int, old: int, size: int) -> int:
    before = thread.mask
    if size != MASK_SIZE:
        raise Refused(Errno.EINVAL)
    if new:
        mask = _mask(thread, new, size)
        after = {SIG_BLOCK: before | mask, SIG_UNBLOCK: before & ~mask, SIG_SETMASK: mask}.get(c_int(how))
        if after is None:
            raise Refused(Errno.EINVAL)
    if old:
        _store_mask(thread, old, before)
    if new:
        signals.set_mask(thread, after or 0)
    return 0


def rt_sigpending(thread: Thread, address: int, size: int) -> int:
    if size != MASK_SIZE:
        raise Refused(Errno.EINVAL)
    there = thread.signals.pending.mask | thread.task.signals.pending.mask
    _store_mask(thread, address, there & thread.mask)
    return 0


def sigaltstack(thread: Thread, new: int, old: int) -> int:
    structs, sp = SIGNALS[thread.kernel.arch.name].structs, thread.process.role("sp")
    before = thread.signals.stack
    wanted = frames.read_stack(structs, memory.load(thread, new, structs.stack_size)) if new else None
    if wanted is not None:
        _set_stack(thread, wanted, before.holds(sp))
    if old:
        state = Stack.ONSTACK if before.holds(sp) else Stack(0) if before.size else Stack.DISABLE
        memory.store(thread, old, frames.stack_words(structs, before, before.flags & Stack.AUTODISARM | state))
    return 0


def _set_stack(thread: Thread, wanted: AltStack, in_use: bool) -> None:
    if in_use:
        raise Refused(Errno.EPERM)
    mode = wanted.flags & ~Stack.AUTODISARM
    if mode not in (Stack(0), Stack.ONSTACK, Stack.DISABLE):
        raise Refused(Errno.EINVAL)
    if Stack.DISABLE in mode:
        thread.signals.stack = AltStack()
    elif wanted.size < SMALLEST_STACK:
        raise Refused(Errno.ENOMEM)
    else:
        thread.signals.stack = wanted._replace(flags=wanted.flags & Stack.AUTODISARM)


def rt_sigreturn(thread: Thread) -> None:
    signals.go_back(thread)


# sending


def kill(thread: Thread, pid: int, number: int) -> int:
    """To a process, to a group of processes (0: the caller's own; below -1: -pid's), or (-1) to all but the caller."""
    signal, wanted = _signal(number, zero=True), c_int(pid)
    receivers = [task for task in thread.kernel.tasks.values() if _is_meant(thread.task, task, wanted)]
    if not receivers:
        raise Refused(Errno.ESRCH)
    for task in receivers:
        send(thread, task, signal)
    return 0


def _is_meant(sender: Task, task: Task, wanted: int) -> bool:
    if wanted > 0:
        return task.pid == wanted
    if wanted == -1:
        return task is not sender
    return task.group == (sender.group if not wanted else -wanted)


def send(thread: Thread, task: Task, signal: int) -> int:
    """What kill and pidfd_send_signal do to a process; signal 0 does nothing."""
    if signal:
        signals.send_task(task, signals.sent_by(thread, signal))
    return 0


def tkill(thread: Thread, tid: int, number: int) -> int:
    return _to_thread(thread, None, c_int(tid), number)


def tgkill(thread: Thread, pid: int, tid: int, number: int) -> int:
    if c_int(pid) <= 0:
        raise Refused(Errno.EINVAL)
    return _to_thread(thread, c_int(pid), c_int(tid), number)


def _to_thread(thread: Thread, pid: int | None, tid: int, number: int) -> int:
    signal = _signal(number, zero=True)
    if tid <= 0:
        raise Refused(Errno.EINVAL)
    receiver = next((other for other in thread.kernel.threads if other.tid == tid), None)
    if receiver is None or pid not in (None, receiver.pid):
        raise Refused(Errno.ESRCH)
    if signal:
        signals.send_thread(receiver, signals.sent_by(thread, signal, Code.TKILL))
    return 0


# waiting


def pause(thread: Thread) -> None:
    thread.block("a signal", lambda: None)


def rt_sigsuspend(thread: Thread, address: int, size: int) -> None:
    """Wait for a signal with another mask, which is the old one again when the handler has begun."""
    mask = _mask(thread, address, size)
    thread.block("a signal", lambda: None)
    signals.wait_with(thread, mask)


def _timed_wait(thread: Thread, wanted: int, info: int, limit: int, size: int, width: int) -> int | None:
    mask, clock = _mask(thread, wanted, size), thread.kernel.clock
    until = clock.now + read_time(thread, limit, width) if limit else None

    def taken() -> int | None:
        for queue in (thread.signals.pending, thread.task.signals.pending):
            found = queue.first(~mask)
            if found is not None:
                queue.take(found)
                if info:
                    memory.store(thread, info, found.encode(thread.kernel.arch))
                return found.signal
        if until is not None and clock.now >= until:
            raise Refused(Errno.EAGAIN)
        return None

    result = taken()
    if result is None:
        thread.block("one of some signals", taken, until)
    return result


def rt_sigtimedwait(thread: Thread, wanted: int, info: int, limit: int, size: int) -> int | None:
    """Take a blocked signal that is pending, or wait for one."""
    return _timed_wait(thread, wanted, info, limit, size, thread.kernel.arch.word)


def rt_sigtimedwait_time64(thread: Thread, wanted: int, info: int, limit: int, size: int) -> int | None:
    return _timed_wait(thread, wanted, info, limit, size, 8)


CALLS: Mapping[str, Callable[..., int | None]] = {
    "rt_sigaction": rt_sigaction, "rt_sigprocmask": rt_sigprocmask, "rt_sigpending": rt_sigpending,
    "sigaltstack": sigaltstack, "rt_sigreturn": rt_sigreturn, "kill": kill, "tkill": tkill, "tgkill": tgkill,
    "pause": pause, "rt_sigsuspend": rt_sigsuspend, "rt_sigtimedwait": rt_sigtimedwait,
    "rt_sigtimedwait_time64": rt_sigtimedwait_time64,
}
