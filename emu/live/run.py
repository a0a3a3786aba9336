"""A whole program and all that it executes, from its file to its exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import arch as arches
from arch.linux import Errno
from asm import goelf
from asm.goelf import GoBinary
from emu.kernel import execution, mapping, rootfs, segments, waits
from emu.kernel.calls import MOST_SPACES
from emu.kernel.errors import Refused
from emu.kernel.files import Empty, Host
from emu.kernel.kernel import Kernel
from emu.kernel.nodes import Regular
from emu.kernel.table import Image, Thread
from emu.live import boot
from emu.live.executables import Programs
from emu.live.files import Files, give
from emu.live.guest import Guest
from emu.live.loop import Ending, Limits, Loop
from emu.live.process import MOST_MEMORY, LiveProcess
from emu.live.space import Room
from emu.live.totals import Totals
from emu.live.watching import Broken
from emu.machine import Stop
from emu.process import Process

BLOCKS = 2_000_000_000
"""Blocks that a program may run unless it is told otherwise."""
NO_MEMORY = "the memory that all processes share is used up; --memory gives more"


@dataclass
class Settings:
    """What a user may choose. ``environment`` is added to the default one; ``keep_going``: past broken checks.

    ``host``: the guest's input and outputs are this process's; otherwise its input is empty and its outputs are kept.
    ``memory``: bytes, of all processes together. ``files``: what is seen of the host's, beside the program.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=lambda: Limits(BLOCKS))
    ncpu: int = 2
    checked: bool = True
    keep_going: bool = False
    memory: int = MOST_MEMORY
    host: bool = False
    files: Files = field(default_factory=Files)


