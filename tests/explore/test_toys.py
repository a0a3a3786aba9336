"""The explorer on races whose every outcome is known."""

from __future__ import annotations

import pytest
from assembled import ARCHES, DATA
from explore.toys import Toy

from emu.access import Accesses, acquire, read, until, write
from emu.errors import BadInput
from emu.explore import explore, parse, replay
from emu.explore import write as schedule_of
from emu.race import Script
from emu.runtime.failures import Deadlock

INCREMENT = {
    "x86": "first:\n inc dword ptr [{b}]\n jmp caller\nsecond:\n inc dword ptr [{b}]\n jmp caller\n",
    "arm": "first:\n ldr r0, [r5]\n add r0, r0, #1\n str r0, [r5]\n b caller\n"
    "second:\n ldr r1, [r5]\n add r1, r1, #1\n str r1, [r5]\n b caller\n",
}
LOCKED = {
    "x86": "first:\n lock inc dword ptr [{b}]\n jmp caller\nsecond:\n lock inc dword ptr [{b}]\n jmp caller\n",
    "arm": "first:\n ldrex r0, [r5]\n add r0, r0, #1\n strex r2, r0, [r5]\n cmp r2, #0\n bne first\n b caller\n"
    "second:\n ldrex r1, [r5]\n add r1, r1, #1\n strex r2, r1, [r5]\n cmp r2, #0\n bne second\n b caller\n",
}
_SPIN_X86 = """
{t}:
    mov ecx, 1
.again:
    xor eax, eax
    lock cmpxchg dword ptr [{b}{lock}], ecx
    jne .again
    mov edx, dword ptr [{b} + 8]
    add edx, 1
    mov dword ptr [{b} + 8], edx
    {release}
    jmp caller
"""
_SPIN_ARM = """
{t}:
    mov r1, #1
.again:
    ldrex r0, [r5{lock}]
    cmp r0, #0
    bne .again
    strex r2, r1, [r5{lock}]
    cmp r2, #0
    bne .again
    ldr r3, [r5, #8]
    add r3, r3, #1
    str r3, [r5, #8]
    {release}
    b caller
"""


def texts(pair: dict[str, str], arch: str) -> dict[str, str]:
    return {isa: text.replace("{b}", "ebx" if arch == "386" else "rbx") for isa, text in pair.items()}


def spin(arch: str, released: bool = True) -> dict[str, str]:
    x86, arm = "", ""
    for name in ("first", "second"):
        x86 += _SPIN_X86.replace("{t}", name).replace("{lock}", "").replace(
            "{release}", "mov dword ptr [{b}], 0" if released else "nop"
        )
        arm += _SPIN_ARM.replace("{t}", name).replace("{lock}", "").replace(
            "{release}", "mov r0, #0\n    str r0, [r5]" if released else "nop"
        )
    return texts({"x86": x86, "arm": arm}, arch)


@pytest.mark.parametrize("arch", ARCHES)
def test_a_lost_update_is_found_with_its_schedule(arch: str) -> None:
    toy = Toy(arch, texts(INCREMENT, arch))
    race = toy.race("first", "second", wanted=[2])
    found = explore(race)
    assert [str(f.failure) for f in found.findings] == ["found [1], expected [2]"]
    assert found.findings[0].schedule in ("ab2a", "abab", "ba2b")
    assert found.findings[0].steps == 4
    again = replay(race, found.findings[0].schedule)
    assert str(again.failure) == "found [1], expected [2]"
    assert replay(race, "a2b2").failure is None


@pytest.mark.parametrize("arch", ARCHES)
def test_locked_and_exclusive_updates_lose_nothing(arch: str) -> None:
    toy = Toy(arch, texts(LOCKED, arch))
    found = explore(toy.race("first", "second", wanted=[2]))
    assert not found.findings
    assert found.ends >= 1


@pytest.mark.parametrize("arch", ARCHES)
def test_a_spin_lock_holds(arch: str) -> None:
    toy = Toy(arch, spin(arch))
    found = explore(toy.race("first", "second", wanted=[0, 0, 2]))
    assert not found.findings
    assert found.blocked > 0


