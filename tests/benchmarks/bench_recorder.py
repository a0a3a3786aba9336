"""Steps recorded in a second, next to what one would use instead: side by side, in rounds, and the median of those.

Run it from the project's folder: ``python tests/benchmarks/bench_recorder.py [ROUNDS]``. It needs gcc; qemu-user and
gdb are measured where they are installed. CPU time counts, except where two processes work in turns (gdb: the clock).
Exit code 1 if a target is missed on an arch, where the two programs count alike (the geometric mean of their ratios).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import loops
import unicorn
from unicorn import arm_const, x86_const
from unicorn.unicorn_py3.unicorn import uclib

import arch as arches
from arch.model import Arch
from emu.process import Process

HERE = Path(__file__).parent
CELLS = [(name, what) for name in arches.ARCHES for what in ("loop", "fib")]
COUNTS = {"loop": {"large": 200_000, "middle": 30_000, "small": 2_000, "tiny": 100},
          "fib": {"large": 24, "middle": 19, "small": 13, "tiny": 8}}  # fmt: skip
STACK, STACK_SIZE = 0x5000_0000, 0x10000
Rate = float  # steps a second


def columns_of(arch: Arch, columns: str) -> tuple[str, ...]:
    """All registers, or some roles."""
    return tuple(arch.roles.get(name, name) for name in columns.split()) or arch.registers


def ours(build: str, size: str, columns: str | None, arch: Arch, what: str) -> Rate:
    """The recorder into a sink that drops what it gets; ``columns`` None: it counts only."""
    os.environ["STACKCARRY_RECORDER"] = build
    p = Process(arch, loops.made(arch, what, COUNTS[what][size]))
    stack = p.add_region("stack", STACK_SIZE)
    g = p.add_region("g", 0x1000)
    p.set_word(g.address, g.address + 64)
    p.set_role("sp", stack.end)
    p.set_role("pc", p.program.symbol("start").address)
    recorder = p.machine.recorder
    recorder.writes_wanted = False
    recorder.sink = lambda _first, _rows, _accesses: None
    if columns is not None:
        recorder.columns, recorder.rows_wanted = columns_of(arch, columns), True
        recorder.follow(arch.tls.g_register, None if arch.tls.g_register else g.address, 16)
    begun = process_time()
    p.run(1 << 40)
    return recorder.steps / (process_time() - begun)


def _engine(arch: Arch) -> tuple[Any, Any, str]:
    """The engine as its Python binding has it: with the module of its registers, and how their names begin there."""
    if arch.isa == "arm":
        return unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_ARM), arm_const, "UC_ARM_REG_"
    mode = unicorn.UC_MODE_64 if arch.bits == 64 else unicorn.UC_MODE_32
    return unicorn.Uc(unicorn.UC_ARCH_X86, mode), x86_const, "UC_X86_REG_"


def reg_read(arch: Arch, what: str) -> Rate:
    """A Python hook that reads each register, with the engine's Python binding."""
    made = loops.made(arch, what, COUNTS[what]["small"])
    uc, constants, prefix = _engine(arch)
    ids = [getattr(constants, prefix + name.upper()) for name in arch.registers]
    uc.mem_map(made.segments[0].address, 0x1000)
    uc.mem_map(STACK, STACK_SIZE)
    uc.mem_write(made.segments[0].address, made.segments[0].data)
    uc.reg_write(getattr(constants, prefix + arch.roles["sp"].upper()), STACK + STACK_SIZE)
    rows: list[list[int]] = []

    def hook(uc: Any, _address: int, _size: int, _data: Any) -> None:
        rows.append([uc.reg_read(number) for number in ids])

    uc.hook_add(unicorn.UC_HOOK_CODE, hook)
    begun = process_time()
    uc.emu_start(made.segments[0].address, made.gates["fn"])
    return len(rows) / (process_time() - begun)


class Bare:
    """A C program that records full rows on the engine's C API."""

    def __init__(self, place: Path) -> None:
        library = Path(uclib._name)
        self._program, self._code = place / "bare", place / "code"
        include = library.parent.parent / "include"
        words = ["gcc", "-O2", f"-I{include}", str(HERE / "bare_recorder.c"), str(library), "-o", str(self._program)]
        subprocess.run([*words, f"-Wl,-rpath,{library.parent}"], check=True)

    def __call__(self, arch: Arch, what: str) -> Rate:
        made = loops.made(arch, what, COUNTS[what]["large"])
        self._code.write_bytes(made.segments[0].data)
        uc, constants, prefix = _engine(arch)
        ids = [getattr(constants, prefix + name.upper()) for name in (arch.roles["sp"], *arch.registers)]
        words = [uc._arch, uc._mode, self._code, made.segments[0].address, STACK, STACK_SIZE, made.gates["fn"], *ids]
        done = subprocess.run([self._program, *map(str, words)], check=True, capture_output=True, text=True)
        steps, seconds = done.stdout.split()
        return int(steps) / float(seconds)


_QEMU = {"386": "qemu-i386", "amd64": "qemu-x86_64", "arm": "qemu-arm"}
_REGISTER = re.compile(r"\b([A-Z][A-Z0-9]{1,2}) ?=([0-9a-f]{8,16})")


