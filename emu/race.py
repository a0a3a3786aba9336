"""Threads that race: guest code and Python on one memory, as a space of states for `emu.explore`.

A `Guest` runs assembly on the process's machine, a `Script` is a generator of accesses (`emu.access`); so is what
stands for a gate that a guest reaches. A step of a thread does the one access to *shared* memory that it stands
before, and runs on to where it stands before the next: the pages with shared words are closed meanwhile, so that the
machine stops in front of the instruction. Other memory is a thread's own, or does not change: that is for whoever
sets up the race to see to. A `Failure` that a generator raises, or a guest that crashes, is a finding.

Memory is sequentially consistent: what weaker orders an arm could show beyond that is not explored. An instruction's
accesses are one step, but for one that reads a shared word and writes it back without a lock prefix: those are two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from asm import readback
from emu.access import Access, Accesses, Value, perform
from emu.machine import PAGE, Stop
from emu.memory import Memory, Monitor
from emu.process import Process
from emu.runtime.failures import Crash, Spent

LONGEST = 10_000  # instructions from one shared access to the next

Landing: TypeAlias = Callable[[], None] | None
Gate = Callable[[Mapping[str, int]], Accesses[Landing]]
"""What happens at a gate: given the registers there, it accesses memory, and gives what sends the CPU elsewhere, or
None to return from the call. It is run more than once: what changes the CPU belongs into what it gives."""


@dataclass(frozen=True)
class Guest:
    """A thread of guest code. ``registers``: those that it starts with; ``tls``: its TLS base, if it has one.

    ``gates``: what happens at each gate, by name; it ends at the gates ``ends``.
    """

    name: str
    registers: Mapping[str, int]
    gates: Mapping[str, Gate] = field(default_factory=dict)
    ends: frozenset[str] = frozenset({"caller"})
    tls: int | None = None


@dataclass(frozen=True)
class Script:
    """A thread in Python."""

    name: str
    body: Callable[[], Accesses[None]]


class Stand(NamedTuple):
    """Where a thread stands. ``gate``: the name of the generator that it is in, "" in guest code.

    ``log``: what that generator was sent. ``next``: the access it stands before, None when it has ended. ``monitor``:
    the address that its last exclusive load has marked, if nobody has written there. ``held``: a word that the
    instruction has read already, and will write.
    """

    registers: tuple[int, ...]
    gate: str
    log: tuple[Value, ...]
    next: Access | None
    monitor: int | None = None
    held: bytes | None = None


class State(NamedTuple):
    """Where all threads stand, and memory, by the numbers of its pages' contents."""

    stands: tuple[Stand, ...]
    pages: tuple[int, ...]


class Instruction(NamedTuple):
    """What `asm.readback` says of it."""

    updates: int
    exclusive: str


_LONGEST_CODE = {"x86": 15, "arm": 4}  # bytes of an instruction
_SCRIPT = "script"  # where a script is, always
_GRANULE = 4  # bytes that an exclusive load marks: the least there is


