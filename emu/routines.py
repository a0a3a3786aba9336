"""Which contract and which scenes belong to a routine's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from arch.golang import HOOKS, VARIANTS
from emu.contracts import growth as growth_contracts
from emu.contracts import hooks as hook_contracts
from emu.contracts import switch as switch_contracts
from emu.contracts import syscalls as syscall_contracts
from emu.contracts import systemstack as systemstack_contract
from emu.contracts.effect import Effect, Entry
from emu.contracts.judge import Scene
from emu.runtime.world import World
from emu.scenes import growth as growth_scenes
from emu.scenes import hooks as hook_scenes
from emu.scenes import switch as switch_scenes
from emu.scenes import syscalls as syscall_scenes
from emu.scenes import systemstack as systemstack_scenes


@dataclass(frozen=True)
class Routine:
    """A contract, and the entry states it is tried in."""

    contract: Callable[[Entry], Effect]
    scenes: Callable[[World], Iterable[Scene]]


ROUTINES: dict[str, Routine] = {
    "gosave": Routine(switch_contracts.gosave, switch_scenes.gosave),
    "gogo": Routine(switch_contracts.gogo, switch_scenes.gogo),
    "gogocall": Routine(switch_contracts.gogocall, switch_scenes.gogocall),
    "mcall": Routine(switch_contracts.mcall, switch_scenes.mcall),
    **{
        stub: Routine(syscall_contracts.of(stub), syscall_scenes.of(stub))
        for stub in ("RawSyscall", "RawSyscall6", "rawSyscallNoError", "Syscall6")
    },
    "morestack": Routine(growth_contracts.morestack, growth_scenes.morestack),
    "morestack_noctxt": Routine(growth_contracts.morestack_noctxt, growth_scenes.plain("morestack_noctxt")),
    **{
        name: Routine(growth_contracts.variant(name), growth_scenes.plain(name))
        for variant in VARIANTS for name in (variant, f"{variant}_noctxt")
    },
    "lessstack": Routine(growth_contracts.lessstack, growth_scenes.lessstack),
    "systemstack": Routine(systemstack_contract.systemstack, systemstack_scenes.systemstack),
    "rawVforkSyscall": Routine(syscall_contracts.vfork, syscall_scenes.vfork),
    **{name: Routine(hook_contracts.of(request), hook_scenes.of(name)) for name, request in HOOKS.items()},
}
