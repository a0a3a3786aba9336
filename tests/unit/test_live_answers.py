"""What a running program is told without a stop, clocks and the cycle counter, in both builds of its callbacks."""

from __future__ import annotations

from typing import Any

import pytest

import arch as arches
from arch import linux
from emu.kernel.clock import EPOCH, SECOND
from emu.live.cpu import BLOCK_TIME, Cpu
from emu.machine import PAGE

each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)
builds = pytest.mark.parametrize("build", ["c", "python"])
CODE, DATA = 0x10000, 0x20000
TRAP = {"386": "cd80", "amd64": "0f05", "arm": "000000ef"}
NOW = 5 * SECOND + 7


def machine(arch: str) -> Cpu:
    cpu = Cpu(arches.get(arch))
    cpu.map(CODE, PAGE, executable=True)
    cpu.map(DATA, PAGE)
    cpu.write(CODE, bytes.fromhex(TRAP[arch]) + cpu.arch.nop * 8)
    return cpu


def asked(cpu: Cpu, call: str, clock: int, address: int) -> tuple[str, bytes]:
    """Make a system call: how the run stops, and what is in the page of data then."""
    convention = cpu.arch.syscall
    cpu.write(DATA, b"\xee" * PAGE)
    cpu.live.clock = NOW - (cpu.blocks + 1) * BLOCK_TIME  # the call's block is counted before it runs
    cpu.set_registers({
        cpu.arch.roles["pc"]: CODE, cpu.arch.roles["flags"]: cpu.arch.flags_fixed,
        convention.number: linux.number(cpu.arch, call),
        convention.arguments[0]: clock, convention.arguments[1]: address,
    })
    return cpu.go(2).kind, cpu.read(DATA, PAGE)


def time(seconds: int, rest: int, width: int) -> bytes:
    return seconds.to_bytes(width, "little") + rest.to_bytes(width, "little")


@each
@builds
def test_clocks_are_answered_without_a_stop(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    cpu = machine(arch)
    width = cpu.arch.word
    calls = [("clock_gettime", width), *([("clock_gettime64", 8)] if width == 4 else [])]
    for call, size in calls:
        for clock, seconds in ((1, 5), (0, EPOCH // SECOND + 5)):
            for address in (DATA, DATA + PAGE - 2 * size):
                stop, data = asked(cpu, call, clock, address)
                at = address - DATA
                expected = time(seconds, 7, size)
                assert stop == "budget"
                assert data == b"\xee" * at + expected + b"\xee" * (PAGE - at - 2 * size)
                assert cpu.register(cpu.arch.syscall.result) == 0
                assert cpu.register(cpu.arch.roles["sp"]) == 0
    assert cpu.live.answered == 4 * len(calls)


@each
@builds
def test_others_are_not(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    cpu = machine(arch)
    for call, clock, address in (
        ("getpid", 1, DATA), ("clock_gettime", 2, DATA), ("clock_gettime", 1, DATA + PAGE - 4),
        ("clock_gettime", 1, DATA + PAGE), ("clock_gettime", 1, 0),
    ):
        assert asked(cpu, call, clock, address) == ("syscall", b"\xee" * PAGE)
    assert cpu.live.answered == 0


@builds
def test_what_a_system_call_destroys(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On amd64 RCX is where it returns to, R11 the flags."""
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    cpu = machine("amd64")
    cpu.set_registers({"rcx": 1, "r11": 2})
    assert asked(cpu, "clock_gettime", 1, DATA)[0] == "budget"
    assert cpu.register("rcx") == CODE + 2
    assert cpu.register("r11") & ~cpu.arch.flags_fixed == 0


def test_both_builds_leave_the_same_registers(monkeypatch: pytest.MonkeyPatch) -> None:
    for arch in arches.ARCHES:
        found: list[Any] = []
        for build in ("c", "python"):
            monkeypatch.setenv("STACKCARRY_LIVE", build)
            cpu = machine(arch)
            found.append((asked(cpu, "clock_gettime", 0, DATA), cpu.registers(), cpu.blocks, cpu.time))
        assert found[0] == found[1]


@pytest.mark.parametrize("arch", ["386", "amd64"])
@builds
def test_the_cycle_counter_is_the_clock(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a function of Go's own convention: the result above the return PC, which is popped."""
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    cpu = machine(arch)
    word, sp, function, back = cpu.arch.word, DATA + 64, CODE + 0x100, CODE + 0x200
    cpu.write(function, b"\xcc")  # which would be a breakpoint
    cpu.write(back, cpu.arch.nop * 16)
    cpu.write(sp, back.to_bytes(word, "little"))
    cpu.answer_ticks(function)
    cpu.live.clock = NOW
    cpu.set_registers({cpu.arch.roles["pc"]: function, cpu.arch.roles["sp"]: sp})
    stop = cpu.go(2)
    assert (stop.kind, stop.pc) == ("budget", back)
    assert cpu.register(cpu.arch.roles["sp"]) == sp + word
    assert int.from_bytes(cpu.read(sp + word, 8), "little") == NOW + BLOCK_TIME
    cpu.set_registers({cpu.arch.roles["pc"]: function, cpu.arch.roles["sp"]: DATA + PAGE - word})
    cpu.write(DATA + PAGE - word, back.to_bytes(word, "little"))
    assert cpu.go(2).pc == back  # there is no room for a result, and nobody who could tell


@each
@builds
def test_breakpoints_and_budgets(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    cpu = machine(arch)
    size = len(cpu.arch.nop)
    cpu.write(CODE, cpu.arch.nop * 64)
    cpu.breakpoint(CODE + 8 * size)
    cpu.set_registers({cpu.arch.roles["pc"]: CODE})
    stop = cpu.go(10)
    assert (stop.kind, stop.pc) == ("exit", CODE + 8 * size)
    again = cpu.go(10)
    assert (again.kind, again.pc) == ("exit", CODE + 8 * size)  # it has not run
    cpu.live.skip = stop.pc
    cpu.write(CODE + 9 * size, bytes.fromhex(TRAP[arch]))
    cpu.forget_translations()
    assert cpu.go(10).kind == "syscall"
    before = cpu.blocks
    cpu.set_registers({cpu.arch.roles["pc"]: CODE})
    assert cpu.go(1).kind == "budget"
    assert cpu.blocks == before + 1
