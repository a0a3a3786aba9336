"""The sweep itself: the changes it makes, and that it tells a blind check from a sharp one."""

from __future__ import annotations

from dataclasses import replace

import pytest

import arch as arches
from arch import golang
from emu.contracts.effect import Effect, Entry, Span
from emu.routines import ROUTINES
from sweep import subject as subjects
from sweep.detour import CAVE, CAVE_SIZE, detour
from sweep.mutate import OPERATORS, Mutant, encode, mutants, read, swap, targets
from sweep.order import observable
from sweep.run import Survivor, Sweep
from sweep.subject import patched
from sweep.survivors import TABLES, Row, unexplained

CHANGES = [
    ("386", "8b442404", ["nop", "mov eax, dword ptr [esp + 4 + 4]", "mov eax, dword ptr [esp + 4 - 4]",
                         "mov ecx, dword ptr [esp + 4]", "mov eax, dword ptr [ebp + 4]"]),
    ("386", "658b0d00000000", ["nop", "mov ecx, dword ptr gs:[4]", "mov ecx, dword ptr gs:[-4]",
                               "mov edx, dword ptr gs:[0]"]),
    ("amd64", "64483b0425f8ffffff", ["nop", "cmp rax, qword ptr fs:[0]", "cmp rax, qword ptr fs:[-16]",
                                     "cmp rcx, qword ptr fs:[0xfffffffffffffff8]"]),
    ("amd64", "4d89e7", ["nop", "mov r8, r12", "mov r15, r13"]),
    ("arm", "04e02de5", ["nop", "str lr, [sp, #0]!", "str lr, [sp, #-8]!", "str r0, [sp, #-4]!", "str lr, [r0, #-4]!"]),
    ("arm", "04f09de4", ["nop", "ldr pc, [sp], #8", "ldr pc, [sp], #0", "ldr r0, [sp], #4", "ldr pc, [lr], #4"]),
    ("arm", "0aa0a0e1", ["nop", "mov r11, r10", "mov r10, r11"]),
    ("arm", "04009ae5", ["nop", "ldr r0, [r10, #8]", "ldr r0, [r10, #0]", "ldr r1, [r10, #4]", "ldr r0, [r11, #4]"]),
]  # fmt: skip


@pytest.mark.parametrize(("arch", "code", "expected"), CHANGES)
def test_changes_of_an_instruction(arch: str, code: str, expected: list[str]) -> None:
    insn = read(arches.get(arch), bytes.fromhex(code), 0x1000)
    assert insn is not None
    assert [mutant.change for mutant in mutants(arches.get(arch), insn)] == expected


@pytest.mark.parametrize(("code", "change", "size"), [
    ("8b442404", "mov eax, dword ptr [esp + 4 - 4]", 4),  # three bytes, and a no-op
    ("8b0424", "mov eax, dword ptr [esp + 4]", 4),  # a byte more than there is room for
])
def test_a_change_may_be_longer_than_what_it_replaces_but_not_shorter(code: str, change: str, size: int) -> None:
    arch = arches.get("386")
    insn = read(arch, bytes.fromhex(code), 0x1000)
    assert insn is not None
    mutant = next(m for m in mutants(arch, insn) if m.operator.startswith("displacement") and m.change == change)
    encoded = encode(arch, mutant)
    assert encoded is not None
    assert len(encoded) == size


def test_swapped_neighbours_mean_the_same_where_they_then_stand() -> None:
    arch = arches.get("arm")
    load, jump = read(arch, bytes.fromhex("20b09fe5"), 0x1000), read(arch, bytes.fromhex("feffffea"), 0x1004)
    assert load is not None
    assert jump is not None
    assert (load.text, jump.text) == ("ldr r11, [pc, #0x20]", "b #0x1004")
    encoded = encode(arch, swap(arch, load, jump))
    assert encoded is not None
    assert [read(arch, encoded[at:], 0x1000 + at).text for at in (0, 4)] == ["b #0x1004", "ldr r11, [pc, #0x1c]"]


