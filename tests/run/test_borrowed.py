"""After a vfork the parent reads no byte of its stack that the child wrote last; where it does, it is told who did."""

from __future__ import annotations

import re

import pytest
import toolchain
from whole import FOLDER

from emu.kernel.table import Thread
from emu.live.loop import Limits
from emu.live.run import LiveRun, Settings, open_program
from emu.live.trampolines import instructions
from emu.live.watching import Broken

X86 = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("386", "amd64")]
_STORE = re.compile(r"mov [dq]?word ptr \[.sp \+|str r\d+, \[sp")
_SETTINGS = Settings(keep_going=True, limits=Limits(3_000_000, seed=0))


def _run(version: str, goarch: str) -> LiveRun:
    path = toolchain.build(version, goarch, FOLDER / "trampolines")
    return LiveRun(open_program(str(path)), (), _SETTINGS)


def _stale(live: LiveRun) -> list[Broken]:
    return [broken for broken in live.found if broken.moment == "after the child"]


def test_what_children_leave_is_not_read(go_version: str, goarch: str) -> None:
    live = _run(go_version, goarch)
    assert live.run().kind == "ended"
    assert live.found == []
    assert live.rare is not None
    borrowed = live.rare.borrowed
    assert borrowed.loans >= 2
    assert borrowed.bytes > 50  # there was something to be read
    assert not borrowed.out, "a stack that is watched for ever"


@pytest.mark.parametrize("goarch", X86)
def test_a_stub_that_leaves_its_return_pc_on_the_stack(goarch: str) -> None:
    live = _run("newest", goarch)
    symbol = live.binary.routines["rawVforkSyscall"]
    assert symbol is not None
    for instruction in instructions(live.binary, symbol):
        if instruction.text.startswith(("pop", "push")):
            nop = live.process.arch.nop
            live.process.machine.write(instruction.address, nop * (len(instruction.code) // len(nop)))
    live.run()
    first = _stale(live)[0]
    assert first.routine == "rawVforkSyscall"
    assert first.what == "syscall.rawVforkSyscall's frame+0x0 is the parent's own"
    assert "vfork child, at syscall.forkAndExecInChild1+0x" in first.found
    assert "read at syscall.rawVforkSyscall+0x" in first.found


def test_a_result_that_only_the_child_has_stored(goarch: str) -> None:
    """The stub's last stores are gone once the child has passed them: the parent finds what the child has left."""
    live = _run("newest", goarch)
    symbol, nop = live.binary.routines["rawVforkSyscall"], live.process.arch.nop
    assert symbol is not None
    assert live.rare is not None
    stores = [i for i in instructions(live.binary, symbol) if _STORE.match(i.text)]
    assert len(stores) >= 3
    returned = live.rare.borrowed.returned

    def break_then(thread: Thread) -> None:
        for store in stores:
            live.process.machine.write(store.address, nop * (len(store.code) // len(nop)))
        live.process.machine.forget_translations()
        returned(thread)

    live.rare.borrowed.returned = break_then  # type: ignore[method-assign]
    live.run()
    first = _stale(live)[0]
    assert "syscall.forkAndExecInChild1's frame+0x" in first.what
    assert "vfork child, at syscall." in first.found
    assert "read at syscall.forkAndExecInChild1+0x" in first.found
