"""The stack check: when it calls, what it passes, what it leaves alone: literal rows, bytes, holes, broken checks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import arch as arches
from arch import golang, stackcheck
from asm import prologue as source
from emu import target as targets
from emu.check import check
from emu.contracts import prologue as contract
from emu.contracts.judge import Check, judge, name_of
from emu.contracts.prologue import Function
from emu.rows import rows
from emu.runtime.world import World
from emu.scenes import prologue

# when it calls morestack: literal rows

PREEMPT, POISON, FORK, MOVE, ONES = -1314, -1315, -1234, -275, -1

# (era, arch, frame) -> guard words, relative to SP, at which the check calls, and at which it does not
AROUND = [
    ("2011", "386", 128, 0, -1), ("2011", "amd64", 128, 0, -1), ("2011", "arm", 124, 1, 0),
    ("2011", "386", 132, -4, -5), ("2011", "amd64", 136, -8, -9), ("2011", "arm", 128, -127, -128),
    ("2011", "386", 4092, -3964, -3965), ("2011", "amd64", 4088, -3960, -3961), ("2011", "arm", 4092, -4091, -4092),
    ("2014", "386", 128, 0, -1), ("2014", "amd64", 128, 0, -1), ("2014", "arm", 128, 0, -1),
    ("2014", "386", 132, -4, -5), ("2014", "amd64", 136, -8, -9), ("2014", "arm", 132, -132, -133),
    ("2014", "386", 4096, -3968, -3969), ("2014", "amd64", 4096, -3968, -3969), ("2014", "arm", 4096, -4096, -4097),
    ("2014", "386", 4100, -3972, -3973), ("2014", "amd64", 4104, -3976, -3977), ("2014", "arm", 4100, -3972, -3973),
    ("2014", "386", 4100, 256, 257), ("2014", "amd64", 4104, 256, 257), ("2014", "arm", 4100, 256, 257),
    ("2017", "386", 128, 0, -1), ("2017", "amd64", 128, 0, -1), ("2017", "arm", 128, 0, -1),
    ("2017", "386", 132, -4, -5), ("2017", "amd64", 136, -8, -9), ("2017", "arm", 132, -4, -5),
    ("2017", "386", 4096, -3968, -3969), ("2017", "amd64", 4096, -3968, -3969), ("2017", "arm", 4096, -3968, -3969),
    ("2017", "386", 4100, -3972, -3973), ("2017", "amd64", 4104, -3976, -3977), ("2017", "arm", 4100, -3972, -3973),
    ("2017", "386", 4100, 880, 881), ("2017", "amd64", 4104, 880, 881), ("2017", "arm", 4100, 880, 881),
    ("modern", "386", 128, 0, -1), ("modern", "amd64", 128, 0, -1), ("modern", "arm", 128, 0, -1),
    ("modern", "386", 132, -4, -5), ("modern", "amd64", 136, -8, -9), ("modern", "arm", 132, -4, -5),
    ("modern", "386", 4096, -3968, -3969), ("modern", "amd64", 4096, -3968, -3969),
    ("modern", "arm", 4096, -3968, -3969),
    ("modern", "386", 4100, -3972, -3973), ("modern", "amd64", 4104, -3976, -3977),
    ("modern", "arm", 4100, -3972, -3973),
    ("modern", "386", 4100, 881, -3973), ("modern", "amd64", 4104, 929, -3977), ("modern", "arm", 4100, 929, -3973),
]


def function_of(era: str, arch: str, frame: int, abi0: bool = False) -> Function:
    record, cpu = golang.ERAS[era], arches.get(arch)
    form = record.check_form(cpu, frame)
    return next(f for f in prologue.functions(record, cpu, form, abi0) if f.frame == frame)


def reached(w: World, function: Function, sp: int, guard: int) -> str:
    """Where control goes from the function's entry: a gate's name."""
    w.reset()
    w.process.set_role("sp", sp)
    w.g[w.layout.guard.removeprefix("g.")] = guard
    w.enter(function.name)
    return name_of(w, w.process.run(50))


def calls(era: str, arch: str, frame: int, guard: int, *, relative: bool = False, abi0: bool = False) -> bool:
    w, function = prologue.world(era, arch, abi0), function_of(era, arch, frame, abi0)
    sp = w.stacks["g"].end - 4096
    found = reached(w, function, sp, sp + guard if relative else guard)
    assert found == function.body or found.startswith("morestack")
    return found != function.body


@pytest.mark.parametrize(("era", "arch", "frame", "grows", "stays"), AROUND)
def test_it_calls_at_its_limit_and_not_below(era: str, arch: str, frame: int, grows: int, stays: int) -> None:
    for abi0 in (False, True) if (era, arch) == ("modern", "amd64") else (False,):
        assert calls(era, arch, frame, grows, relative=True, abi0=abi0)
        assert not calls(era, arch, frame, stays, relative=True, abi0=abi0)


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_the_oldest_era_always_calls_for_a_huge_frame(arch: str) -> None:
    assert calls("2011", arch, 4096, 0)


SPECIAL = {  # era -> special guard -> whether a small, a medium and a huge frame see it
    "2014": {PREEMPT: (True, True, True), POISON: (True, True, False), ONES: (True, True, False)},
    "2017": {PREEMPT: (True, True, True), FORK: (True, True, False), ONES: (True, True, False)},
    "modern": {
        PREEMPT: (True, True, True), FORK: (True, True, True), MOVE: (True, True, True), ONES: (True, True, True),
    },
}


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", SPECIAL)
def test_which_special_guards_each_form_sees(era: str, arch: str) -> None:
    word = arches.get(arch).word
    for guard, expected in SPECIAL[era].items():
        for abi0 in (False, True) if (era, arch) == ("modern", "amd64") else (False,):
            assert tuple(calls(era, arch, f, guard, abi0=abi0) for f in (128, 128 + word, 4096 + word)) == expected


# what is passed: literal rows


@pytest.mark.parametrize(
    ("era", "arch", "frame", "args", "entry", "passed"),
    [
        ("2011", "386", 3936, 0, "morestack", {"edx": 0, "eax": 0}),
        ("2011", "386", 3940, 0, "morestack", {"edx": 4096, "eax": 0}),
        ("2011", "386", 3932, 8, "morestack", {"edx": 4088, "eax": 8}),
        ("2011", "386", 4096, 12, "morestack", {"edx": 4256, "eax": 12}),
        ("2011", "amd64", 3936, 0, "morestack00", {}),
        ("2011", "amd64", 64, 8, "morestack8", {}),
        ("2011", "amd64", 64, 48, "morestack48", {}),
        ("2011", "amd64", 64, 56, "morestack01", {"rax": 56}),
        ("2011", "amd64", 3944, 0, "morestack10", {"rax": 4104}),
        ("2011", "amd64", 4096, 16, "morestack11", {"rax": 0x10_0000_10A0}),
        ("2011", "arm", 124, 8, "morestack", {"r1": 284, "r2": 8}),
        ("2011", "arm", 4092, 0, "morestack", {"r1": 4252, "r2": 0}),
        ("2011", "arm", 4096, 0, "morestack", {"r1": 4096, "r2": 0}),
        ("2014", "386", 3868, 0, "morestack", {"edi": 0, "eax": 0}),
        ("2014", "386", 3872, 0, "morestack", {"edi": 3872, "eax": 0}),
        ("2014", "386", 3868, 4, "morestack", {"edi": 3872, "eax": 4}),
        ("2014", "amd64", 3856, 0, "morestack00", {}),
        ("2014", "amd64", 3864, 0, "morestack10", {"rax": 3864}),
        ("2014", "amd64", 3864, 24, "morestack11", {"rax": 0x18_0000_0F18}),
        ("2014", "amd64", 64, 24, "morestack24", {}),
        ("2014", "arm", 124, 8, "morestack", {"r1": 124, "r2": 8}),
        ("2014", "arm", 4100, 0, "morestack", {"r1": 4100, "r2": 0}),
        ("2017", "386", 4100, 8, "morestack", {}),
        ("modern", "arm", 4100, 8, "morestack", {}),
    ],
)
def test_sizes_and_entries(
    era: str, arch: str, frame: int, args: int, entry: str, passed: dict[str, int]
) -> None:
    record, cpu = golang.ERAS[era], arches.get(arch)
    found = stackcheck.call(record, cpu, frame, args)
    assert (found.entry, dict(found.passed)) == (entry, passed)
    twin = entry if era == "2011" else f"{entry}_noctxt"
    assert stackcheck.call(record, cpu, frame, args, ctxt=False).entry == twin


@pytest.mark.parametrize(("frame", "args"), [(-8, 0), (8, -8), (8, 6)])
def test_sizes_that_no_function_has_are_refused(frame: int, args: int) -> None:
    with pytest.raises(ValueError, match="f: no function has a frame of"):
        source.splittable(golang.ERAS["2014"], arches.get("386"), "f", frame, args=args)


def test_every_variant_of_morestack_is_called() -> None:
    cpu = arches.get("amd64")
    for era in (golang.ERAS["2011"], golang.ERAS["2014"]):
        found = {
            stackcheck.call(era, cpu, f.frame, f.args, ctxt=f.ctxt).entry
            for form in prologue.FORMS for f in prologue.functions(era, cpu, form)
        }
        assert {name.removesuffix("_noctxt") for name in found} == set(golang.VARIANTS)


@pytest.mark.parametrize(
    ("arch", "code", "expected"),
    [
        ("386", "ebfe000000", 0x1000), ("386", "eb10000000", 0x1012), ("amd64", "e9fbffffff", 0x1000),
        ("amd64", "e900f0ffff", 0x5), ("arm", "feffff9a", 0x1000), ("arm", "0100009a", 0x100C),
    ],
)
def test_the_branch_back_is_read_as_newstack_reads_it(arch: str, code: str, expected: int) -> None:
    assert source.entry_behind(arches.get(arch), bytes.fromhex(code), 0x1000) == expected


@pytest.mark.parametrize(("arch", "code"), [("386", "9090909090"), ("amd64", "e8fbffffff"), ("arm", "feffffea")])
def test_no_other_instruction_leads_back(arch: str, code: str) -> None:
    with pytest.raises(ValueError, match="no branch to a function's start at 0x1000"):
        source.entry_behind(arches.get(arch), bytes.fromhex(code), 0x1000)


# the modern forms' bytes, up to the jump to morestack's call. Go's own differ in length only where it says so.

G386 = "658b0d00000000 8b49fc "  # Go: 8b89fcffffff, the same offset in four bytes
G64 = "644c8b3425f8ffffff "
BYTES = [
    ("386", False, 128, G386 + "3b6108 76"),
    ("386", False, 132, G386 + "8d4424fc 3b4108 76"),
    ("386", False, 4096, G386 + "8d842480f0ffff 3b4108 76"),
    ("386", False, 4100, G386 + "89e0 2d840f0000 72.. 3b4108 76"),
    ("amd64", False, 128, "493b6610 76"),
    ("amd64", False, 136, "4c8d6424f8 4d3b6610 76"),
    ("amd64", False, 4096, "4c8da42480f0ffff 4d3b6610 76"),
    ("amd64", False, 4104, "4989e4 4981ec880f0000 72.. 4d3b6610 76"),
    ("amd64", True, 128, G64 + "493b6610 76"),
    ("amd64", True, 4096, G64 + "4c8da42480f0ffff 4d3b6610 76"),
    ("amd64", True, 4104, G64 + "4989e4 4981ec880f0000 72.. 4d3b6610 76"),
    ("arm", False, 128, "08109ae5 01005de1 ......9a"),
    ("arm", False, 132, "08109ae5 18b09fe5 0b204de0 010052e1 ......9a"),  # Go: an immediate where it fits
    ("arm", False, 4100, "08109ae5 18b09fe5 0b205de0 01005221 ......9a"),  # Go: movw, not a literal, into r11
]


@pytest.mark.parametrize(("arch", "abi0", "frame", "expected"), BYTES)
def test_bytes_of_the_modern_forms(arch: str, abi0: bool, frame: int, expected: str) -> None:
    program = prologue.target("modern", arch, abi0).program
    symbol = program.symbol(function_of("modern", arch, frame, abi0).name)
    assert re.match(expected.replace(" ", ""), program.read(symbol.address, symbol.size).hex())


# holes

UNSEEN = {"2014": "StackPoison", "2017": "StackFork"}


def row(era: str, arch: str, name: str) -> list[tuple[str, Check]]:
    found = check(targets.of_era(era, arch), [name])
    return [(r.scene, r.check) for r in found if r.check is not None]


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", golang.ERAS)
def test_poison_that_a_huge_frame_ignores_is_a_hole(era: str, arch: str) -> None:
    holes = {(scene, c.hole) for scene, c in row(era, arch, "prologue-huge") if c.hole}
    named = {scene.rsplit(" ", 1)[1] for scene, _ in holes if "guard Stack" in scene}
    assert named == ({UNSEEN[era]} if era in UNSEEN else set())
    assert bool(holes) == (era in UNSEEN)
    assert all(UNSEEN[era] in hole for scene, hole in holes if "guard Stack" in scene)


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", golang.ERAS)
def test_the_other_holes_are_frames_that_end_below_0(era: str, arch: str) -> None:
    assert not [scene for scene, c in row(era, arch, "prologue-small") if c.hole]
    holes = [scene for scene, c in row(era, arch, "prologue-medium") if c.hole]
    assert holes
    assert all("the frame ends below 0" in scene for scene in holes)


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("era", golang.ERAS)
def test_only_the_register_abi_has_a_second_set_of_rows(era: str, arch: str) -> None:
    names = {f"prologue-{form}" for form in prologue.FORMS}
    names |= {f"{name}-abi0" for name in names} if (era, arch) == ("modern", "amd64") else set()
    assert {name for name in rows(targets.of_era(era, arch)) if name.startswith("prologue")} == names


# broken checks


@contextmanager
def instead(w: World, function: Function, statement: str, code: str) -> Iterator[None]:
    """The function's first instruction that was written so, its first bytes replaced by ``code`` (hex)."""
    symbol, lines = w.program.symbol(function.name), w.program.lines
    inside = [a for a in sorted(lines) if symbol.address <= a < symbol.address + symbol.size]
    w.process.patch(next(a for a in inside if lines[a].text.startswith(statement)), bytes.fromhex(code))
    try:
        yield
    finally:
        w.process.unpatch()