class LiveRun:
    """A program in a world of its own, and the programs that it executes. ``binary``, ``process``, ``watching`` and
    ``rare`` are the first one's; ``guests``: all that run, by their processes.

    ``found``: what broke; ``told`` is called for each, while the guest stands there. ``remarked`` is called for each
    program that runs unchecked, with its path and the reason.
    """

    def __init__(self, binary: GoBinary, arguments: Sequence[str], settings: Settings) -> None:
        self.binary, self._settings = binary, settings
        self.room = Room(settings.memory)
        self.process = LiveProcess(arches.get(binary.arch), binary.program, self.room)
        self.kernel = Kernel(self.process)
        for module in (mapping, segments, waits):
            self.kernel.add(module.CALLS)
        self.kernel.random, self.kernel.cpus = Random(settings.limits.seed or 0), settings.ncpu
        path, environment = str(binary.path), {**boot.ENVIRONMENT, **settings.environment}
        texts = [f"{name}={value}" for name, value in environment.items()]
        boot.start(self.process, binary.entry, path, (path, *arguments), texts, self.kernel.random)
        self._programs = Programs()
        self._open(path, arguments, settings)
        self.loop = Loop(self.kernel, settings.limits)
        self.found: list[Broken] = []
        self.told: Callable[[Broken], None] = lambda _broken: None
        self.remarked: Callable[[str, str], None] = lambda _path, _why: None
        self.guests: dict[Process, Guest] = {}
        self._past = Totals()
        first = self._watch(self.process, binary, "")
        self.watching, self.rare, self.unchecked = first.watching, first.rare, first.unchecked
        self._listen()

    def _open(self, path: str, arguments: Sequence[str], settings: Settings) -> None:
        """The first process's files, descriptors and name."""
        task = self.kernel.main.task
        task.image = Image(path, (path, *arguments))
        give(task, settings.files)
        self._programs.know(rootfs.place(task, path, self.binary.path.read_bytes()), self.binary)
        if not settings.host:
            return
        own = ((sys.stdin, 0), (sys.stdout, 1), (sys.stderr, 1))
        for number in range(len(own)):
            task.files.close(number)
        for stream, mode in own:
            task.files.open(Host(stream.buffer, mode) if stream is not None else Empty())
        for number, (stream, _) in enumerate(own):
            if stream is None:  # closed here, closed there
                task.files.close(number)

    def _listen(self) -> None:
        """Have the guests told of what happens to their threads."""
        loop, kernel = self.loop, self.kernel
        loop.broken, loop.faulted = self._broken, self._faulted
        loop.stopped, loop.at_trap = self._stopped, self._at_trap
        kernel.execute, kernel.copied, kernel.vacated = self._execute, self._copied, self._vacated

    # processes that come and go

    def _watch(self, process: LiveProcess, binary: GoBinary, name: str) -> Guest:
        guest = self.guests[process] = Guest(self.kernel, process, binary, self._settings.checked, self._note, name)
        return guest

    def _execute(self, thread: Thread, file: Regular, image: Image) -> None:
        """execve of a file that is no virtual program. Raises Refused; the process is then what it was."""
        kernel = self.kernel
        binary = self._programs.get(kernel, file, image)
        if len({other.process for other in kernel.threads}) >= MOST_SPACES:
            kernel.refuse(f"execve: {MOST_SPACES} processes have memory of their own")
            raise Refused(Errno.ENOMEM)
        try:
            process = self._start(binary, image)
        except Refused as refused:
            if refused.errno == Errno.ENOMEM:
                kernel.refuse(f"execve: {NO_MEMORY}")
            raise
        guest = self._watch(process, binary, f"process {thread.pid}")
        if guest.unchecked:
            self.remarked(image.path, guest.unchecked)
        execution.replace(thread, image)
        self.loop.forget(thread)
        kernel.move(thread, process)

    def _start(self, binary: GoBinary, image: Image) -> LiveProcess:
        """A program at its first moment. Raises Refused."""
        process = LiveProcess(self.process.arch, binary.program, self.room)
        try:
            boot.start(process, binary.entry, image.path, image.argv, image.environment, self.kernel.random)
        except Refused:
            process.close()
            raise
        return process

    def _copied(self, process: Process, copy: Process) -> None:
        """A fork without vfork: the copy is watched as its model is."""
        assert isinstance(copy, LiveProcess)
        self._watch(copy, self.guests[process].binary, self.guests[process].name or "copy")

    def _vacated(self, process: Process) -> None:
        if process not in (self.process, self.kernel.main.process):  # those are looked at when the run is over
            guest = self.guests.pop(process)
            self._past.add(guest)
            guest.close()

    # what the loop tells

    def _broken(self, thread: Thread) -> None:
        self.guests[thread.process].broken(thread)

    def _faulted(self, thread: Thread, stop: Stop) -> None:
        self.guests[thread.process].faulted(thread, stop)

    def _stopped(self, thread: Thread) -> None:
        self.guests[thread.process].stopped(thread)

    def _at_trap(self, thread: Thread) -> None:
        self.guests[thread.process].at_trap(thread)

    def _note(self, broken: Broken) -> None:
        self.found.append(broken)
        self.told(broken)
        self.loop.over = not self._settings.keep_going

    def run(self) -> Ending:
        """Run it to its end."""
        return self.loop.run()

    # what is told of it

    @property
    def current(self) -> Guest:
        """The guest on the CPU."""
        return self.guests[self.loop.thread.process]

    @property
    def blocks(self) -> int:
        """Blocks that ran so far."""
        return self._past.blocks + sum(guest.process.machine.blocks for guest in self.guests.values())

    def summary(self) -> dict[str, Any]:
        """Counts of all that was seen; sizes and distances in bytes."""
        kernel, seen = self.kernel, self._past.with_(self.guests.values())
        asked, lost = seen.hook or (None, None)
        calls = dict(kernel.calls)
        calls["clock_gettime"] = calls.get("clock_gettime", 0) + seen.answered
        return {
            "program": str(self.binary.path), "arch": self.binary.arch, "go": self.binary.go,
            "processes": seen.processes, "blocks": seen.blocks, "virtual_ns": kernel.clock.now,
            "broken": len(self.found), "crossings": dict(seen.crossings),
            "growths": seen.growths, "shrinks": seen.shrinks, "hook_preemptions": asked, "hook_lost": lost,
            "calls": dict(sorted(calls.items())), "unknown": dict(sorted(kernel.unknown.items())),
            "memory": seen.memory, "distance": seen.distance, "digest": f"{seen.digest or 0:016x}",
        }


def open_program(path: str) -> GoBinary:
    """Raises ElfError for a file that is no program we can run."""
    return goelf.load(path, quick=True)
