"""What the fixture `stackcarry` is: the way from a source beside the test to a bench of one arch, and to goldens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import arch as arches
from arch import golang
from arch.golang import HOOKS
from asm.elf import ElfError
from asm.statement import AsmError
from emu import target as targets
from emu.errors import BadInput
from emu.suite import sources
from emu.suite.bench import Bench, Gates, place, place_binary
from emu.suite.goldens import Golden
from emu.suite.scenes import Judged, judged

_REFUSED = (AsmError, ElfError, BadInput)


class HasText(Protocol):
    """What a golden can be made of."""

    def text(self) -> str: ...


class Suite:
    """One test on one arch. ``arch``: its record (`arch.model.Arch`); ``folder``: where the test's file is.

    What `load`, `assemble` and `binary` share: ``stacks``: name -> bytes, each between unmapped pages. ``data``: name
    -> words, usable as labels in the source. ``gates``: functions outside; a run stops there, or, given a Python
    function, goes on with what that returns (it takes as many words as it has parameters). ``guard``: the datum
    that holds the stack's limit. ``thread``: the datum that the thread's segment (on arm: TLS register) points at.
    """

    def __init__(self, arch_name: str, folder: Path, golden: Golden) -> None:
        self.arch, self.folder, self._golden = arches.get(arch_name), folder, golden

    def load(
        self, *files: str, stacks: Mapping[str, int], data: Mapping[str, int] | None = None, gates: Gates = (),
        guard: str | None = None, thread: str | None = None,
    ) -> Bench:
        """Place the routines of files beside the test; ``{arch}`` in their names is the arch's. Raises AsmError."""
        __tracebackhide__ = True
        try:
            statements = sources.from_files(self.arch, self.folder, files)
            return place(
                self.arch, statements, stacks=stacks, data=data or {}, outside=gates, guard=guard, thread=thread
            )
        except _REFUSED as problem:
            raise problem.with_traceback(None) from None

    def assemble(
        self, text: str | Mapping[str, str], *, stacks: Mapping[str, int], data: Mapping[str, int] | None = None,
        gates: Gates = (), guard: str | None = None, thread: str | None = None,
    ) -> Bench:
        """Place a text, or the one that ``text`` has for this arch. Raises AsmError."""
        __tracebackhide__ = True
        try:
            statements = sources.from_texts(self.arch, text, "text")
            return place(
                self.arch, statements, stacks=stacks, data=data or {}, outside=gates, guard=guard, thread=thread
            )
        except _REFUSED as problem:
            raise problem.with_traceback(None) from None

    def binary(
        self, file: str, *, stacks: Mapping[str, int], data: Mapping[str, int] | None = None, gates: Gates = (),
        guard: str | None = None, thread: str | None = None,
    ) -> Bench:
        """Place a statically linked ELF program, by whatever tools it was made. Raises ElfError."""
        __tracebackhide__ = True
        try:
            path = self.folder / file.replace("{arch}", self.arch.name)
            return place_binary(
                self.arch, path, stacks=stacks, data=data or {}, outside=gates, guard=guard, thread=thread
            )
        except _REFUSED as problem:
            raise problem.with_traceback(None) from None

    def routine(self, era: str, routine: str, scene: str | None = None) -> Judged:
        """A routine of Go's runtime (era or release) in one of its scenes, judged. Raises BadInput, KeyError."""
        source = targets.of_hooks if routine in HOOKS else targets.of_era
        return judged(source(golang.era(era).name, self.arch.name), routine, scene)

    def golden(self, *parts: HasText, name: str = "") -> None:
        """The runs are, as text, what they were. Raises AssertionError."""
        __tracebackhide__ = True
        self._golden("\n".join(part.text() for part in parts), name)
