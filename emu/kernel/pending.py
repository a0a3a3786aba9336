"""What threads and processes keep of signals: what was sent and not taken yet, handlers, alternate stacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from arch.model import Arch
from arch.signals import REAL_TIME, SIG_DFL, SIG_IGN, SIGNALS, SYNCHRONOUS, Act, Code, Stack, bit

if TYPE_CHECKING:
    from emu.kernel.timers import Alarm

_NO_FLAGS, _NO_MODE = Act(0), Stack(0)


class Info(NamedTuple):
    """What is told of a signal: ``ints`` and then ``words`` are the members of siginfo's union for its ``code``."""

    signal: int
    code: int = Code.USER
    ints: tuple[int, ...] = ()
    words: tuple[int, ...] = ()

    def encode(self, arch: Arch) -> bytes:
        """A siginfo."""
        structs = SIGNALS[arch.name].structs
        head = b"".join(number.to_bytes(4, "little", signed=True) for number in (self.signal, 0, self.code))
        union = b"".join((number & 0xFFFF_FFFF).to_bytes(4, "little") for number in self.ints)
        if self.words:
            union = union.ljust(-(-len(union) // arch.word) * arch.word, b"\0")
            union += b"".join(arch.pack(word) for word in self.words)
        return (head.ljust(structs.info_union, b"\0") + union).ljust(structs.info_size, b"\0")


class Action(NamedTuple):
    """What a process does about a signal, as rt_sigaction was told."""

    handler: int = SIG_DFL
    flags: Act = _NO_FLAGS
    restorer: int = 0
    mask: int = 0


class AltStack(NamedTuple):
    """A thread's alternate stack for handlers; there is none while ``size`` is 0."""

    address: int = 0
    size: int = 0
    flags: Stack = _NO_MODE

    def holds(self, sp: int) -> bool:
        """Whether an SP lies on it, as the kernel asks: its lowest address is not on it, its end is."""
        return Stack.AUTODISARM not in self.flags and self.address < sp <= self.address + self.size


_NO_STACK = AltStack()


class Pending:
    """Signals that were sent to one receiver, in the order in which they came."""

    def __init__(self) -> None:
        self._queue: list[Info] = []

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Info]:
        return iter(list(self._queue))

    def add(self, info: Info) -> None:
        """One more; an ordinary signal that is there already is not kept twice."""
        if info.signal >= REAL_TIME or all(info.signal != other.signal for other in self._queue):
            self._queue.append(info)

    def first(self, mask: int) -> Info | None:
        """The one to be taken next that ``mask`` does not block: faults first, then by number."""
        open_ = [info for info in self._queue if not mask & bit(info.signal)]
        return min(open_, key=lambda info: (info.signal not in SYNCHRONOUS, info.signal), default=None)

    def take(self, info: Info) -> None:
        """Remove one."""
        self._queue.remove(info)

    def drop(self, signal: int) -> None:
        """Forget a signal however often it was sent."""
        self._queue = [info for info in self._queue if info.signal != signal]

    @property
    def mask(self) -> int:
        """What is there, as a signal set."""
        return sum({bit(info.signal) for info in self._queue})


@dataclass
class ThreadSignals:
    """A thread's. ``frames``: the CPU's state that a handler's frame does not hold, by the frame's address.

    ``kept_mask``: what the mask will be when the call that waits with another one is over. ``cause``: trap number,
    error word and address of its last fault.
    """

    pending: Pending = field(default_factory=Pending)
    stack: AltStack = _NO_STACK
    frames: dict[int, Any] = field(default_factory=dict)
    kept_mask: int | None = None
    cause: tuple[int, int, int] = (0, 0, 0)

    def child(self, keeps_stack: bool) -> ThreadSignals:
        """Those of a thread that it has cloned: nothing is pending there."""
        return ThreadSignals(
            stack=self.stack if keeps_stack else _NO_STACK, frames=dict(self.frames), cause=self.cause
        )


class Death(NamedTuple):
    """The signal that has ended a process: the thread that it came to, the address if a fault of its had touched
    one, and what else there is to say."""

    signal: int
    tid: int
    address: int | None
    why: str


@dataclass
class TaskSignals:
    """A process's. ``actions``: by signal, shared between processes after CLONE_SIGHAND. ``timers``: by number.
    ``death``: what has ended it, if a signal has."""

    actions: dict[int, Action] = field(default_factory=dict)
    pending: Pending = field(default_factory=Pending)
    timers: dict[int, Alarm] = field(default_factory=dict)
    death: Death | None = None

    def action(self, signal: int) -> Action:
        return self.actions.get(signal, Action())

    def child(self, share: bool) -> TaskSignals:
        """Those of a forked process: nothing is pending there."""
        return TaskSignals(self.actions if share else dict(self.actions))

    def executed(self) -> None:
        """execve: what was handled is not any more, what was ignored still is; the table is its own from here on.

        Of the timers those of setitimer go on.
        """
        self.actions = {
            signal: Action(SIG_IGN) for signal, action in self.actions.items() if action.handler == SIG_IGN
        }
        for number in [number for number in self.timers if number >= 0]:
            self.timers.pop(number).set(None, 0)
