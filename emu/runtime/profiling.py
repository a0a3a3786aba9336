"""A goroutine in a system call, a signal of the profiler that finds it there, and a collector that scans it meanwhile.

Two threads in a race (`emu.race`). The guest's code says what the handler and the collector lock; what they do in
between, and what becomes of the goroutine's status, is here, access by access.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from arch import barriers as facts
from arch.model import Arch
from arch.runtimes import Status
from asm.guests import Function
from emu.access import Access, Accesses, finish, get, put, swap
from emu.backport import with_barriers
from emu.contracts.judge import kept_by_callee
from emu.race import Gate, Guest, Landing, Race
from emu.runtime import fields
from emu.runtime.barriers import Barriers, Frame, Start
from emu.runtime.failures import Failure, Throw
from emu.runtime.linking import link
from emu.runtime.world import World

SCAN = 0x1000
"""In a status: the collector has the goroutine's stack, and the goroutine does not go on."""

_ROOM = 8  # words above the goroutine's first frame, for its arguments
_STEPS = 10_000
_NUMBER = 7  # what the system call returns


class Astray(Failure):
    """The goroutine did not come back through its frames as it should."""


@dataclass(frozen=True)
class Program:
    """``functions``: the goroutine begins in ``first``, with one argument, and leaves its ``result`` behind that.

    ``handler``: what the signal calls, with the g that it has found running; ``collector``: what the other thread
    does, with the goroutine. The goroutine, or what it does on g0's stack, ends up in the gate ``kernel``.
    """

    functions: tuple[Function, ...]
    first: str
    argument: int
    result: int
    handler: str = "handler"
    collector: str = "collector"


