"""Guests: one description, a frame and a stack check for each era and architecture."""

from __future__ import annotations

import pytest

import arch as arches
from arch import golang
from arch.habits import habits
from asm import guests
from asm.guests import LEAVES, Function, Guests
from emu.flows import guests as flow_guests

CELLS = [
    pytest.param(era, arch, id=f"{era}-{arch}", marks=getattr(pytest.mark, arch))
    for era in golang.ERAS
    for arch in arches.ARCHES
]
BASE, VALUES, GATES = 0x4E40_0000, 0x4E70_0000, 0x4F00_2000


def build(era_name: str, arch_name: str, *functions: Function) -> Guests:
    era, arch = golang.era(era_name), arches.get(arch_name)
    entries = {name: 0x4F00_1000 + 16 * index for index, name in enumerate(era.routines[arch_name])}
    return guests.build(
        functions, era, arch, habits(era_name), entries, base=BASE, values_at=VALUES, gates_at=GATES
    )


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_a_frame_has_its_slots_and_what_is_saved_beside_them(era: str, arch: str) -> None:
    made = build(era, arch, Function("f", "", slots=10))
    saved = arch == "arm" or (arch == "amd64" and era in ("2017", "modern"))
    assert made.frames["f"] == (10 + saved) * (8 if arch == "amd64" else 4)
    assert made.links == (arch == "amd64" and era in ("2017", "modern"))


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_every_form_of_the_stack_check_is_in_the_recursion(era: str, arch: str) -> None:
    record, machine = golang.era(era), arches.get(arch)
    functions = flow_guests.recursion(machine.word, era != "2011")
    made = build(era, arch, *functions)
    forms = {name: record.check_form(machine, made.frames[name]) for name in ("small", "medium", "huge")}
    assert forms == {"small": "small", "medium": "medium", "huge": "huge"}


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_gates_and_func_values(era: str, arch: str) -> None:
    made = build(era, arch, Function("f", "invoke hello; invoke g; code there", slots=1), Function("g", ""))
    assert set(made.gates) == {*LEAVES.values(), "hello", "there"}
    assert set(made.values) == {*LEAVES, *LEAVES.values(), "f", "g", "hello", "there"}
    word = arches.get(arch).word
    found = {**made.gates, **{name: symbol.address for name, symbol in made.program.symbols.items()}}
    for name, address in made.values.items():
        assert int.from_bytes(made.program.read(address, word), "little") == found[name]


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_a_function_without_a_stack_check_is_shorter(era: str, arch: str) -> None:
    made = build(era, arch, Function("checked", "", slots=1), Function("bare", "", slots=1, nosplit=True))
    sizes = {name: made.program.symbols[name].size for name in ("checked", "bare")}
    assert sizes["bare"] < sizes["checked"]


def test_arguments_are_found_above_the_frame() -> None:
    made = build("2011", "386", Function("f", "argument 2", args=3, slots=4, nosplit=True))
    lines = [line.text for line in made.program.lines.values() if line.file.endswith("386.s")]
    assert "mov eax, dword ptr [esp + 16 + 4 + 2 * 4]" in lines


def test_system_calls_have_names() -> None:
    assert build("modern", "arm", Function("f", "system_call SYS_write", slots=3)).program.symbols["f"].size
    with pytest.raises(KeyError, match="scribble"):
        build("modern", "arm", Function("f", "system_call SYS_scribble", slots=3))


def test_two_functions_of_one_name() -> None:
    with pytest.raises(ValueError, match="there is already a function f"):
        build("modern", "386", Function("f", ""), Function("f", ""))
