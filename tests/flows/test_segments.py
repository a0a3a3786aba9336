"""Linked segments: their sizes, what their Stktop says, and the segment that reflect.call makes inside another."""

from __future__ import annotations

from functools import lru_cache

import pytest

import arch as arches
from asm.guests import Function
from emu import target as targets
from emu.runtime import fields
from emu.runtime.failures import Throw
from emu.session import Session

ARCHES = tuple(arches.ARCHES)
FRAMES = [200, 3000, 4092, 5000, 70_000]
"""Bytes of slots."""


def wide(frame: int, word: int) -> Function:
    return Function(f"wide{frame}", "invoke look", args=3, slots=frame // word, copyable=False)


@lru_cache(maxsize=8)
def session_of(era: str, arch: str) -> Session:
    target = targets.of_era(era, arch)
    made = [wide(frame, target.arch.word) for frame in FRAMES]
    starts = [Function(f"start{frame}", f"invoke wide{frame}", slots=3, copyable=False) for frame in FRAMES]
    twice = Function("twice", "argument 0; put 0; plus 0; set_argument 1", args=2, slots=1)
    caller = Function("caller_of_twice", "constant 21; put 0; invoke reflect; get 1; set_argument 0", args=1, slots=2)
    return Session(target, (*made, *starts, twice, caller))


def expected_size(era: str, arch: str, frame: int, args: int) -> int:
    """The size of a new segment, from what the check passes: 2011 passes hints, or on arm the frame and 160 bytes."""
    word = 8 if arch == "amd64" else 4
    if era == "2011":
        hint = (frame + 160) & ~7 if frame + 160 + args > 4096 else 0
        passed = hint if arch != "arm" else frame + (160 if frame < 4096 else 0)
        return max(passed + args + 1024, 4096)
    needed = 88 + args + word + frame + word + 128
    hint = (frame + 7) & ~7 if needed >= 4096 else 0
    size = max((frame if arch == "arm" else hint) + args + 2048, 4096)
    power = 4096
    while power < size:
        power *= 2
    return power


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("era", ["2011", "2014"])
@pytest.mark.parametrize("frame", FRAMES)
def test_size_of_a_new_segment(era: str, arch: str, frame: int) -> None:
    session = session_of(era, arch)
    session.restart()
    seen = []

    @session.gate("look")
    def look(session: Session) -> None:
        g, stack, layout = session.current.g, session.current.stack, session.world.layout
        assert g["stackbase"] == stack.hi - layout.sizes["stktop"]
        assert {g[field.removeprefix("g.")] for field in layout.guards} == {stack.lo + 256}
        seen.append(stack.size)

    # so small that the checks of start and goexit pass, and that of the wide function does not
    session.go(f"start{frame}", stack=304 + session.world.layout.sizes["stktop"])
    session.run()
    size = session.guests.frames[f"wide{frame}"]
    assert seen == [expected_size(era, arch, size, 3 * session.arch.word)]
    assert [event.kind for event in session.events] == ["run", "link", "unlink"]


@pytest.mark.parametrize("arch", ARCHES)
def test_reflect_call_stays_on_its_segment(arch: str) -> None:
    """A frame size of 1 says reflect.call: with room to spare, the Stktop is made inside the segment."""
    session = session_of("2011", arch)
    session.restart()
    frees: list[int] = []

    @session.gate("reflect")
    def reflect(session: Session) -> None:
        """Call twice with the caller's outgoing words as arguments, as reflect.call does."""
        process, m, word = session.process, session.world.m, session.arch.word
        sp, on_stack = process.role("sp"), session.arch.call.return_on_stack
        m["morebuf.sp"] = sp + word if on_stack else sp
        m["morebuf.pc"] = process.word(sp) if on_stack else process.role("link")
        m["morebuf.g"], m["morepc"] = session.current.g.address, session.code("twice")
        m["moreargp"] = sp + session.arch.call.first_argument
        fields.put(m, "moreframesize", 1)
        fields.put(m, "moreargsize", 2 * word)
        session.world.run_on(session.world.g0)
        process.set_role("sp", session.world.g0["sched.sp"])
        session.runtime.newstack()
        frees.append(len(session.stacks.live))

    goroutine = session.go("caller_of_twice")
    session.run()
    assert goroutine.results == (42,)
    link = next(event for event in session.events if event.kind == "link")
    assert link.old is link.new
    assert [event.kind for event in session.events] == ["run", "link", "unlink"]
    assert frees == [1]


@pytest.mark.parametrize("arch", ARCHES)
def test_reflect_call_without_room_takes_a_new_segment(arch: str) -> None:
    session = session_of("2011", arch)
    session.restart()
    runtime = session.runtime
    goroutine = session.go("start200")
    m = session.world.m
    m["morebuf.sp"] = goroutine.g["stackguard"] + 60
    top = runtime.make_top(goroutine, 1, 0)  # type: ignore[attr-defined]
    assert goroutine.stack.size == 4096
    assert goroutine.stacks[0] is not goroutine.stack
    assert top["free"] == 4096


@pytest.mark.parametrize("era", ["2011", "2014"])
def test_a_panic_is_noted_in_the_new_segment(era: str) -> None:
    session = session_of(era, "amd64")
    session.restart()
    goroutine = session.go("start200")
    fields.put(goroutine.g, "ispanic", 1)
    top = session.runtime.make_top(goroutine, 0, 0)  # type: ignore[attr-defined]
    assert fields.get(top, "panic") == 1
    assert fields.get(goroutine.g, "ispanic") == 0


def test_a_segment_is_freed_with_its_own_size() -> None:
    session = session_of("2011", "386")
    session.restart()
    stack = session.stacks.make(4096, "someone")
    with pytest.raises(Throw, match="free of a stack that is none"):
        session.stacks.free(stack.lo, 8192)
    with pytest.raises(Throw, match="free of a stack that is none"):
        session.stacks.free(stack.lo + 256, 4096)


def test_a_write_above_a_stack_is_found_when_it_is_freed() -> None:
    session = session_of("2011", "386")
    session.restart()
    stack = session.stacks.make(3000, "someone")
    session.process.set_word(stack.hi, 1)
    with pytest.raises(Throw, match="written above its top"):
        session.stacks.free(stack.lo, stack.size)
