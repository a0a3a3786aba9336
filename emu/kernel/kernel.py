"""The kernel: a table of processes and threads, and one handler for each system call that is known."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from random import Random
from typing import TYPE_CHECKING, Protocol

from arch import linux
from arch.linux import Errno
from emu.kernel import calls, memory, signals, timers, waits
from emu.kernel.clock import Clock
from emu.kernel.errors import Refused
from emu.kernel.files import Captured, Empty, Files
from emu.kernel.frames import Pushed
from emu.kernel.nodes import Program, Regular
from emu.kernel.pipes import Pipes
from emu.kernel.programs import Main
from emu.kernel.rootfs import furnish
from emu.kernel.table import Image, Task, Thread
from emu.kernel.virtual import Tree
from emu.kernel.waits import Sleeper
from emu.machine import Machine
from emu.process import Process

if TYPE_CHECKING:
    from emu.kernel.sockets.network import Network

FIRST_PID = 1000

Handler = Callable[..., "int | None"]


class Witness(Protocol):
    """Someone who is told who touches memory."""

    def ran(self, thread: Thread) -> None:
        """``thread`` has just run: what it touched is the newest on its machine's record."""

    def touched(self, thread: Thread, address: int, size: int, write: bool) -> None:
        """The kernel has read or written guest memory for ``thread``."""


