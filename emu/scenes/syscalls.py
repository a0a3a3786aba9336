"""Entry states for the system-call stubs, and what the kernel and a vfork child do while they wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from arch import stubs
from emu.contracts.judge import STEPS, Scene
from emu.process import poison
from emu.runtime.world import World

# Each side of the error test's border: -4095 is an error for the kernel and a result for the stubs.
_BORDER = {"-1": -1, "-4094": -4094, "-4095": -4095, "-4096": -4096}
_PID = 4711
_EAGAIN = -11
_CHILD_DEPTH = 64  # words that the child's calls overwrite below the frame it shares with its parent


def of(name: str) -> Callable[[World], Iterator[Scene]]:
    """The scenes of a stub that enters the kernel once and returns once."""

    def scenes(world: World) -> Iterator[Scene]:
        inputs = stubs.stub(world.era.name, world.arch, name).inputs
        address = 1 << (8 * world.arch.word - 1) | 0x7700_0010  # as mmap may answer: the sign bit is set
        for label, answer in {"success": 42, "zero": 0, "high address": address, **_BORDER}.items():
            yield Scene(label, lambda w: _enter(w, name, inputs), answers=(answer,))

    return scenes


def vfork(_world: World) -> Iterator[Scene]:
    """The child's return, the parent's after the child's, and refusals, where there is no child."""

    def enter(w: World) -> None:
        _enter(w, "rawVforkSyscall", w.target.vfork_inputs)

    yield Scene("child", enter, answers=(0,))
    yield Scene("parent", enter, answers=(_PID,), meanwhile=_child_runs)
    for label, answer in {"no child": _EAGAIN, **_BORDER}.items():
        yield Scene(label, enter, answers=(answer,))


def _enter(world: World, name: str, inputs: int) -> None:
    """Call a stub with words that differ in every byte's value from each other, their upper halves set."""
    world.enter(name, *(int.from_bytes(bytes([0x11 * (index + 1)]) * world.arch.word) for index in range(inputs)))


def _child_runs(world: World) -> None:
    """The child returns from the stub and calls on, on the parent's stack; then the parent's registers come back.

    The outgoing arguments belong to the frame that called the stub, which the child goes on in: it may reuse them.
    """
    process, machine, word = world.process, world.process.machine, world.arch.word
    parent = machine.save()
    process.answer(0)
    process.run(STEPS)
    sp = process.role("sp")
    words = world.target.vfork_inputs + 2 + world.arch.call.first_argument // word
    for address in range(sp - _CHILD_DEPTH * word, sp + words * word, word):
        process.set_word(address, ~poison(address, word))
    machine.restore(parent)
