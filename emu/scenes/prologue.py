"""Functions with a stack check at every border of the frame size, and the guard words they are entered with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache

import arch as arches
from arch import golang, stackcheck
from arch.golang import Era
from arch.model import Arch
from asm import prologue as source
from asm.assembler import assemble
from asm.statement import Statement
from emu.contracts import prologue as contract
from emu.contracts.judge import Check, Scene, judge, kept_by_callee
from emu.contracts.prologue import Function
from emu.machine import PAGE
from emu.process import Region
from emu.runtime.world import World
from emu.target import CODE, OUTSIDE_GATES, RUNTIME_GATES, Target, gates

FORMS = ("small", "medium", "huge")
VAST = 0x7FF_F000
"""The largest frame that is tried, in bytes."""
LOW = 3 * PAGE
"""Bytes of each stack that lies so low that SP less a frame can wrap."""


def functions(era: Era, arch: Arch, form: str, abi0: bool = False) -> list[Function]:
    """What a row of the matrix is tried with: the frames at the form's borders, and the sizes that are passed."""
    found = _borders(era, arch)[form] + _sizes(era, arch, form)
    return [replace(f, abi0=abi0) for f in dict.fromkeys(found)]


def _borders(era: Era, arch: Arch) -> dict[str, list[Function]]:
    check, word = era.checks[arch.name], arch.word
    small, medium = check.small // word * word, check.medium // word * word
    return {
        "small": [Function(word, ctxt=True), Function(small, ctxt=True, borders=True)],
        "medium": [Function(small + word, borders=True), Function(medium, ctxt=True, borders=True)],
        "huge": [Function(medium + word, 2 * word, borders=True), Function(VAST, word, ctxt=True, borders=True)],
    }


