"""Prologues with a hook in front of the stack check: the functions, and the states they are entered in.

The hook is a gate that stores the scene's guard and destroys every register that its ABI lets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import arch as arches
from arch import golang
from arch.golang import Era
from arch.model import Arch
from asm import hooks
from asm import prologue as source
from asm.assembler import assemble
from asm.hooks import Hook
from emu.contracts import prologue as contract
from emu.contracts.judge import Check, Scene, judge, kept_by_callee
from emu.contracts.prologue import Function
from emu.process import poison
from emu.runtime.world import World
from emu.scenes import prologue as plain
from emu.target import CODE, OUTSIDE_GATES, RUNTIME_GATES, Target, gates

HOOK = "hook"
"""The gate that prologues call."""
_BELOW = 64  # words below SP in the hook that it destroys: more than a prologue keeps there


def functions(era: Era, arch: Arch) -> list[Function]:
    """A function of each form at the form's borders, with a closure context and without."""
    found = []
    for form in plain.FORMS:
        for function in plain.functions(era, arch, form):
            if function.borders:
                for ctxt, ending in ((True, "context"), (False, "plain")):
                    found.append(replace(function, ctxt=ctxt, symbol=f"{function.name}_{ending}", hook=HOOK))
    return found


def text(era: Era, arch: Arch, listed: Sequence[Function], intended: bool) -> str:
    """The source of functions, each of whose bodies is a gate."""
    jump = source.JUMP[arch.isa]
    return "".join(
        source.splittable(
            era, arch, f.name, f.frame, args=f.args, ctxt=f.ctxt, body=f"    {jump} {f.body}", hook=Hook(HOOK, intended)
        )
        for f in listed
    )


@cache
def world(era_name: str, arch_name: str, intended: bool) -> World:
    """The world of an era's functions, their prologues as emitted or as ``intended``."""
    era, arch = golang.era(era_name), arches.get(arch_name)
    listed = functions(era, arch)
    names = (*RUNTIME_GATES, *OUTSIDE_GATES, "morestack", "morestack_noctxt", HOOK, *(f.body for f in listed))
    statements = hooks.statements(text(era, arch, listed, intended), "hooked", era, arch)
    program = assemble(statements, arch, base=CODE, names=era.names(arch), gates=gates(names))
    return plain.world_of(Target(arch, era, program, dict(program.symbols), {}))


def judged(era_name: str, arch_name: str, intended: bool) -> Iterator[tuple[str, list[Check]]]:
    """Every function of `functions` in every scene, by its contract: (which one in which, its checks)."""
    w = world(era_name, arch_name, intended)
    for function in functions(w.era, w.arch):
        for scene in scenes(w, function):
            yield f"{function.name}, {scene.name}", judge(w, scene, contract.of(function))


def scenes(w: World, function: Function) -> Iterator[Scene]:
    """The states of the plain stack check; here the hook brings the guard, and at entry another one stands there."""
    for scene in plain.scenes(w, function):
        yield _hooked(w, function, scene)


def _hooked(w: World, function: Function, scene: Scene) -> Scene:
    field, facts = w.layout.guard.removeprefix("g."), dict(scene.facts)

    def prepare(w: World) -> None:
        scene.prepare(w)
        facts["hook guard"] = w.g[field]
        grows = w.era.grows(w.arch, function.frame, w.process.role("sp"), w.g[field])
        w.g[field] = 0 if grows else w.arch.mask  # whoever compares this one decides the other way
        facts.update(distinct(w))

    def meanwhile(w: World) -> None:
        if w.process.role("pc") == w.program.gates[function.hook]:
            w.g[field] = facts["hook guard"]
            destroy(w, function.abi0)
        elif scene.meanwhile is not None:
            scene.meanwhile(w)

    return Scene(scene.name, prepare, scene.answers, meanwhile, facts)


def distinct(w: World) -> dict[str, int]:
    """Give all registers that a callee may destroy values that it does not leave there; vector ones, too: all by name.

    Those for arguments get numbers that fit a byte, because an argument may be no larger.
    """
    by_scene = {w.arch.roles.get(role, "") for role in ("sp", "pc", "flags", "link", "fp")}
    free = [name for name in w.arch.registers if name not in by_scene | kept_by_callee(w)]
    values = {name: w.process.register_poison(name) ^ w.arch.mask >> 8 for name in free}
    vectors = _vectors(w)
    if vectors and w.arch.internal is not None:
        values |= {name: number for number, name in enumerate(w.arch.internal.arguments, 0x21)}
    w.process.set_registers(values)
    for number, name in enumerate(vectors, 0x41):
        values[name] = number
        w.process.machine.set_vector(name, number)
    return values


def _vectors(w: World) -> tuple[str, ...]:
    return w.arch.internal.floats if w.arch.internal and w.era.internal.get(w.arch.name) else ()


def destroy(w: World, abi0: bool) -> None:
    """What a hook may destroy beside the registers that no callee keeps: vectors, and the stack below it.

    ``abi0``: it is code of the stack ABI, and so neither keeps g's register nor the zero.
    """
    process, word, sp = w.process, w.arch.word, w.process.role("sp")
    for address in range(sp - _BELOW * word, sp, word):
        process.set_word(address, poison(address, word))
    for number, name in enumerate(_vectors(w)):
        process.machine.set_vector(name, poison((number + 32) * word, word))
    if abi0 and w.arch.internal is not None:
        process.machine.set_vector(w.arch.internal.zero, poison(64 * word, word))
        process.set_registers({w.arch.internal.g: process.register_poison(w.arch.internal.g)})
