"""The routines that are watched in a running program, and their contracts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from arch import golang
from arch.habits import habits
from arch.model import Arch
from asm.goelf import GoBinary
from asm.program import Symbol
from emu.contracts import growth, hooks, switch, systemstack
from emu.contracts.effect import Entry
from emu.contracts.handler import sigtramp
from emu.contracts.standing import standing
from emu.live.watch.plan import Compiler, Plan
from emu.live.watch.symbolic import Subject

CONTRACTS: Mapping[str, Callable[[Entry], Any]] = {
    "mcall": switch.mcall, "gogo": switch.gogo, "systemstack": systemstack.systemstack,
    "morestack": growth.morestack, "morestack_noctxt": growth.morestack_noctxt,
}
HOOKS = {name: hooks.of(request) for name, request in golang.HOOKS.items()}
# What these routines call or jump to before they leave for good.
HELPERS = ("gogo", "setg", "runtime.save_g", "runtime.load_g", "gosave_systemstack_switch")


def find(binary: GoBinary, name: str) -> Symbol | None:
    """A function of the runtime by its bare name, at the entry that assembly calls."""
    symbols = binary.program.symbols
    return next((symbols[n] for n in (f"runtime.{name}.abi0", f"runtime.{name}") if n in symbols), None)


def plans(binary: GoBinary, arch: Arch) -> list[Plan]:
    """A plan for each watched routine that the program has, and the one that holds at every crossing's end, last."""
    assert binary.layout is not None
    era = golang.era(binary.go)
    subject = Subject(arch, era, habits(era.name, binary.go), binary.layout, binary.program)

    def address(name: str) -> int | None:
        symbol = find(binary, name)
        return symbol.address if symbol else None

    compiler = Compiler(subject, address)
    symbols = binary.program.symbols
    helpers = [_range(symbols[name]) for name in HELPERS if name in symbols]
    made = []
    for name, contract in CONTRACTS.items():
        symbol = binary.routines[name]
        if symbol is not None:
            inside = [_range(symbol), *helpers]
            through = binary.routines["morestack"] if name == "morestack_noctxt" else None
            inside += [_range(through)] if through else []
            made.append(compiler.plan(name, contract, symbol.address, inside))
    handler = find(binary, "sigtramp")
    if handler is not None:
        made.append(compiler.plan("sigtramp", sigtramp, handler.address, [_range(handler), *helpers]))
        made[-1].stands = False  # SP is on one stack, and g is that of another
    for name, contract in HOOKS.items():
        symbol = find(binary, name)
        if symbol is not None:
            made.append(compiler.plan(name, contract, symbol.address, [_range(symbol)]))
    made.append(compiler.plan("standing", standing, 0))
    return made


def _range(symbol: Symbol) -> tuple[int, int]:
    return symbol.address, symbol.address + symbol.size
