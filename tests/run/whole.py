"""Whole Go programs: what there is to run, how `stackcarry run` runs it, and how a host that can does."""

from __future__ import annotations

import functools
import gc
import io
import json
import platform
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import toolchain

from emu import cli

FOLDER = toolchain.PROGRAM / "run"
HOME = Path(__file__).parents[2]
ENVIRONMENT = {"HOME": "/root", "LANG": "C", "PATH": "/usr/bin:/bin", "TMPDIR": "/tmp"}
"""What a guest finds if nothing else is said."""
HOOK = "-gcflags=all=-d=maymorestack=runtime.mayMoreStackPreempt"
PATIENCE = 300  # seconds by the clock after which a test gives up on a command
ATTEMPTS = 4  # of QEMU, in that time: one that starts a child is stuck now and then


@dataclass(frozen=True)
class Program:
    """A folder of goprog/run, the arguments and the input that it gets, the exit code that it chose."""

    name: str
    code: int = 0
    args: tuple[str, ...] = ()
    stdin: bytes = b""
    flags: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()

    def build(self, version: str, goarch: str) -> Path:
        return toolchain.build(version, goarch, FOLDER / self.name, *self.flags, **dict(self.settings))


PROGRAMS = {
    "hello": Program("hello"),
    "threads": Program("threads", 3),
    "recursion": Program("recursion"),
    "pingpong": Program("pingpong", args=("2000",)),
    "timers": Program("timers", 4),
    "signals": Program("signals", 5),
    "preempt": Program("preempt", 6),
    "profile": Program("profile"),
    "panics": Program("panics", 7),
    "panic": Program("panics", 2, ("panic",)),
    "panic again": Program("panics", 2, ("again",)),
    "panic in a goroutine": Program("panics", 2, ("goroutine",)),
    "nil": Program("panics", 2, ("nil",)),
    "division": Program("panics", 2, ("divide",)),
    "stack overflow": Program("panics", 2, ("overflow",)),
    "deadlock": Program("panics", 2, ("deadlock",)),
    "Goexit of main": Program("panics", 2, ("goexit",)),
    "gc": Program("gc"),
    "sync": Program("sync"),
    "exec": Program("exec", 8),
    "many": Program("many", args=("3000",)),
    "stdin": Program("stdin", 9, stdin=bytes(range(256)) * 400),
    "arguments": Program("envargs", 10, ("--seed", "3", "two words", "--", "-h", "", "é")),
    "fileio": Program("fileio"),
    "select": Program("select", 11),
    "code 0": Program("exitcodes", 0, ("0",)),
    "code 121": Program("exitcodes", 121, ("121",)),
    "code 255": Program("exitcodes", 255, ("255",)),
    "hooked": Program("hooked", flags=(HOOK,)),
    "loop": Program("cpu", args=("loop",)),
    "sha256": Program("cpu", args=("sha256",)),
    "sort": Program("cpu", args=("sort",)),
}


@dataclass(frozen=True)
class Ran:
    """How a program ended; of a run of ours, also the lines of its summary by kind."""

    code: int
    out: bytes
    err: str
    summary: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@functools.cache
def watched(program: Program, version: str, goarch: str, *options: str) -> Ran:
    """The program under `stackcarry run --summary --json`."""
    return run_file(program.build(version, goarch), *program.args, options=options, stdin=program.stdin)


def run_file(path: Path, *args: str, options: tuple[str, ...] = (), stdin: bytes = b"") -> Ran:
    """`stackcarry run --summary --json [options] path args`, in this process."""
    return _sorted(command("run", "--summary", "--json", *options, str(path), *args, stdin=stdin))


def _sorted(ran: Ran) -> Ran:
    """The lines of the summary apart from what the guest wrote to the same stream."""
    summary: dict[str, list[dict[str, Any]]] = {}
    rest = []
    for line in ran.err.splitlines(keepends=True):
        guests, ours, told = line.partition('{"kind": ')  # the guest's last line may not have ended
        rest.append(guests)
        if ours:
            row = json.loads(ours + told)
            summary.setdefault(row["kind"], []).append(row)
    return Ran(ran.code, ran.out, "".join(rest), summary)


def command(*words: str, stdin: bytes = b"") -> Ran:
    """`stackcarry` with these words, in this process; a traceback would be an exception here, and fail the test."""
    streams = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8") for data in (stdin, b"", b"")]
    given = sys.argv, sys.stdin, sys.stdout, sys.stderr
    sys.argv, (sys.stdin, sys.stdout, sys.stderr) = ["stackcarry", *words], streams
    code = 0
    try:
        cli.main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = given
        gc.collect()  # of the engine's rooms, which hold much and look small
    out, err = (_written(stream) for stream in streams[1:])
    return Ran(code, out, err.decode(errors="replace"))


def _written(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()


def process(*words: str, stdin: bytes = b"", memory: int | None = None) -> Ran:
    """`stackcarry` with these words in a process of its own; ``memory``: most bytes of its address space."""
    bound = partial(resource.setrlimit, resource.RLIMIT_AS, (memory, memory)) if memory else None
    done = subprocess.run(
        [sys.executable, "-P", "-m", "emu.cli", *words],
        input=stdin, capture_output=True, cwd=HOME, timeout=PATIENCE, check=False, preexec_fn=bound,
    )  # fmt: skip
    err = done.stderr.decode(errors="replace")
    assert "Traceback (most recent call last)" not in err, err
    return Ran(done.returncode, done.stdout, err)


@functools.cache
def reference(program: Program, version: str, goarch: str) -> Ran | None:
    """The program as the host runs it, or QEMU; None if this host can't."""
    launcher = _launcher(goarch)
    if launcher is None:
        return None
    path = program.build(version, goarch)
    for attempt in range(ATTEMPTS):
        try:
            done = subprocess.run(
                [*launcher, str(path), *program.args],
                input=program.stdin, capture_output=True, timeout=PATIENCE / ATTEMPTS, check=False, env=ENVIRONMENT,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            if not launcher or attempt == ATTEMPTS - 1:
                raise
        else:
            break
    return Ran(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def _launcher(goarch: str) -> list[str] | None:
    host = platform.machine()
    native = {"x86_64": ("386", "amd64"), "i686": ("386",), "armv7l": ("arm",)}.get(host, ())
    if sys.platform != "linux":
        return None
    if goarch in native:
        return []
    # qemu-i386 is no reference: a signal that strikes running code ends Go's newest releases under it.
    found = shutil.which(f"qemu-{goarch}") if goarch == "arm" else None
    return None if found is None else [found]


def plain(text: str) -> str:
    """A traceback without what differs from run to run: addresses, which goroutine and thread it was, and what the
    runtime's own goroutines, which stand behind the first, were doing."""
    first = re.split(r"\n(?=goroutine )", re.sub(r"\b0x[0-9a-f]+\??", "0x", text))[:2]
    return re.sub(r"\b(goroutine |m=)\d+", r"\1N", "\n".join(first))
