"""Threads of a race one by one: what is a step, what ends one, and what is a finding."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping

import pytest
from assembled import ARCHES, DATA, process
from explore.toys import Toy

import arch as arches
from asm import readback
from emu.access import Accesses, finish, read, read_bytes, swap, until, write, write_bytes
from emu.explore import explore, replay
from emu.progress import Progress
from emu.race import Guest, Landing, Race, Script
from emu.runtime.failures import Crash, Deadlock, Spent


def toy(arch: str, x86: str, arm: str) -> Toy:
    base = "ebx" if arch == "386" else "rbx"
    return Toy(arch, {"x86": x86.replace("{b}", base), "arm": arm})


ENDLESS = ("first:\n jmp first\n", "first:\n b first\n")
WILD = (
    "first:\n mov eax, dword ptr [{b} + 0x100000]\n jmp caller\n",
    "first:\n ldr r0, =0x10\n ldr r0, [r0]\n b caller\n",
)
UNKNOWN = ("first:\n jmp other\n", "first:\n b other\n")
TRAP = ("first:\n int3\n", "first:\n bkpt #0\n")


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(
    ("texts", "kind", "told"),
    [
        (ENDLESS, Spent, "first touches nothing shared in 10000 instructions; it is at first"),
        (WILD, Crash, "first: read of "),
        (UNKNOWN, Crash, "first: nobody stands for other"),
        (TRAP, Crash, "first: trap in "),
    ],
    ids=["endless", "wild", "unknown", "trap"],
)
def test_what_a_guest_must_not_do(
    arch: str, texts: tuple[str, str], kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=told):
        toy(arch, *texts).race("first").start()


@pytest.mark.parametrize("arch", ARCHES)
def test_a_crash_on_the_way_is_a_finding(arch: str) -> None:
    x86 = "first:\n mov eax, dword ptr [{b}]\n mov ecx, dword ptr [{b} + 0x100000]\n jmp caller\n"
    arm = "first:\n ldr r0, [r5]\n ldr r1, =0x10\n ldr r0, [r1]\n b caller\n"
    (finding,) = explore(toy(arch, x86, arm).race("first")).findings
    assert (finding.kind, finding.schedule, finding.steps) == ("Crash", "a", 1)


@pytest.mark.parametrize("arch", ARCHES)
def test_only_shared_words_are_points(arch: str) -> None:
    """The page also holds words that are not: they are touched on the way."""
    x86 = "first:\n" + "".join(f" mov dword ptr [{{b}} + {at}], 5\n" for at in (32, 0, 36, 40, 4, 44)) + " jmp caller\n"
    arm = "first:\n mov r0, #5\n" + "".join(f" str r0, [r5, #{at}]\n" for at in (32, 0, 36, 40, 4, 44)) + " b caller\n"
    space = toy(arch, x86, arm).race("first", wanted=[5, 5, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5])
    result = explore(space)
    assert (result.states, result.transitions, result.ends, result.findings) == (3, 2, 1, ())
    words = [told.split()[-1] for _, told in replay(space, "a").steps]
    assert words == [hex(DATA), hex(DATA + 4)]


@pytest.mark.parametrize("arch", ["386", "amd64"])
def test_without_a_lock_prefix_reading_and_writing_are_two_steps(arch: str) -> None:
    """A lock made with a bare cmpxchg keeps nobody out: both find it free."""
    body = "\n mov ecx, 1\n xor eax, eax\n {lock} cmpxchg dword ptr [{b}], ecx\n setz al\n movzx eax, al\n"
    text = "".join(
        f"{name}:{body} mov dword ptr [{{b}} + {at}], eax\n jmp caller\n" for name, at in (("first", 4), ("second", 8))
    )
    for lock, pairs in (("lock", {(0, 1), (1, 0)}), ("", {(0, 1), (1, 0), (1, 1)})):
        made = toy(arch, text.replace("{lock}", lock), "")
        found: set[tuple[int, int]] = set()
        space = Race(
            made.process, [made.guest("first"), made.guest("second")], made.shared,
            at_end=lambda found=found, made=made: found.add((made.word(1), made.word(2))),  # type: ignore[misc]
        )
        made.process.write(DATA, bytes(64))
        assert not explore(space).findings
        assert found == pairs


@pytest.mark.parametrize("arch", ARCHES)
def test_a_gate_is_part_of_its_thread(arch: str) -> None:
    """What Python does there is interleaved like any code; the guest goes on behind the call, or where it is sent."""
    x86 = (
        "first:\n call fn\n mov dword ptr [{b} + 4], 1\n jmp caller\n"
        "elsewhere:\n mov dword ptr [{b} + 8], 1\n jmp caller\n"
    )
    arm = (
        "first:\n bl fn\n mov r0, #1\n str r0, [r5, #4]\n b caller\n"
        "elsewhere:\n mov r0, #1\n str r0, [r5, #8]\n b caller\n"
    )
    made = toy(arch, x86, arm)
    made.process.write(DATA, bytes(64))
    stack = made.process.add_region("stack", 0x1000)
    elsewhere = made.process.program.symbol("elsewhere").address
    base = "r5" if arch == "arm" else "ebx" if arch == "386" else "rbx"
    ends: set[tuple[int, ...]] = set()

    def gate(registers: Mapping[str, int]) -> Accesses[Landing]:
        assert registers[base] == DATA
        found = yield from read(DATA, 4)
        yield from write(DATA + 12, 4, found + 1)
        return (lambda: made.process.set_role("pc", elsewhere)) if found else None

    def other() -> Accesses[None]:
        yield from write(DATA, 4, 1)

    guest = Guest("first", {**made.guest("first").registers, made.arch.roles["sp"]: stack.end - 64}, {"fn": gate})
    space = Race(
        made.process, [guest, Script("other", other)], made.shared, kept=frozenset({base, made.arch.roles["sp"]}),
        at_end=lambda: ends.add(tuple(made.word(index) for index in range(4))),
    )
    assert not explore(space).findings
    assert ends == {(1, 1, 0, 1), (1, 0, 1, 2)}


def test_a_script_that_reads_what_is_not_mapped_crashes() -> None:
    def wild() -> Accesses[None]:
        yield from read(DATA, 4)
        yield from read(0x10, 4)

    (finding,) = explore(toy("arm", *ENDLESS).race(scripts=[Script("wild", wild)])).findings
    assert (finding.kind, str(finding.failure)) == ("Crash", "wild: read of 0x10, which is not mapped")


def test_an_instruction_that_touches_shared_and_other_memory_on_one_page_is_refused() -> None:
    made = toy("arm", "", "first:\n ldm r5, {r0, r1, r2}\n b caller\n")
    made.shared = [(DATA + 8, 4)]
    with pytest.raises(Crash, match="touches shared and other memory at once"):
        made.race("first").start()


def test_too_many_states() -> None:
    text = "first:\n inc dword ptr [{b}]\n jmp first\n"
    with pytest.raises(Spent, match="more than 100 states of first"):
        explore(toy("amd64", text, "").race("first"), limit=100)


def test_the_ordinary_runtime_takes_a_routine_to_its_end() -> None:
    made = process("386", "start:\n nop\n")

    def routine() -> Accesses[bytes]:
        yield from write(DATA, 4, 7)
        assert not (yield from swap(DATA, 4, 8, 9))
        assert (yield from swap(DATA, 4, 7, 9))
        yield from until(DATA, 4, 9)
        yield from write_bytes(DATA + 4, b"abcd")
        return (yield from read_bytes(DATA, 8))

    assert finish(made, routine()) == b"\x09\0\0\0abcd"
    with pytest.raises(Deadlock, match="waits for 1 at 0x4e800000"):
        finish(made, until(DATA, 4, 1))
    with pytest.raises(ValueError, match="mapped"):
        finish(made, read(0x10, 4))


@pytest.mark.parametrize(
    ("arch", "code", "updates", "exclusive"),
    [
        ("amd64", "ff00", 4, ""), ("amd64", "f0ff00", 0, ""), ("amd64", "480fb118", 8, ""),
        ("amd64", "f0480fb118", 0, ""),
        ("386", "8700", 0, ""), ("386", "8900", 0, ""), ("386", "3900", 0, ""), ("386", "50", 0, ""),
        ("arm", "9f1f90e1", 0, "load"), ("arm", "912f80e1", 0, "store"), ("arm", "1ff07ff5", 0, "clear"),
        ("arm", "001090e5", 0, ""), ("386", "ff", 0, ""),
    ],
)
def test_what_instructions_do_to_shared_words(arch: str, code: str, updates: int, exclusive: str) -> None:
    """inc, lock inc, cmpxchg, lock cmpxchg; xchg, mov, cmp, push; ldrex, strex, clrex, ldr; half an instruction."""
    record, data = arches.get(arch), bytes.fromhex(code)
    assert (readback.updates(record, data, 0x1000), readback.exclusive(record, data, 0x1000)) == (updates, exclusive)


def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((io.StringIO(), False), (Terminal(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr("emu.progress.EVERY", 0)
        with Progress("states") as progress:
            progress.count(17)
        assert ("17 states" in stream.getvalue()) == shown
        assert not shown or stream.getvalue().endswith("\x1b[K")
