"""A goroutine as the Python side knows it; what the era keeps in guest memory is in its g."""

from __future__ import annotations

from dataclasses import dataclass, field

from arch.runtimes import Status
from emu.runtime import fields
from emu.runtime.stacks import Stack
from emu.runtime.struct import Struct


@dataclass(eq=False)
class Goroutine:
    """``g``: its struct. ``stacks``: its segments, oldest first; one where stacks are copied.

    ``arguments_at``: how far below the top of the oldest one its first function's arguments are; ``passed`` of those
    words are arguments, the rest (of ``words``) results. ``results``: those words, once it has ended.
    """

    name: str
    g: Struct
    function: str
    stacks: list[Stack]
    status_field: str
    arguments_at: int = 0
    passed: int = 0
    words: int = 0
    results: tuple[int, ...] = field(default=())

    @property
    def stack(self) -> Stack:
        """The stack, or newest segment, that it runs on."""
        return self.stacks[-1]

    @property
    def sched(self) -> Struct:
        """The gobuf it is resumed from."""
        return self.g.part("sched", "gobuf")

    @property
    def status(self) -> Status:
        return Status(fields.get(self.g, self.status_field))

    @status.setter
    def status(self, status: Status) -> None:
        fields.put(self.g, self.status_field, status)

    def __repr__(self) -> str:
        return f"<goroutine {self.name}>"


@dataclass(frozen=True)
class Event:
    """What the runtime did with a goroutine.

    ``run``: it was chosen to run. ``link``, ``unlink``: it went on to a new segment, and back. ``copy``: its stack was
    moved to a larger one; ``shrink``: to a smaller one. ``preempt``: it gave way to a request in its guard; ``spare``:
    it was not to be preempted, and runs on. ``function``: whose stack check failed. ``old``, ``new``: stacks.
    ``pid``: the process in which it happened; ``step``: when.
    """

    kind: str
    goroutine: Goroutine
    function: str = ""
    old: Stack | None = None
    new: Stack | None = None
    pid: int = 0
    step: int = 0
