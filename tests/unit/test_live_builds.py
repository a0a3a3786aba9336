"""A running program's callbacks in native code and in Python: whole programs look the same to both."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import pytest
import toolchain

import arch as arches
from asm.readback import disassemble
from emu.errors import BadInput
from emu.live import callbacks
from emu.live.cpu import Cpu
from emu.live.loop import Limits
from emu.live.run import LiveRun, Settings, open_program
from emu.live.watch.routines import find
from emu.live.watching import Broken, Crossed
from emu.machine import PAGE

BUILDS = ("c", "python")
HOOK = "-gcflags=all=-d=maymorestack=runtime.mayMoreStackPreempt"
PROGRAMS = {
    "hello": ("newest", (), ()), "threads": ("newest", (), ()), "preempt": ("newest", (), ()),
    "signals": ("newest", (), ()), "hooked": ("newest", (HOOK,), ()), "exec": ("1.21", (), ()),
    "panics": ("1.21", (), ()), "many": ("newest", (), ("400",)),  # more goroutines than there is room for at first
}  # fmt: skip
MOST = 1_200_000  # blocks: a longer run ends there, in both builds


def built(name: str, goarch: str) -> tuple[Path, tuple[str, ...]]:
    version, flags, arguments = PROGRAMS[name]
    return toolchain.build(version, goarch, toolchain.PROGRAM / "run" / name, *flags), arguments


def new(monkeypatch: pytest.MonkeyPatch, build: str, name: str, goarch: str, **settings: Any) -> LiveRun:
    """A run of a program by one of the builds, not yet begun."""
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    gc.collect()
    path, arguments = built(name, goarch)
    return LiveRun(open_program(str(path)), arguments, Settings(limits=Limits(MOST, seed=3), **settings))


def seen(run: LiveRun) -> dict[str, Any]:
    """All that a run that has ended tells."""
    live = run.process.machine.live
    output = {number: bytes(data) for number, data in run.kernel.output.items()}
    assert run.watching is not None
    return {
        "output": output, "found": run.found, "last": run.current.crossed(64), "summary": run.summary(),
        "preempted": live.preempted, "answered": live.answered,
        "depths": sorted(tuple(getattr(d, name) for name, _ in d._fields_) for d in live.depths[: live.room] if d.key),
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_builds_see_the_same(name: str, goarch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {}
    for build in BUILDS:
        run = new(monkeypatch, build, name, goarch)
        runs[build] = (run.run(), seen(run))
    assert runs["c"] == runs["python"]
    ending, what = runs["c"]
    assert ending.kind in ("ended", "budget")
    assert what["found"] == []
    assert what["summary"]["crossings"]["systemstack"] > 30
    assert what["summary"]["distance"]


def patches(run: LiveRun, routine: str) -> list[tuple[int, bytes]]:
    """Each instruction of a routine that stores a word, and no-ops in its place."""
    symbol = find(run.binary, routine)
    assert symbol is not None
    arch, code = run.process.arch, run.binary.program.read(symbol.address, symbol.size)
    return [
        (address, arch.nop * (len(data) // len(arch.nop)))
        for address, data, text in disassemble(arch, code, symbol.address)
        if text.startswith(("mov dword ptr [", "mov qword ptr [", "str "))
    ]


@pytest.mark.parametrize("routine", ["mcall", "systemstack"])
def test_both_builds_stop_at_the_same_broken_crossing(
    routine: str, goarch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, list[tuple[list[Broken], list[Crossed], int, bytes]]] = {build: [] for build in BUILDS}
    for build in BUILDS:
        count = len(patches(new(monkeypatch, build, "hello", goarch), routine))
        for number in range(count):
            run = new(monkeypatch, build, "hello", goarch)
            address, code = patches(run, routine)[number]
            run.process.machine.write(address, code)
            run.process.machine.forget_translations()
            run.run()
            found[build].append((run.found, run.current.crossed(64), run.blocks, bytes(run.kernel.output[1])))
    assert found["c"] == found["python"]
    caught = [broken[0] for broken, *_ in found["c"] if broken]
    assert caught, found["c"]
    assert routine in {broken.routine for broken in caught}
    assert all(broken.expected != broken.found for broken in caught)


def test_those_who_go_on_see_the_same(goarch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for build in BUILDS:
        run = new(monkeypatch, build, "hello", goarch, keep_going=True)
        (address, code), *_ = patches(run, "mcall")
        run.process.machine.write(address, code)
        ending = run.run()
        found[build] = ending, seen(run)
    assert found["c"] == found["python"]
    assert len(found["c"][1]["found"]) > 1


# callbacks alone


def machine(arch: str) -> Cpu:
    cpu = Cpu(arches.get(arch))
    cpu.map(0x10000, PAGE, executable=True)
    cpu.set_registers({cpu.arch.roles["pc"]: 0x10000})
    return cpu


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_what_a_callback_raises_is_raised(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_LIVE", "python")
    cpu = machine(arch)
    cpu.write(0x10000, cpu.arch.nop * (PAGE // len(cpu.arch.nop)))
    cpu.live.thread.contents.now.active, cpu.live.thread.contents.now.plan = 1, 0
    monkeypatch.setattr("emu.live.watch.judge.decode", _raises)
    with pytest.raises(ZeroDivisionError, match="in a callback"):
        cpu.go(100)
    cpu.live.thread.contents.now.active = 0
    cpu.set_registers({cpu.arch.roles["pc"]: 0x10000})
    stop = cpu.go(100)
    assert (stop.kind, stop.address, stop.access) == ("fault", 0x10000 + PAGE, "fetch")


def _raises(_table: int, _number: int) -> None:
    raise ZeroDivisionError("in a callback")


@pytest.mark.parametrize("arch", arches.ARCHES)
@pytest.mark.parametrize("build", BUILDS)
def test_pages_are_as_they_are_allowed(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that may only be read faults at a store; one that may not be executed at its first instruction."""
    monkeypatch.setenv("STACKCARRY_LIVE", build)
    stores = {"386": "890500000200", "amd64": "4889042500000200", "arm": "0238a0e3003083e5"}  # a register at 0x20000
    cpu = machine(arch)
    cpu.map(0x20000, PAGE, writable=False)
    cpu.write(0x10000, bytes.fromhex(stores[arch]))
    stop = cpu.go(100)
    assert (stop.kind, stop.address, stop.access) == ("fault", 0x20000, "write")
    cpu.set_registers({cpu.arch.roles["pc"]: 0x20000})
    stop = cpu.go(100)
    assert (stop.kind, stop.address, stop.access) == ("fault", 0x20000, "fetch")


def test_the_build_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_LIVE", "rust")
    with pytest.raises(BadInput, match="c or python, not 'rust'"):
        machine("arm")
    monkeypatch.setitem(sys.modules, "emu._live", None)
    monkeypatch.setenv("STACKCARRY_LIVE", "c")
    with pytest.raises(BadInput, match="installed without a compiler"):
        machine("arm")
    monkeypatch.delenv("STACKCARRY_LIVE")
    assert set(machine("arm").calls) >= set(callbacks.NAMES)


@pytest.mark.parametrize("build", BUILDS)
def test_there_is_room_for_any_number_of_goroutines(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new(monkeypatch, build, "many", "amd64")
    assert run.process.machine.live.room == 0
    run.run()
    live, distance = run.process.machine.live, run.summary()["distance"]
    assert live.room > live.known > 300
    assert len(distance) > 300
    assert list(distance) == sorted(distance, key=lambda who: (who.startswith("thread"), int(who.split()[1])))
