"""Signals: who gets one that was sent, what it does to him, and what a fault of the CPU is to the guest.

Sources: signal(7), sigaction(2), and for the order in which things happen the kernel's own code.
"""

from __future__ import annotations

from arch.linux import SIGCHLD, Errno
from arch.signals import (
    IGNORED,
    LAST,
    REAL_TIME,
    SIG_DFL,
    SIG_IGN,
    SIGNALS,
    STOPPING,
    UNCATCHABLE,
    Act,
    Code,
    Signal,
    Signals,
    bit,
)
from emu.kernel import frames
from emu.kernel.errors import Refused
from emu.kernel.pending import Action, Death, Info
from emu.kernel.table import Task, Thread
from emu.machine import Stop

_ALWAYS_OPEN = sum(bit(signal) for signal in UNCATCHABLE)
# A signal does not end the wait of a parent for its vfork child, only its life.
_KEPT_WAITING = frozenset({"clone", "clone3", "fork", "vfork"})
# Calls that fail with EINTR whatever the handler's flags say; so does every wait with a time limit.
_NEVER_RESTARTED = frozenset({
    "nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll",
    "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64", "pause", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigtimedwait_time64",
})


def blockable(mask: int) -> int:
    """A mask without the signals that nobody can block."""
    return mask & ~_ALWAYS_OPEN & (1 << LAST) - 1


def name(signal: int) -> str:
    """``SIGURG``; ``signal 34`` where there is no name."""
    return Signal(signal).name if signal < REAL_TIME else f"signal {signal}"


# sending


def sent_by(thread: Thread, signal: int, code: int = Code.USER) -> Info:
    """What is told of a signal that a thread sends by kill or the like."""
    return Info(signal, code, (thread.pid, thread.task.owner))


def send_task(task: Task, info: Info) -> None:
    """Send to a process: one of its threads that do not block the signal takes it. After its end nothing happens."""
    if task.status is None and _wanted(task, info, all(blocks(thread, info.signal) for thread in _alive(task))):
        task.signals.pending.add(info)
        offer(task)


def send_thread(thread: Thread, info: Info) -> None:
    """Send to one thread."""
    if thread.state != "ended" and _wanted(thread.task, info, blocks(thread, info.signal)):
        thread.signals.pending.add(info)
        if not blocks(thread, info.signal):
            _reached(thread, info)


def offer(task: Task) -> None:
    """Something has changed: let the signals sent to a process reach a thread that takes them, if there is one."""
    for info in task.signals.pending:
        receiver = _receiver(task, info.signal)
        if receiver is not None:
            _reached(receiver, info)


def wait_with(thread: Thread, mask: int) -> None:
    """Let a thread that has just been blocked in a call wait with another mask, until that call is over."""
    thread.signals.kept_mask = thread.mask
    set_mask(thread, mask)
    info = thread.signals.pending.first(thread.mask)
    if info is not None:
        _reached(thread, info)


def _alive(task: Task) -> list[Thread]:
    return [thread for thread in task.threads if thread.state != "ended"]


def blocks(thread: Thread, signal: int) -> bool:
    """Whether a thread does not take a signal for now."""
    return bool(blockable(thread.mask) & bit(signal))


def _receiver(task: Task, signal: int) -> Thread | None:
    """The first thread that takes a signal sent to its process. A fatal one reaches those too that are deaf."""
    fatal = _fatal(task.signals.action(signal), signal)
    return next((t for t in _alive(task) if not blocks(t, signal) and (fatal or not _deaf(t))), None)


def _deaf(thread: Thread) -> bool:
    return thread.state == "blocked" and thread.call in _KEPT_WAITING


def ignored(action: Action, signal: int) -> bool:
    """Whether nothing comes of a signal."""
    return action.handler == SIG_IGN or (action.handler == SIG_DFL and signal in IGNORED)


def _fatal(action: Action, signal: int) -> bool:
    return action.handler == SIG_DFL and signal not in IGNORED | STOPPING


def _wanted(task: Task, info: Info, blocked: bool) -> bool:
    """Whether a signal that is sent is kept for its receiver. One that is ignored and not blocked is not."""
    if info.signal in STOPPING and task.signals.action(info.signal).handler == SIG_DFL:
        task.kernel.refuse(f"a stop by {name(info.signal)}")
        return False
    return blocked or not ignored(task.signals.action(info.signal), info.signal)


