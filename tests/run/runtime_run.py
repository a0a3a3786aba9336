"""Runs a command of `runtime_commands` as `stackcarry run` would, and says what is wrong with its output.

Run it from the project's folder, ``python tests/run/runtime_run.py [--go 1.21] [--arch ARCH]… [NAME]…``, for a table of
the named commands, or all: the slow ones too, and those that are apart.
"""

from __future__ import annotations

import argparse
import gc
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import toolchain
from runtime_commands import COMMANDS, Command

from arch.files import O_WRONLY
from arch.signals import Signal
from emu.kernel import signals
from emu.kernel.clock import SECOND
from emu.kernel.files import Captured, Stream
from emu.kernel.kernel import Kernel
from emu.kernel.pending import Info
from emu.kernel.table import Task
from emu.live.loop import Limits
from emu.live.run import LiveRun, Settings, open_program

SIGNALS = 128
_BLOCKS = 400_000_000  # several times what the slowest of the test suite takes
_MORE_BLOCKS = 50 * _BLOCKS


@dataclass(frozen=True)
class Ran:
    """``code``: as the command's exit code would be; None if the program did not end, ``kind`` says why."""

    kind: str
    code: int | None
    output: str
    broken: tuple[str, ...]
    summary: dict[str, Any]


class Bell(Stream):
    """Where a program says that it is ready: whoever listens sends it a signal."""

    def __init__(self, task: Task, signal: Signal) -> None:
        super().__init__(O_WRONLY)
        self._task, self._signal = task, signal

    def write(self, data: bytes) -> int:
        signals.send_task(self._task, Info(self._signal))
        return len(data)


class Pest:
    """A signal from outside each fifth of a second."""

    def __init__(self, task: Task, signal: Signal) -> None:
        self._task, self._signal = task, signal
        self.due: int | None = SECOND // 5

    def fire(self, kernel: Kernel) -> None:
        self.due = kernel.clock.now + SECOND // 5
        signals.send_task(self._task, Info(self._signal))


def build(command: Command, version: str, goarch: str) -> Path:
    """The program of a command, out of the toolchain's own sources."""
    folder = toolchain.go_root(version) / "src" / "runtime" / "testdata" / command.program
    return toolchain.build(version, goarch, folder, *command.flags)


def run(command: Command, version: str, goarch: str) -> Ran:
    """The command under watch, both its outputs in one."""
    limits = Limits(_MORE_BLOCKS if command.sort == "slow" else _BLOCKS, seed=0)
    settings = Settings(environment=dict(command.env), ncpu=command.cpus, keep_going=True, limits=limits)
    live = LiveRun(open_program(str(build(command, version, goarch))), command.arguments, settings)
    output = {1: bytearray()}
    _connect(live.kernel, output, command.outside)
    ending = live.run()
    code = None
    if ending.kind == "ended":
        signal = ending.status & 0x7F
        code = SIGNALS + signal if signal else ending.status >> 8 & 0xFF
    broken = tuple(f"{one.routine}: {one.what}, {one.moment}: {one.expected}, {one.found}" for one in live.found)
    ran = Ran(ending.kind, code, output[1].decode(errors="replace"), broken, live.summary())
    del live
    gc.collect()
    return ran


def _connect(kernel: Kernel, output: dict[int, bytearray], outside: str) -> None:
    """The descriptors of the first process, and whoever there is outside of it."""
    task = kernel.main.task
    for number in (1, 2) if outside != "closed" else (0, 1, 2):
        task.files.close(number)
    if outside != "closed":
        for _ in (1, 2):
            task.files.open(Captured(output, 1))
    if outside == "SIGQUIT":
        task.files.open(Bell(task, Signal.SIGQUIT))
    elif outside == "SIGIO":
        kernel.clock.timers.append(Pest(task, Signal.SIGIO))


def wrong(command: Command, ran: Ran) -> list[str]:
    """What is not as the runtime's tests and we ask; empty if all is well."""
    found = [f"broken contract: {text}" for text in ran.broken]
    if ran.code != command.code:
        found.append(f"exit code {ran.code} ({ran.kind}), expected {command.code}")
    return [*found, *_wrong_output(command, ran.output), *_unwatched(ran.summary)]


def _wrong_output(command: Command, output: str) -> Iterator[str]:
    if command.whole is not None and output != command.whole:
        yield f"the output is not {command.whole!r}"
    if not output.startswith(command.starts):
        yield f"the output does not start with {command.starts!r}"
    yield from (f"the output does not have {text!r}" for text in command.has if text not in output)
    yield from (f"the output has {text!r}" for text in command.lacks if text in output)
    for pattern, times in command.counts:
        there = len(re.findall(pattern, output))
        if there != times:
            yield f"{there} matches of {pattern!r} in the output, expected {times}"


def _unwatched(summary: dict[str, Any]) -> Iterator[str]:
    if not sum(summary["crossings"].values()):
        yield "no crossing was watched"
    if summary["unknown"]:
        yield f"system calls that are not modelled: {', '.join(summary['unknown'])}"


def main() -> int:
    """Print the table; 1 if a command went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--go", choices=toolchain.VERSIONS, default="newest")
    parser.add_argument("--arch", choices=toolchain.GOARCHES, action="append")
    parser.add_argument("--output", action="store_true", help="print what the commands print, too")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    failed = 0
    for command in COMMANDS:
        if (given.go != "newest" and not command.old) or not _asked(command, given.names):
            continue
        for goarch in given.arch or toolchain.GOARCHES:
            if goarch in command.arches:
                failed += _show(command, given.go, goarch, given.output)
    return failed > 0


def _asked(command: Command, names: list[str]) -> bool:
    return not names or any(name in (*command.arguments, command.program) for name in names)


def _show(command: Command, version: str, goarch: str, output: bool) -> bool:
    start = time.process_time()
    if command.sort == "apart":
        print(f"{command.name}\t{goarch}\tapart: {command.why}", flush=True)
        return False
    ran = run(command, version, goarch)
    told = wrong(command, ran)
    took = time.process_time() - start
    crossings = sum(ran.summary["crossings"].values())
    verdict = "; ".join(told) or "as expected"
    print(f"{command.name}\t{goarch}\t{took:.2f} s\t{crossings} crossings\t{verdict}", flush=True)
    if output or told:
        print("".join(f"    {line}\n" for line in ran.output[:6000].splitlines()), end="", flush=True)
    return bool(told)


if __name__ == "__main__":
    sys.exit(main())
