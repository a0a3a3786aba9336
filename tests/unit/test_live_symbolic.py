"""Contracts run on unknowns: their paths, and the tables that are made of them."""

from __future__ import annotations

import pytest

import arch as arches
from emu.contracts.effect import Carry, Effect, Entry, Moment, Place
from emu.live.watch.decoded import decode
from emu.live.watch.plan import AMONG, EQUAL, MOST_VALUES, WITHIN, Compiler, Plan, Ref, encode
from emu.live.watch.symbolic import ZERO, At, Condition, Path, Subject, Term, Word, paths
from emu.runtime.world import World
from emu.target import of_era

each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)
HERE = 0x4E00_0000


def subject(arch: str) -> Subject:
    world = World(of_era("modern", arch))
    return Subject(world.arch, world.era, world.habits, world.layout, world.program)


def explored(contract: object, arch: str = "386") -> list[Path]:
    return list(paths(subject(arch), contract))  # type: ignore[arg-type]


def sp_is(e: Entry, value: int, stop: str = "") -> Moment:
    return Moment(stop, (Carry("SP", "a toy", e.register("sp"), value),))


def offsets(path: Path) -> list[int]:
    """By how much SP at each moment is to differ from SP at entry."""
    found = []
    for moment in path.effect.moments:
        value: object = moment.carries[0].value
        assert isinstance(value, Term)
        assert value.base == "esp"
        found.append(value.offset)
    return found


# paths


def test_a_contract_without_questions_has_one_path() -> None:
    (path,) = explored(lambda e: Effect((sp_is(e, e.sp + 4 - 8),)))
    assert (path.conditions, offsets(path)) == ((), [-4])


def test_each_question_is_answered_both_ways() -> None:
    def contract(e: Entry) -> Effect:
        if e.g == e.g0:
            return Effect((sp_is(e, e.sp + 1),))
        if e.word(e.sp):
            return Effect((sp_is(e, e.sp + 2),))
        return Effect((sp_is(e, e.sp + 3),))

    found = explored(contract)
    assert [offsets(path) for path in found] == [[1], [3], [2]]
    assert [[truth for _, truth in path.conditions] for path in found] == [[True], [False, True], [False, False]]
    zero = found[1].conditions[1][0]
    assert zero == Condition(Word("esp", 0), 0, ZERO, 0)


def test_a_question_that_was_answered_is_not_asked_again() -> None:
    def contract(e: Entry) -> Effect:
        first = e.g == e.g0
        assert (e.g == e.g0) == first
        return Effect((sp_is(e, e.sp + first),))

    assert [offsets(path) for path in explored(contract)] == [[1], [0]]


def test_what_is_the_same_is_not_asked() -> None:
    def contract(e: Entry) -> Effect:
        assert e.sp == e.sp
        assert e.word(e.sp + 8) == e.word(e.sp + 4 + 4)
        assert (e.sp + 12) - (e.sp + 4) == 8
        return Effect((sp_is(e, e.sp),))

    assert [path.conditions for path in explored(contract)] == [()]


def test_order_is_a_question_of_its_own() -> None:
    found = explored(lambda e: Effect((sp_is(e, e.sp + (e.word(e.sp) >= 4096)),)))
    assert [offsets(path) for path in found] == [[1], [0]]
    assert found[0].conditions == ((Condition(Word("esp", 0), 0, ZERO, 4096, order=True), True),)


def test_words_that_words_lead_to() -> None:
    (path,) = explored(lambda e: Effect((sp_is(e, e.word(e.word(e.sp + 4) + 8) + 2),)))
    value: object = path.effect.moments[0].carries[0].value
    assert isinstance(value, Term)
    assert (value.base, value.offset) == (Word(Word("esp", 4), 8), 2)


@pytest.mark.parametrize("loop", [True, False], ids=["an endless loop", "seven questions"])
def test_too_many_branches(loop: bool) -> None:
    def contract(e: Entry) -> Effect:
        address, total = e.sp, 0
        while loop or address - e.sp < 7 * 4:
            total += bool(e.word(address))
            address += 4
            if loop and address - e.sp > 400:
                break
        return Effect((sp_is(e, e.sp + total),))

    with pytest.raises(RuntimeError, match="branches too often"):
        explored(contract)


# plans


def compiled(arch: str, contract: object, **addresses: int) -> tuple[Subject, Plan]:
    made = subject(arch)
    plan = Compiler(made, addresses.get).plan("toy", contract, HERE, [(HERE, HERE + 64)])  # type: ignore[arg-type]
    return made, plan