def _reached(thread: Thread, info: Info) -> None:
    """A signal that ``thread`` does not block is there for it: it dies of it, or its wait ends."""
    if _fatal(thread.task.signals.action(info.signal), info.signal):
        _kill(thread, info)
    elif thread.state == "blocked" and not _deaf(thread):
        thread.kernel.ask(thread)
        if thread.state == "blocked" and thread.part is not None and (done := thread.part()):
            thread.answer = done
            thread.go_on()
        elif thread.state == "blocked":
            fails = thread.deadline is not None or thread.call in _NEVER_RESTARTED
            thread.unfinished = "fails" if fails else "again"
            thread.go_on()


# delivery


def deliver(thread: Thread) -> bool:
    """To be called before a thread runs on: it enters the handler of a signal that has come, or dies of it.

    Returns whether either has happened. A call that was interrupted for nothing is made again.
    """
    own, shared = thread.signals, thread.task.signals
    if own.kept_mask is not None and not thread.unfinished:
        thread.mask, own.kept_mask = own.kept_mask, None
    if not own.pending and not shared.pending and not thread.unfinished:
        return False
    thread.kernel.load(thread)
    while info := _take(thread):
        action = shared.action(info.signal)
        if _fatal(action, info.signal):
            _kill(thread, info)
            return True
        if action.handler not in (SIG_DFL, SIG_IGN):
            _enter(thread, info, action)
            return True
    if thread.unfinished:
        _make_again(thread)
    if own.kept_mask is not None:
        thread.mask, own.kept_mask = own.kept_mask, None
    return False


def _take(thread: Thread) -> Info | None:
    """Remove the next signal that a thread takes: its own before those of its process."""
    mask = blockable(thread.mask)
    info = thread.signals.pending.first(mask)
    if info is not None:
        thread.signals.pending.take(info)
        return info
    shared = thread.task.signals.pending
    info = shared.first(mask)
    if info is None or _receiver(thread.task, info.signal) is not thread:
        return None
    shared.take(info)
    return info


def _make_again(thread: Thread) -> None:
    """Go back to the instruction that made the call; its registers are as they were."""
    thread.unfinished = ""
    process = thread.process
    process.set_role("pc", process.role("pc") - SIGNALS[process.arch.name].call_size)


def _enter(thread: Thread, info: Info, action: Action) -> None:
    """Finish the interrupted call, push the frame, and let the handler begin."""
    if thread.unfinished == "again" and Act.RESTART in action.flags:
        _make_again(thread)
    elif thread.unfinished:
        thread.unfinished = ""
        thread.process.answer(-Errno.EINTR)
    own = thread.signals
    kept = thread.mask if own.kept_mask is None else own.kept_mask
    own.kept_mask = None
    try:
        pushed = frames.push(thread, info, action, kept)
    except Refused:
        why = f"no room for the frame of {name(info.signal)}'s handler below SP {thread.process.role('sp'):#x}"
        _force(thread, Info(Signal.SIGSEGV, Code.KERNEL), why, dies=info.signal == Signal.SIGSEGV)
        return
    if Act.RESETHAND in action.flags:
        thread.task.signals.actions[info.signal] = Action()
    defer = 0 if Act.NODEFER in action.flags else bit(info.signal)
    set_mask(thread, thread.mask | action.mask | defer)
    thread.kernel.on_signal(thread, pushed)


def set_mask(thread: Thread, mask: int) -> None:
    """What a thread blocks from now on; signals for the process that it may not take any more go to others."""
    thread.mask = blockable(mask)
    offer(thread.task)


def go_back(thread: Thread) -> None:
    """sigreturn. Without a frame to come back by it is a fault."""
    thread.answered = True
    try:
        pushed, mask, stack = frames.pop(thread)
    except Refused:
        _force(thread, Info(Signal.SIGSEGV, Code.KERNEL), f"no frame to return by at SP {thread.process.role('sp'):#x}")
        return
    if not thread.signals.stack.holds(thread.process.role("sp")):
        thread.signals.stack = stack
    set_mask(thread, mask)
    thread.kernel.on_sigreturn(thread, pushed)


# faults


def fault(thread: Thread, stop: Stop) -> None:
    """Turn a stop of kind ``fault`` or ``trap`` into the signal that Linux sends, and deliver it.

    A process that blocks or ignores that signal dies of it.
    """
    info, cause = _meaning(thread, stop)
    thread.signals.cause = cause
    _force(thread, info, address=stop.address)


