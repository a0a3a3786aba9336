"""A guest that writes over its own code, where the engine was told that hardly anybody does."""

from __future__ import annotations

import pytest

import arch as arches
from emu.live.cpu import Cpu
from emu.machine import PAGE

CODE, STACK, ROUTINE = 0x10_0000, 0x20_0000, 0x40
# Calls the routine, which answers 1; keeps that; writes over the 1; calls it again; breakpoint.
_X86 = bytes.fromhex("e83b000000 89c1 8813 e832000000 cc").ljust(ROUTINE, b"\x90") + bytes.fromhex("b801000000 c3")
_ARM = b"".join(
    word.to_bytes(4, "little")
    for word in (0xEB00_000E, 0xE1A0_1000, 0xE5C3_2000, 0xEB00_0009, 0xE120_0070, *[0] * 11, 0xE3A0_0001, 0xE12F_FF1E)
)
#       code, the address of the answer in the routine, registers: first answer, second, where to write, what
GUESTS = {
    "386": (_X86, ROUTINE + 1, ("ecx", "eax", "ebx", "edx")),
    "amd64": (_X86, ROUTINE + 1, ("rcx", "rax", "rbx", "rdx")),
    "arm": (_ARM, ROUTINE, ("r1", "r0", "r3", "r2")),
}


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("name", arches.ARCHES)
def test_new_code_runs_as_soon_as_it_is_written(name: str, told: bool) -> None:
    arch = arches.get(name)
    code, answer, (first, second, where, what) = GUESTS[name]
    cpu = Cpu(arch)
    cpu.map(CODE, PAGE, writable=False, executable=True)
    cpu.map(STACK, PAGE)
    cpu.write(CODE, code)
    if told:
        cpu.expect_code(CODE, CODE + PAGE)
    begin = {arch.roles["pc"]: CODE, arch.roles["sp"]: STACK + PAGE // 2, where: CODE + answer}
    cpu.set_registers({**begin, what: 1})
    stop = cpu.go(100)
    assert (stop.kind, stop.access, stop.address) == ("fault", "write", CODE + answer)
    cpu.allow(CODE, PAGE, 7)
    for old, new in ((1, 2), (2, 3), (3, 3), (3, 4)):
        cpu.set_registers({**begin, what: new})
        assert cpu.go(100).kind == "trap"
        assert (cpu.register(first), cpu.register(second)) == (old, new)
