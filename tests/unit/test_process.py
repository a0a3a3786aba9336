"""The process: regions between guard pages, poison, and a reset that leaves no trace of the last run."""

from __future__ import annotations

from itertools import pairwise

import pytest
from assembled import ARCHES, process, program

import arch as arches
from asm.program import Program, Segment
from emu.machine import PAGE
from emu.process import Process, poison
from emu.target import CODE, DATA

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])

STORE = {
    "386": "start: mov dword ptr [ebx], eax; jmp fn", "amd64": "start: mov qword ptr [rbx], rax; jmp fn",
    "arm": "start: str r0, [r1]; b fn",
}  # fmt: skip
LOAD = {
    "386": "start: mov eax, dword ptr [ebx]; jmp fn", "amd64": "start: mov rax, qword ptr [rbx]; jmp fn",
    "arm": "start: ldr r0, [r1]; b fn",
}  # fmt: skip
BASE = {"386": "ebx", "amd64": "rbx", "arm": "r1"}
ADD_ONE = {"386": "start: inc eax; jmp fn", "amd64": "start: inc rax; jmp fn", "arm": "start: add r0, r0, #1; b fn"}


# regions


@each
@pytest.mark.parametrize("text", [LOAD, STORE], ids=["read", "write"])
def test_guard_pages_fault(arch: str, text: dict[str, str]) -> None:
    p = process(arch, text[arch])
    first, second = p.add_region("one", PAGE), p.add_region("two", 3 * PAGE)
    start, word = p.role("pc"), p.arch.word
    inside = [first.address, first.end - word, second.address, second.end - word]
    outside = [first.address - word, first.address - PAGE, first.end, second.address - word, second.end]
    for address in inside + outside:
        p.set_role("pc", start)
        p.set_registers({BASE[arch]: address})
        stop = p.run(10)
        assert stop.kind == ("exit" if address in inside else "fault"), hex(address)
        assert address in inside or stop.address == address


@each
def test_region_is_found_by_any_address_in_it(arch: str) -> None:
    p = process(arch, STORE[arch])
    region = p.add_region("odd size", PAGE + 1)
    assert region.size == 2 * PAGE
    assert [p.region(a) for a in (region.address, region.end - 1)] == [region, region]
    assert [p.region(a) for a in (region.address - 1, region.end, 0, CODE)] == [None] * 4


@each
def test_regions_are_poisoned_word_by_word(arch: str) -> None:
    p = process(arch, STORE[arch])
    region, word = p.add_region("heap", 2 * PAGE), p.arch.word
    values = [p.word(a) for a in range(region.address, region.end, word)]
    assert len(set(values)) == len(values)
    assert values == [poison(a, word) for a in range(region.address, region.end, word)]
    assert not any(p.region(value) for value in values)


@each
def test_registers_are_poisoned_and_all_different(arch: str) -> None:
    p = process(arch, STORE[arch])
    flags = p.arch.roles["flags"]
    values = {name: p.register_poison(name) for name in p.arch.registers}
    assert len(set(values.values())) == len(values)
    assert values[flags] == p.arch.flags_fixed
    p.reset()
    untouched = [r for r in p.arch.registers if r not in {p.arch.roles[role] for role in ("sp", "pc", "flags")}]
    assert {r: p.machine.registers()[r] for r in untouched} == {r: values[r] for r in untouched}


# programs


@each
def test_segments_that_share_a_page_are_writable_if_one_is(arch: str) -> None:
    record = arches.get(arch)
    made = program(record, STORE[arch])
    code = made.segments[0]
    shared = Segment(CODE + 0x800, b"\7" * 8, 0x10, writable=True, executable=False)
    alone = Segment(CODE + 2 * PAGE, b"\7" * 8, 8, writable=False, executable=False)
    p = Process(record, Program(arch, (code, shared, alone), made.symbols, made.gates))
    start = p.program.symbol("start").address
    assert p.machine.read(shared.address, 16) == shared.data + bytes(8)
    for address, kind in ((shared.address, "exit"), (alone.address, "fault"), (CODE + PAGE, "fault")):
        p.set_registers({record.roles["pc"]: start, BASE[arch]: address})
        assert p.run(10).kind == kind, hex(address)


# reset


@each
def test_reset_restores_memory_and_registers(arch: str) -> None:
    p = process(arch, STORE[arch])
    stack = p.regions[0]
    fresh = p.machine.registers()

    def image() -> list[bytes]:
        return [p.machine.read(stack.address, stack.size), p.machine.read(DATA, 0x100)]

    before = image()
    assert before[1] == bytes(range(1, 65)).ljust(0x100, b"\0")
    for address in (DATA + 8, DATA + 0x80, stack.address + 16):  # initialised data, zeroed data, a region
        p.set_registers({p.arch.roles["pc"]: fresh[p.arch.roles["pc"]], BASE[arch]: address})
        assert p.run(10).kind == "exit"
    p.set_word(stack.address + 32, 5)
    p.write(DATA + 30, b"poked")
    assert len(p.machine.recorder.writes) == 3
    assert image()[0] != before[0]
    assert image()[1] != before[1]
    p.reset()
    assert image() == before
    assert p.machine.recorder.writes == []
    assert p.machine.recorder.steps == 0
    kept = [r for r in p.arch.registers if r not in (p.arch.roles["sp"], p.arch.roles["pc"])]
    assert {r: p.machine.registers()[r] for r in kept} == {r: fresh[r] for r in kept}