class Profiling:
    """The goroutine is in its system call, the signal has come, the collector begins.

    ``offset``: see `Barriers.scanstack`. ``found``: the g that the signal has found running. ``frames``: what a walk
    from there sees as long as there are no barriers. ``result_at``: where the goroutine's result will be.
    """

    def __init__(self, arch: Arch, program: Program, offset: int = facts.FIRST) -> None:
        linked, guests, _ = link(with_barriers(arch.name), program.functions, stops=False)
        self.world, self.program, self.offset = World(linked), program, offset
        self.arch, self.process, self.g = arch, self.world.process, self.world.g
        self.kept = kept_by_callee(self.world)
        self.barriers = Barriers(self.world, guests, self.g, self.world.code("caller"))
        self._enter_syscall()
        self.frames = tuple(finish(self.process, self._walk()))

    # the goroutine's way into its system call, while nobody else does anything

    def _enter_syscall(self) -> None:
        world, g = self.world, self.g
        for struct in world.gs:
            struct["stkbar.array"] = struct["stkbar.len"] = struct["stkbarPos"] = 0
            fields.put(struct, "stackLock", 0)
        fields.put(g, "atomicstatus", Status.RUNNING)
        end = self.barriers.reserve(world.stacks["g"])
        self.process.set_role("sp", end - _ROOM * self.arch.word)
        self.result_at = self.process.role("sp") + self.arch.call.first_argument + self.arch.word
        world.enter(self.program.first, self.program.argument)
        while (name := self._to_gate()) != "kernel":
            if name != "entersyscall":
                raise Throw(f"{name} before the system call")
            self.process.return_from_call(self.kept)
            g["syscallpc"], g["syscallsp"] = self.process.role("pc"), self.process.role("sp")
            fields.put(g, "atomicstatus", Status.SYSCALL)
        self.registers, self.interrupted = self.process.machine.registers(), self._start()
        self.found = next(struct for struct in world.gs if struct.address == self._running())

    def _to_gate(self) -> str:
        stop = self.process.run(_STEPS)
        return next((name for name, at in self.world.program.gates.items() if at == stop.pc), stop.kind)

    def _start(self) -> Start:
        process, on_stack = self.process, self.arch.call.return_on_stack
        return Start(process.role("pc"), process.role("sp"), 0 if on_stack else process.role("link"))

    def _running(self) -> int:
        """The g that the thread says is running."""
        register = self.arch.tls.g_register
        return self.registers[register] if register else self.process.word(self.world.slot("g"))

    # the race

    @cached_property
    def race(self) -> Race:
        """The thread in its handler and then out of the system call, and the collector."""
        world, worker, gsignal = self.world, self.world.other, self.world.gsignal
        tls = world.alloc(8 * self.arch.word) + len(world.era.tls_slots) * self.arch.word
        world.run_on(worker)
        world.enter(self.program.collector, self.g.address)
        if self.arch.tls.segment:
            self.process.set_word(tls, tls)
            self.process.set_word(tls - self.arch.word, worker.address)
        collector = Guest("collector", self.process.machine.registers(), self._collector(), tls=tls)
        world.run_on(gsignal)
        world.enter(self.program.handler, self.found.address)
        thread = Guest("thread", self.process.machine.registers(), self._thread(), tls=world.tls_base)
        words = self._words()
        return Race(
            self.process, [thread, collector], [(at, size) for at, (_, size) in words.items()],
            lambda at: words[at][0] if at in words else world.describe(at), frozenset(self.kept), self._at_end,
        )

    def _words(self) -> dict[int, tuple[str, int]]:
        """What both threads touch: words of g, the entries, and the return PCs. Address -> name and bytes."""
        g, word = self.g, self.arch.word
        of_g = ("stkbar.array", "stkbar.len", "stkbar.cap", "stkbarPos", "syscallsp", "syscallpc")
        words = {g.at(name): (f"g.{name}", word) for name in of_g}
        words |= {g.at(name): (f"g.{name}", 4) for name in ("atomicstatus", "stackLock")}
        words |= {at: (name, word) for at, name in self.barriers.entries().items()}
        return words | {f.slot: (f"the return PC of {f.function}", word) for f in self.frames if f.saved}

    def _thread(self) -> Mapping[str, Gate]:
        return {
            "gentraceback": self._gentraceback, "sigreturn": self._sigreturn, "exitsyscall": self._exitsyscall,
            "osyield": _nothing,
        }

    def _collector(self) -> Mapping[str, Gate]:
        return {
            "castogscanstatus": self._stop, "scanstack": self._scanstack, "casfromgscanstatus": self._let_go,
            "osyield": _nothing,
        }

    def _gentraceback(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """The handler's walk, from where the signal has found the thread."""
        yield from self._walk()
        return None

    def _walk(self) -> Accesses[list[Frame]]:
        return self.barriers.traceback(self.interrupted, on=self.found)

    def _sigreturn(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """Back to where the signal has found the thread; the kernel then returns from the system call."""
        yield from ()

        def land() -> None:
            self.world.set_g(self.found.address)
            self.process.set_registers(self.registers)
            self._return(_NUMBER)

        return land

    def _return(self, result: int) -> None:
        self.process.return_from_call(self.kept)
        self.process.set_role("result", result)

    def _exitsyscall(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """The goroutine runs again, once no collector has it."""
        yield Access("until", self.g.at("atomicstatus"), 4, Status.RUNNING, Status.SYSCALL)
        yield from put(self.g, "syscallsp", 0)
        return None

    def _stop(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """A goroutine in a system call is as good as stopped: 1 if this is one, and it is the collector's now.

        One that runs has to scan itself; that is not shown here.
        """
        taken = yield from swap(self.g.at("atomicstatus"), 4, Status.SYSCALL, Status.SYSCALL | SCAN)
        return lambda: self._return(int(taken))

    def _scanstack(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        pc, sp = (yield from get(self.g, "syscallpc")), (yield from get(self.g, "syscallsp"))
        yield from self.barriers.scanstack(Start(pc, sp), self.offset)
        return None

    def _let_go(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        yield from put(self.g, "atomicstatus", Status.SYSCALL)
        return None

    def _at_end(self) -> None:
        """The goroutine has returned from all of its frames: through every barrier, and with the right result."""
        g, process = self.g, self.process
        if (found := process.word(self.result_at)) != self.program.result:
            raise Astray(f"{self.program.first} returns {found:#x}, expected {self.program.result:#x}")
        if g["stkbarPos"] != g["stkbar.len"]:
            raise Astray(f"g.stkbarPos is {g['stkbarPos']} after {g['stkbar.len']} barriers")


def _nothing(_registers: Mapping[str, int]) -> Accesses[Landing]:
    yield from ()
    return None


