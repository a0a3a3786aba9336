"""Any function of a real binary that has a stack check, with or without a hook in front of it, against its contract."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from emu.contracts import prologue as contract
from emu.contracts.judge import Check, judge
from emu.contracts.prologue import Function
from emu.errors import BadInput
from emu.probe import ENTRIES, Endless, Probe
from emu.process import Region
from emu.runtime.world import World
from emu.scenes import hooked, prologue
from emu.target import OUTSIDE_GATES, Target

LARGEST = 0x8000  # bytes of frame that are tried on a stack in the lowest addresses, below any program


def check_function(target: Target, name: str) -> Iterator[tuple[str, Check]]:
    """Judge the prologue of a function: (scene, check). Raises BadInput if it has no stack check."""
    if any(target.routines.get(entry) is None for entry in ENTRIES):
        raise BadInput(f"{target.title}: {name} cannot be checked, its morestack was dropped by the linker")
    try:
        world, function = subject(target, name)
        if function.hook:
            Probe(target, function.hook).fails()
    except Endless as endless:
        wanted = "a hook without a stack check of its own"
        yield "any", Check("the hook comes back", False, wanted, str(endless), endless.step, "control")
        return
    scenes = hooked.scenes if function.hook else prologue.scenes
    for scene in scenes(world, function):
        for check in judge(world, scene, contract.of(function)):
            yield scene.name, check


def subject(target: Target, name: str) -> tuple[World, Function]:
    """A function as its contract wants it, in a world where its hook and its body are gates.

    Raises BadInput if it has no stack check, Endless if its hook never comes back.
    """
    found = Probe(target, name).look()
    if found is None:
        raise BadInput(f"{target.title}: {name} has no stack check: it is NOSPLIT, or a leaf that needs none")
    function, body, hook = found
    if function.beyond(target.era, target.arch) != function.frame - target.era.guards.small:
        raise BadInput(f"{target.title}: the stack check of {name} is of no known form")
    outside = {gate: at for gate, at in target.program.gates.items() if gate in OUTSIDE_GATES}
    entries = {entry: symbol.address for entry in ENTRIES if (symbol := target.routines[entry]) is not None}
    own = {function.body: body} | ({function.hook: hook} if hook else {})
    world = World(replace(target, program=replace(target.program, gates={**outside, **entries, **own})))
    if function.frame >= LARGEST:
        return world, replace(function, borders=False)
    world.process.machine.map(0, LARGEST)
    world.process.regions.append(Region("lowest stack", 0, LARGEST))
    return world, function
