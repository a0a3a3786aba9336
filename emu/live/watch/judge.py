"""What ``emu/_live.c`` does at crossings, in Python, for where no extension was built.

Both work on the structures of `emu.live.native` and on the table that `emu.live.watch.plan` encoded; they stop at the
same places and find the same. This one is slower by far, and says in plain words what the other one does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emu.live import native
from emu.live.answers import CODE, Answers
from emu.live.watch.decoded import Plan, Stage, Way, decode
from emu.live.watch.plan import WITHIN

if TYPE_CHECKING:
    from emu.live.cpu import Cpu

_ALL = (1 << 64) - 1
_OWN = 1 << 63  # in a key of depths: a thread's own stacks, by its id
_FAR = (1 << 63) - 1
_PRIME = 0x100_0000_01B3  # FNV-1a, of words


class Judge(Answers):
    """All callbacks of one CPU."""

    def __init__(self, cpu: Cpu) -> None:
        super().__init__(cpu)
        self._plans: dict[int, Plan] = {}
        self._depths: dict[int, native.Depth] = {}
        self._room = (native.Depth * 0)()

    @property
    def callbacks(self) -> dict[str, Any]:
        crossings = {"block": CODE(self._kept(self._on_block)), "entry": CODE(self._kept(self._on_entry))}
        return crossings | super().callbacks

    # what a table says

    def _plan(self, number: int) -> Plan:
        if number not in self._plans:
            self._plans[number] = decode(self._live.table, number)
        return self._plans[number]

    def _fill(self, plan: Plan, registers: Sequence[int]) -> list[int]:
        """All values of an entry: after the registers the TLS base, 0, and the words that the plan reads."""
        values = [*registers, self._thread.tls, 0]
        for base, offset in plan.loads:
            values.append(self._load(values[base] + offset, self._live.word))
        return values

    def _choose(self, plan: Plan, values: Sequence[int]) -> int | None:
        """The number of the first way whose conditions hold."""
        for number, way in enumerate(plan.ways):
            for left, left_offset, right, right_offset, kind in way.conditions:
                a, b = (values[left] + left_offset) & self._mask, (values[right] + right_offset) & self._mask
                if (a >= b if kind & 2 else a == b) != bool(kind & 1):
                    break
            else:
                return number
        return None

    def _judge(self, stage: Stage, then: Sequence[int], now: Sequence[int], moved: int, address: int) -> None:
        """``then``: values at entry; ``now``: registers at this moment. The first check that fails stops the run."""
        if stage.base >= 0:
            target = (then[stage.base] + stage.offset) & self._mask
            if target != address:
                return self._fail(stage.number, target, address)
        for check in stage.checks:
            if check.register >= 0:
                found = now[check.register]
            else:
                found = self._load(then[check.base] + check.offset, check.size)
            wanted = [self._wanted(then, value, moved) & check.mask for value in check.values]
            found &= check.mask
            if not (wanted[0] <= found <= wanted[1] if check.kind == WITHIN else found in wanted):
                return self._fail(check.number, wanted[0], found)
        return None

    def _wanted(self, then: Sequence[int], value: tuple[int, ...], moved: int) -> int:
        base, offset, moves = value
        return (then[base] + offset + (moved if moves else 0)) & self._mask

    def _fail(self, number: int, expected: int, found: int) -> None:
        live = self._live
        if live.failed < 0:
            live.failed, live.expected, live.found = number, expected, found
            self._stop(native.FAILED)

    # crossings

    def _on_entry(self, _uc: int, address: int, _size: int, data: int) -> None:
        """A watched routine is entered."""
        live, crossing, number = self._live, self._thread.now, native.Watch.from_address(data).plan
        if crossing.active and crossing.plan != number and self._plan(crossing.plan).holds(address):
            return  # on its way one routine goes through another
        crossing.active, crossing.plan, crossing.way, crossing.stage = 1, number, -1, 0
        values = self._fill(self._plan(number), self._registers())
        crossing.values[: len(values)] = values
        crossing.g = self._g(values)
        if live.blamed == address:
            live.blamed = 0  # told already: the run goes on from here
        elif self._plan(number).stands and live.standing >= 0:
            self._stand(values, address)
            if live.failed >= 0:
                live.blamed = address
                return
        if number == live.hook:
            crossing.back = self._guard(crossing.g)
        if live.growing >> number & 1:
            self._preempted(self._g(values))

    def _on_block(self, _uc: int, address: int, size: int, _data: int) -> None:
        live, thread = self._live, self._thread
        if live.full or address == live.end:
            self._stop(native.LIMIT)
            return
        live.begin = address
        live.end = address + size if size >= live.longest else 0
        live.blocks = blocks = live.blocks + 1
        now = thread.now
        if now.active:
            if not self._plan(now.plan).holds(address):
                self._leave(now, address)
        elif thread.waits:
            plan = self._plan(thread.waiting[thread.waits - 1].plan)
            if address != plan.entry and plan.holds(address):
                self._come_back(address)
        if blocks >= live.limit:
            self._stop(native.LIMIT)

    def _leave(self, crossing: native.Crossing, address: int) -> None:
        """Control has left a watched routine: judge the moment, and what holds wherever a crossing ends."""
        live, plan = self._live, self._plan(crossing.plan)
        crossing.active = 0
        then, now = crossing.values[:], self._registers()
        if crossing.way < 0:
            chosen = self._choose(plan, then)
            if chosen is None:
                return  # an outcome that no address stands for, such as a fault on purpose
            crossing.way = chosen
        way, moved = plan.ways[crossing.way], 0
        if crossing.stage:  # the stack may have been copied meanwhile
            base, offset = plan.loads[plan.top - live.registers - 2]
            moved = self._load(then[base] + offset, live.word) - then[plan.top]
        self._judge(way.stages[crossing.stage], then, now, moved, address)
        if plan.stands and live.standing >= 0 and live.failed < 0:
            self._stand(now, address)
        self._note(crossing, now, address, plan.stands)
        if crossing.plan == live.hook:
            self._asked(crossing, self._g(now))
        self._wait(crossing, way, now[live.sp] + live.pushed)

    def _stand(self, now: Sequence[int], address: int) -> None:
        """What holds wherever a crossing begins or ends: registers are those of ``now``."""
        also = self._plan(self._live.standing)
        values = self._fill(also, now[: self._live.registers])
        chosen = self._choose(also, values)
        if chosen is not None:
            self._judge(also.ways[chosen].stages[0], values, now, 0, address)

    def _wait(self, crossing: native.Crossing, way: Way, back: int) -> None:
        """If more moments are to come, wait until SP is ``back``; who waits for less has left by unseen ways."""
        thread = self._thread
        crossing.stage += 1
        if crossing.stage >= len(way.stages):
            return
        crossing.back = back
        while thread.waits and thread.waiting[thread.waits - 1].back <= back:
            thread.waits -= 1
        if thread.waits == native.MOST_WAITING:
            for n in range(1, native.MOST_WAITING):
                thread.waiting[n - 1] = thread.waiting[n]
            thread.waits -= 1
        thread.waiting[thread.waits] = crossing
        thread.waits += 1

    def _come_back(self, address: int) -> None:
        """Control is back inside a routine that had called on."""
        thread, sp = self._thread, self._registers()[self._live.sp]
        for n in reversed(range(thread.waits)):
            if thread.waiting[n].back == sp:
                if self._plan(thread.waiting[n].plan).holds(address):
                    thread.now = thread.waiting[n]
                    thread.now.active, thread.waits = 1, n
                return

    def _note(self, crossing: native.Crossing, now: Sequence[int], address: int, stands: bool) -> None:
        """Count a crossing, keep it in the ring, and add it to the digest."""
        live, g, sp = self._live, self._g(now), now[self._live.sp]
        goid = self._goid(g)
        row = (
            live.rows, self._thread.tid, crossing.plan, crossing.way, crossing.stage, g,
            self._goid(crossing.g) or goid,  # a thread's own g has no id: told is the goroutine
            crossing.values[live.sp], sp, address, live.blocks,
        )
        live.ring[live.rows % native.RING] = row
        digest = live.digest
        for word in row:
            digest = (digest ^ word) * _PRIME & _ALL
        live.digest = digest
        live.rows += 1
        live.crossings[crossing.plan] += 1
        if stands:
            found = self._depth(goid)
            distance = ctypes.c_int64(sp - self._load(g + live.lo, live.word) - live.guard).value
            if distance < found.least:
                found.least, found.at = distance, live.rows
            found.crossings += 1

    def _depth(self, goid: int) -> native.Depth:
        """What is kept of a goroutine, or of the thread's own stacks."""
        key, live = goid or self._thread.tid | _OWN, self._live
        if key not in self._depths:
            if live.known == live.room:
                self._more_depths()
            found = self._room[live.known]
            found.key, found.least = key, _FAR
            self._depths[key] = found
            live.known += 1
        return self._depths[key]

    def _more_depths(self) -> None:
        live = self._live
        room = (native.Depth * max(256, 2 * live.room))()
        ctypes.memmove(room, self._room, ctypes.sizeof(self._room))
        self._room, live.depths, live.room = room, room, len(room)
        self._depths = {room[n].key: room[n] for n in range(live.known)}

    # a hook in front of stack checks, which asks for preemptions

    def _guard(self, g: int) -> int:
        return self._load(g + self._live.guard_word, self._live.word)

    def _asked(self, crossing: native.Crossing, g: int) -> None:
        """The hook has asked, if the guard word says so now and did not before; the check behind it must heed it."""
        live, found = self._live, self._depth(self._goid(g))
        if self._guard(g) == live.preempt and crossing.back != live.preempt:
            live.asked += 1
            live.lost += found.asked
            found.asked = 1

    def _preempted(self, g: int) -> None:
        live, found = self._live, self._depth(self._goid(g))
        if self._guard(g) == live.preempt:
            live.preempted += 1
            found.asked = 0
