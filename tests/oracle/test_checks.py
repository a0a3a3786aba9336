"""The stack checks that Go's own compiler emits, against our macros and against the arithmetic of the records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest
import toolchain

from asm.assembler import assemble
from asm.program import Symbol
from asm.prologue import splittable, statements
from asm.readback import disassemble
from emu import target as targets
from emu.runtime.world import World
from emu.target import CODE, GATES

FRAMES = toolchain.PROGRAM / "frames"
ROOM = "room for every frame"
FORMS = {"small", "medium", "huge"}
_MAKES_FRAME = re.compile(r"push rbp|mov rbp, rsp|(sub|add) [er]sp,|str lr, \[sp|(ldr|movw|mvn|mov) r11,")


@dataclass(frozen=True)
class Function:
    """A compiled function: ``check`` and ``tail`` are instruction texts, ``body`` is where it goes on behind the check.

    ``frame`` is measured, in bytes.
    """

    symbol: Symbol
    check: tuple[str, ...]
    tail: tuple[str, ...]
    body: int
    frame: int


@pytest.fixture(scope="session")
def world(go_version: str, goarch: str) -> World:
    made = World(targets.of_binary(str(toolchain.build(go_version, goarch, FRAMES))))
    made.process.add_region(ROOM, 0x10000)
    return made


@pytest.fixture(scope="session")
def functions(world: World) -> list[Function]:
    symbols = [s for name, s in world.program.symbols.items() if re.fullmatch(r"main\.frame\d+", name)]
    return [_measured(world, symbol) for symbol in sorted(symbols, key=lambda s: s.address)]


def _measured(world: World, symbol: Symbol) -> Function:
    code = [
        (address, text)
        for address, _, text in disassemble(world.arch, world.program.read(symbol.address, symbol.size), symbol.address)
    ]
    branches = [index for index, (_, text) in enumerate(code) if re.match(r"jbe |bls ", text)]
    target = int(code[branches[0]][1].rsplit("0x", 1)[1], 16)
    check = tuple(_bare(text) for _, text in code[: branches[0] + 1])
    behind = [_bare(text) for address, text in code if address >= target and not text.startswith("nop")]
    tail = tuple(behind[: behind.index("b" if "b" in behind else "jmp") + 1])
    body = code[branches[0] + 1][0]
    return Function(symbol, check, tail, body, _frame(world, symbol, body))


def _bare(text: str) -> str:
    """An instruction without what depends on where it stands."""
    return text.split(" ")[0] if re.match(r"(j\w+|b|bl|bls|call) ", text) else text


def _without_constants(texts: Iterable[str]) -> tuple[str, ...]:
    """arm: Go's linker finds a shorter way to many frame sizes than the literal pool, which ours always use."""
    kept = (text for text in texts if not re.match(r"(ldr|movw|mvn|mov) r11,", text))
    return tuple(re.sub(r"(?:sub|add)(s?) r2, sp, .*", r"sub\1 r2, sp, the frame", text) for text in kept)


def _enter(world: World, symbol: Symbol, guard: int) -> int:
    world.reset()
    room = next(region for region in world.process.regions if region.name == ROOM)
    world.process.set_role("sp", room.end - 64)
    world.g["stackguard0"] = guard
    world.process.set_role("pc", symbol.address)
    if world.arch.call.return_on_stack:
        world.process.set_word(world.process.role("sp"), world.code("caller"))
    else:
        world.process.set_role("link", world.code("caller"))
    return world.process.role("sp")


def _next(world: World) -> str:
    pc = world.process.role("pc")
    return next(disassemble(world.arch, world.process.machine.read(pc, 16), pc))[2]


def _frame(world: World, symbol: Symbol, body: int) -> int:
    """How far SP goes down when the check passes."""
    sp = _enter(world, symbol, 0)
    assert _passes(world, body)
    for _ in range(4):
        if _MAKES_FRAME.match(_next(world)):
            world.process.run(1)
    return sp - world.process.role("sp")


def _passes(world: World, body: int) -> bool:
    """Run a function until it is behind its check, or in morestack."""
    for _ in range(40):
        pc = world.process.role("pc")
        at = world.program.at(pc)
        if pc == body or (at is not None and "morestack" in at.name):
            return pc == body
        world.process.run(1)
    raise AssertionError("neither behind the check nor in morestack")


def test_frames_of_every_form_and_both_sides_of_every_border(functions: list[Function], world: World) -> None:
    frames = {function.frame for function in functions}
    assert {world.era.check_form(world.arch, frame) for frame in frames} == FORMS
    word = world.arch.word
    for border in (world.era.guards.small, world.era.guards.big):
        assert any(border - 2 * word < frame <= border for frame in frames), "the last that has the smaller form"
        assert any(border < frame <= border + 2 * word for frame in frames), "the first that has the larger one"


def test_our_macros_are_what_the_compiler_emits(functions: list[Function], world: World) -> None:
    """The same instructions with the same operands, up to where they lie, for every frame size."""
    for function in functions:
        text = splittable(world.era, world.arch, "f", function.frame, body="nop")
        program = assemble(
            statements(text, "f", world.era, world.arch), world.arch, base=CODE,
            names=world.era.names(world.arch), gates={"morestack_noctxt": GATES},
        )
        symbol = program.symbol("f")
        ours = [_bare(text) for _, _, text in disassemble(world.arch, program.read(symbol.address, symbol.size), CODE)]
        body = ours.index("nop")
        assert _without_constants(ours[:body]) == _without_constants(function.check), function.frame
        if function.symbol.name != "main.frame0":  # which saves its argument around the call
            assert tuple(ours[body + 1 : body + 1 + len(function.tail)]) == function.tail, function.frame


def _guards(world: World, function: Function, sp: int) -> Iterator[int]:
    """Guard words round everything that a form may compare with, and every special one."""
    yield from (sp + offset for offset in (-1, 0, 1))
    yield from (sp - function.frame + credit + offset for credit in (0, 128) for offset in (-1, 0, 1))
    yield from world.era.guards.special.values()
    yield from (0, -1, world.era.guards.poison_min)


def test_real_functions_grow_when_the_records_say_so(functions: list[Function], world: World) -> None:
    seen = set()
    for function in functions:
        sp = _enter(world, function.symbol, 0)
        for guard in (value & world.arch.mask for value in _guards(world, function, sp)):
            _enter(world, function.symbol, guard)
            expected = world.era.grows(world.arch, function.frame, sp, guard)
            assert _passes(world, function.body) != expected, f"frame {function.frame}, guard {guard:#x}, SP {sp:#x}"
            seen.add((world.era.check_form(world.arch, function.frame), expected))
    assert seen == {(form, grows) for form in FORMS for grows in (True, False)}
