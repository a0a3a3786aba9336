"""The flags of a turn that ends behind a cmpxchg8b, whose engine leaves an operand of the last arithmetic in them."""

from __future__ import annotations

import pytest

import arch as arches
from emu.live.cpu import Cpu
from emu.machine import PAGE

CODE, DATA = 0x10_0000, 0x20_0000
ZERO, REAL = 0x40, 0x8D7  # the flag that says that the exchange was made; those that arithmetic has, and bit 1
NOISE = 0x7777_7FFF  # an operand with all bits that flags may have
# cmp eax, NOISE; [lock] cmpxchg8b [ebx] or cmpxchg16b [rbx]; jne; mov ecx, 7 in a block of its own; breakpoint
_COMPARE, _EXCHANGE, _REST = "3dff7f7777", "0fc70b", "7500 b907000000 cc"
GUESTS = {
    "386": ("386", _COMPARE + _EXCHANGE + _REST, "ecx"),
    "386 lock": ("386", _COMPARE + "f0" + _EXCHANGE + _REST, "ecx"),
    "amd64": ("amd64", _COMPARE + "f048" + _EXCHANGE + _REST, "rcx"),
}


@pytest.mark.parametrize("native", ["c", "python"])
@pytest.mark.parametrize(("name", "code", "moved"), GUESTS.values(), ids=list(GUESTS))
def test_a_turn_may_end_behind_an_exchange(
    name: str, code: str, moved: str, native: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKCARRY_LIVE", native)
    arch = arches.get(name)
    cpu = Cpu(arch)
    cpu.map(CODE, PAGE, writable=False, executable=True)
    cpu.map(DATA, PAGE)
    guest = bytes.fromhex(code)
    cpu.write(CODE, guest)
    cpu.settle_flags(CODE, guest)
    prefix = moved[0]
    cpu.set_registers({arch.roles["pc"]: CODE, f"{prefix}bx": DATA, f"{prefix}ax": 0, f"{prefix}dx": 0})
    stop = cpu.go(2)  # the second block is the one behind the jump
    assert (stop.kind, stop.pc) == ("budget", CODE + len(guest) - 6)
    flags = cpu.register(arch.roles["flags"])
    assert flags & ZERO
    assert not flags & NOISE & ~REAL, "trap, direction, privilege: none of them was ever set"
    assert cpu.go(100).kind == "trap", "it goes on, and not with the trap flag"
    assert cpu.register(moved) == 7