@each
def test_a_plan_says_what_to_read_and_what_must_hold(arch: str) -> None:
    word = arches.get(arch).word

    def contract(e: Entry) -> Effect:
        place = Place("a word", address=e.word(e.sp) + 2 * word, size=word)
        first = (
            Carry("a", "equal", place, e.sp + 1), Carry("b", "within", e.register("sp"), e.sp, low=e.sp - 64),
            Carry("c", "among", place, 5, among=(5, e.tls_base)), Carry("d", "a mask", e.register("flags"), 1, mask=3),
            Carry("e", "no general register", Place("x", register="xmm15"), 0),
        )
        return Effect((
            Moment(e.program.describe(e.word(e.sp + word)), first), Moment("there", ()), Moment("", ()),
        ))

    made, plan = compiled(arch, contract, there=0x1234)
    names = made.arch.registers
    sp, tls, zero, loaded = names.index(made.arch.roles["sp"]), len(names), len(names) + 1, len(names) + 2
    assert plan.loads[:2] == [Ref(sp, word), Ref(sp, 0)]  # in the order in which they come up
    (way,) = plan.ways
    at_term, there, anywhere = way.stages
    assert (at_term.target, there.target, anywhere.target) == (Ref(loaded, 0), Ref(zero, 0x1234), None)
    a, b, c, d = at_term.checks
    assert (a.register, a.address, a.kind, a.values) == (None, Ref(loaded + 1, 2 * word), EQUAL, (Ref(sp, 1),))
    assert (b.register, b.kind, b.values) == (sp, WITHIN, (Ref(sp, -64), Ref(sp, 0)))
    assert (c.kind, c.values) == (AMONG, (Ref(zero, 5), Ref(tls, 0)))
    assert (d.register, d.mask, a.mask) == (names.index(made.arch.roles["flags"]), 3, -1)
    top = plan.loads[plan.top - len(names) - 2]
    assert top.offset == made.layout["g.stack.hi"]


def test_moments_at_no_function_end_a_way() -> None:
    _, plan = compiled("386", lambda e: Effect((sp_is(e, e.sp, "here"), sp_is(e, e.sp, "fault:0x0"))), here=1)
    assert [stage.name for way in plan.ways for stage in way.stages] == ["here"]
    _, plan = compiled("386", lambda e: Effect((sp_is(e, e.sp, "abort"),)))
    assert plan.ways == []


def test_a_value_moves_with_the_stack() -> None:
    _, plan = compiled("386", lambda e: Effect((sp_is(e, e.sp + e.facts["moved"]),)))
    ((check,),) = [stage.checks for stage in plan.ways[0].stages]
    assert check.values[0].moved


def test_a_plan_has_room_for_so_many_values() -> None:
    def contract(e: Entry) -> Effect:
        places = (Place(str(n), address=e.word(e.sp + 4 * n), size=4) for n in range(MOST_VALUES))
        return Effect((Moment("", tuple(Carry("a word", "", place, 0) for place in places)),))

    with pytest.raises(RuntimeError, match=f"{MOST_VALUES} is the most"):
        compiled("386", contract)


def test_a_moment_at_a_term_has_no_name() -> None:
    (path,) = explored(lambda e: Effect((Moment(e.program.describe(e.word(e.sp))),)))
    stop = path.effect.moments[0].stop
    assert isinstance(stop, At)
    assert stop.term.base == Word("esp", 0)


# tables


@each
def test_a_table_is_read_back(arch: str) -> None:
    def contract(e: Entry) -> Effect:
        if e.g == e.g0:
            return Effect((sp_is(e, e.sp - 8, "there"), Moment("")))
        place = Place("a word", address=e.word(e.sp), size=e.arch.word)
        return Effect((Moment("there", (Carry("a", "among", place, 1, among=(1, 2), mask=~7),)),))

    _, plan = compiled(arch, contract, there=0x1234)
    other = Plan("empty", 0x42, (), stands=False)
    array, known = encode([plan, other])
    address = array.buffer_info()[0]
    empty = decode(address, 1)
    assert (empty.entry, empty.loads, empty.ways, empty.inside, empty.stands) == (0x42, (), (), (), False)
    back = decode(address, 0)
    assert (back.entry, back.inside, back.top, back.stands) == (HERE, plan.inside, plan.top, True)
    assert back.holds(HERE)
    assert back.holds(HERE + 63)
    assert not back.holds(HERE + 64)
    assert list(back.loads) == [(load.base, load.offset) for load in plan.loads]
    for way, made in zip(back.ways, plan.ways, strict=True):
        assert list(way.conditions) == [
            (a.base, a.offset, b.base, b.offset, holds + 2 * order) for a, b, holds, order in made.conditions
        ]
        for stage, wanted in zip(way.stages, made.stages, strict=True):
            assert known[stage.number] == (plan, wanted, None)
            assert (stage.base, stage.offset) == (wanted.target or Ref(-1, 0))[:2]
            for demand, check in zip(stage.checks, wanted.checks, strict=True):
                assert known[demand.number] == (plan, wanted, check)
                assert demand.values == tuple(tuple(map(int, value)) for value in check.values)
                assert (demand.kind, demand.size) == (check.kind, check.size)
                assert demand.mask == check.mask & (1 << 64) - 1
                assert demand.register == (-1 if check.register is None else check.register)


@each
def test_values_without_a_sign_become_numbers_with_one(arch: str) -> None:
    _, plan = compiled(arch, lambda e: Effect((sp_is(e, e.sp + (1 << 64) - 16, "there"),)), there=(1 << 64) - 4096)
    array, _ = encode([plan])
    (way,) = decode(array.buffer_info()[0], 0).ways
    assert way.stages[0].offset == -4096
    assert way.stages[0].checks[0].values[0][1] == -16
