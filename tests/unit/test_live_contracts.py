"""Contracts of which only whole programs have the evidence: for each check a state that fails it and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

import arch as arches
from arch import golang
from arch.habits import habits
from emu import target as targets
from emu.contracts import judge
from emu.contracts.effect import Effect, Entry
from emu.contracts.moved import Copy, moved
from emu.contracts.preempt import async_preempt
from emu.contracts.standing import standing

each = pytest.mark.parametrize("name", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES])
SP, PC, G, G0, GSIGNAL, M, TLS = 0x8000, 0x1234, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000
LOW, HIGH = 0x7000, 0x9000


class State:
    """Registers and words of a thread that stands somewhere."""

    def __init__(self, name: str, words: Mapping[int, int], **registers: int) -> None:
        self.arch, self.era = arches.get(name), golang.era("modern")
        self.layout, self.program = self.era.layout(self.arch), targets.of_era("modern", name).program
        self.words = dict(words)
        self.registers = {register: 0x100 + 16 * n for n, register in enumerate(self.arch.registers)}
        self.registers |= {self.arch.roles[role]: value for role, value in registers.items()}
        self.vectors = {vector: 7 + n for n, vector in enumerate(self.arch.vectors)}

    def entry(self) -> Entry:
        return Entry(
            arch=self.arch, era=self.era, habits=habits(self.era.name), layout=self.layout, program=self.program,
            registers=dict(self.registers), word=dict(self.words).__getitem__, tls_base=TLS, facts=dict(self.vectors),
        )

    def judged(self, effect: Effect) -> dict[str, bool]:
        """Role of each check of the only moment -> whether it holds now."""
        machine = SimpleNamespace(
            registers=lambda: self.registers, vector=self.vectors.__getitem__, recorder=SimpleNamespace(writes=[]),
            read=lambda address, size: self.words[address].to_bytes(size, "little"),
        )
        world: Any = SimpleNamespace(arch=self.arch, process=SimpleNamespace(machine=machine))
        (moment,) = effect.moments
        return {check.role: check.ok for check in judge.judge_moment(world, moment, 0)}


def failed(checks: Mapping[str, bool]) -> set[str]:
    return {role for role, ok in checks.items() if not ok}


# asyncPreempt


def _preempted(name: str) -> tuple[State, Effect]:
    """A goroutine at the entry of asyncPreempt, brought to where it was interrupted as it should be."""
    state = State(name, {SP: PC}, sp=SP)
    link = state.arch.roles.get("link")
    if link:  # the handler has pushed what the link register held, and put the PC to go on at there
        state.words[SP], state.registers[link] = 0x777, PC
    effect = async_preempt(state.entry())
    state.registers[state.arch.roles["sp"]] = SP + state.arch.word
    if link:
        state.registers[link] = 0x777
    return state, effect


@each
def test_a_preempted_goroutine_goes_on_as_if_nothing_had_been(name: str) -> None:
    state, effect = _preempted(name)
    checks = state.judged(effect)
    assert failed(checks) == set()
    assert set(state.vectors) <= set(checks)


@each
def test_a_register_that_asyncpreempt_forgets(name: str) -> None:
    state, effect = _preempted(name)
    roles = {value: role for role, value in state.arch.roles.items() if role == "link"}
    for register in state.arch.registers:
        if register in (state.arch.roles["pc"], state.arch.roles["sp"]):
            continue
        state.registers[register] ^= 4
        assert failed(state.judged(effect)) == {roles.get(register, register)}
        state.registers[register] ^= 4


@each
def test_a_vector_register_that_asyncpreempt_forgets(name: str) -> None:
    state, effect = _preempted(name)
    assert state.vectors
    for vector in state.vectors:
        state.vectors[vector] ^= 1
        assert failed(state.judged(effect)) == {vector}
        state.vectors[vector] ^= 1


@each
def test_a_push_that_is_not_taken_back(name: str) -> None:
    state, effect = _preempted(name)
    state.registers[state.arch.roles["sp"]] = SP
    assert failed(state.judged(effect)) == {"SP"}


# standing


def _standing(name: str, g: int) -> State:
    """A thread on the stack of ``g``, which is one of the three kinds."""
    state = State(name, {}, sp=LOW + 0x1000)
    offset, word = state.layout, state.arch.word
    state.words |= {
        TLS - word: g, g + offset["g.m"]: M, M + offset["m.g0"]: G0, M + offset["m.gsignal"]: GSIGNAL,
        g + offset["g.stack.lo"]: LOW, g + offset["g.stack.hi"]: HIGH,
        g + offset[offset.guard]: LOW + state.era.guards.guard,
    }  # fmt: skip
    if state.arch.tls.g_register:
        state.registers[state.arch.tls.g_register] = g
    return state


KINDS = pytest.mark.parametrize("g", [G, G0, GSIGNAL], ids=["goroutine", "g0", "gsignal"])


@each
@KINDS
def test_sp_is_within_the_stack_of_the_running_g(name: str, g: int) -> None:
    state = _standing(name, g)
    sp, word = state.arch.roles["sp"], state.arch.word
    for where, wrong in ((LOW, set()), (HIGH, set()), (LOW - word, {"SP"}), (HIGH + word, {"SP"})):
        state.registers[sp] = where
        assert failed(state.judged(standing(state.entry()))) == wrong, hex(where)


@each
@KINDS
def test_the_guard_word_is_one_that_this_kind_may_hold(name: str, g: int) -> None:
    state = _standing(name, g)
    at = g + state.layout[state.layout.guard]
    special = [value & state.arch.mask for value in state.era.guards.special.values()]
    assert special
    for value in special:  # asked of goroutines alone
        state.words[at] = value
        assert failed(state.judged(standing(state.entry()))) == (set() if g == G else {"guard"})
    for value in (0, LOW + state.era.guards.guard + 1, LOW + state.era.guards.guard - 8, HIGH):
        state.words[at] = value
        assert failed(state.judged(standing(state.entry()))) == {"guard"}
    state.words[at] = LOW  # only the first thread's g0 has that
    assert failed(state.judged(standing(state.entry()))) == (set() if g == G0 else {"guard"})


# copystack

OLD_HIGH, NEW_HIGH, OLD_SIZE, NEW_SIZE, USED = 0x100_0000, 0x400_0000, 0x800, 0x1000, 64
MUCH = 5 << 20  # a stack that is compared in another way


def _copies(name: str, used: int = USED) -> tuple[Copy, Copy]:
    """A stack before and after, with plain words and pointers into the stack; ``used`` bytes of it."""
    arch, guard = arches.get(name), golang.era("modern").guards.guard
    count = used // arch.word
    delta = NEW_HIGH - OLD_HIGH
    before = [OLD_HIGH - n % 64 * arch.word if n % 2 else 0x55AA + n for n in range(count)]
    after = [value + delta if n % 2 else value for n, value in enumerate(before)]
    old, new = (b"".join(value.to_bytes(arch.word, "little") for value in words) for words in (before, after))
    return (
        Copy(OLD_HIGH - OLD_SIZE, OLD_HIGH, OLD_HIGH - OLD_SIZE + guard, OLD_HIGH - used, old),
        Copy(NEW_HIGH - NEW_SIZE, NEW_HIGH, NEW_HIGH - NEW_SIZE + guard, NEW_HIGH - used, new),
    )


def _bad(name: str, old: Copy, new: Copy, size: int = NEW_SIZE) -> set[str]:
    found = moved(arches.get(name), golang.era("modern").guards, old, new, size)
    return {check.name.removesuffix(" after the copy") for check in found if not check.ok}


@each
def test_a_copied_stack(name: str) -> None:
    old, new = _copies(name)
    assert _bad(name, old, new) == set()


@each
def test_a_copy_of_the_wrong_size(name: str) -> None:
    old, new = _copies(name)
    assert _bad(name, old, new, size=NEW_SIZE * 2) == {"size"}


@each
def test_a_copy_with_a_wrong_guard(name: str) -> None:
    old, new = _copies(name)
    assert _bad(name, old, new._replace(guard=old.guard)) == {"guard"}
    assert _bad(name, old, new._replace(guard=0)) == {"guard"}


@each
def test_a_copy_with_a_wrong_saved_sp(name: str) -> None:
    old, new = _copies(name)
    assert _bad(name, old, new._replace(sp=new.sp + arches.get(name).word)) == {"saved SP"}


@each
def test_a_copy_that_lacks_bytes(name: str) -> None:
    old, new = _copies(name)
    assert _bad(name, old, new._replace(used=new.used[: -arches.get(name).word])) == {"bytes in use"}


@each
def test_a_copy_with_one_wrong_word(name: str) -> None:
    old, new = _copies(name)
    word = arches.get(name).word
    for at in range(0, USED, word):
        wrong = new.used[:at] + bytes([new.used[at] ^ 8]) + new.used[at + 1 :]
        assert _bad(name, old, new._replace(used=wrong)) == {f"word {at:#x} bytes above SP"}


@each
def test_a_pointer_that_moves_by_another_distance(name: str) -> None:
    old, new = _copies(name)
    word = arches.get(name).word
    value = int.from_bytes(new.used[word : 2 * word], "little") + word
    wrong = new.used[:word] + value.to_bytes(word, "little") + new.used[2 * word :]
    assert _bad(name, old, new._replace(used=wrong)) == {f"word {word:#x} bytes above SP"}


@each
def test_a_number_that_is_no_pointer_and_moves(name: str) -> None:
    old, new = _copies(name)
    word = arches.get(name).word
    value = int.from_bytes(new.used[:word], "little") + NEW_HIGH - OLD_HIGH
    wrong = value.to_bytes(word, "little") + new.used[word:]
    assert _bad(name, old, new._replace(used=wrong)) == {"word 0x0 bytes above SP"}


@each
def test_a_long_copy_with_one_wrong_word(name: str) -> None:
    old, new = _copies(name, MUCH)
    assert _bad(name, old, new) == set()
    word = arches.get(name).word
    for at in (0, word, MUCH // 2, MUCH - word):
        wrong = new.used[:at] + bytes([new.used[at] ^ 8]) + new.used[at + 1 :]
        assert _bad(name, old, new._replace(used=wrong)) == {f"word {at:#x} bytes above SP"}


@each
@pytest.mark.parametrize("apart", [1, 2, 3, 7, 300])
def test_frames_that_are_alike_with_one_wrong_word(name: str, apart: int) -> None:
    word, count = arches.get(name).word, 620
    old, new = _copies(name)
    pointers = range(OLD_HIGH - 8 * count, OLD_HIGH - 7 * count)

    def used(delta: int) -> bytes:
        words = [pointer + delta if not k % apart or k % 97 == 5 else 7 for k, pointer in enumerate(pointers)]
        return b"".join(number.to_bytes(word, "little") for number in words)

    old, new = old._replace(used=used(0)), new._replace(used=used(NEW_HIGH - OLD_HIGH))
    old, new = (stack._replace(lo=stack.hi - 16 * count, sp=stack.hi - word * count) for stack in (old, new))
    guard = golang.era("modern").guards.guard
    old, new = old._replace(guard=old.lo + guard), new._replace(guard=new.lo + guard)
    size = new.hi - new.lo
    assert _bad(name, old, new, size) == set()
    for at in (*range(0, 40 * word, word), *range(255 * word, 262 * word, word), (count - 1) * word):
        wrong = new.used[:at] + bytes([new.used[at] ^ 8]) + new.used[at + 1 :]
        assert _bad(name, old, new._replace(used=wrong), size) == {f"word {at:#x} bytes above SP"}