class Race:
    """Guests and scripts on a process. ``shared``: (address, bytes) of the memory that is; the rest is a thread's own.

    ``describe``: names for addresses. ``kept``: registers that a gate's call leaves alone; the rest are poisoned.
    ``at_end``: looks at the process when all threads have ended, and raises a Failure if it should not be so.
    All begin with the memory that the process has at the first `start`.
    """

    def __init__(
        self, process: Process, threads: Sequence[Guest | Script], shared: Sequence[tuple[int, int]],
        describe: Callable[[int], str] = hex, kept: frozenset[str] = frozenset(),
        at_end: Callable[[], None] | None = None,
    ) -> None:
        self._process, self._machine, self._arch = process, process.machine, process.arch
        self.threads, self._describe, self._kept = tuple(threads), describe, set(kept)
        self._shared = tuple((address, address + size) for address, size in shared)
        pages = {page for low, high in self._shared for page in range(low // PAGE, (high - 1) // PAGE + 1)}
        self._closed = [page * PAGE for page in sorted(pages)]
        self._open, self._gates = True, {address: name for name, address in process.program.gates.items()}
        self._instructions: dict[int, Instruction] = {}
        self._at_end, self._memory = at_end, Memory(process)
        self._first: tuple[int, ...] | None = None
        self._monitor = Monitor.of(process)

    # the space

    @property
    def names(self) -> Sequence[str]:
        """The threads' names."""
        return [thread.name for thread in self.threads]

    def start(self) -> State:
        """All threads before their first shared access. Raises a Failure if one does not get there."""
        self._machine.recorder.reads_wanted = True
        if self._first is None:
            self._first = self._memory.take()
        self._memory.put(self._first)
        stands = tuple(self._begin(thread) for thread in self.threads)
        return State(stands, self._memory.take())

    def able(self, state: State) -> Sequence[int]:
        """The threads that can take a step."""
        return [index for index, stand in enumerate(state.stands) if self._able(state, stand)]

    def _able(self, state: State, stand: Stand) -> bool:
        if stand.next is None or stand.next.kind != "until":
            return stand.next is not None
        return stand.next.able(self._memory.look(state.pages, stand.next.address, stand.next.size))

    def over(self, state: State) -> bool:
        """Whether all threads have ended."""
        return all(stand.next is None for stand in state.stands)

    def tell(self, state: State, thread: int) -> str:
        """The access that a thread stands before, and where it is; "" if it has ended."""
        stand = state.stands[thread]
        if stand.next is None:
            return ""
        place = "" if stand.gate == _SCRIPT else stand.gate or self._describe(self._pc(stand))
        what = {"until": "waits for", "read": "reads", "write": "writes", "swap": "swaps"}[stand.next.kind]
        if not stand.gate and stand.held is not None:
            what = "writes back"
        size = f" ({stand.next.size} bytes)" if stand.next.whole else ""
        stored = f" = {stand.next.value:#x}" if isinstance(stand.next.value, int) and stand.next.kind == "write" else ""
        return f"{place} {what} {self._describe(stand.next.address)}{size}{stored}".lstrip()

    def step(self, state: State, thread: int) -> State:
        """Do the access that a thread stands before, and run it on to the next. Raises a Failure."""
        self._memory.put(state.pages)
        stand, who = state.stands[thread], self.threads[thread]
        assert stand.next is not None
        touched: list[tuple[int, int]] = []
        if isinstance(who, Script) or stand.gate:
            value = self._perform(who, stand.next)
            if stand.next.stores:
                touched.append((stand.next.address, stand.next.size))
            new = self._go_on(who, stand, (*stand.log, value))
        else:
            new = self._guest_step(who, stand, touched)
        stands = tuple(new if i == thread else _marked(s, touched) for i, s in enumerate(state.stands))
        after = State(stands, self._memory.take())
        if self._at_end is not None and self.over(after):
            self._at_end()
        return after

    # Python

    def _begin(self, who: Guest | Script) -> Stand:
        if isinstance(who, Script):
            return self._go_on(who, Stand((), _SCRIPT, (), None), ())
        self._machine.reset()
        self._process.set_registers(who.registers)
        if who.tls is not None:
            self._machine.set_tls_base(who.tls)
        return self._run(who, None)

    def _go_on(self, who: Guest | Script, stand: Stand, log: tuple[Value, ...]) -> Stand:
        """Bring a generator back to where its log ends, and take it to its next shared access, or its end."""
        registers = dict(zip(self._arch.registers, stand.registers, strict=False))
        routine = who.body() if isinstance(who, Script) else who.gates[stand.gate](registers)
        sent: Value = None
        done = 0
        while True:
            try:
                access = routine.send(sent)
            except StopIteration as end:
                landing: Landing = end.value
                break
            if done < len(log):
                sent = log[done]
                done += 1
                continue
            if self._is_shared(access.address, access.size):
                return stand._replace(log=log, next=access)
            sent = self._perform(who, access)
            log, done = (*log, sent), done + 1
        if isinstance(who, Script):
            return Stand((), "", (), None)
        return self._land(who, stand, landing)

    def _perform(self, who: Guest | Script, access: Access) -> Value:
        try:
            return perform(self._process, access)
        except ValueError:
            raise Crash(f"{who.name}: {access.kind} of {self._describe(access.address)}, which is not mapped") from None

    def _land(self, who: Guest, stand: Stand, landing: Landing) -> Stand:
        """A gate is done: send the CPU where its thread goes on."""
        self._enter(who, stand)
        if landing is None:
            self._process.return_from_call(self._kept)
        else:
            landing()
        return self._run(who, stand.monitor)

    # guests

    def _enter(self, who: Guest, stand: Stand) -> None:
        """The thread's turn: its registers."""
        self._machine.set_registers(dict(zip(self._arch.registers, stand.registers, strict=True)))
        if who.tls is not None:
            self._machine.set_tls_base(who.tls)

    def _guest_step(self, who: Guest, stand: Stand, touched: list[tuple[int, int]]) -> Stand:
        """Execute the one instruction that touches shared memory. ``touched`` gets what it stored to."""
        assert stand.next is not None
        at, instruction = stand.next.address, self._instruction(stand)
        if instruction.updates and stand.held is None:
            found = self._machine.read(at, instruction.updates)
            return stand._replace(held=found, next=Access("write", at, instruction.updates))
        self._enter(who, stand)
        self._set_open(True)
        if instruction.exclusive == "store" and self._monitor is not None:
            self._monitor.prepare(at if stand.monitor == at else None)
        between = b""
        if stand.held is not None:  # let it find what it has read, whatever is there by now
            between = self._machine.read(at, instruction.updates)
            self._machine.write(at, stand.held)
        stop = self._one()
        stored = [(a.address, a.size) for a in self._machine.recorder.writes if self._is_shared(a.address, a.size)]
        touched.extend(stored)
        if between and not stored:
            self._machine.write(at, between)
        monitor = {"load": at, "": stand.monitor}.get(instruction.exclusive)
        return self._run(who, monitor, stop)

    def _one(self) -> Stop:
        """Execute one instruction."""
        self._machine.recorder.clear()
        return self._machine.run(1)

    def _run(self, who: Guest, monitor: int | None, stop: Stop | None = None) -> Stand:
        """Run on to the next shared access, or gate with one, or end. ``stop``: why the machine has stopped already."""
        budget = LONGEST
        while stop is None or stop.kind == "budget":
            if budget <= 0:
                place = self._describe(self._process.role("pc"))
                raise Spent(f"{who.name} touches nothing shared in {LONGEST} instructions; it is at {place}")
            self._set_open(False)
            self._machine.recorder.clear()
            stop = self._machine.run(budget)
            budget -= self._machine.recorder.steps
            if stop.kind == "fault" and stop.address is not None and stop.address // PAGE * PAGE in self._closed:
                if self._is_shared(stop.address, self._arch.word):
                    registers = tuple(self._machine.registers().values())
                    access = Access("write" if stop.access == "write" else "read", stop.address, self._arch.word)
                    return Stand(registers, "", (), access, monitor)
                stop = self._past_private()
        return self._stopped(who, monitor, stop)

    def _past_private(self) -> Stop:
        """Execute an instruction that touches memory that is not shared, on a page where other memory is."""
        self._set_open(True)
        stop = self._one()
        if any(self._is_shared(a.address, a.size) for a in self._machine.recorder.accesses):
            raise Crash(f"{self._describe(stop.pc)}: the instruction before touches shared and other memory at once")
        return stop

    def _stopped(self, who: Guest, monitor: int | None, stop: Stop) -> Stand:
        """At a gate; anything else is a crash."""
        name = self._gates.get(stop.pc, "") if stop.kind == "exit" else ""
        if name in who.ends:
            return Stand((), "", (), None)
        if name in who.gates:
            registers = tuple(self._machine.registers().values())
            return self._go_on(who, Stand(registers, name, (), None, monitor), ())
        if name:
            raise Crash(f"{who.name}: nobody stands for {name}")
        touched = f" of {self._describe(stop.address)}" if stop.address is not None else ""
        raise Crash(f"{who.name}: {stop.access or stop.kind}{touched} in {self._describe(stop.pc)}")

    def _instruction(self, stand: Stand) -> Instruction:
        pc = self._pc(stand)
        if pc not in self._instructions:
            code = self._machine.read(pc, _LONGEST_CODE[self._arch.isa])
            self._instructions[pc] = Instruction(
                readback.updates(self._arch, code, pc), readback.exclusive(self._arch, code, pc)
            )
        return self._instructions[pc]

    def _pc(self, stand: Stand) -> int:
        return stand.registers[self._arch.registers.index(self._arch.roles["pc"])]

    # memory

    def _is_shared(self, address: int, size: int) -> bool:
        return any(address < high and low < address + size for low, high in self._shared)

    def _set_open(self, touchable: bool) -> None:
        if touchable != self._open:
            for page in self._closed:
                self._machine.protect(page, PAGE, touchable=touchable)
            self._open = touchable


def _marked(stand: Stand, touched: Sequence[tuple[int, int]]) -> Stand:
    """A thread whose marked word someone else has written has it no longer."""
    at = stand.monitor
    if at is not None and any(address < at + _GRANULE and at < address + size for address, size in touched):
        return stand._replace(monitor=None)
    return stand