@each
def test_memory_written_before_the_record_was_cleared_is_restored_too(arch: str) -> None:
    """A scene clears the record once its entry state stands; what it made the guest write must not stay."""
    p = process(arch, STORE[arch])
    p.set_registers({BASE[arch]: DATA})
    assert p.run(10).kind == "exit"
    p.machine.recorder.clear()
    p.reset()
    assert p.machine.read(DATA, 8) == bytes(range(1, 9))


@each
def test_two_runs_after_a_reset_are_equal(arch: str) -> None:
    p = process(arch, STORE[arch])
    start, stack = p.role("pc"), p.regions[0]
    seen = []
    for _ in range(2):
        p.reset()
        p.set_registers({p.arch.roles["pc"]: start, p.arch.roles["sp"]: stack.end, BASE[arch]: DATA})
        p.run(10)
        seen.append((p.machine.registers(), p.machine.recorder.writes, p.machine.read(stack.address, stack.size)))
    assert seen[0] == seen[1]


# patches


@each
def test_patches_are_undone_in_reverse(arch: str) -> None:
    p = process(arch, ADD_ONE[arch])
    start, nop = p.role("pc"), p.arch.nop
    size = {"386": 1, "amd64": 3, "arm": 4}[arch]
    before = p.machine.read(start, 16)

    def result() -> int:
        p.set_registers({p.arch.roles["pc"]: start, p.arch.roles["result"]: 10})
        assert p.run(10).kind == "exit"
        return p.role("result")

    assert result() == 11
    p.patch(start, nop * (size // len(nop)))
    p.patch(start, nop)  # over the first one
    assert result() == 10
    p.unpatch()
    assert p.machine.read(start, 16) == before
    assert result() == 11
    p.unpatch()
    assert result() == 11


@each
def test_patch_outlives_a_reset(arch: str) -> None:
    p = process(arch, ADD_ONE[arch])
    start, nop = p.role("pc"), p.arch.nop
    p.patch(start, nop)
    p.reset()
    assert p.machine.read(start, len(nop)) == nop


# words and roles


@each
def test_words_wrap_and_roles_name_registers(arch: str) -> None:
    p = process(arch, STORE[arch])
    address = p.regions[0].address
    p.set_word(address, -2)
    assert p.word(address) == p.arch.mask - 1
    p.set_role("ctxt", -3)
    assert p.role("ctxt") == p.machine.registers()[p.arch.roles["ctxt"]] == p.arch.mask - 2


# what the outside does to registers


@each
def test_kernel_answer_destroys_what_the_kernel_destroys(arch: str) -> None:
    trap = {"386": "int 0x80; jmp fn", "amd64": "syscall; jmp fn", "arm": "svc #0; b fn"}[arch]
    p = process(arch, f"start: {trap}")
    flags = p.arch.roles["flags"]
    p.set_role("flags", p.arch.flags_fixed | 1 << p.arch.flag_bits["C"])
    assert p.run(10).kind == "syscall"
    before = p.machine.registers()
    p.answer(-14)
    changed = {name: value for name, value in p.machine.registers().items() if value != before[name]}
    expected = {p.arch.syscall.result: -14 & p.arch.mask}
    if arch == "amd64":
        expected |= {"rcx": before["rip"], "r11": before[flags]}
    assert changed == expected


@each
def test_return_from_call_goes_back_and_spoils_the_rest(arch: str) -> None:
    call = {"386": "call fn", "amd64": "call fn", "arm": "bl fn"}[arch]
    p = process(arch, f"start: {call}; .behind: nop")
    sp = p.role("sp")
    p.set_registers({r: 0x100 + i for i, r in enumerate(p.arch.registers[:4])})
    kept, *spoiled = p.arch.registers[:4]
    assert p.run(10).kind == "exit"
    p.return_from_call({kept})
    registers = p.machine.registers()
    assert p.role("sp") == sp
    assert p.role("pc") == p.program.symbol("start").address + {"386": 5, "amd64": 5, "arm": 4}[arch]
    assert registers[kept] == 0x100
    assert {r: registers[r] for r in spoiled} == {r: p.register_poison(r) for r in spoiled}


def test_poison_is_never_an_address_that_is_mapped() -> None:
    for name in ARCHES:
        p = process(name, STORE[name])
        p.add_region("heap", PAGE)
        for register in p.arch.registers:
            with pytest.raises(ValueError, match="mapped"):
                p.machine.read(p.register_poison(register), 1)


@each
def test_neighbouring_words_have_different_poison_in_every_half(arch: str) -> None:
    """So that a displacement that is off by one word, or a half word stored for a word, always shows."""
    word = arches.get(arch).word
    for one, two in pairwise(range(0x5000_0000, 0x5000_1000, word)):
        assert poison(one, word) & 0xFFFF != poison(two, word) & 0xFFFF