def _sizes(era: Era, arch: Arch, form: str) -> list[Function]:
    """Functions on either side of what decides which sizes morestack is told, in the eras that tell it."""
    word, kind = arch.word, stackcheck.style(era, arch).sizes
    if not kind or form == "huge":
        return []
    if form == "small":
        return [Function(2 * word, words * word) for words in ((1, 2, 3, 4, 5, 6, 7) if kind == "variant" else (3,))]
    found = []
    for args in (0, 7 * word):
        hinted = range(era.checks[arch.name].medium // word * word, 0, -word)
        least = [frame for frame in hinted if stackcheck.frame_hint(era, arch, frame, args)][-1]
        found += [Function(least, args), Function(least - word, args)]
    return found


@cache
def target(era_name: str, arch_name: str, abi0: bool) -> Target:
    """The functions of all forms, assembled: a program of its own whose routines they are."""
    era, arch = golang.era(era_name), arches.get(arch_name)
    return assembled(era, arch, abi0, statements(era, arch, abi0))


def statements(era: Era, arch: Arch, abi0: bool) -> list[Statement]:
    """The functions of all forms."""
    jump = source.JUMP[arch.isa]
    text = "".join(
        source.splittable(
            era, arch, f.name, f.frame, args=f.args, ctxt=f.ctxt, abi0=f.abi0, body=f"    {jump} {f.body}"
        )
        for f in _listed(era, arch, abi0)
    )
    return source.statements(text, "prologue", era, arch)


def _listed(era: Era, arch: Arch, abi0: bool) -> list[Function]:
    return [f for form in FORMS for f in functions(era, arch, form, abi0)]


def assembled(era: Era, arch: Arch, abi0: bool, listed: Sequence[Statement]) -> Target:
    """A target out of statements that stand for those functions."""
    entries = (name for name in era.routines[arch.name] if name.startswith("morestack"))
    names = (*RUNTIME_GATES, *OUTSIDE_GATES, *entries, *(f.body for f in _listed(era, arch, abi0)))
    program = assemble(listed, arch, base=CODE, names=era.names(arch), gates=gates(names))
    return Target(arch, era, program, dict(program.symbols), {})


@cache
def world(era_name: str, arch_name: str, abi0: bool = False) -> World:
    """The world of an era's functions."""
    return world_of(target(era_name, arch_name, abi0))


def world_of(target: Target) -> World:
    """A world with stacks mapped where none should be: so low that SP less the frame wraps."""
    found = World(target)
    for name, address in (("lowest stack", 0), ("low stack", VAST - 2 * PAGE)):
        found.process.machine.map(address, LOW)
        found.process.regions.append(Region(name, address, LOW))
    return found


def exists(abi0: bool) -> Callable[[Target], bool]:
    """Whether a target has such rows: checks are ours, and a second ABI is there or not."""
    return lambda target: not target.file and (not abi0 or bool(target.era.internal.get(target.arch.name)))


def row(form: str, abi0: bool) -> Callable[[Target], Iterator[tuple[str, Check]]]:
    """What runs one row of the matrix: (scene, check)."""

    def run(target: Target) -> Iterator[tuple[str, Check]]:
        w = world(target.era.name, target.arch.name, abi0)
        for function in functions(target.era, target.arch, form, abi0):
            for scene in scenes(w, function):
                for found in judge(w, scene, contract.of(function)):
                    yield scene.name, found

    whose = "stack-ABI functions" if abi0 else "functions"
    run.__doc__ = f"The stack check of {whose} with a {form} frame: it calls morestack when the frame does not fit."
    return run


def scenes(w: World, function: Function) -> Iterator[Scene]:
    """The entry states of one function: SP, and the guard word around what the check compares."""
    sp = w.stacks["g"].end - w.stacks["g"].size // 2
    beyond = function.beyond(w.era, w.arch)
    for label, guard in _guards(w, function, sp, sp - beyond).items():
        yield _scene(w, function, f"guard {label}", sp, guard)
    if not function.borders or beyond < PAGE // 2:
        return
    for place, sp in (("below 0", beyond - w.arch.word), ("at 0", beyond), ("above 0", beyond + w.arch.word)):
        for label, guard in {**_around(sp - beyond), "0": 0}.items():
            yield _scene(w, function, f"the frame ends {place}, guard {label}", sp, guard & w.arch.mask)


def _around(limit: int) -> dict[str, int]:
    """Guard words at what is compared with them, and on either side."""
    return {"limit - 1": limit - 1, "limit": limit, "limit + 1": limit + 1}


def _guards(w: World, function: Function, sp: int, limit: int) -> dict[str, int]:
    """Label -> guard word: around the limit, and with ``borders`` every value that means something else."""
    found, guards = _around(limit), w.era.guards
    if function.borders:
        found |= {"0": 0, **guards.special, "all ones": -1}
    if function.borders and w.era.check_form(w.arch, function.frame) == "huge":  # it may measure distances
        top = sp + guards.guard
        found |= {"SP + StackGuard": top, "SP + StackGuard + 1": top + 1}
    return {label: value & w.arch.mask for label, value in found.items()}


def _scene(w: World, function: Function, label: str, sp: int, guard: int) -> Scene:
    field = w.layout.guard.removeprefix("g.")
    grown_sp = w.stacks["other"].end - w.stacks["other"].size // 4
    grown_guard = grown_sp - function.beyond(w.era, w.arch) - 1

    def enter(w: World) -> None:
        w.process.set_role("sp", sp)
        w.g[field] = guard
        if function.abi0 and w.arch.internal is not None:
            register = w.arch.internal.g
            w.process.set_registers({register: w.process.register_poison(register)})
        w.enter(function.name)

    title = f"frame {function.frame}" + (f" args {function.args}" if function.args else "")
    facts = {"grown sp": grown_sp, "grown guard": grown_guard & w.arch.mask}
    return Scene(f"{title}: {label}", enter, meanwhile=_grow(function, facts), facts=facts)


def _grow(function: Function, facts: dict[str, int]) -> Callable[[World], None]:
    """What morestack, newstack and gogo do: a new stack, a lower guard, and the function goes on there."""

    def grow(w: World) -> None:
        process, arch = w.process, w.arch
        registers = process.machine.registers()
        sp, new_sp = registers[arch.roles["sp"]], facts["grown sp"]
        if arch.call.return_on_stack:
            pc, own = process.word(sp), process.word(sp + arch.word)
            process.set_word(new_sp, own)
        else:
            pc, own = registers[arch.roles["link"]], registers[w.habits.growth.hands[arch.name]["return"]]
        spoiled = set(arch.registers) - kept_by_callee(w)
        process.set_registers({register: process.register_poison(register) for register in spoiled})
        if "link" in arch.roles:
            process.set_role("link", own)
        if w.g.has("sched.ctxt"):
            process.set_role("ctxt", registers[arch.roles["ctxt"]] if function.ctxt else 0)
        w.g[w.layout.guard.removeprefix("g.")] = facts["grown guard"]
        process.set_role("sp", new_sp)
        process.set_role("pc", _resumed(w, pc))

    return grow


def _resumed(w: World, pc: int) -> int:
    """Where newstack goes on: at the PC it was given, or at the entry that the branch there leads back to."""
    if stackcheck.style(w.era, w.arch).again != "start":
        return pc
    try:
        return source.entry_behind(w.arch, w.process.machine.read(pc, 5), pc)
    except ValueError:
        return w.code("abort")