class Kernel:
    """The kernel below one guest and its descendants. The thread that ``process``'s CPU stands in is the first.

    ``output``: what was written to the descriptors 1 and 2, which is captured; 0 is empty. ``unknown``: what guests
    asked for in vain, by name, and how often. ``tasks``: by pid, those that nobody waited for included.
    ``witnesses``: all of them are told, see there.
    ``copied``: is told of every fork that copies memory, with the process and its copy. ``clock``: virtual time.
    ``random``: what guests get as random bytes. ``sleepers``: threads that wait for a word to change, longest first.
    ``execute`` is what execve does with a file that is no virtual program. ``cpus``: how many the guests are told of.
    ``pipes``: all of them. ``moves``: counts the steps of virtual programs.
    ``vacated``: is told of a memory that nobody uses any more, because its last process ended or executed a program.
    ``on_signal``: is told of a thread that stands at the entry of a handler, with the handler's frame;
    ``on_sigreturn``: of one that has come back, with that frame if it was the kernel's.
    """

    def __init__(self, process: Process) -> None:
        self.arch = process.arch
        self.output: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self.unknown: dict[str, int] = {}
        self.tasks: dict[int, Task] = {}
        self.witnesses: list[Witness] = []
        self.copied: Callable[[Process, Process], None] = lambda _process, _copy: None
        self._handlers: dict[str, tuple[Handler, int]] = {}
        self._on_cpu: dict[Machine, Thread] = {}
        self._next_id = FIRST_PID
        self._alive: dict[int, Thread] = {}  # by tid, which count up
        self.clock = Clock()
        self.random = Random(0)
        self.sleepers: list[Sleeper] = []
        self.pipes = Pipes()
        self.cpus = 1
        self.calls: dict[str, int] = {}
        self.moves = 0
        self.execute: Callable[[Thread, Regular, Image], None] = _no_program
        self.vacated: Callable[[Process], None] = lambda _process: None
        self.on_signal: Callable[[Thread, Pushed], None] = lambda _thread, _frame: None
        self.on_sigreturn: Callable[[Thread, Pushed | None], None] = lambda _thread, _frame: None
        self.add(calls.CALLS)
        self.main = self.new_task(process, None)
        self._on_cpu[process.machine] = self.main

    # what users register

    def add(self, handlers: Mapping[str, Handler]) -> None:
        """Register system calls, as far as the arch's Linux has them."""
        for name, handler in handlers.items():
            if linux.find(self.arch, name) >= 0:
                self.syscall(name)(handler)

    def syscall(self, name: str) -> Callable[[Handler], Handler]:
        """Register or replace a system call: ``@kernel.syscall("getpid") def f(thread, *args) -> int``.

        The handler gets as many arguments (words, unsigned) as it names, and returns the result, a negative error
        number among them, or raises `Refused`. One that blocks or ends its thread returns None.
        Raises KeyError for a name that the arch's Linux does not have.
        """
        linux.number(self.arch, name)

        def register(handler: Handler) -> Handler:
            self._handlers[name] = (handler, _arguments(handler, len(self.arch.syscall.arguments)))
            return handler

        return register

    def program(self, path: str) -> Callable[[Main], Main]:
        """Register what execve of ``path`` runs: a function of the `Task`, see there."""

        def register(main: Main) -> Main:
            self.tree.install(path, Program(self.tree, main))
            return main

        return register

    @cached_property
    def tree(self) -> Tree:
        """The files that guests see."""
        return furnish(self)

    @cached_property
    def network(self) -> Network:
        """What sockets find each other by."""
        from emu.kernel.sockets.network import Network

        return Network()

    # threads

    @property
    def threads(self) -> list[Thread]:
        """Every thread that has not ended, by tid."""
        return list(self._alive.values())

    def runnable(self) -> list[Thread]:
        """The threads that can run, by tid; blocked ones are asked first whether what they wait for has come."""
        self._wake()
        return [thread for thread in self._alive.values() if thread.state == "runnable"]

    def load(self, thread: Thread) -> None:
        """Put a thread on its machine's CPU; the one that was there is saved."""
        machine = thread.process.machine
        there = self._on_cpu.get(machine)
        if there is not thread:
            if there is not None:
                there.cpu = machine.save()
            machine.restore(thread.cpu)
            self._on_cpu[machine] = thread
        if thread.answer is not None:
            thread.process.answer(thread.answer)
            thread.answer = None

    def trap(self, thread: Thread) -> None:
        """Handle the system call that a thread has just made: its machine stopped with the kind ``syscall``.

        Afterwards the thread may run on, or be blocked, or have ended: its ``state`` says so.
        """
        self.load(thread)
        convention = self.arch.syscall
        registers = thread.process.machine.registers()
        number = registers[convention.number]
        name = thread.call = linux.name(self.arch, number) or f"system call {number}"
        self.calls[name] = self.calls.get(name, 0) + 1
        result = self._call(thread, name, [registers[argument] for argument in convention.arguments])
        if thread.answered:
            thread.answered = False
        elif thread.state == "runnable" and not thread.unfinished and thread.answer is None:
            if not isinstance(result, int):
                raise TypeError(f"the handler of {name} returned {result!r}: a result is an int")
            thread.process.answer(result)

    def _call(self, thread: Thread, name: str, arguments: list[int]) -> int | None:
        if name not in self._handlers and name in calls.LATER:
            later = import_module(calls.LATER[name]).CALLS
            self.add({other: later[other] for other in later if other not in self._handlers})
        if name not in self._handlers:
            self.refuse(name)
            return -Errno.ENOSYS
        handler, count = self._handlers[name]
        try:
            return handler(thread, *arguments[:count])
        except Refused as refused:
            return -refused.errno

    def refuse(self, name: str) -> None:
        """Note that a guest asked for something that is not modelled."""
        self.unknown[name] = self.unknown.get(name, 0) + 1

    def _wake(self) -> None:
        moves = None
        while moves != self.moves:  # what a program has done may be what others wait for
            moves = self.moves
            for thread in self.threads:
                self.ask(thread)

    def ask(self, thread: Thread) -> None:
        """Let a blocked thread go on if what it waits for has come."""
        if thread.state != "blocked" or thread.until is None:
            return
        try:
            thread.answer = thread.until()
        except Refused as refused:
            thread.answer = -refused.errno
        if thread.answer is not None and thread.until is not None:
            thread.go_on()

    # the table

    def new_task(self, process: Process, parent: Task | None, share_files: bool = False) -> Thread:
        """The first thread of a new process, on the memory ``process``. Pids and tids count up from 1000.

        Its descriptors are its parent's, or a copy of them.
        """
        if parent is None:
            files = self._first_files()
        else:
            files = parent.files.share() if share_files else parent.files.copy()
        task = self.tasks[self._next_id] = Task(self, self._next_id, process, files, parent)
        if parent is None:
            task.group = task.pid
        else:
            task.inherit(parent)
        return self.new_thread(task)

    def _first_files(self) -> Files:
        files = Files()
        for stream in (Empty(), Captured(self.output, 1), Captured(self.output, 2)):
            files.open(stream)
        return files

    def new_thread(self, task: Task) -> Thread:
        """One more thread of ``task``; whoever asks for it sets its ``cpu``."""
        thread = Thread(self._next_id, task)
        self._next_id += 1
        task.threads.append(thread)
        self._alive[thread.tid] = thread
        return thread

    def end_thread(self, thread: Thread, status: int) -> None:
        """End a thread; with the last one its process ends, and wait4 will tell ``status``."""
        task = thread.task
        thread.go_on()
        if thread.clear_tid:
            memory.store_quietly(thread, thread.clear_tid, 0)
            waits.wake(thread, thread.clear_tid, 1)
        thread.state = "ended"
        self._alive.pop(thread.tid, None)
        if all(other.state == "ended" for other in task.threads):
            self._bury(task, status)
        else:
            signals.offer(task)

    def end_task(self, task: Task, status: int) -> None:
        """End a process and all its threads; ``status`` is wait4's word (a fatal signal's number, or code << 8)."""
        for thread in task.threads:
            if thread.state != "ended":
                self.end_thread(thread, status)

    def _bury(self, task: Task, status: int) -> None:
        task.status = status
        task.files.drop()
        for child in self.children(task):
            child.parent = None
            self._forget_if_orphan(child)
        timers.forget(task)
        signals.child_ended(task)
        self._forget_if_orphan(task)
        self._leave(task.process)

    def lead(self, thread: Thread) -> None:
        """Give a process's only thread the number of the first one, which ended before it, as execve does."""
        del self._alive[thread.tid]
        thread.tid = thread.pid
        self._alive = dict(sorted({**self._alive, thread.tid: thread}.items()))

    def move(self, thread: Thread, process: Process) -> None:
        """Let a process's only thread go on where the CPU of another memory stands, as after execve."""
        old = thread.process
        if self._on_cpu.get(old.machine) is thread:
            del self._on_cpu[old.machine]
        thread.task.process = process
        self._on_cpu[process.machine] = thread
        self._leave(old)

    def _leave(self, process: Process) -> None:
        """Forget a memory, if nobody is in it."""
        machine = process.machine
        if all(thread.process.machine is not machine for thread in self.threads):
            self._on_cpu.pop(machine, None)
            self.vacated(process)

    def _forget_if_orphan(self, task: Task) -> None:
        if task.status is not None and task.parent is None and task is not self.main.task:
            self.tasks.pop(task.pid, None)  # already gone if its end has ended its parent

    def children(self, task: Task) -> list[Task]:
        """A process's children, ended ones that it has not waited for included."""
        return [other for other in self.tasks.values() if other.parent is task]

    def reap(self, child: Task) -> int:
        """Forget an ended child; returns its status."""
        assert child.status is not None
        if child.parent is not None:
            child.parent.waited += child.ran + child.waited
        del self.tasks[child.pid]
        return child.status


def _no_program(thread: Thread, _file: Regular, image: Image) -> None:
    thread.kernel.refuse(f"execve of {image.path}")
    raise Refused(Errno.ENOEXEC)


def _arguments(handler: Handler, most: int) -> int:
    """How many arguments of the call a handler takes after the thread."""
    if inspect.isfunction(handler) and not hasattr(handler, "__wrapped__"):  # as nearly all: asked the short way
        code = handler.__code__
        return most if code.co_flags & inspect.CO_VARARGS else int(code.co_argcount) - 1
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return most
    named = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(named) - 1