class Qemu:
    """qemu-user writes every step's registers into a log, which is read: all of it CPU time."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __call__(self, arch: Arch, what: str) -> Rate | None:
        if shutil.which(_QEMU[arch.name]) is None:
            return None
        program = loops.executable(arch, what, COUNTS[what]["small"], self._place / "program")
        log, last = self._place / "log", {"386": "EFL", "amd64": "RFL", "arm": "PSR"}[arch.name]
        begun = _all_time()
        words = [_QEMU[arch.name], "-singlestep", "-d", "cpu,nochain", "-D", str(log), str(program)]
        subprocess.run(words, check=True)
        rows, row = list[dict[str, int]](), dict[str, int]()
        with log.open() as lines:
            for line in lines:
                row.update((name, int(value, 16)) for name, value in _REGISTER.findall(line))
                if last in row:
                    rows.append(row)
                    row = {}
        return len(rows) / (_all_time() - begun)


def _all_time() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


_GDB = """
import time
gdb.execute("starti", to_string=True)
steps, begun = 0, time.perf_counter()
while steps < 1000:
    text = gdb.execute("info registers", to_string=True)
    row = {line.split()[0]: line.split()[1] for line in text.splitlines()}
    gdb.execute("stepi", to_string=True)
    steps += 1
print("rate", steps / (time.perf_counter() - begun))
"""


class Gdb:
    """gdb steps a process of this machine and prints its registers."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def __call__(self, arch: Arch, what: str) -> Rate | None:
        if shutil.which("gdb") is None or arch.isa != "x86" or os.uname().machine != "x86_64":
            return None
        program = loops.executable(arch, what, COUNTS[what]["small"], self._place / "program")
        script = self._place / "steps.py"
        script.write_text(_GDB)
        words = ["gdb", "-nx", "-batch", "-x", str(script), str(program)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return float(done.stdout.split("rate")[1].split()[0])


def contenders(place: Path) -> dict[str, Callable[[Arch, str], Rate | None]]:
    """What is measured, by the name in the table."""

    def with_(build: str, size: str, columns: str | None) -> Callable[[Arch, str], Rate | None]:
        return lambda arch, what: ours(build, size, columns, arch, what)

    return {
        "full rows": with_("c", "large", ""),
        "ledger rows: SP, PC, g, guard": with_("c", "large", "sp pc g guard"),
        "SP and PC": with_("c", "large", "sp pc"),
        "PC": with_("c", "large", "pc"),
        "counting": with_("c", "large", None),
        "full rows, without a compiler": with_("ctypes", "middle", ""),
        "bare C program, full rows": Bare(place),
        "Python hook with reg_read": reg_read,
        "qemu-user -d cpu, parsed": Qemu(place),
        "gdb stepi, info registers": Gdb(place),
    }


TARGETS = [
    ("full rows", "bare C program, full rows", 0.8), ("full rows", "Python hook with reg_read", 150),
    ("full rows, without a compiler", "Python hook with reg_read", 20), ("SP and PC", "full rows", 3),
    ("ledger rows: SP, PC, g, guard", "full rows", 1.2),
]  # fmt: skip
Measured = dict[str, dict[tuple[str, str], list[Rate]]]


def measure(rounds: int) -> Measured:
    """All contenders in turn, round after round."""
    found: Measured = {}
    with tempfile.TemporaryDirectory() as folder:
        names = contenders(Path(folder))
        for number in range(rounds):
            for cell in CELLS:
                print(f"round {number + 1} of {rounds}: {' '.join(cell)}", file=sys.stderr)
                for name, run in names.items():
                    rate = run(arches.get(cell[0]), cell[1])
                    if rate is not None:
                        found.setdefault(name, {}).setdefault(cell, []).append(rate)
    return found


def table(found: Measured) -> list[str]:
    """Rows of Markdown: thousands of steps a second."""
    lines = ["| thousand steps a second | " + " | ".join(f"{arch} {what}" for arch, what in CELLS) + " |"]
    lines.append("|---|" + "--:|" * len(CELLS))
    for name, cells in found.items():
        shown = [_short(median(cells[cell])) if cell in cells else "–" for cell in CELLS]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return lines


def _short(rate: Rate) -> str:
    digits = 0 if rate >= 1e4 else 1
    return f"{rate / 1000:,.{digits}f}".replace(",", " ")


def ratios(found: Measured, one: str, other: str) -> list[float]:
    """For each cell the median over the rounds of how much faster ``one`` is."""
    pairs = [(found[one][cell], found[other][cell]) for cell in CELLS]
    return [median(a / b for a, b in zip(*pair, strict=True)) for pair in pairs]


def main(words: Sequence[str]) -> int:
    found = measure(int(words[0]) if words else 5)
    print("\n".join(table(found)))
    print("\n| ratio | target | " + " | ".join(f"{arch} {what}" for arch, what in CELLS) + " |")
    print("|---|--:|" + "--:|" * len(CELLS))
    missed = []
    for one, other, least in TARGETS:
        values = ratios(found, one, other)
        print(f"| {one} : {other} | {least} | " + " | ".join(f"{value:.3g}" for value in values) + " |")
        for arch, loop, fib in zip(arches.ARCHES, values[::2], values[1::2], strict=True):
            if (mean := (loop * fib) ** 0.5) < least:
                missed.append(f"{one} : {other} is {mean:.3g} on {arch}")
    print("\n" + "\n".join(missed or ["all targets are reached"]))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
