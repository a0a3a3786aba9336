"""Records a whole program's run into a sink of traces, beside everything else that watches it.

With ranges only their instructions run under the recorder: they are what is counted as steps. Where control has left
them, one number is passed over, which stands for all that ran until it came back, on whatever thread; what happened
meanwhile (system calls, signals) is noted with that number. Without ranges every instruction is a step.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from arch import calltext, golang, linux
from asm.goelf import GoBinary
from asm.program import Symbol
from asm.readback import disassemble
from emu.errors import BadInput
from emu.interrupt import INTERRUPT
from emu.kernel import signals
from emu.kernel.frames import Pushed
from emu.kernel.table import Thread
from emu.live import native
from emu.live.loop import Ending
from emu.live.met import Goroutines, Seen
from emu.live.process import STACK, STACK_TOP
from emu.live.run import LiveRun
from emu.live.trampolines import routines
from emu.live.watch.routines import find
from emu.live.watching import Broken
from emu.machine import PAGE
from emu.naming import Region
from emu.trace.collector import Open
from emu.trace.model import ACCESS, Header, Limits, Rows, Stack
from emu.trace.pieces import BUCKET

ALL = "all"
_NEVER = 1 << 62  # steps
_SWITCHING = 256  # steps that a signal's handler runs on its own stack before it changes g
_TEXT = 256  # bytes of a text that a call's arguments point to
_LONG = 256  # bytes of a block that the engine might have to cut, when it has the recorder to call at each instruction
# What ends a block by itself.
_ENDS = re.compile(r"j|call|ret|rep|loop|syscall|int|ud2|hlt|svc|b(l?x?)(?!ic|fc|fi|kpt)(\w\w)?\b|.*\bpc\b")
_OS_STACK = "os stack"
_WRITE = 2
_OUTCOMES: Mapping[str, str] = {"ended": "ended", "broken": "failed", "deadlock": "failed", "time": "budget"}


def ranges(binary: GoBinary, only: Iterable[str]) -> list[tuple[int, int]]:
    """The addresses to record: of the functions in ``only``, by symbol; none for `ALL`, without any the trampolines.

    Raises BadInput for a name that is no function of the program.
    """
    names = list(only)
    if ALL in names:
        return []
    found = [_function(binary, name) for name in names]
    if not names:
        handler = find(binary, "sigtramp")
        found = [*routines(binary), *([handler] if handler else [])]
    return [(symbol.address, symbol.address + symbol.size) for symbol in found if symbol.size]


def _function(binary: GoBinary, name: str) -> Symbol:
    bare = name.removeprefix("runtime.")
    symbol = binary.routines.get(bare) or find(binary, bare) or binary.program.symbols.get(name)
    code = [s for s in binary.program.segments if s.executable]
    if symbol is None or not any(s.address <= symbol.address < s.address + s.size for s in code):
        raise BadInput(f"{binary.path} has no function {name!r}; --trace-only takes one, such as runtime.mcall, or all")
    return symbol


def header_of(live: LiveRun, columns: Sequence[str], command: Sequence[str]) -> Header:
    """What views need to know of a program that is about to begin. Raises BadInput if its layout is not known."""
    binary, arch = live.binary, live.process.arch
    if binary.layout is None:
        raise BadInput(f"{binary.path} cannot be traced: {binary.unknown}")
    guards, top = golang.era(binary.go).guards, STACK_TOP[arch.word]
    kinds = {True: "code", False: "data"}
    tid = live.kernel.main.tid
    return Header(
        arch_name=arch.name, command=tuple(command), name=str(binary.path),
        sha256=hashlib.sha256(binary.path.read_bytes()).hexdigest(), go=binary.go, entered="run", columns=columns,
        program=replace(binary.program, segments=()), regions=[Region(_OS_STACK, top - STACK, STACK, "stack")],
        structs=[], stacks=[Stack(_OS_STACK, _OS_STACK, 0, top - STACK, top, 0)],
        limits=Limits(guards.small + guards.nosplit, _SWITCHING),
        special={value & arch.mask: name for name, value in guards.special.items()}, layout=binary.layout,
        g_register=arch.tls.g_register, g_word=None,
        segments=[Region(kinds[s.executable], s.address, s.size, kinds[s.executable]) for s in binary.program.segments],
        threads={tid: str(tid)},
    )


class Tracing:
    """Records ``live`` from its first instruction on; to be made before it runs, and after ``live.told`` was set."""

    def __init__(self, live: LiveRun, open_sink: Open, only: Iterable[str] = (), command: Sequence[str] = ()) -> None:
        self._live, self._process = live, live.process
        self._cpu, arch = live.process.machine, live.process.arch
        self._arch, self._recorder = arch, self._cpu.recorder
        extra = ("guard",) if arch.tls.g_register else ("g", "guard")
        header = header_of(live, (*arch.registers, *extra), command)
        self._ranges = ranges(live.binary, only)
        self._sink = open_sink(header, self._code)
        self._width = len(header.columns)
        self._at = {role: header.index[arch.roles[role]] for role in ("sp", "pc")}
        self._g, self._guard = header.index[arch.tls.g_register or "g"], header.index["guard"]
        self._guard_offset = header.guard_offset
        self._starts = np.array(sorted(start for start, _ in self._ranges), np.uint64)
        self._ends = np.array(sorted(end for _, end in self._ranges), np.uint64)
        self._threads: dict[int, int] = {live.kernel.main.tid: 0}
        self._gs = Goroutines(live.process, header.layout, golang.era(live.binary.go).guards, self._sink.add_event)
        self._thread, self._tls, self._done = live.kernel.main.tid, 0, 0
        self._call: dict[str, Any] = {}
        self._seams: dict[tuple[int, int], bool] = {}
        self._attach((*header.columns, "step"))
        self._listen()

    def _attach(self, columns: Sequence[str]) -> None:
        recorder, cpu = self._recorder, self._cpu
        recorder.attach(self._ranges, ctypes.addressof(cpu.live) + native.Live.full.offset)
        recorder.sink, recorder.columns = self._took, columns
        recorder.rows_wanted = recorder.reads_wanted = True
        cpu.live.longest = _LONG
        self._run, cpu.drive = cpu.drive, self._drive
        if not self._ranges:  # otherwise what memory holds is not known anyway
            self._process.told = self._written
            for segment in self._process.program.segments:
                if segment.writable:
                    self._sink.add_memory(-1, segment.address, self._code(segment.address, segment.size))
            sp = self._process.role("sp")
            self._sink.add_memory(-1, sp, self._code(sp, STACK_TOP[self._arch.word] - sp))

    def _listen(self) -> None:
        """Hear of what happens between two runs of the engine, after those who listen already."""
        loop, kernel, live = self._live.loop, self._live.kernel, self._live
        at_trap, on_signal, told = loop.at_trap, kernel.on_signal, live.told

        def trap(thread: Thread) -> None:
            at_trap(thread)
            self._called(thread)

        def signal(thread: Thread, frame: Pushed) -> None:
            on_signal(thread, frame)
            self._delivered(thread, frame)

        def broken(found: Broken) -> None:
            told(found)
            self._broke(found)

        loop.at_trap, loop.trapped = trap, self._answered
        kernel.on_signal, live.told = signal, broken

    def halt(self) -> None:
        """Ctrl-C while something is recorded: the loop will see it when its turn is over."""

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """What is recorded is handed over and written as a whole."""
        outer, INTERRUPT.running = INTERRUPT.running, self
        try:
            yield
        finally:
            INTERRUPT.running = outer

    # the engine's runs

    def _drive(self) -> int:
        """Run as the CPU does, and hand over what was recorded. Pauses of a full recorder change nothing."""
        with self._undisturbed():
            return self._record()

    def _record(self) -> int:
        live, recorder = self._cpu.live, self._recorder
        self._enter(live.thread.contents)
        error = 0
        while not error:
            recorder.prepare(_NEVER)
            error = self._run()
            pc = self._process.role("pc")
            if live.stop == native.LIMIT and (live.full or live.end == pc):
                live.stop = native.NONE  # before a block that is counted when it begins anew
                live.blocks -= live.end == pc and self._goes_on(pc)
            elif not error and live.stop == native.NONE and not live.access and recorder.paused(_NEVER):
                live.blocks -= 1  # in a block too long for the room: its rest is announced as another one
            else:
                break
            live.full = live.end = 0
        live.full = live.end = 0
        if live.access == _WRITE:
            recorder.take_back(live.fault)
        recorder.drain()
        if recorder.steps > self._done:
            self._cut()
        return error

    def _goes_on(self, pc: int) -> bool:
        """Whether a long block was cut before ``pc`` for the recorder's sake: the engine has room for so much code."""
        begin = int(self._cpu.live.begin)
        if (begin, pc) not in self._seams:
            *_, (_, _, last) = disassemble(self._arch, self._code(begin, pc - begin), begin)
            at_page = pc - begin >= PAGE - 32 or (pc % PAGE == 0 and self._arch.alignment > 1)
            self._seams[begin, pc] = not at_page and not _ENDS.match(last)
        return self._seams[begin, pc]

    def _enter(self, thread: native.Thread) -> None:
        """The thread that runs now, and where it keeps g."""
        tid, tls, word = int(thread.tid), int(thread.tls), self._arch.word
        register, self._thread, self._tls = self._arch.tls.g_register, tid, tls
        self._recorder.follow(register, tls - word if tls and not register else None, self._guard_offset)
        if self._threads.get(tid) != tls:
            self._threads[tid] = tls
            data = {"name": str(tid), "g_word": tls - word} if tls and not register else {"name": str(tid)}
            self._note("thread", tid, data)

    def _cut(self) -> None:
        """Note the state that the last instruction left, if it was recorded."""
        step = self._recorder.steps - 1
        if self._recorder.leave():
            registers = self._cpu.registers()
            g = registers[self._arch.tls.g_register] if self._arch.tls.g_register else self._word(self._tls, -1)
            state = {**registers, "g": g, "guard": self._word(g, 0, self._guard_offset)}
            self._sink.add_cut(step, [state[name] for name in self._recorder.columns[: self._width]])
        self._done = self._recorder.steps

    def _word(self, base: int, words: int, offset: int = 0) -> int:
        """The word near ``base``; 0 for a base of 0, and where nothing is mapped."""
        word = self._arch.word
        return self._arch.unpack(self._code(base + words * word + offset, word)) if base else 0

    def _code(self, address: int, size: int) -> bytes:
        try:
            return self._cpu.read(address, size)
        except ValueError:
            return b""

    def _took(self, _first: int, rows: memoryview, accesses: memoryview) -> None:
        """What was recorded since the last time, all by one thread; cut where pieces of a trace end."""
        found = np.frombuffer(rows, "<u8").reshape(-1, self._width + 1)
        touched = np.frombuffer(accesses, ACCESS)
        numbers = found[:, -1]
        for low, high in _parts(numbers):
            first, end = numbers[low], numbers[high - 1] + np.uint64(1)
            at = np.searchsorted(touched["step"], np.array([first, end], np.uint64))
            self._part(found[low:high], touched[int(at[0]) : int(at[1])].tobytes())

    def _part(self, found: Rows, accesses: bytes) -> None:
        inside = self._inside(found[:, self._at["pc"]])
        rows = found[inside]
        self._sink.add_numbered(self._thread, rows[:, -1].tobytes(), rows[:, :-1].tobytes())
        self._sink.add_accesses(accesses)
        for left in found[~inside]:
            self._sink.add_cut(int(left[-1]) - 1, left[:-1].tolist())
        columns = (found[:, number] for number in (self._width, self._g, self._at["sp"], self._guard))
        self._gs.look(Seen(self._thread, *columns))

    def _inside(self, pc: Any) -> Any:
        """Which rows are of instructions that were to be recorded: the others show where control has gone."""
        if not self._ranges:
            return np.ones(len(pc), np.bool_)
        place = np.searchsorted(self._starts, pc, side="right")
        return (place > 0) & (pc < self._ends[np.maximum(place, 1) - 1])

    # what happens between them

    def _note(self, kind: str, thread: int, data: Mapping[str, Any]) -> None:
        with self._undisturbed():
            self._sink.add_event(self._recorder.steps - 1, kind, thread, data)

    def _written(self, address: int, data: bytes) -> None:
        """The kernel wrote into memory."""
        with self._undisturbed():
            self._sink.add_memory(self._recorder.steps - 1, address, data)

    def _called(self, thread: Thread) -> None:
        """A thread has made a system call, which is about to be handled."""
        if thread.process is not self._process:
            return
        registers, convention = self._cpu.registers(), self._arch.syscall
        number = registers[convention.number]
        name = linux.name(self._arch, number) or f"call {number}"
        arguments = [registers[register] for register in convention.arguments]
        arguments = arguments[: len(calltext.KINDS.get(name, arguments))]
        text = calltext.text(name, arguments, self._string)
        self._call = {"name": name, "number": number, "arguments": arguments, "text": text}

    def _string(self, address: int) -> str | None:
        for size in (_TEXT, -address % 4096):
            data = self._code(address, size)
            if b"\0" in data:
                return data[: data.index(0)].decode("utf-8", "backslashreplace")
        return None

    def _answered(self, thread: Thread) -> None:
        """The call was handled; one that waits has no result yet."""
        if thread.process is not self._process:
            return
        data = dict(self._call)
        waits = thread.state != "runnable" or thread.unfinished or thread.answer is not None
        if not waits and data["name"] != "rt_sigreturn":
            data["result"] = self._arch.signed(self._process.role("result"))
        self._note("syscall", thread.tid, data)
        for ended in self._gone():
            self._note("thread", ended, {"name": str(ended), "ended": True})

    def _gone(self) -> Iterator[int]:
        alive = {thread.tid for thread in self._live.kernel.threads}
        for tid in sorted(set(self._threads) - alive):
            del self._threads[tid]
            yield tid

    def _delivered(self, thread: Thread, frame: Pushed) -> None:
        if thread.process is self._process:
            number, handler = frame.info.signal, self._process.role("pc")
            self._note("signal", thread.tid, {"number": number, "name": signals.name(number), "handler": handler})

    def _broke(self, found: Broken) -> None:
        step = self._recorder.steps - 1
        self._note("check", found.thread, {
            "name": f"{found.routine}: {found.what}", "ok": False, "expected": found.expected, "found": found.found,
            "role": found.routine, "step": step, "moment": found.moment,
        })

    def close(self, ending: Ending | None) -> None:
        """The run is over; None: it was interrupted."""
        steps = self._recorder.steps
        end: str = ending.kind if ending else "interrupted"
        outcome = _OUTCOMES.get(end, end)
        if ending and ending.kind == "ended":
            end = f"exit code {ending.status >> 8}" if not ending.status & 0x7F else signals.name(ending.status & 0x7F)
        data = {"scene": "run", "outcome": outcome, "end": end, "steps": steps}
        self._sink.add_event(steps - 1, "end", self._thread, data)
        self._sink.close(steps)


def _parts(numbers: Any) -> Iterator[tuple[int, int]]:
    """Where rows stand that belong into the same piece of a trace."""
    edges = np.flatnonzero(np.diff(numbers // np.uint64(BUCKET))) + 1
    yield from (pair for pair in pairwise([0, *edges.tolist(), len(numbers)]) if pair[0] < pair[1])
