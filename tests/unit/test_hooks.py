"""Hooks of our own sources and prologues that call one: both hold, and every instruction of them matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import arch as arches
from arch.golang import HOOKS as ROUTINES
from asm.readback import disassemble
from emu import target as targets
from emu.check import check_routine
from emu.contracts import prologue as contract
from emu.contracts.judge import Check, judge
from emu.contracts.prologue import Function
from emu.runtime.world import World
from emu.scenes import hooked

ARCHES = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]

# Emitted in functions without a context, too, where nobody needs it.
UNNEEDED = {"arm": ["str r7, [sp, #4]", "ldr r7, [sp, #4]"]}


def survivors(world: World, start: int, end: int, wrong: Callable[[], list[Check]]) -> Iterator[str]:
    """Instructions that may be no-ops without anyone noticing."""
    process, nop = world.process, world.arch.nop
    for at, code, text in list(disassemble(world.arch, process.machine.read(start, end - start), start)):
        process.patch(at, nop * (len(code) // len(nop)))
        if not wrong():
            yield text
        process.unpatch()


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("name", ROUTINES)
def test_every_instruction_of_a_hook_matters(arch: str, name: str) -> None:
    world = World(targets.of_hooks("modern", arch))

    def wrong() -> list[Check]:
        return [r.check for r in check_routine(world, name) if r.check is not None and not r.check.ok]

    symbol = world.program.symbol(name)
    for other in set(ROUTINES) - {name}:  # which does no harm to whoever runs into it
        behind = world.program.symbol(other)
        world.process.write(behind.address, b"\xff" * behind.size)
    assert not wrong()
    end = min([a for a in world.program.data if a >= symbol.address] + [symbol.address + symbol.size])
    assert list(survivors(world, symbol.address, end, wrong)) == []


def failing(world: World, function: Function) -> list[Check]:
    scenes = hooked.scenes(world, function)
    return [c for scene in scenes for c in judge(world, scene, contract.of(function)) if not c.ok]


@pytest.mark.parametrize("arch", ARCHES)
def test_every_instruction_of_an_intended_call_matters(arch: str) -> None:
    world = hooked.world("modern", arch, True)
    for function in hooked.functions(world.era, world.arch):
        start = world.program.symbol(function.name).address
        assert not failing(world, function)
        end = next(
            at for at, line in sorted(world.program.lines.items()) if at >= start and "asm/modern" in line.file
        )
        found = list(survivors(world, start, end, lambda function=function: failing(world, function)))
        assert found == ([] if function.ctxt else UNNEEDED.get(arch, []))


@pytest.mark.parametrize("arch", ARCHES)
def test_the_emitted_call_loses_the_context_on_arm_only(arch: str) -> None:
    world = hooked.world("modern", arch, False)
    for function in hooked.functions(world.era, world.arch):
        lost = {check.target for check in failing(world, function)}
        assert lost == ({"ctxt"} if arch == "arm" and function.ctxt else set()), function


@pytest.mark.parametrize("arch", ARCHES)
def test_the_check_compares_the_guard_that_the_hook_left(arch: str) -> None:
    """A hook that did not store it, where the guard at entry says the opposite, is found in every scene."""
    world = hooked.world("modern", arch, True)
    function = hooked.functions(world.era, world.arch)[0]
    for scene in hooked.scenes(world, function):
        scene.meanwhile = None
        assert any(not found.ok for found in judge(world, scene, contract.of(function)))
