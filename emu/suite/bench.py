"""A source on a machine of one arch, without any Go: named stacks, named data, gates, and calls by the C convention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from arch.model import Arch
from asm import elf
from asm.assembler import assemble
from asm.program import Program, Segment, Symbol
from asm.statement import Statement
from emu.errors import BadInput
from emu.process import Process, Region, poison
from emu.suite.normal import Namer
from emu.suite.registers import Filling
from emu.suite.run import STEPS, Run
from emu.target import CODE, DATA, gates

_CALLERS = ("caller", *(f"caller {number}" for number in range(2, 65)))  # calls that may be under way at once
_GAP = 64  # poisoned bytes around each piece of data
_HEADROOM = 256  # bytes of frames that C code is given: above the first call on a stack, and in an entered function

Gates = Iterable[str] | Mapping[str, Callable[..., int | None] | None]


class Bench:
    """A program with its stacks. Made by the fixture `stackcarry`.

    ``stacks``, ``data``: name -> region, full of poison at first. ``outside``: gate -> Python's function; None: a run
    stops there. ``guard``: the name of the word that holds the stack's limit, where there is one; ``guard`` then names
    that word in all checks.
    """

    def __init__(
        self, arch: Arch, program: Program, stacks: Mapping[str, int], data: Mapping[str, Region],
        outside: Mapping[str, Callable[..., int | None] | None], guard: str | None, thread: str | None,
    ) -> None:
        self.arch, self.program, self.guard, self.data, self.outside = arch, program, guard, dict(data), outside
        self.process = Process(arch, program)
        self.stacks = {name: self.process.add_region(name, size) for name, size in stacks.items()}
        self.process.reset()
        if thread is not None:
            self.process.machine.set_tls_base(self[thread])
        self._open: list[str] = []
        self._filled = 0
        self._known: dict[int, str] = {}
        self.namer = Namer(
            arch.word, self.describe, self.stacks, self._known, [*self.stacks.values(), *self.data.values()]
        )
        self.run: Run | None = None

    # places

    def __getitem__(self, name: str) -> int:
        """The address of a datum, a symbol or a gate."""
        name = self.guard if name == "guard" and self.guard else name
        if name in self.program.gates:
            return self.program.gates[name]
        if name in self.program:
            return self.program.symbol(name).address
        known = [name for name in self.program.gates if name not in _CALLERS]
        raise BadInput(f"there is no {name!r}; there are {', '.join([*self.program.symbols, *known])}")

    def address(self, place: int | str) -> int:
        """An address that may be given by name."""
        return self[place] if isinstance(place, str) else place

    def register(self, name: str) -> int:
        """A register, by role or name."""
        return self.process.machine.register(self.arch.roles.get(name, name))

    def word(self, place: int | str) -> int:
        """The word at an address or of a datum."""
        return self.process.word(self.address(place))

    def set(self, place: int | str, *words: int | str) -> None:
        """Store words one after the other; a name stands for its address."""
        at = self.address(place)
        for number, value in enumerate(words):
            self.process.set_word(at + number * self.arch.word, self.address(value))

    def describe(self, address: int) -> str:
        """An address in words: a symbol, a datum (or behind it), a place on a stack (or how far from one)."""
        for name, stack in self.stacks.items():
            if stack.address <= address < stack.end:
                return f"{name}-{stack.end - address:#x}"
            if 0 < stack.address - address <= 4096:
                return f"{stack.address - address} bytes below the stack {name}"
            if 0 <= address - stack.end < 4096:
                return f"{address - stack.end} bytes above the stack {name}"
        for name, region in self.data.items():
            if region.end <= address < region.end + _GAP:
                return f"{name}+{address - region.address:#x}"
        return self.program.describe(address)

    def stack_at(self, sp: int) -> str | None:
        """The stack that an SP is on; its high end belongs to it."""
        return next((name for name, stack in self.stacks.items() if stack.address <= sp <= stack.end), None)

    # calls

    def call(
        self, routine: str, *arguments: int | str, on: str | None = None,
        registers: Mapping[str, int | str] | None = None, steps: int = STEPS,
    ) -> Run:
        """Call a routine as C does and run until it is at a gate, at its caller, or in trouble.

        ``arguments``: words; a name stands for its address. ``on``: the stack to be on, at its high end; without
        it the call is made from where SP is (on the first stack at first). ``registers`` (by role or name) for
        routines with a convention of their own; all others are filled with values of their own before. ``steps``:
        budget in instructions.
        """
        caller = next((name for name in _CALLERS if name not in self._open), None)
        if caller is None:
            raise BadInput(f"{len(_CALLERS)} calls are under way; one that never comes back leads to a gate")
        self._open.append(caller)
        at = self[routine]
        sp = self._sp(on)
        passed, sp = self._pass(sp & -self.arch.c.alignment, [self.address(value) for value in arguments])
        passed |= {self.arch.roles.get(name, name): self.address(value) for name, value in (registers or {}).items()}
        self._filled += 1
        filling = Filling(self.arch, self._filled)
        self.namer.known |= filling.names
        filling.put(self.process)
        back = self.program.gates[caller]
        roles = self.arch.roles
        if self.arch.call.return_on_stack:
            sp -= self.arch.word
            self.process.set_word(sp, back)
        else:
            passed[roles["link"]] = back
        self.process.set_registers({**passed, roles["sp"]: sp, roles["pc"]: at})
        self.run = Run(self, routine, arguments, caller)
        self.run.advance(steps)
        return self.run

    def closed(self, caller: str) -> None:
        """A call has come back (if ``caller`` is one): the name of its return may be used again."""
        if caller in self._open:
            self._open.remove(caller)

    def _sp(self, on: str | None) -> int:
        """The SP of the code that calls: back in a caller the same as before, in a function that was entered below."""
        if on is None and self.run is not None:
            sp = self.process.role("sp")
            return sp if self.run.stop in _CALLERS else sp - _HEADROOM
        name = on or next(iter(self.stacks))
        if name not in self.stacks:
            raise BadInput(f"there is no stack {name!r}; there are {', '.join(self.stacks)}")
        return self.stacks[name].end - _HEADROOM

    def _pass(self, sp: int, values: Sequence[int]) -> tuple[dict[str, int], int]:
        """Put arguments where C puts them; SP right before the call."""
        convention = self.arch.c
        in_registers = dict(zip(convention.arguments, values, strict=False))
        rest = values[len(in_registers) :]
        sp -= -(-len(rest) * self.arch.word // convention.alignment) * convention.alignment
        for number, value in enumerate(rest):
            self.process.set_word(sp + number * self.arch.word, value)
        return in_registers, sp

    def argument(self, index: int) -> int:
        """An argument of the C function that was just entered."""
        convention = self.arch.c
        if index < len(convention.arguments):
            return self.process.machine.register(convention.arguments[index])
        offset = (index - len(convention.arguments)) * self.arch.word
        return self.word(self.process.role("sp") + convention.first_argument + offset)


def place(
    arch: Arch, statements: Sequence[Statement], *, stacks: Mapping[str, int], data: Mapping[str, int],
    outside: Gates, guard: str | None, thread: str | None,
) -> Bench:
    """Assemble and place. ``data``: name -> words. Raises AsmError, BadInput."""
    functions = _functions(outside)
    regions = _regions(arch, data)
    outer = gates((*functions, *_CALLERS))
    labels = {name: region.address for name, region in regions.items()}
    program = assemble(statements, arch, base=CODE, gates=outer | labels)
    return _bench(arch, replace(program, gates=outer), stacks, regions, functions, guard, thread)


def place_binary(
    arch: Arch, path: Path, *, stacks: Mapping[str, int], data: Mapping[str, int], outside: Gates,
    guard: str | None, thread: str | None,
) -> Bench:
    """Place a static ELF program; gates that it has a symbol for take its place. Raises ElfError, BadInput."""
    try:
        image = elf.parse(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except elf.ElfError as error:
        raise elf.ElfError(f"{path}: {error}") from None
    if image.arch is not arch:
        raise BadInput(f"{path} is a program for {image.arch.name}, not for {arch.name}")
    functions = _functions(outside)
    symbols = {name: Symbol(name, address, size) for name, address, size in image.symbols()}
    found = {name: symbols[name].address for name in functions if name in symbols}
    program = Program(arch.name, image.segments, symbols, gates((*functions, *_CALLERS)) | found)
    return _bench(arch, program, stacks, _regions(arch, data), functions, guard, thread)


def _functions(outside: Gates) -> dict[str, Callable[..., int | None] | None]:
    return dict(outside) if isinstance(outside, Mapping) else dict.fromkeys(outside)


def _bench(
    arch: Arch, program: Program, stacks: Mapping[str, int], data: dict[str, Region],
    functions: Mapping[str, Callable[..., int | None] | None], guard: str | None, thread: str | None,
) -> Bench:
    if not stacks:
        raise BadInput('declare at least one stack: stacks={"main": 4096}')
    for name in (guard, thread):
        if name is not None and name not in data:
            raise BadInput(f"{name!r} is none of the data ({', '.join(data) or 'there is none'})")
    symbols = {name: Symbol(name, region.address, region.size) for name, region in data.items()}
    program = replace(
        program, segments=(*program.segments, _segment(arch, data)), symbols={**program.symbols, **symbols}
    )
    return Bench(arch, program, stacks, data, functions, guard, thread)


def _regions(arch: Arch, data: Mapping[str, int]) -> dict[str, Region]:
    """Where each datum lies, poison around it."""
    regions: dict[str, Region] = {}
    top = DATA
    for name, words in data.items():
        regions[name] = Region(name, top + _GAP, words * arch.word)
        top = -(-regions[name].end // 16) * 16
    return regions


def _segment(arch: Arch, data: Mapping[str, Region]) -> Segment:
    """All data and what lies between, full of poison."""
    size = max((region.end for region in data.values()), default=DATA) + _GAP - DATA
    content = b"".join(arch.pack(poison(at, arch.word)) for at in range(DATA, DATA + size, arch.word))
    return Segment(DATA, content, len(content), writable=True, executable=False)
