"""Guests: functions described once, assembled for any era and architecture, and what the runtime must know of them.

A body is written in the words of the macro files in ``asm/guest``; the frame and the stack check are put round it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import arch as arches
from arch import linux
from arch.golang import HOOKS, Era
from arch.habits import Habits
from arch.model import Arch
from asm import hooks, prologue, source
from asm.assembler import assemble
from asm.hooks import Hook
from asm.program import Program, Segment
from asm.statement import Statement, scan

_FRAMED = re.compile(r"(?m)(^|[;:])(\s*)((?:set_)?argument)\s+")
_NAMED = re.compile(r"\b(?:invoke|code)\s+([A-Za-z_]\w*)")
_NUMBER = re.compile(r"\bSYS_(\w+)")
_STEP = 16  # bytes from one gate to the next


@dataclass(frozen=True)
class Function:
    """A guest function. ``args``: words of arguments and results, results last; ``slots``: words of its frame, those
    for the arguments and results of whom it calls first.

    ``pointers``: slots, and ``argument_pointers``: arguments, that hold pointers: whoever moves the stack adjusts
    these and no others. ``ctxt``: it reads its closure context. ``nosplit``: it has no stack check. ``copyable``:
    its frame may be moved (in 2014 a frame of C code may not). ``locals``: names of slots, for those who tell of them.
    """

    name: str
    body: str
    args: int = 0
    slots: int = 0
    pointers: tuple[int, ...] = ()
    argument_pointers: tuple[int, ...] = ()
    ctxt: bool = False
    nosplit: bool = False
    copyable: bool = True
    locals: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Guests:
    """Assembled functions. ``frames``: name -> bytes below SP at entry as the stack check counts them.

    ``links``: frames keep the caller's frame pointer in their highest word. ``values``: name -> address of the func
    value (a word that holds the code address) of every function and gate. ``gates``: names that the bodies use
    and no function has -> address; Python stands for them.
    """

    program: Program
    functions: Mapping[str, Function]
    frames: Mapping[str, int]
    links: bool
    values: Mapping[str, int]
    gates: Mapping[str, int]


def _switches(era: Era, arch: Arch, habits: Habits, name: str, fn: str) -> Function:
    """A function that leaves the goroutine by mcall(fn), and returns when it is resumed."""
    macro = "switch_to_internal" if "mcall" in era.internal.get(arch.name, ()) else "switch_to"
    pointer = f"value.{fn}" if habits.function == "funcval" else fn
    return Function(name, f"{macro} {pointer}", slots=1, nosplit=True)


LEAVES = {"gosched": "gosched0", "park": "park0", "goexit": "goexit0"}
"""Functions that every guest may invoke -> the gate that then runs on g0's stack."""


def framed(arch: Arch, habits: Habits) -> bool:
    """Whether functions keep frame pointers."""
    return "fp" in arch.roles and bool(habits.frame_saved)


def frame_of(function: Function, arch: Arch, habits: Habits) -> int:
    """Bytes of a function's frame: its slots, and the link or frame pointer that is saved beside them."""
    saved = 1 if framed(arch, habits) or not arch.call.return_on_stack else 0
    return (function.slots + saved) * arch.word


def text(function: Function, era: Era, arch: Arch, habits: Habits, hook: Hook | None = None) -> str:
    """The source of a function. Raises ValueError for what the era does not have. ``hook``: its prologue calls it.

    What stands before the body is on the body's own first line, so that errors count its lines.
    """
    if hook and not hooks.exist(era):
        raise ValueError(f"era {era.name} has no hooks in front of stack checks")
    if function.ctxt and "gobuf.ctxt" not in era.layout(arch):
        raise ValueError(f"{function.name}: era {era.name} has no closure contexts")
    frame = frame_of(function, arch, habits)
    ending = "_linked" if framed(arch, habits) else ""
    inner = _FRAMED.sub(rf"\g<1>\g<2>\g<3> {frame}, ", function.body)
    body = f"begin{ending} {frame}\n{inner}\nfinish{ending} {frame}\n"
    if function.nosplit:
        whole, before = f"{function.name}:\n{body}", 2
    else:
        args = function.args * arch.word
        whole = prologue.splittable(
            era, arch, function.name, frame, args=args, ctxt=function.ctxt, body=body, hook=hook
        )
        before = 4 if hook else 3
    return whole.replace("\n", "; ", before)


