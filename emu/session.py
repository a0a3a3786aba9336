"""A session: goroutines that run on the target's own assembly, with Python in the place of everything else.

    session = Session(of_era("modern", "arm"), [Function("f", "invoke hello")])

    @session.gate("hello")
    def hello(session): print(session.current.name)

    session.go("f")
    session.run()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Protocol

from asm.guests import Function
from asm.hooks import Hook
from emu.kernel import Kernel
from emu.kernel.kernel import Handler
from emu.kernel.table import Thread
from emu.process import Process
from emu.runtime import fields
from emu.runtime.contiguous import Contiguous
from emu.runtime.failures import Failure, Throw
from emu.runtime.fork import Fork
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.heap import Heap
from emu.runtime.hybrid import Hybrid
from emu.runtime.linking import link
from emu.runtime.loop import Loop
from emu.runtime.schedule import Runtime
from emu.runtime.segmented import Segmented
from emu.runtime.stacks import Stacks
from emu.runtime.struct import Struct
from emu.runtime.world import World
from emu.target import Target

STEPS = 1_000_000
_STRUCTS, _GAP = 0x10000, 64  # bytes for the g of every goroutine, and between two of them

RUNTIMES: dict[str, type[Runtime]] = {"segmented": Segmented, "hybrid": Hybrid, "contiguous": Contiguous}

Gate = Callable[["Session"], None]
Policy = Callable[[Sequence[Goroutine]], Goroutine]


class Watch(Protocol):
    """Someone who looks at every crossing from one stack to another."""

    def begin(self, session: Session, routine: str) -> None:
        """The CPU stands at the entry of ``routine``."""

    def reached(self, session: Session, where: str) -> None:
        """It has stopped: at a gate, by name, or (``""``) where a resumed goroutine goes on."""


@dataclass
class Family:
    """A session and those of its forked children. ``thread``: see `Session.thread`.

    ``deaths``: how children ended that threw or crashed, by pid.
    """

    root: Session
    thread: Thread
    sessions: dict[Process, Session]
    deaths: dict[int, Failure] = field(default_factory=dict)


class Session:
    """One thread with a scheduler, on a target's routines.

    ``policy`` chooses among the runnable goroutines, which come in the order in which they became so. ``events``: what
    the runtime did. ``finished``: nothing is left to run. ``p_running``: whether the thread's p is in the state in
    which goroutines may be preempted. ``watch``: see there.

    A fork that copies memory makes a session of the child's own, as this one was then. ``family``: what they share.
    """

    def __init__(self, target: Target, guests: Iterable[Function] = (), hook: Hook | None = None) -> None:
        """Link ``guests`` to the target. Raises AsmError; ValueError for a name that is taken.

        ``hook``: what every guest with a stack check calls first.
        """
        self.arch, self.era = target.arch, target.era
        self.target, self.guests, self._entries = link(target, guests, hook)
        self.world = World(self.target)
        self.process = self.world.process
        self._structs = self.process.add_region("goroutines", _STRUCTS)
        self.heap: Heap = Heap(self)
        self.gates: dict[str, Gate] = {}
        self._syscalls: dict[str, Handler] = {}
        self.policy: Policy = _oldest
        self.watch: Watch | None = None
        self.stacks = Stacks(self.process)
        self.restart()

    def restart(self, runtime: type[Runtime] | None = None) -> None:
        """Forget all goroutines and start anew, perhaps with a runtime of one's own. What was registered stays."""
        self.stacks.clear()
        self.world.reset()
        self.goroutines: list[Goroutine] = []
        self.events: list[Event] = []
        self.finished, self.p_running = False, True
        self._start_thread()
        self.loop = Loop(self)
        self.heap.clear()
        self.fork: Fork = Fork(self)
        self.runtime = (runtime or RUNTIMES[self.era.stacks])(self)
        self.kernel = Kernel(self.process)
        self.kernel.copied = self._copied
        self.family = Family(self, self.kernel.main, {self.process: self})
        for name, handler in self._syscalls.items():
            self.kernel.syscall(name)(handler)

    def _start_thread(self) -> None:
        """The thread is on g0, with the SP that mstart left there; m is zeroed but for its pointers."""
        m, g0 = self.world.m, self.world.g0
        fields.clear(m)
        m["g0"], m["gsignal"] = g0.address, self.world.gsignal.address
        if m.has("p"):
            m["p"] = self.world.buf.address  # not nil is all that is asked of it
        self.world.run_on(g0)
        self.process.set_role("sp", g0["sched.sp"])

    # what users register

    def gate(self, name: str) -> Callable[[Gate], Gate]:
        """Register what happens when a guest invokes ``name``, or the runtime reaches its gate of that name.

        The function gets the session; when it returns, so does the call, unless it has sent the CPU elsewhere.
        Raises KeyError for a name that nothing invokes.
        """
        if name not in self.target.program.gates:
            raise KeyError(f"nothing invokes {name}; there are: {', '.join(self.target.program.gates)}")

        def register(function: Gate) -> Gate:
            self.gates[name] = function
            return function

        return register

    def syscall(self, name: str) -> Callable[[Handler], Handler]:
        """Register or replace a system call: ``def f(thread, *arguments) -> int``; see `Kernel.syscall`."""
        install = self.kernel.syscall(name)

        def register(function: Handler) -> Handler:
            self._syscalls[name] = function
            return install(function)

        return register

    @contextmanager
    def describing(self, functions: Mapping[str, Function]) -> Iterator[None]:
        """Meanwhile the runtime is told other things of the guests (say, what may be moved) than what they said."""
        told = self.guests
        self.guests = replace(told, functions=functions)
        try:
            yield
        finally:
            self.guests = told

    # goroutines

    def go(self, function: str, *arguments: int, name: str = "", stack: int = 0) -> Goroutine:
        """Make a goroutine that calls a guest function; it runs when the policy chooses it.

        ``stack``: bytes, the era's smallest by default. Raises KeyError for an unknown function.
        """
        if function not in self.guests.functions:
            raise KeyError(f"no guest function {function}; there are: {', '.join(self.guests.functions)}")
        name = name or f"{function} {self.count + 1}"
        words = max(self.guests.functions[function].args, len(arguments))
        goroutine = Goroutine(
            name, self._new_g(name), function, [self.stacks.make(stack or self.era.guards.minimum, name)],
            self.runtime.facts.status, passed=len(arguments), words=words,
        )
        self.goroutines.append(goroutine)
        self.runtime.new(goroutine, arguments)
        return goroutine

    def _new_g(self, name: str) -> Struct:
        size = self.world.layout.sizes["g"]
        address = self._structs.address + self.count * (-(-size // _GAP) * _GAP + _GAP)
        if address + size > self._structs.end:
            raise MemoryError(f"no room for more than {self.count} goroutines")
        g = Struct(self.process, self.world.layout, "g", address, name)
        fields.clear(g)
        return g

    @property
    def count(self) -> int:
        """How many goroutines were made."""
        return len(self.goroutines)

    @property
    def current(self) -> Goroutine:
        """The goroutine that runs, or whose work the thread does on g0."""
        return self.runtime.current()

    def goroutine(self, address: int) -> Goroutine:
        """The goroutine whose g is at ``address``. Raises Throw if there is none."""
        for goroutine in self.goroutines:
            if goroutine.g.address == address:
                return goroutine
        raise Throw(f"no goroutine has its g at {self.world.describe(address)}")

    def ready(self, goroutine: Goroutine) -> None:
        """Make a parked goroutine runnable."""
        self.runtime.ready(goroutine)

    def preempt(self, goroutine: Goroutine) -> None:
        """Ask a goroutine, through its guard, to give way at its next stack check. Raises ValueError in 2011."""
        self.runtime.preempt(goroutine)

    def note(self, event: Event) -> None:
        """Write down what the runtime did, and when."""
        self.events.append(replace(event, pid=self.thread.pid, step=self.steps))

    # threads and processes

    @property
    def thread(self) -> Thread:
        """The thread on the CPU at the last stop, in whatever process."""
        return self.family.thread

    def start_thread(self, function: str) -> Thread:
        """One more thread of the process, without a goroutine: it runs a guest function that must not check its stack.

        The function may not return: it ends its thread by the system call.
        """
        process, stack = self.process, self.stacks.make(self.era.guards.minimum, function)
        mine = process.machine.save()
        process.set_role("sp", stack.hi - 16 * self.arch.word)
        self.world.enter(function)
        thread = self.kernel.new_thread(self.thread.task)
        thread.cpu = process.machine.save()
        process.machine.restore(mine)
        return thread

    def _copied(self, process: Process, copy: Process) -> None:
        """A fork has copied the memory: the child's runtime knows what its parent's knew, in memory of its own."""
        parent = self.family.sessions[process]
        common = (
            self.target, self.target.program, self.arch, self.era, self.world.layout, self.guests, self.kernel,
            self.family, parent.gates, parent.policy, parent._entries, parent._syscalls,
        )
        memo: dict[int, object] = {id(thing): thing for thing in common}
        child = deepcopy(parent, memo | {id(process): copy, id(parent.watch): None})
        child.loop.restart()
        self.family.sessions[copy] = child

    # inside a gate

    def argument(self, index: int, routine: str = "") -> int:
        """An argument word of the function whose entry the CPU stands at; ``routine`` says by whose ABI."""
        if self.arch.internal and routine in self.era.internal.get(self.arch.name, ()):
            return self.process.machine.registers()[self.arch.internal.arguments[index]]
        return self.process.word(self._argument_at(index))

    def set_argument(self, index: int, value: int) -> None:
        """Store an argument or result word of the function whose entry the CPU stands at."""
        self.process.set_word(self._argument_at(index), value)

    def _argument_at(self, index: int) -> int:
        return self.process.role("sp") + self.arch.call.first_argument + index * self.arch.word

    # addresses

    def code(self, name: str) -> int:
        """The code address of a guest function or gate."""
        program = self.target.program
        return program.symbols[name].address if name in program else program.gates[name]

    def value(self, name: str) -> int:
        """The address of its func value."""
        return self.guests.values[name]

    def entry(self, routine: str) -> int:
        """Where guests enter a routine: a stop just before it."""
        return self._entries[routine]

    def function_at(self, pc: int) -> str:
        """The name of the guest function that ``pc`` is in. Raises Throw if it is in none."""
        symbol = self.guests.program.at(pc)
        if symbol is None:
            raise Throw(f"{self.world.describe(pc)} is in no guest function")
        return symbol.name

    # running

    @property
    def steps(self) -> int:
        """Instructions executed so far, by forked children too."""
        return sum(session.loop.steps for session in self.family.sessions.values())

    def call(self, routine: str, *arguments: int, until: int) -> None:
        """From a gate on g0: call a routine that never returns. ``until``: the address it will go on at."""
        self.process.set_role("sp", (self.process.role("sp") - 8 * self.arch.word) & -16)
        self.world.enter(routine, *arguments)
        self.loop.until = until
        self.loop.crossing(routine)

    def run(self, steps: int = STEPS) -> None:
        """Run until every goroutine has ended. Raises a `Failure`: Throw, Crash, Deadlock or Spent."""
        if not self.finished:
            self.runtime.schedule()
        self.loop.run(steps)


def _oldest(runnable: Sequence[Goroutine]) -> Goroutine:
    return runnable[0]