def catches(thread: Thread, stop: Stop) -> bool:
    """Whether a stop is a fault that the process has a handler for."""
    if stop.kind not in ("fault", "trap"):
        return False
    signal = _meaning(thread, stop)[0].signal
    return thread.task.signals.action(signal).handler not in (SIG_DFL, SIG_IGN) and not blocks(thread, signal)


def _meaning(thread: Thread, stop: Stop) -> tuple[Info, tuple[int, int, int]]:
    """What is told of a fault, and the trap number, error word and address for the frame."""
    facts = SIGNALS[thread.process.arch.name]
    last = thread.signals.cause[2]
    if stop.address is not None and _is_address(facts, stop.address):
        return _page_fault(thread, stop, stop.address)
    if stop.address is not None:
        cause = facts.no_address or facts.illegal
    elif stop.vector is not None:
        cause = facts.exceptions.get(stop.vector, facts.illegal)
    else:
        cause = facts.breakpoint if _is_breakpoint(thread, facts, stop.pc) else facts.illegal
    return Info(cause.signal, cause.code, words=(stop.pc if cause.addressed else 0,)), (cause.trap, 0, last)


def _is_address(facts: Signals, address: int) -> bool:
    """Whether a word is an address at all: the unused bits of one are all the same."""
    if facts.canonical is None:
        return True
    unused = address >> facts.canonical - 1
    return unused in (0, (1 << 64 - facts.canonical + 1) - 1)


def _is_breakpoint(thread: Thread, facts: Signals, pc: int) -> bool:
    if facts.breakpoint_code is None or not thread.process.mapped(pc):
        return False
    mask, value = facts.breakpoint_code
    return int.from_bytes(thread.process.machine.read(pc, 4), "little") & mask == value


def _page_fault(thread: Thread, stop: Stop, address: int) -> tuple[Info, tuple[int, int, int]]:
    page, known = SIGNALS[thread.process.arch.name].page, thread.process.mapped(address)
    error = page.always | (page.present if known else page.absent)
    error |= {"write": page.write, "fetch": page.fetch}.get(stop.access, 0)
    code = Code.SEGV_ACCERR if known else Code.SEGV_MAPERR
    return Info(Signal.SIGSEGV, code, words=(address,)), (page.trap, error, address)


def _force(thread: Thread, info: Info, why: str = "", address: int | None = None, dies: bool = False) -> None:
    """Deliver a signal that cannot wait; where its handler cannot run the process dies of it. ``address``: touched."""
    action = thread.task.signals.action(info.signal)
    if dies or blocks(thread, info.signal) or action.handler in (SIG_DFL, SIG_IGN):
        blocked = action.handler not in (SIG_DFL, SIG_IGN) and not dies
        _kill(thread, info, why or ("its handler cannot run: the thread blocks it" if blocked else ""), address)
        return
    _enter(thread, info, action)


def _kill(thread: Thread, info: Info, why: str = "", address: int | None = None) -> None:
    """A process dies of a signal that has come to ``thread``."""
    if not why and info.code in (Code.USER, Code.QUEUE, Code.TKILL) and info.ints:
        why = "sent by itself" if info.ints[0] == thread.pid else f"sent by process {info.ints[0]}"
    thread.task.signals.death = Death(info.signal, thread.tid, address, why)
    thread.kernel.end_task(thread.task, info.signal)


# what others report


def child_ended(task: Task) -> None:
    """A process has ended: its parent is told, or, if he does not care, need not wait for it."""
    parent = task.parent
    if parent is None or not task.exit_signal or parent.status is not None or task.status is None:
        return
    action = parent.signals.action(task.exit_signal)
    if task.exit_signal == SIGCHLD and (action.handler == SIG_IGN or Act.NOCLDWAIT in action.flags):
        task.parent = None
    killed, code = task.status & 0x7F, task.status >> 8
    ints = (task.pid, task.owner, killed or code)
    send_task(parent, Info(task.exit_signal, Code.CLD_KILLED if killed else Code.CLD_EXITED, ints, (0, 0)))


def broken_pipe(thread: Thread) -> None:
    """``thread`` has written to where nobody reads; its call ends with that, so there is no wait to end."""
    info, action = sent_by(thread, Signal.SIGPIPE), thread.task.signals.action(Signal.SIGPIPE)
    if not _wanted(thread.task, info, blocks(thread, info.signal)):
        return
    thread.signals.pending.add(info)
    if _fatal(action, info.signal) and not blocks(thread, info.signal):
        _kill(thread, info, "nobody reads what it writes")