@cache
def _macros(era: str, arch: str, isa: str) -> list[Statement]:
    """The stack checks of an era, and the words of the guests."""
    words = resources.files("asm").joinpath("guest", f"{arch}.s").read_text(encoding="utf-8")
    calls = hooks.macros(arches.get(arch))
    return [*source.macros(era, arch), *calls, *scan(words, f"asm/guest/{arch}.s", isa)]


def build(
    functions: Iterable[Function], era: Era, arch: Arch, habits: Habits, entries: Mapping[str, int],
    *, base: int, values_at: int, gates_at: int, hook: Hook | None = None,
    names: Mapping[str, int] | None = None,
) -> Guests:
    """Assemble functions at ``base``, their func values at ``values_at``, gates from ``gates_at`` on.

    ``hook``: what every function with a stack check calls first: a function, a gate, or one of the runtime's own, which
    is then assembled beside them.
    ``entries``: name -> address of the runtime's routines (``mcall``, ``morestack`` …). Bodies may invoke
    `LEAVES` beside each other; ``SYS_write`` is a system call's number, ``value.f`` the address of f's func value;
    ``names`` are more numbers for them.
    Raises AsmError, and ValueError for a function that is given twice or has the name of a routine.
    """
    leaves = [_switches(era, arch, habits, name, fn) for name, fn in LEAVES.items()]
    table: dict[str, Function] = {}
    for function in (*leaves, *functions):
        if function.name in table or function.name in entries:
            raise ValueError(f"there is already a function {function.name}")
        table[function.name] = function
    used = {name for function in table.values() for name in _NAMED.findall(function.body)}
    if hook:
        used.add(hook.name)
    own = hooks.routines(arch) if hook and hook.name in HOOKS else []
    known = {*table, *entries, *LEAVES.values(), *(HOOKS if own else ())}
    waiting = [*LEAVES.values(), *sorted(used - known)]
    gates = {name: gates_at + index * _STEP for index, name in enumerate(waiting)}
    values = {name: values_at + index * arch.word for index, name in enumerate((*table, *gates))}
    program = assemble(
        [*_statements(table.values(), era, arch, habits, hook), *own], arch, base=base, gates={**entries, **gates},
        names=era.names(arch) | {f"value.{n}": a for n, a in values.items()} | _numbers(table.values(), arch)
        | dict(names or {}),
    )
    found = {**{name: symbol.address for name, symbol in program.symbols.items()}, **gates}
    image = b"".join(arch.pack(found[name]) for name in values)
    data = Segment(values_at, image, len(image), writable=False, executable=False)
    return Guests(
        Program(arch.name, (*program.segments, data), program.symbols, gates, program.lines), table,
        {name: frame_of(function, arch, habits) for name, function in table.items()}, framed(arch, habits), values,
        gates,
    )


def _statements(
    functions: Iterable[Function], era: Era, arch: Arch, habits: Habits, hook: Hook | None
) -> list[Statement]:
    """All functions, each under its own name as file, so that an error names the function and its line."""
    macros = _macros(era.name, arch.name, arch.isa)
    texts = ((function.name, text(function, era, arch, habits, hook)) for function in functions)
    return [line for name, whole in texts for line in source.parse(whole, name, arch, macros=macros)]


def _numbers(functions: Iterable[Function], arch: Arch) -> dict[str, int]:
    """The system-call numbers that the bodies name."""
    used = {name for function in functions for name in _NUMBER.findall(function.body)}
    return {f"SYS_{name}": linux.number(arch, name) for name in used}
