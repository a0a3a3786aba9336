"""Call stacks of whole programs, by Go's own table: at every instruction of a function that calls itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import toolchain

from asm.readback import disassemble
from emu.kernel.table import Thread
from emu.live import stackwalk
from emu.live.loop import Limits
from emu.live.run import LiveRun, Settings, open_program
from emu.live.stackwalk import Frame

HELLO = toolchain.PROGRAM / "run" / "hello"
LINES = (HELLO / "main.go").read_text().splitlines()
_CALL = 1 + next(number for number, text in enumerate(LINES) if "deep(n-1)" in text)
_ENTRY = 1 + next(number for number, text in enumerate(LINES) if text.startswith("func deep"))
_START = 1 + next(number for number, text in enumerate(LINES) if "sum <- deep(3000)" in text)
MOST = 600  # stops


def stopped(version: str, goarch: str, then: Callable[[LiveRun, int], bool]) -> LiveRun:
    """A run that asks ``then`` at each instruction of main.deep, and ends when it says so."""
    binary = open_program(str(toolchain.build(version, goarch, HELLO)))
    run = LiveRun(binary, (), Settings(limits=Limits(2_000_000)))
    deep = binary.program.symbols["main.deep"]

    def at(_thread: Thread) -> None:
        run.loop.over = then(run, run.process.role("pc"))

    for address, _, _ in disassemble(run.process.arch, binary.program.read(deep.address, deep.size), deep.address):
        run.process.machine.breakpoint(address)
        run.process.at[address] = at
    run.run()
    return run


def test_every_instruction_of_a_recursion(go_version: str, goarch: str) -> None:
    walks: list[tuple[int, list[Frame]]] = []

    def look(run: LiveRun, pc: int) -> bool:
        walks.append((pc, list(run.current.frames())))
        return len(walks) == MOST or len(walks[-1][1]) == stackwalk.MOST - 1

    run = stopped(go_version, goarch, look)
    entry = run.binary.program.symbols["main.deep"].address
    assert len(walks) > 100
    assert len({pc for pc, _ in walks}) > 10
    depth = 0
    for pc, frames in walks:
        names = [frame.function for frame in frames]
        calls = len(names) - 2
        assert names == ["main.deep"] * calls + ["main.main.func1", "runtime.goexit"]
        assert calls - depth in ((0, 1) if pc == entry else (0,))  # entered once more, or again after its stack grew
        depth = calls
        assert [frame.line for frame in frames[1:-2]] == [_CALL] * (calls - 1)
        assert frames[0].pc == pc
        assert frames[-2].line == _START
        assert all(frame.file.endswith("main.go") for frame in frames[:-1])
        innermost, *others = [frame.sp for frame in frames]
        assert innermost <= others[0]  # the same where a call pushes nothing
        assert others == sorted(set(others))
        assert len({outer - inner for inner, outer in pairwise(others[:-1])}) <= 1
    assert depth > 10
    first = next(frames[0] for pc, frames in walks if pc == entry)
    assert first.line == _ENTRY


def test_no_more_than_so_many_frames(goarch: str) -> None:
    lengths: list[int] = []

    def look(run: LiveRun, pc: int) -> bool:
        if pc == run.binary.program.symbols["main.deep"].address:
            lengths.append(len(list(run.current.frames())))
        return len(lengths) == stackwalk.MOST + 10

    stopped("newest", goarch, look)
    assert max(lengths) == lengths[-1] == stackwalk.MOST


def test_a_stack_that_makes_no_sense(goarch: str) -> None:
    seen: list[list[str]] = []

    def look(run: LiveRun, _pc: int) -> bool:
        sp = run.process.role("sp")
        for where in (sp, 0):  # no such memory; and what is there is no return PC
            run.process.set_role("sp", where)
            if run.process.arch.call.return_on_stack:
                if where:
                    run.process.set_word(where, 1)
            else:
                run.process.set_role("link", 1)
            seen.append([frame.function for frame in run.current.frames()])
        run.process.set_role("pc", 1)
        seen.append([frame.function for frame in run.current.frames()])
        return True

    stopped("newest", goarch, look)
    assert seen == [["main.deep"], ["main.deep"], []]
