"""Processes and threads as the kernel counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from emu.kernel.files import Files
from emu.kernel.pending import TaskSignals, ThreadSignals
from emu.process import Process

if TYPE_CHECKING:
    from emu.kernel.kernel import Kernel
    from emu.kernel.nodes import Directory

State = Literal["runnable", "blocked", "ended"]
INIT = 1  # the parent of a process whose parent is not known, or has ended


class Image(NamedTuple):
    """What a process became by execve."""

    path: str
    argv: tuple[str, ...]
    environment: tuple[str, ...] = ()


@dataclass(eq=False, repr=False)
class Task:
    """What has a pid. ``process`` is its memory, which a vfork child shares with its parent.

    ``files``: its descriptors. ``image``: what it executed, if it did. ``status``: the word that wait4 stores, once
    it has ended. ``exit_signal``: what its parent is sent then, 0 for nothing. ``group`` and ``session``: ids, the pid
    of whoever began them. ``owner``, ``owner_group``, ``groups``: user and group ids; everyone is root until told
    otherwise. ``umask``: permissions that new files do not get. ``folder``: where relative paths begin, None for the
    root. ``executable``: the path of its program. ``limits``: those that were set, by number, soft and hard.
    ``waited``: nanoseconds that the children that it has waited for were on the CPU, and theirs.
    """

    kernel: Kernel
    pid: int
    process: Process
    files: Files
    parent: Task | None = None
    threads: list[Thread] = field(default_factory=list)
    image: Image | None = None
    status: int | None = None
    exit_signal: int = 0
    signals: TaskSignals = field(default_factory=TaskSignals)
    group: int = 0
    session: int = INIT
    owner: int = 0
    owner_group: int = 0
    groups: tuple[int, ...] = ()
    umask: int = 0o022
    folder: Directory | None = None
    executable: str = ""
    limits: dict[int, tuple[int, int]] = field(default_factory=dict)
    waited: int = 0

    def inherit(self, parent: Task) -> None:
        """Take over what a forked process has from its parent beside memory, descriptors and signals."""
        self.group, self.session = parent.group, parent.session
        self.owner, self.owner_group, self.groups = parent.owner, parent.owner_group, parent.groups
        self.umask, self.folder, self.executable = parent.umask, parent.folder, parent.executable
        self.limits = dict(parent.limits)

    @property
    def ran(self) -> int:
        """Nanoseconds of virtual time that its threads were on the CPU."""
        return sum(thread.ran for thread in self.threads)

    @property
    def parent_pid(self) -> int:
        return self.parent.pid if self.parent is not None else INIT


@dataclass(eq=False, repr=False)
class Thread:
    """One thread. ``cpu``: its CPU's state while it is not on the CPU (to be asked of the machine while it is).

    ``waits_for`` says in words what a blocked thread is waiting for. ``clear_tid``: where the kernel stores 0 when
    the thread ends. ``lender``: who lent a vfork child its memory and waits to have it back. ``call``: the system call
    that it made last. ``unfinished``: a signal has ended its wait in that call, which is made again or fails;
    ``answered``: whether that call has set the registers itself (sigreturn).
    """

    tid: int
    task: Task
    cpu: Any = None
    state: State = "runnable"
    waits_for: str = ""
    clear_tid: int = 0
    lender: Thread | None = None
    answer: int | None = None  # the result of the call it was blocked in, until it is on the CPU again
    until: Callable[[], int | None] | None = None
    deadline: int | None = None
    undo: Callable[[], None] | None = None
    part: Callable[[], int] | None = None
    ran: int = 0  # nanoseconds of virtual time that it was on the CPU
    tls: int = 0  # where its TLS segment begins, once it has said so
    mask: int = 0  # the signals that it blocks
    signals: ThreadSignals = field(default_factory=ThreadSignals)
    call: str = ""
    unfinished: Literal["", "again", "fails"] = ""
    answered: bool = False
    keeps_capabilities: int = 0  # as prctl was told, and tells
    yields: bool = False  # it has asked that others have their turn

    @property
    def pid(self) -> int:
        return self.task.pid

    @property
    def process(self) -> Process:
        """Its memory, and the CPU that it shares with everyone in that memory."""
        return self.task.process

    @property
    def kernel(self) -> Kernel:
        return self.task.kernel

    def block(
        self, waits_for: str, until: Callable[[], int | None], deadline: int | None = None,
        undo: Callable[[], None] | None = None, part: Callable[[], int] | None = None,
    ) -> None:
        """Suspend the thread in its call until ``until`` returns the call's result.

        It is asked before a thread is chosen to run, and may raise `Refused`. ``deadline``: when its answer may change
        by time alone, in nanoseconds of the kernel's clock. ``undo`` is called when the wait is over, however it ended.
        ``part``: the result if a signal ends the wait, 0 while nothing has been done yet.
        """
        self.state, self.waits_for, self.until = "blocked", waits_for, until
        self.deadline, self.undo, self.part = deadline, undo, part

    def go_on(self) -> None:
        """The wait is over."""
        if self.undo is not None:
            self.undo()
        self.state, self.waits_for, self.until, self.deadline, self.undo = "runnable", "", None, None, None
        self.part = None
