"""Runtimes with one mistake each: every one must fail a flow, and in the check that is about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from arch.runtimes import Status
from emu import target as targets
from emu.contracts.judge import Check
from emu.flows.recursion import growth, growth_link, preempt
from emu.runtime.contiguous import Contiguous
from emu.runtime.copying import Move
from emu.runtime.frames import Frame
from emu.runtime.goroutine import Goroutine
from emu.runtime.hybrid import Hybrid
from emu.runtime.schedule import Runtime
from emu.runtime.segmented import Segmented
from emu.runtime.struct import Struct

ARCHES = ["386", "amd64", "arm"]


class AdjustsNumbers(Contiguous):
    """Moves every word of a frame that looks like a pointer."""

    def adjust_frame(self, frame: Frame, move: Move) -> None:
        for address in range(frame.bottom, frame.entry, self.arch.word):
            move.adjust(address + move.delta)


class ForgetsPointers(Contiguous):
    """Moves no slots."""

    def adjust_frame(self, frame: Frame, move: Move) -> None:
        super().adjust_frame(replace(frame, function=replace(frame.function, pointers=())), move)


class ForgetsArguments(Contiguous):
    """Moves no arguments."""

    def adjust_frame(self, frame: Frame, move: Move) -> None:
        super().adjust_frame(replace(frame, function=replace(frame.function, argument_pointers=())), move)


class ForgetsFramePointers(Contiguous):
    """Leaves saved frame pointers where they pointed."""

    def adjust_frame(self, frame: Frame, move: Move) -> None:
        word = self.arch.word
        saved = self.process.word(frame.entry + move.delta - word)
        super().adjust_frame(frame, move)
        if frame.made:
            self.process.set_word(frame.entry + move.delta - word, saved)


class ForgetsFramePointerInSched(Contiguous):
    """Forgets sched.bp."""

    def adjust_sched(self, goroutine: Goroutine, move: Move) -> None:
        if goroutine.sched.has("ctxt"):
            move.adjust(goroutine.sched.at("ctxt"))
        goroutine.g["stktopsp"] += move.delta


class ForgetsContext(Contiguous):
    """Forgets sched.ctxt."""

    def adjust_sched(self, goroutine: Goroutine, move: Move) -> None:
        if goroutine.sched.has("bp"):
            move.adjust(goroutine.sched.at("bp"))
        goroutine.g["stktopsp"] += move.delta


class KeepsOldGuard(Contiguous):
    """Leaves the guard word of the stack it came from."""

    def moved(self, goroutine: Goroutine) -> None:
        guard = goroutine.g["stackguard0"]
        super().moved(goroutine)
        goroutine.g["stackguard0"] = guard


class KeepsOldBounds(Contiguous):
    """Leaves stack.hi as it was."""

    def moved(self, goroutine: Goroutine) -> None:
        hi = goroutine.g["stack.hi"]
        super().moved(goroutine)
        goroutine.g["stack.hi"] = hi


class KeepsOldSP(Contiguous):
    """Resumes on the old stack."""

    def copy_stack(self, goroutine: Goroutine, size: int, made: bool = False) -> None:
        sp = goroutine.sched["sp"]
        super().copy_stack(goroutine, size, made)
        goroutine.sched["sp"] = sp


class LosesAWord(Contiguous):
    """Does not copy the highest word."""

    def copy_stack(self, goroutine: Goroutine, size: int, made: bool = False) -> None:
        super().copy_stack(goroutine, size, made)
        self.process.set_word(goroutine.stack.hi - self.arch.word, 0)


class NeverSpares(Contiguous):
    """Preempts a thread that holds locks."""

    def keeps_running(self, _status: Status) -> bool:
        return False


class NeverPreempts(Contiguous):
    """Puts every request off."""

    def keeps_running(self, _status: Status) -> bool:
        return True


class KeepsAsking(Contiguous):
    """Does not take a request back when it was heeded."""

    def execute(self, goroutine: Goroutine) -> None:
        asked = goroutine.g["stackguard0"]
        guard = self.true_guard

        def still(goroutine: Goroutine) -> int:
            return asked if asked == self.special("StackPreempt") else guard(goroutine)

        self.true_guard = still  # type: ignore[method-assign]
        super().execute(goroutine)
        self.true_guard = guard  # type: ignore[method-assign]


class LessArguments(Segmented):
    """Copies one word of the arguments too few."""

    def label(self, goroutine: Goroutine, top: Struct, args: int) -> Struct:
        self.process.set_word(self.m["moreargp"] + args - self.arch.word, 0)
        return super().label(goroutine, top, args)


class NoRoomForLink(Segmented):
    """Leaves what was there where arm has room for a link."""

    def label(self, goroutine: Goroutine, top: Struct, args: int) -> Struct:
        label = super().label(goroutine, top, args)
        self.process.set_word(label["sp"], 1)
        return label


class NoResults(Segmented):
    """Does not copy results back."""

    def take_top(self, goroutine: Goroutine) -> Struct:
        top = Struct(self.process, self.layout, "stktop", goroutine.g["stackbase"], "stktop")
        kept = self.process.machine.read(top["argp"], 8 * self.arch.word)
        where, gobuf = top["argp"], super().take_top(goroutine)
        self.process.write(where, kept)
        return gobuf


class OldstackKeepsGuard(Segmented):
    """Leaves the guard of the segment that is gone."""

    def take_top(self, goroutine: Goroutine) -> Struct:
        field = self.layout.guard.removeprefix("g.")
        guard = goroutine.g[field]
        gobuf = super().take_top(goroutine)
        goroutine.g[field] = guard
        return gobuf


class OldstackKeepsBase(Segmented):
    """Leaves the base of the segment that is gone."""

    def take_top(self, goroutine: Goroutine) -> Struct:
        base = goroutine.g["stackbase"]
        gobuf = super().take_top(goroutine)
        goroutine.g["stackbase"] = base
        return gobuf


class OldstackLosesResult(Segmented):
    """Does not hand the result register on."""

    def gogo(self, buf: Struct, *more: int) -> None:
        super().gogo(buf, *(0 for _ in more))


def _nothing(_lo: int, _size: int) -> None:
    """Instead of freeing a stack."""


class KeepsSegments(Segmented):
    """Does not free a segment."""

    def take_top(self, goroutine: Goroutine) -> Struct:
        stacks, free = self.session.stacks, self.session.stacks.free
        stacks.free = _nothing  # type: ignore[method-assign]
        try:
            return super().take_top(goroutine)
        finally:
            stacks.free = free  # type: ignore[method-assign]


class NotRewound(Hybrid):
    """Resumes behind the call of morestack, not at the function's start."""

    def rewind(self, pc: int) -> int:
        return pc


