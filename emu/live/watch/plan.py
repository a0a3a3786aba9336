"""Tables that say what to read when a routine is entered and what must hold when control leaves it.

Made from contracts by `emu.live.watch.symbolic`; judged by native code, or by `emu.live.watch.judge` where that was not
built. A value is an index into *values* (the registers in the arch's order, the TLS base, 0, and the words that were
read at entry) and an offset.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from emu.contracts.effect import Carry, Entry, Moment
from emu.live.watch.symbolic import MOVED, TLS, ZERO, At, Base, Condition, Path, Subject, Term, Word, paths

MOST_VALUES = 96  # of one crossing: what native code has room for
EQUAL, WITHIN, AMONG = 0, 1, 2  # how a check compares
_ANY = -1


class Ref(NamedTuple):
    """``values[base] + offset``, plus what the stack has moved by."""

    base: int
    offset: int
    moved: bool = False


class Check(NamedTuple):
    """One demand: what is in a register, or in the word at an address, is ``values``: equal, between two, or one of.

    ``register``: index into the arch's registers; None for memory. ``size`` in bytes.
    """

    role: str
    source: str
    place: str
    register: int | None
    address: Ref
    size: int
    kind: int
    values: tuple[Ref, ...]
    mask: int


class Stage(NamedTuple):
    """A moment: control is at ``target`` (None: wherever it is) and all checks hold."""

    name: str
    target: Ref | None
    checks: tuple[Check, ...]


class Way(NamedTuple):
    """One path: ``conditions`` are (left, right, whether it holds, of order instead of equality)."""

    conditions: tuple[tuple[Ref, Ref, bool, bool], ...]
    stages: tuple[Stage, ...]


@dataclass
class Plan:
    """One routine. ``loads``: words that are read at entry, in order; each may be relative to one before it.

    ``inside``: address ranges where control may go on the way. ``top``: index in values of the highest address of the
    stack that the routine was entered on, and where it was read. ``stands``: what holds wherever a crossing ends holds
    when this one does.
    """

    name: str
    entry: int
    inside: tuple[tuple[int, int], ...]
    loads: list[Ref] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    top: int = -1
    stands: bool = True


class Compiler:
    """Makes plans for one program. ``address_of`` finds a function of the runtime by its bare name (``newstack``)."""

    def __init__(self, subject: Subject, address_of: Callable[[str], int | None]) -> None:
        self._subject = subject
        self._address_of = address_of
        self._registers: dict[Base, int] = {name: index for index, name in enumerate(subject.arch.registers)}

    def plan(
        self, name: str, contract: Callable[[Entry], Any], entry: int, inside: Iterable[tuple[int, int]] = ()
    ) -> Plan:
        """The plan of ``contract`` for the routine at ``entry``."""
        plan = Plan(name, entry, tuple(inside))
        indices: dict[Base, int] = {**self._registers}
        indices |= {TLS: len(indices), ZERO: len(indices) + 1}
        ways = [self._way(path, plan, indices) for path in paths(self._subject, contract)]
        plan.ways = [way for way in ways if way is not None]
        top = self._subject.layout["g.stack.hi"]
        plan.top = self._index(Word(self._g(), top), plan, indices)
        if len(indices) > MOST_VALUES:
            raise RuntimeError(f"the contract of {name} reads {len(indices)} values; {MOST_VALUES} is the most")
        return plan

    def _g(self) -> Base:
        tls = self._subject.arch.tls
        return tls.g_register or Word(TLS, -self._subject.arch.word)

    def _index(self, base: Base, plan: Plan, indices: dict[Base, int]) -> int:
        """Where a base stands among the values; a word is read once, after what its address counts from."""
        if base not in indices:
            assert isinstance(base, Word), base
            plan.loads.append(Ref(self._index(base.base, plan, indices), base.offset))
            indices[base] = len(indices)
        return indices[base]

    def _ref(self, value: Term | int, plan: Plan, indices: dict[Base, int]) -> Ref:
        if not isinstance(value, Term):
            return Ref(indices[ZERO], value)
        assert value.base != MOVED
        return Ref(self._index(value.base, plan, indices), value.offset, value.moved)

    def _way(self, path: Path, plan: Plan, indices: dict[Base, int]) -> Way | None:
        stages = []
        for moment in path.effect.moments:
            stage = self._stage(moment, plan, indices)
            if stage is None:
                break
            stages.append(stage)
        if not stages:
            return None
        return Way(tuple(self._condition(*c, plan, indices) for c in path.conditions), tuple(stages))

    def _condition(
        self, condition: Condition, truth: bool, plan: Plan, indices: dict[Base, int]
    ) -> tuple[Ref, Ref, bool, bool]:
        left, left_offset, right, right_offset, order = condition
        return (
            Ref(self._index(left, plan, indices), left_offset),
            Ref(self._index(right, plan, indices), right_offset), truth, order,
        )

    def _stage(self, moment: Moment, plan: Plan, indices: dict[Base, int]) -> Stage | None:
        """None for a moment that no address stands for, such as a fault."""
        if isinstance(moment.stop, At):
            target = self._ref(moment.stop.term, plan, indices)
        elif moment.stop == "":
            target = None
        else:
            address = self._address_of(moment.stop)
            if address is None:
                return None
            target = Ref(indices[ZERO], address)
        checks = tuple(check for item in moment.carries if (check := self._check(item, plan, indices)) is not None)
        name = plan.name if isinstance(moment.stop, At) else moment.stop
        return Stage(name, target, checks)

    def _check(self, item: Carry, plan: Plan, indices: dict[Base, int]) -> Check | None:
        place = item.place
        if place.register is not None and place.register not in self._registers:
            return None  # a vector register: not seen
        values = [self._ref(value, plan, indices) for value in (item.among or (item.value,))]
        kind = AMONG if item.among else EQUAL
        if item.low is not None:
            kind, values = WITHIN, [self._ref(item.low, plan, indices), *values]
        address = Ref(indices[ZERO], 0)
        if place.register is None:
            assert place.address is not None
            address = self._ref(place.address, plan, indices)
        return Check(
            item.role, item.source, place.name,
            None if place.register is None else self._registers[place.register], address,
            place.size or self._subject.arch.word, kind, tuple(values), item.mask if item.mask is not None else -1,
        )


def encode(plans: Iterable[Plan]) -> tuple[array[int], list[tuple[Plan, Stage, Check | None]]]:
    """All plans as one array of 64-bit numbers for native code, and what its check numbers mean.

    A number stands for (plan, stage, check), or for the arrival at a stage when the check is None. The array begins
    with the offset of each plan; see the comments for the fields of each record.
    """
    kept = list(plans)
    out: list[int] = [0] * len(kept)
    known: list[tuple[Plan, Stage, Check | None]] = []

    def put(rows: list[list[int]]) -> int:
        at = len(out)
        for row in rows:
            out.extend(row)
        return at

    for number, plan in enumerate(kept):
        ways = []
        for way in plan.ways:
            stages = []
            for stage in way.stages:
                checks = []
                for check in stage.checks:
                    values = put([[*value] for value in check.values])  # base, offset, moved
                    # register or -1, address, size, kind, mask, values, its number
                    checks.append([
                        _ANY if check.register is None else check.register, check.address.base, check.address.offset,
                        check.size, check.kind, check.mask, len(check.values), values, len(known),
                    ])
                    known.append((plan, stage, check))
                target = stage.target or Ref(_ANY, 0)
                # target, checks, the number of the arrival
                stages.append([target.base, target.offset, len(checks), put(checks), len(known)])
                known.append((plan, stage, None))
            conditions = put([
                [a.base, a.offset, b.base, b.offset, holds + 2 * order] for a, b, holds, order in way.conditions
            ])
            ways.append([len(way.conditions), conditions, len(stages), put(stages)])
        loads = put([[load.base, load.offset] for load in plan.loads])
        inside = put([[first, last] for first, last in plan.inside])
        # entry, loads, ways, ranges, index of the stack's top, whether the standing plan is judged too
        out[number] = put([[
            plan.entry, len(plan.loads), loads, len(ways), put(ways), len(plan.inside), inside, plan.top,
            int(plan.stands),
        ]])
    return array("q", [_signed(value) for value in out]), known


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
