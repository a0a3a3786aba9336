"""What `stackcarry run` costs: CPU time and peak memory of whole programs, beside the targets, all in one run.

Run it from the project's folder: ``python tests/benchmarks/bench_run.py [ROUNDS] [ARCH]…``, five rounds of all arches
if nothing is said. Commands that are compared run in turns, so that a host whose speed changes slows all of them; a
figure is the median of the rounds. CPU time is that of the process and its children, user and system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

import toolchain

MIB = 1 << 20
COMMAND = (str(Path(sys.executable).with_name("stackcarry")),)  # what is installed, not what stands in this folder
RUN = (*COMMAND, "run")
WARM = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Compiled modules are kept, as they are for every user who doesn't forbid it."""
STARTS = {"python": (sys.executable, "-c", "pass"), "--version": (*COMMAND, "--version")}
# What is compared with QEMU: the program's arguments, with enough work to hide the start of both.
WORK = {"loop": ("cpu", "loop", "100"), "sha256": ("cpu", "sha256", "200"), "sort": ("cpu", "sort", "40")}
PINGPONG = ("pingpong", "100000")


@dataclass(frozen=True)
class Cost:
    """Of one command: seconds of CPU and bytes of peak memory."""

    cpu: float
    memory: int


def main(words: Sequence[str]) -> None:
    rounds = int(words[0]) if words else 5
    for goarch in words[1:] or toolchain.GOARCHES:
        print(f"{goarch}:")
        _hello(goarch, rounds)
        _checks(goarch, rounds)
        if goarch == "arm":
            _against_qemu(rounds)
        _bounded(goarch)


def _hello(goarch: str, rounds: int) -> None:
    """A goroutine that grows and os/exec, on top of what the interpreter takes to start."""
    costs = measure({**STARTS, "hello": ours(goarch, "hello", "once"), "four": ours(goarch, "hello")}, rounds)
    for start in STARTS:
        above = median(hello.cpu - base.cpu for hello, base in zip(costs["hello"], costs[start], strict=True))
        line(f"hello, CPU above {start}", f"{above:.3f} s", "0.25 s", above < 0.25)
    four = median(cost.cpu for cost in costs["four"]) - median(cost.cpu for cost in costs["python"])
    line("hello with four children, CPU above python", f"{four:.3f} s", None, met=True)
    peak = max(cost.memory for cost in costs["hello"]) / MIB
    line("hello, peak memory", f"{peak:.0f} MiB", "95 MiB", peak < 1e8 / MIB)


def _checks(goarch: str, rounds: int) -> None:
    for program, target in ((("hello",), 1.5), (PINGPONG, 2.0)):
        commands = {"checked": ours(goarch, *program), "unchecked": ours(goarch, *program, options=("--no-check",))}
        ratio(f"{' '.join(program)}: checked / --no-check", measure(commands, rounds), target)


def _against_qemu(rounds: int) -> None:
    qemu = shutil.which("qemu-arm")
    if qemu is None:
        print("  (qemu-arm is not installed: no comparison with it)")
        return
    for program in (*WORK.values(), PINGPONG):
        for title, options in (("", ()), (", --no-check", ("--no-check",))):
            commands = {"ours": ours("arm", *program, options=options), "qemu": (qemu, *binary("arm", *program))}
            asked = bool(title) == (program == PINGPONG)
            ratio(f"{' '.join(program)}{title}: ours / qemu-arm", measure(commands, rounds), 8.0 if asked else None)


def _bounded(goarch: str) -> None:
    """Ten thousand goroutines, and an hour of virtual time."""
    for program in (("many", "10000"), ("timers", "1h")):
        ((cost,),) = measure({"": ours(goarch, *program)}, 1).values()
        print(f"  {' '.join(program):44}{cost.memory / MIB:.0f} MiB, {cost.cpu:.2f} s of CPU")


def ours(goarch: str, *program: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The command that runs a program here; the caches that it keeps are warm after its first run."""
    return (*RUN, *options, *binary(goarch, *program))


def binary(goarch: str, name: str, *args: str) -> tuple[str, ...]:
    return (str(toolchain.build("newest", goarch, toolchain.PROGRAM / "run" / name)), *args)


def measure(commands: dict[str, tuple[str, ...]], rounds: int) -> dict[str, list[Cost]]:
    """The cost of each command in each round, in turns, after a round that only warms up."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            cost = _cost(command)
            if turn:
                costs[name].append(cost)
    return costs


def ratio(title: str, costs: dict[str, list[Cost]], target: float | None) -> None:
    """One line for two commands: the median of the rounds' ratios, and both medians."""
    (first, ups), (second, downs) = costs.items()
    times = median(up.cpu / down.cpu for up, down in zip(ups, downs, strict=True))
    seconds = ", ".join(f"{name} {median(cost.cpu for cost in costs[name]):.2f} s" for name in (first, second))
    line(title, f"{times:.2f}x", f"{target}x" if target else None, target is None or times <= target, f" ({seconds})")


def line(title: str, found: str, target: str | None, met: bool, more: str = "") -> None:
    judged = f"target {target}: {'met' if met else 'MISSED'}" if target else ""
    print(f"  {title:44}{found:>10}  {judged}{more}", flush=True)


def _cost(command: Sequence[str]) -> Cost:
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=WARM
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode in (0, 4), f"{' '.join(command)} ended with {child.returncode}: {said.decode()}"
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


if __name__ == "__main__":
    main(sys.argv[1:])