class HybridKeepsGuard(Hybrid):
    """Restores only the true guard, not the one that is compared."""

    def take_top(self, goroutine: Goroutine) -> Struct:
        guard = goroutine.g["stackguard0"]
        gobuf = super().take_top(goroutine)
        goroutine.g["stackguard0"] = guard
        return gobuf


class NeverLinks(Hybrid):
    """Moves what may not be moved."""

    def frames(self, goroutine: Goroutine, made: bool) -> list[Frame]:
        found = super().frames(goroutine, made)
        return [replace(frame, function=replace(frame.function, copyable=True)) for frame in found]


Flow = Callable[..., Iterator[Check]]

BROKEN: list[tuple[type[Runtime], Flow, tuple[str, ...], list[str], str]] = [
    (AdjustsNumbers, growth, ("2017", "modern"), ARCHES, "runs to its end"),
    (ForgetsPointers, growth, ("2017", "modern"), ARCHES, "runs to its end"),
    (ForgetsArguments, growth, ("2017", "modern"), ARCHES, "runs to its end"),
    (ForgetsFramePointers, growth, ("2017", "modern"), ["amd64"], "on a copied stack: end of the chain"),
    (ForgetsFramePointerInSched, growth, ("2017", "modern"), ["amd64"], "on a copied stack: frame pointer"),
    (ForgetsContext, growth, ("2017", "modern"), ARCHES, "on a copied stack: closure context"),
    (KeepsOldGuard, growth, ("2017", "modern"), ARCHES, "guard: stackguard0"),
    (KeepsOldBounds, growth, ("2017", "modern"), ARCHES, "bounds: stack.hi"),
    (KeepsOldSP, growth, ("2017", "modern"), ARCHES, "on a copied stack: SP"),
    (LosesAWord, growth, ("2017", "modern"), ARCHES, "on a copied stack: contents"),
    (NeverSpares, preempt, ("2017", "modern"), ARCHES, "requests put off"),
    (NeverPreempts, preempt, ("2017", "modern"), ARCHES, "requests taken"),
    (KeepsAsking, preempt, ("2017", "modern"), ARCHES, "requests taken"),
    (LessArguments, growth, ("2011",), ARCHES, "on a new segment: arguments"),
    (NoRoomForLink, growth, ("2011",), ["arm"], "on a new segment: no link"),
    (NoResults, growth, ("2011",), ARCHES, "back from a segment: results"),
    (OldstackKeepsGuard, growth, ("2011",), ARCHES, "guard: stackguard"),
    (OldstackKeepsBase, growth, ("2011",), ARCHES, "back from a segment: stackbase"),
    (OldstackLosesResult, growth, ("2011",), ARCHES, "back from a segment: result register"),
    (KeepsSegments, growth, ("2011",), ARCHES, "the stack that was left is unmapped"),
    (NotRewound, growth, ("2014",), ARCHES, "on a copied stack: PC"),
    (NeverLinks, growth_link, ("2014",), ARCHES, "ways of growing"),
    (HybridKeepsGuard, growth_link, ("2014",), ARCHES, "guard: stackguard0"),
]

CELLS = [
    pytest.param(broken, flow, era, arch, check, id=f"{era}-{arch}-{broken.__name__}", marks=getattr(pytest.mark, arch))
    for broken, flow, eras, arches, check in BROKEN
    for era in eras
    for arch in arches
]


@pytest.mark.parametrize(("broken", "flow", "era", "arch", "check"), CELLS)
def test_a_mistake_of_the_runtime_is_found(
    broken: type[Runtime], flow: Flow, era: str, arch: str, check: str
) -> None:
    failed = [found.name for found in flow(targets.of_era(era, arch), broken) if not found.ok]
    assert any(name.startswith(check) for name in failed), failed