def test_a_change_without_room_goes_round() -> None:
    sweep = Sweep(subjects.of_sources("modern", "386"))
    process, mcall = sweep.subject.process, [case for case in sweep.subject.cases if case.row == "mcall"]
    process.machine.map(CAVE, CAVE_SIZE, executable=True)
    start = sweep.program.symbol("mcall").address
    insn = next(i for i in sweep.insns if i.address > start and i.text == "mov ebx, dword ptr [esp]")
    same = Mutant("register", (insn,), (insn.text,))
    changed = Mutant("displacement up", (insn,), ("mov ebx, dword ptr [esp + 4]",))
    for mutant, holds in ((same, True), (changed, False)):
        patches = detour(sweep.arch, sweep.program, sweep.insns, mutant)
        assert patches is not None
        with patched(process, patches):
            assert all(case.holds for case in mcall) is holds
    assert all(case.holds for case in mcall)


def test_no_jump_may_lead_into_a_detour() -> None:
    sweep = Sweep(subjects.of_sources("modern", "386"))
    labels = targets(sweep.insns)
    insn = next(i for i in sweep.insns if {i.address + 1, i.address + 2, i.address + 3, i.address + 4} & labels)
    assert detour(sweep.arch, sweep.program, sweep.insns, Mutant("nop", (insn,), ())) is None


def test_a_blind_contract_lets_a_change_survive(monkeypatch: pytest.MonkeyPatch) -> None:
    gosave = ROUTINES["gosave"]

    def blind(entry: Entry) -> Effect:
        effect = gosave.contract(entry)
        last = effect.moments[-1]
        seen = tuple(item for item in last.carries if item.place.name != "buf.sp")
        unseen = [item.place for item in last.carries if item not in seen]
        room = tuple(Span(place.address, place.size, "not looked at") for place in unseen if place.address)
        return effect._replace(moments=(*effect.moments[:-1], last._replace(carries=seen)), may_write=room)

    assert not _survivors_of_gosave()
    monkeypatch.setitem(ROUTINES, "gosave", replace(gosave, contract=blind))
    assert any("gobuf.sp" in text for text in _survivors_of_gosave())


def _survivors_of_gosave() -> list[str]:
    tally = Sweep(subjects.of_sources("2014", "amd64")).run(["nop"])
    return [survivor.shown for survivor in tally.survivors if survivor.routine == "gosave"]


def test_a_subject_that_does_not_hold_is_not_swept() -> None:
    whole = subjects.of_sources("modern", "arm")
    assert whole.again is not None
    broken = [s for s in whole.statements if s.text != "str lr, [r10, #g.sched.pc]"]
    with pytest.raises(AssertionError, match=r"mcall, switch: return PC"):
        Sweep(replace(whole, cases=whole.again(broken)))


@pytest.mark.parametrize(("first", "shows"), [
    ("mov qword ptr [rax + gobuf.ret], 0", False),  # two words that have nothing to do with each other
    ("mov qword ptr [rax + gobuf.sp], rbx", True),  # rbx is loaded with something else next
])
def test_an_order_shows_or_not(first: str, shows: bool) -> None:
    sweep = Sweep(subjects.of_sources("2014", "amd64"))
    at = next(i for i, insn in enumerate(sweep.insns) if insn.shown == first)
    mutant = swap(sweep.arch, sweep.insns[at], sweep.insns[at + 1])
    code = encode(sweep.arch, mutant)
    assert code is not None
    index, step = sweep.coverage.steps[sweep.insns[at].address][0]
    assert observable(sweep.subject.cases[index], step, sweep.insns[at].address, code) is shows


def test_a_survivor_needs_a_row_and_a_row_a_survivor(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("modern 2017", "arm", "gogo", "register", "ldr *, [r0]", "why not")
    monkeypatch.setitem(TABLES, True, (row,))
    monkeypatch.setitem(TABLES, False, ())
    known = Survivor("gogo", "register", "ldr r2, [r0]", "ldr r3, [r0]", executed=True)
    unreached = replace(known, executed=False)
    assert unexplained("modern", "arm", [known]) == ([], [])
    assert unexplained("modern", "arm", []) == ([], [row])
    assert unexplained("modern", "arm", [known, unreached]) == ([unreached], [])
    assert unexplained("modern", "386", [known]) == ([known], [])
    assert unexplained("modern", "arm", [replace(known, operator="nop")])[1] == [row]


def test_every_row_names_what_exists() -> None:
    for row in (*TABLES[True], *TABLES[False]):
        assert set(row.eras.split()) <= {*golang.ERAS, "go-1.21", "go-newest"}, row
        assert set(row.arches.split()) <= set(arches.ARCHES), row
        assert row.operator in (*OPERATORS, "*"), row
        assert row.reason
