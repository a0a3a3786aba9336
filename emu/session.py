"""A session: goroutines that run on the era's own assembly, with Python in the place of everything else.

    session = Session(of_era("modern", "arm"), [Function("f", "invoke hello")])

    @session.gate("hello")
    def hello(session): print(session.current.name)

    session.go("f")
    session.run()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from arch.habits import habits
from asm import guests as guest_code
from asm.guests import Function
from emu.contracts.judge import kept_by_callee, name_of
from emu.kernel import Kernel, loop
from emu.kernel.kernel import Handler
from emu.machine import Stop
from emu.runtime import fields
from emu.runtime.contiguous import Contiguous
from emu.runtime.failures import Crash, Deadlock, Spent, Throw
from emu.runtime.goroutine import Event, Goroutine
from emu.runtime.hybrid import Hybrid
from emu.runtime.schedule import Runtime
from emu.runtime.segmented import Segmented
from emu.runtime.stacks import Stacks
from emu.runtime.world import Struct, World
from emu.target import GATES, Target

_ENTRIES, _GUEST_GATES = GATES + 0x1000, GATES + 0x2000
_GUESTS, _VALUES = 0x4E40_0000, 0x4E70_0000
_STRUCTS = 0x10000  # bytes for the g of every goroutine
STEPS = 1_000_000

RUNTIMES: dict[str, type[Runtime]] = {"segmented": Segmented, "hybrid": Hybrid, "contiguous": Contiguous}
_REFUSALS = {
    "badmcall": "runtime: mcall called on m->g0 stack", "badmcall2": "runtime: mcall function returned",
    "badmorestackg0": "morestack on g0", "badmorestackgsignal": "morestack on gsignal", "badctxt": "ctxt != 0",
    "badsystemstack": "systemstack called from unexpected goroutine", "abort": "abort",
    "caller": "a routine that never returns has returned",
}

Gate = Callable[["Session"], None]
Policy = Callable[[Sequence[Goroutine]], Goroutine]


class Watch(Protocol):
    """Someone who looks at every crossing from one stack to another."""

    def begin(self, session: Session, routine: str) -> None:
        """The CPU stands at the entry of ``routine``."""

    def reached(self, session: Session, where: str) -> None:
        """It has stopped: at a gate, by name, or (``""``) where a resumed goroutine goes on."""


class Session:
    """One thread with a scheduler, on a target's routines.

    ``policy`` chooses among the runnable goroutines, oldest first. ``events``: what the runtime did, in order.
    ``p_running``: whether the thread's p is in the state in which goroutines may be preempted.
    """

    def __init__(
        self, target: Target, guests: Iterable[Function] = (), *,
        runtime: type[Runtime] | None = None, watch: Watch | None = None,
    ) -> None:
        """Link ``guests`` to the target. Raises AsmError; ValueError for a name that is taken."""
        entries = {
            name: _ENTRIES + index * 16
            for index, name in enumerate(name for name, symbol in target.routines.items() if symbol is not None)
        }
        self.arch, self.era = target.arch, target.era
        self.guests = guest_code.build(
            guests, self.era, self.arch, habits(target.era.name, target.go), entries,
            base=_GUESTS, values_at=_VALUES, gates_at=_GUEST_GATES,
        )
        self.target = _link(target, self.guests, entries)
        self.world = World(self.target)
        self.process = self.world.process
        self._structs = self.process.add_region("goroutines", _STRUCTS)
        self._entries = entries
        self._runtime, self.watch = runtime or RUNTIMES[self.era.stacks], watch
        self._syscalls: dict[str, Handler] = {}
        self._gates: dict[str, Gate] = {}
        self.policy: Policy = lambda runnable: runnable[0]
        self.stacks = Stacks(self.process)
        self.reset()

    def reset(self) -> None:
        """Forget all goroutines; the thread is on g0, where mstart leaves it. What was registered stays."""
        self.stacks.clear()
        self.world.reset()
        self.goroutines: list[Goroutine] = []
        self.events: list[Event] = []
        self.finished, self.p_running, self._until = False, True, 0
        self._steps = 0
        m = self.world.m
        fields.clear(m)
        m["g0"], m["gsignal"] = self.world.g0.address, self.world.gsignal.address
        if m.has("p"):
            m["p"] = self.world.buf.address  # not nil is all that is asked of it
        self.world.run_on(self.world.g0)
        self.process.set_role("sp", self.world.g0["sched.sp"])
        self.runtime = self._runtime(self)
        self.kernel = Kernel(self.process)
        for name, handler in self._syscalls.items():
            self.kernel.syscall(name)(handler)

    # what users register

    def gate(self, name: str) -> Callable[[Gate], Gate]:
        """Register what happens when a guest invokes ``name``, or the runtime reaches its gate of that name.

        The function gets the session; when it returns, so does the call, unless it has sent the CPU elsewhere.
        Raises KeyError for a name that nothing invokes.
        """
        if name not in self.target.program.gates:
            raise KeyError(f"nothing invokes {name}; there are: {', '.join(self.target.program.gates)}")

        def register(function: Gate) -> Gate:
            self._gates[name] = function
            return function

        return register

    def syscall(self, name: str) -> Callable[[Handler], Handler]:
        """Register or replace a system call: ``def f(thread, *arguments) -> int``; see `Kernel.syscall`."""

        def register(function: Handler) -> Handler:
            self._syscalls[name] = function
            return self.kernel.syscall(name)(function)

        return register

    # goroutines

    def go(self, function: str, *arguments: int, name: str = "", stack: int = 0) -> Goroutine:
        """Make a goroutine that calls a guest function; it runs when the policy chooses it.

        ``stack``: bytes, the era's smallest by default. Raises KeyError for an unknown function.
        """
        if function not in self.guests.functions:
            raise KeyError(f"no guest function {function}; there are: {', '.join(self.guests.functions)}")
        name = name or f"{function} {self.count + 1}"
        words = self.guests.functions[function].args
        size = self.world.layout.sizes["g"]
        address = self._structs.address + self.count * (-(-size // 64) * 64 + 64)
        if address + size > self._structs.end:
            raise MemoryError(f"no room for more than {self.count} goroutines")
        g = Struct(self.process, self.world.layout, "g", address, name)
        fields.clear(g)
        made = self.stacks.make(stack or self.era.guards.minimum, name)
        goroutine = Goroutine(
            name, g, function, [made], self.runtime.facts.status, passed=len(arguments), words=max(words, len(arguments)),
        )
        self.goroutines.append(goroutine)
        self.runtime.new(goroutine, arguments)
        return goroutine

    @property
    def count(self) -> int:
        """How many goroutines were made."""
        return len(self.goroutines)

    @property
    def current(self) -> Goroutine:
        """The goroutine that runs, or whose work the thread does on g0."""
        return self.runtime.current()

    def goroutine(self, address: int) -> Goroutine:
        """The goroutine whose g is at ``address``."""
        for goroutine in self.goroutines:
            if goroutine.g.address == address:
                return goroutine
        raise Throw(f"no goroutine has its g at {self.world.describe(address)}")

    def ready(self, goroutine: Goroutine) -> None:
        """Make a parked goroutine runnable."""
        self.runtime.ready(goroutine)

    def preempt(self, goroutine: Goroutine) -> None:
        """Ask a goroutine, through its guard, to give way at its next stack check."""
        self.runtime.preempt(goroutine)

    def note(self, event: Event) -> None:
        """Write down what the runtime did."""
        self.events.append(event)

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
        """Where guests enter a routine: a stop just before it, so that the crossing is seen."""
        return self._entries[routine]

    def function_at(self, pc: int) -> str:
        """The name of the guest function that ``pc`` is in."""
        symbol = self.guests.program.at(pc)
        if symbol is None:
            raise Throw(f"{self.world.describe(pc)} is in no guest function")
        return symbol.name

    # running

    def call(self, routine: str, *arguments: int, until: int) -> None:
        """From a gate on g0: call a routine that never returns. ``until``: the address it will go on at."""
        self.process.set_role("sp", (self.process.role("sp") - 8 * self.arch.word) & -16)
        self.world.enter(routine, *arguments)
        self._until = until
        self._crossing(routine)

    def _crossing(self, routine: str) -> None:
        if self.watch is not None:
            recorder = self.process.machine.recorder
            self._steps += recorder.steps
            recorder.clear()
            self.watch.begin(self, routine)

    @property
    def steps(self) -> int:
        """Instructions executed so far."""
        return self._steps + self.process.machine.recorder.steps

    def run(self, steps: int = STEPS) -> None:
        """Run until every goroutine has ended. Raises a `Failure`: Throw, Crash, Deadlock or Spent."""
        last = self.steps + steps
        if not self.finished:
            self.runtime.schedule()
        while not self.finished:
            self._advance(last)

    def _advance(self, last: int) -> None:
        if self._until and self.watch is not None:
            stop = self._follow(self._until)
            if stop is None:
                return
        else:
            outcome = loop.run(self.kernel, last - self.steps)
            if outcome.kind == "ended":
                self.finished = True
                return
            if outcome.kind == "deadlock":
                raise Deadlock("; ".join(outcome.waiting))
            if outcome.kind == "budget" or outcome.stop is None:
                raise Spent(f"no end within the budget; at {self._here()}")
            if outcome.thread is not None and outcome.thread.process is not self.process:
                raise Crash(f"a forked process stopped at {self._here(outcome.stop.pc)}")
            stop = outcome.stop
        self._stopped(stop)

    def _follow(self, until: int) -> Stop | None:
        """Step through a routine until it goes on at ``until``; None then, or the stop that came first."""
        for _ in range(_ROUTINE):
            stop = self.process.run(1)
            if stop.pc == until and stop.kind in ("budget", "exit"):
                self._until = 0
                if self.watch is not None:
                    self.watch.reached(self, "")
                return None
            if stop.kind != "budget":
                return stop
        raise Crash(f"a routine does not go on at {self.world.describe(until)}; it is at {self._here()}")

    def _stopped(self, stop: Stop) -> None:
        name = name_of(self.world, stop)
        if stop.kind != "exit":
            raise Crash(f"{name} in {self._here(stop.pc)}, step {self.steps}")
        if name.startswith(_TO):
            routine = name.removeprefix(_TO)
            symbol = self.target.routines[routine]
            assert symbol is not None
            self.process.set_role("pc", symbol.address)
            self._crossing(routine)
            return
        if self.watch is not None:
            self.watch.reached(self, name)
        self._handle(name)
        if self.process.role("pc") == stop.pc and not self.finished:
            self.process.return_from_call(kept_by_callee(self.world))

    def _handle(self, name: str) -> None:
        if name in self._gates:
            self._gates[name](self)
        elif name in _BUILT_IN:
            try:
                _BUILT_IN[name](self.runtime)
            except ValueError as problem:  # the runtime touched what is not mapped
                raise Crash(f"{name}: {problem}") from None
        elif name in _REFUSALS:
            raise Throw(_REFUSALS[name])
        else:
            raise Crash(f"nobody stands for {name}: register it with @session.gate({name!r})")

    def _here(self, pc: int | None = None) -> str:
        return self.world.describe(self.process.role("pc") if pc is None else pc)


_TO = "to "  # names of the gates in front of the routines
_ROUTINE = 100  # instructions that a routine may need to resume a goroutine

_BUILT_IN: dict[str, Callable[[Runtime], None]] = {
    "newstack": lambda runtime: runtime.newstack(),
    "oldstack": lambda runtime: runtime.oldstack(),
    "gosched0": lambda runtime: runtime.gosched0(),
    "park0": lambda runtime: runtime.park0(),
    "goexit0": lambda runtime: runtime.goexit0(),
    "prewrite": lambda runtime: None,
    "save_gm": lambda runtime: None,
}


def _link(target: Target, guests: guest_code.Guests, entries: dict[str, int]) -> Target:
    """The target with guest code, a gate for each name that it invokes, and one in front of each routine."""
    program, added = target.program, guests.program
    taken = {*guests.functions, *guests.gates} & {*program.symbols, *program.gates}
    if taken:
        raise ValueError(f"the target has a {', '.join(sorted(taken))} already; choose another name")
    gates = {**program.gates, **guests.gates, **{f"{_TO}{name}": address for name, address in entries.items()}}
    return replace(target, program=replace(
        program, segments=(*program.segments, *added.segments), symbols={**program.symbols, **added.symbols},
        gates=gates, lines={**program.lines, **added.lines},
    ))
