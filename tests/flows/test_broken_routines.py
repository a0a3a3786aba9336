"""gogo with one instruction replaced by no-ops: the flow of turns must fail, unless no turn can tell."""

from __future__ import annotations

import re

import pytest

import arch as arches
from arch import golang
from emu import target as targets
from emu.flows.flow import session_of
from emu.flows.turns import switch

CELLS = [
    pytest.param(era, arch, id=f"{era}-{arch}", marks=getattr(pytest.mark, arch))
    for era in golang.ERAS
    for arch in arches.ARCHES
]

# What no turn can tell, and why.
SURVIVES = {
    r"mov [er]cx, \w+ ptr \[[er]dx\]|ldr r2, \[r(0|10)\]": "the probe of g: no g is nil here",
    r".*\bgobuf\.ret\b.*, 0|str r11, \[r1, #gobuf\.ret\]": "no goroutine leaves a result in its gobuf",
    r"cmp r11, r11": "no stack check is resumed at its conditional branch",
    r"blne save_gm|(mrc|bic|ldr|add|str)ne .*|mov r0, r10": "there is no C code",
}


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_a_missing_instruction_of_gogo_is_found(era: str, arch: str) -> None:
    target = targets.of_era(era, arch)
    program, symbol = target.program, target.program.symbol("gogo")
    places = [at for at in sorted(program.lines) if symbol.address <= at < symbol.address + symbol.size]
    ends = [*places[1:], symbol.address + symbol.size]
    nop, process = target.arch.nop, session_of(target).process
    assert all(check.ok for check in switch(target))
    survived = []
    for place, end in zip(places, ends, strict=True):
        size = min(end - place, target.arch.alignment if target.arch.alignment > 1 else end - place)
        process.patch(place, nop * (size // len(nop)))
        try:
            if all(check.ok for check in switch(target)):
                survived.append(program.lines[place].text)
        finally:
            process.unpatch()
    assert [text for text in survived if not any(re.fullmatch(known, text) for known in SURVIVES)] == []
    assert len(survived) < len(places) / 2


@pytest.mark.parametrize(("era", "arch"), CELLS)
def test_mcall_that_saves_no_sp_breaks_its_contract(era: str, arch: str) -> None:
    target = targets.of_era(era, arch)
    process = session_of(target).process
    symbol = target.program.symbol("mcall")
    places = [at for at in sorted(target.program.lines) if symbol.address <= at < symbol.address + symbol.size]
    saves = next(at for at in places if "g.sched.sp]" in target.program.lines[at].text)
    size = places[places.index(saves) + 1] - saves
    process.patch(saves, target.arch.nop * (size // len(target.arch.nop)))
    try:
        failed = [check.name for check in switch(target) if not check.ok]
    finally:
        process.unpatch()
    assert failed[0] == "contract of mcall, at every crossing"