def failures(w: World, function: Function) -> set[str]:
    """The names of failed checks, without what the function is called."""
    found = {
        c.name.replace(function.body, "body")
        for scene in prologue.scenes(w, function) for c in judge(w, scene, contract.of(function)) if not c.ok
    }
    return {re.sub(r"morestack\w*", "morestack", name) for name in found}


BROKEN = [
    ("2011", "386", 128, "ja .body", "73", {"reaches morestack"}),  # jae: equality passes
    ("2011", "386", 4096, "mov edx", "ba9f100000", {"size → edx at morestack"}),
    ("2011", "amd64", 136, "lea rax", "488d5424f8",  # into rdx
     {"reaches morestack", "unchanged → ctxt at body", "unchanged → ctxt at morestack"}),
    ("2011", "arm", 124, "movlo r3", "0e40a031",
     {"f's return PC → f's return PC at morestack", "unchanged → r4 at morestack", "f's return PC → link at body"}),
    ("2011", "arm", 124, "bllo", "00f020e3", {"reaches morestack"}),
    ("2014", "386", 4096, "mov edi", "bf00000000", {"size → edi at morestack"}),
    ("2014", "386", 128, "jmp frame", "9090", {"reaches body"}),  # newstack finds no way back
    ("2014", "amd64", 136, "jmp frame", "90", {"reaches body"}),
    ("2014", "arm", 128, "bls frame", "feffff9a", {"reaches body"}),  # leads to itself
    ("2014", "386", 4100, "je .more", "9090", {"reaches morestack"}),
    ("2014", "arm", 4100, "addne r2", "ff2f8d12", {"reaches body", "reaches morestack"}),  # StackGuard + 764
    ("2017", "386", 4100, "je .more", "9090", {"reaches morestack"}),
    ("2017", "amd64", 136, "jbe .more", "72", {"reaches morestack"}),  # jb: equality passes
    ("2017", "arm", 128, "bls .more", "00f020e3", {"reaches morestack"}),
    ("modern", "386", 128, "cmp esp", "3b610c", {"reaches body", "writes nothing else"}),  # stackguard1
    ("modern", "amd64", 136, "lea r12", "4c8d6c24f8",  # into r13
     {"reaches morestack", "unchanged → r13 at body", "unchanged → r13 at morestack"}),
    ("modern", "amd64", 4104, "jb .more", "9090", {"reaches morestack"}),
    ("modern", "arm", 132, "mov r3, lr", "00f020e3",
     {"f's return PC → f's return PC at morestack", "f's return PC → link at body"}),
    ("modern", "arm", 128, "cmp sp", "01005de3", {"reaches morestack"}),  # with 1
]


@pytest.mark.parametrize(("era", "arch", "frame", "statement", "code", "expected"), BROKEN)
def test_a_broken_check_is_seen(
    era: str, arch: str, frame: int, statement: str, code: str, expected: set[str]
) -> None:
    w, function = prologue.world(era, arch), function_of(era, arch, frame)
    assert not failures(w, function)
    with instead(w, function, statement, code):
        assert failures(w, function) == expected
    assert not failures(w, function)


def test_a_check_that_writes_is_seen() -> None:
    w, function = prologue.world("2011", "amd64"), function_of("2011", "amd64", 136)
    with instead(w, function, "lea rax", "50 50 488d0424"):  # push rax, push rax, lea rax, [rsp]
        assert {"writes nothing else", "SP → sp at body"} <= failures(w, function)


def test_the_register_that_repeats_g_is_loaded_in_stack_abi_code() -> None:
    w, function = prologue.world("modern", "amd64", True), function_of("modern", "amd64", 128, True)
    with instead(w, function, "mov r14", "644c8b3c25f8ffffff"):  # into r15
        assert failures(w, function) == {"reaches body", "reaches morestack"}