@pytest.mark.parametrize("arch", ARCHES)
def test_a_lock_that_is_not_released_is_a_deadlock(arch: str) -> None:
    toy = Toy(arch, spin(arch, released=False))
    found = explore(toy.race("first", "second", wanted=[1, 0, 2]))
    assert [f.kind for f in found.findings] == ["Deadlock"] * len(found.findings)
    assert found.findings
    assert found.ends == 0
    assert "second" in str(found.findings[0].failure)
    again = replay(toy.race("first", "second", wanted=[1, 0, 2]), found.findings[0].schedule)
    assert isinstance(again.failure, Deadlock)


@pytest.mark.parametrize("arch", ARCHES)
def test_equal_runs_give_equal_numbers(arch: str) -> None:
    runs = [explore(Toy(arch, spin(arch)).race("first", "second", wanted=[0, 0, 2])) for _ in range(2)]
    race = Toy(arch, spin(arch)).race("first", "second", wanted=[0, 0, 2])
    assert repr(runs[0]) == repr(runs[1]) == repr(explore(race)) == repr(explore(race))


def opposite(first: int, second: int) -> Accesses[None]:
    yield from acquire(DATA + first, 4)
    yield from acquire(DATA + second, 4)
    yield from write(DATA + second, 4, 0)
    yield from write(DATA + first, 4, 0)


def test_scripts_that_lock_in_opposite_orders_come_to_a_deadlock() -> None:
    toy = Toy("amd64", texts(INCREMENT, "amd64"))
    scripts = [Script("one", lambda: opposite(0, 4)), Script("two", lambda: opposite(4, 0))]
    found = explore(toy.race(scripts=scripts))
    assert [f.kind for f in found.findings] == ["Deadlock"]
    assert found.findings[0].schedule == "ab"
    assert found.ends == 1
    again = replay(toy.race(scripts=scripts), "ab")
    assert str(again.failure) == "the threads do not come to their ends"
    orderly = [Script("one", lambda: opposite(0, 4)), Script("two", lambda: opposite(0, 4))]
    assert not explore(toy.race(scripts=orderly)).findings


@pytest.mark.parametrize("arch", ARCHES)
def test_a_script_races_with_guest_code(arch: str) -> None:
    """A reader of two words that a guest writes one after the other sees every pair."""
    text = {
        "x86": "first:\n mov dword ptr [{b}], 1\n mov dword ptr [{b} + 4], 1\n jmp caller\n",
        "arm": "first:\n mov r0, #1\n str r0, [r5]\n str r0, [r5, #4]\n b caller\n",
    }
    pairs: set[tuple[int, int]] = set()

    def look() -> Accesses[None]:
        one = yield from read(DATA, 4)
        two = yield from read(DATA + 4, 4)
        pairs.add((one, two))

    found = explore(Toy(arch, texts(text, arch)).race("first", scripts=[Script("reader", look)]))
    assert (found.findings, found.states, found.ends) == ((), 11, 1)
    assert pairs == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_script_waits_until_a_word_is_there() -> None:
    def wait() -> Accesses[None]:
        yield from until(DATA, 4, 7)

    def store() -> Accesses[None]:
        yield from write(DATA, 4, 7)

    toy = Toy("arm", texts(INCREMENT, "arm"))
    found = explore(toy.race(scripts=[Script("waits", wait), Script("stores", store)]))
    assert (found.states, found.ends, found.findings) == (3, 1, ())
    alone = Toy("arm", texts(INCREMENT, "arm")).race(scripts=[Script("waits", wait)])
    assert [f.kind for f in explore(alone).findings] == ["Deadlock"]


def test_a_store_by_another_thread_takes_the_mark_away() -> None:
    """Even one that stores what was there: the value alone says nothing."""
    text = {
        "arm": "first:\n ldrex r0, [r5]\n strex r2, r0, [r5]\n str r2, [r5, #4]\n b caller\n"
        "second:\n ldr r0, [r5]\n str r0, [r5]\n b caller\n",
    }
    results: set[int] = set()
    toy = Toy("arm", text)
    race = toy.race("first", "second")
    race._at_end = lambda: results.add(toy.word(1))
    assert not explore(race).findings
    assert results == {0, 1}


def test_schedules_are_written_and_read() -> None:
    assert schedule_of([0, 0, 1, 0]) == "a2ba"
    assert parse("a2ba", 2) == [0, 0, 1, 0]
    for bad in ("", "c", "2a", "a b", "A2"):
        with pytest.raises(BadInput, match="no schedule"):
            parse(bad, 2)
