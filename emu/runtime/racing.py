"""The runtime of 2011 for a goroutine in a race: what its gates do, access by access.

Segments are linked by what `emu.runtime.segmented` links them by for sessions, where nobody else runs meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arch.runtimes import Status
from emu.access import Accesses, acquire, get, put, read, until
from emu.race import Gate, Landing
from emu.runtime import segments
from emu.runtime.arena import Arena, Block
from emu.runtime.failures import Throw
from emu.runtime.struct import Struct
from emu.runtime.world import World


@dataclass(frozen=True)
class Racing:
    """A goroutine ``g`` of ``world`` on its thread. ``spare``: the one segment that newstack can link."""

    world: World
    arena: Arena
    sched: Struct
    g: Struct
    spare: Block

    def gates(self) -> Mapping[str, Gate]:
        """What happens where the goroutine's code leaves the guest."""
        return {
            "newstack": self._newstack, "oldstack": self._oldstack, "gosched0": self._schedule,
            "goexit0": self._exit, "use": self._use, "wake": self._wake,
        }

    @property
    def _word(self) -> int:
        return self.world.arch.word

    def _top(self, address: int) -> Struct:
        return Struct(self.world.process, self.world.layout, "stktop", address, "stktop")

    # stacks

    def _newstack(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """Link the spare segment: its Stktop first, then the bounds in g, base before guard."""
        m, g, spare = self.world.m, self.g, self.spare
        top = self._top(spare.end - self.world.layout.sizes["stktop"])
        if (yield from get(g, "stackbase")) == top.address:
            raise Throw("there is but one more segment, and it is in use")
        args, guard = (yield from get(m, "moreargsize")), spare.address + self.world.era.guards.guard
        yield from segments.fill_top(g, m, top, args, 0, guard)
        link = not self.world.arch.call.return_on_stack
        sp = yield from segments.pass_arguments(m, top, args, link)
        pc, back = (yield from get(m, "morepc")), self.world.program.symbol("lessstack").address
        return lambda: self._call("gogocall", {"sp": sp, "pc": back, "g": g.address}, pc, 0)

    def _oldstack(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """Back to the older segment; results go with it."""
        g, m = self.g, self.world.m
        top = self._top((yield from get(g, "stackbase")))
        yield from segments.return_results(top)
        old: dict[str, int] = {}
        for field in ("sp", "pc", "g"):
            old[field] = yield from get(top, f"gobuf.{field}")
        base, guard = (yield from get(top, "stackbase")), (yield from get(top, "stackguard"))
        yield from segments.set_bounds(g, base, guard)
        result = yield from get(m, "cret")
        return lambda: self._call("gogo", old, result)

    def _call(self, routine: str, buf: Mapping[str, int], *more: int) -> None:
        """On g0's stack: call a routine that never returns with a gobuf in the gate's own frame."""
        process, size = self.world.process, self.world.layout.sizes["gobuf"]
        at = (process.role("sp") - size) & -16
        made = Struct(process, self.world.layout, "gobuf", at, "gobuf")
        for field, value in buf.items():
            made[field] = value
        process.set_role("sp", (at - 8 * self._word) & -16)
        self.world.enter(routine, at, *more)

    # the scheduler

    def _schedule(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """The goroutine has left by mcall: it is made runnable, and taken again when the world runs."""
        sched, g = self.sched, self.g
        yield from acquire(sched.at("lock"), self._word)
        yield from self._gone()
        if (yield from get(sched, "readyonstop")):
            yield from put(sched, "readyonstop", 0)
            yield from put(g, "status", Status.RUNNABLE)
        yield from put(sched, "lock", 0)
        yield from until(sched.at("gcwaiting"), self._word, 0)
        yield from acquire(sched.at("lock"), self._word)
        yield from put(sched, "mcpu", (yield from get(sched, "mcpu")) + 1)
        yield from put(g, "status", Status.RUNNING)
        yield from put(sched, "lock", 0)
        buf: dict[str, int] = {}
        for field in ("sp", "pc", "g"):
            buf[field] = yield from get(g, f"sched.{field}")
        return lambda: self._call("gogo", buf, 0)

    def _exit(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """The goroutine is dead, and its thread has nothing to run."""
        yield from acquire(self.sched.at("lock"), self._word)
        yield from put(self.g, "status", Status.DEAD)
        yield from self._gone()
        yield from put(self.sched, "lock", 0)
        caller = self.world.program.gates["caller"]
        return lambda: self.world.process.set_role("pc", caller)

    def _gone(self) -> Accesses[None]:
        """One thread less runs Go code; a collector that waits for that is woken."""
        sched = self.sched
        running = (yield from get(sched, "mcpu")) - 1
        yield from put(sched, "mcpu", running)
        if (yield from get(sched, "waitstop")) and running <= (yield from get(sched, "mcpumax")):
            yield from put(sched, "waitstop", 0)
            yield from put(sched, "stopped", 1)

    def _wake(self, _registers: Mapping[str, int]) -> Accesses[Landing]:
        """notewakeup(&sched.stopped)."""
        yield from put(self.sched, "stopped", 1)
        return None

    # the program

    def _use(self, registers: Mapping[str, int]) -> Accesses[Landing]:
        """A guest's ``use(pointer)``."""
        arch = self.world.arch
        at = registers[arch.roles["sp"]] + arch.call.first_argument
        yield from self.arena.use((yield from read(at, self._word)))
        return None
