"""barrier-lock: a profiler walks a stack whose return PCs the collector is replacing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from arch.barriers import FIRST
from arch.model import Arch
from asm.guests import Function
from emu.cases.explored import verdict
from emu.cases.model import BREAKS, HOLDS, Case, Variant, Verdict
from emu.runtime.profiling import Profiling, Program

STORY = """
From Go 1.5 to 1.8 the collector scanned a stack twice: once while the program ran, and again when the world was
stopped. To have less to do the second time it left barriers in the stack. It put the address of stackBarrier over the
return PC of some frames, and what had been there into a slice, g.stkbar. A function that returns to stackBarrier is
sent on from there to where it meant to go, and g.stkbarPos counts one more barrier as hit. What lies above the lowest
barrier that was not hit has not changed since the first scan.

Whoever else walks such a stack must know of the barriers: gentraceback takes a copy of the slice that is left,
g.stkbar[g.stkbarPos:], and each time it finds stackBarrier as a return PC, it takes the next entry.

before: the profiler's signal comes while a goroutine is in a system call. The handler walks its stack. Such a goroutine
counts as stopped, so the collector, on another thread, may scan its stack at the same time, and does. The handler's
copy of the slice is older than the return PC that it reads: it finds a barrier, and the copy has no entry for it. In a
signal handler that panic cannot even be printed: the program ended with "malloc deadlock" (issue 11863). There are
neighbours of it: a copy with one entry for two barriers; and one with an entry whose barrier is not yet in place when
its frame is walked, so that the next barrier gets the wrong entry ("missed stack barrier").

committed (Go 1.5): g.stackLock, one word taken by compare-and-swap and osyield. The collector has it while it scans,
the handler while it walks. The system call then returns, and the goroutine through its barriers: in every interleaving
with the right result, and with g.stkbarPos at the number of barriers.

g0: the handler locks the g that the signal has found running. If that is g0, because the goroutine has gone there by
systemstack, the walk begins on g0's stack and goes on to the goroutine's; the collector locks the goroutine's word.
Both have a lock, and it is not the same. The code is that of committed; only the goroutine does something else.

later (Go 1.6): the handler locks m.curg, whatever g runs. It only tries: were it to wait, it could wait for its
own thread, now that other code locks too. If the lock is taken it does not walk.

What is left out: what the second scan does; barriers that a goroutine puts into its own stack; recover, and stacks that
move; a signal that comes while the thread is in stackBarrier. The walk and the scan are Python, step by step. The
stack's frames are those of real calls; the lock and stackBarrier are assembly. In Go systemstack is called by
entersyscall itself, in a frame that the scan does not see; here by the function that called it, after it.
"""

_FRAME = 700  # bytes of each larger frame: with four of them the collector puts in two barriers
_CHAIN = ("outer", "middle", "inner", "most_inner", "read")
_ARGUMENT, _RESULT = 0x1000, 0x401B

_DEEP = """
argument 0
plus_constant {number}
put 0
put 1
invoke {next}
plus 1                      // what it returned is in the accumulator
"""
_READ = """
invoke entersyscall
invoke kernel               // the system call: the signal comes here
put 0
invoke exitsyscall
get 0
"""
_READ_AND_NOTIFY = """
invoke entersyscall
constant value.notify       // somebody waits to be told
put 0
invoke systemstack
invoke exitsyscall
constant 7
"""
_NOTIFY = "invoke kernel               // on g0's stack: the signal comes here"

_HANDLER = """
argument 0                  // the g that was running
put 0
invoke sigprof
invoke sigreturn
"""
_WALK = "invoke gentraceback"
_SCAN = "invoke scanstack"
_LOCKED = """
argument 0
put 0
invoke lockStack
{between}
argument 0
put 0
invoke freeStackLock
"""
_TRIED = """
argument 0
word_at g.m
word_at m.curg
put 0
invoke tryStackLock
if_zero .taken
goto .skip
.taken:
{between}
argument 0
word_at g.m
word_at m.curg
put 0
invoke freeStackLock
.skip:
"""
_LOCK_STACK = """
.again:
argument 0
put 0
invoke tryStackLock
if_zero .taken
invoke osyield
goto .again
.taken:
"""
_COLLECTOR = """
invoke castogscanstatus     // the goroutine must not go on
if_zero .gone
{scan}
invoke casfromgscanstatus   // now it may
.gone:
"""


@dataclass(frozen=True)
class Setup:
    """What differs: how the handler walks and the collector scans; whether the signal finds the thread on g0."""

    walk: str
    scan: str
    on_g0: bool = False


_SETUPS = {
    "before": Setup(_WALK, _SCAN),
    "committed": Setup(_LOCKED.format(between=_WALK), _LOCKED.format(between=_SCAN)),
    "g0": Setup(_LOCKED.format(between=_WALK), _LOCKED.format(between=_SCAN), on_g0=True),
    "later": Setup(_TRIED.format(between=_WALK), _LOCKED.format(between=_SCAN), on_g0=True),
}


def functions(variant: Variant, word: int) -> tuple[Function, ...]:
    """The goroutine's functions, the handler and the collector, as the variant has them."""
    setup = _SETUPS[variant.name]
    deep = {
        name: Function(name, _body(_DEEP.format(number=number, next=after)), args=2, slots=_FRAME // word)
        for number, (name, after) in enumerate(pairwise(_CHAIN), 1)
    }
    first = _CHAIN[0]
    deep[first] = Function(first, f"{deep[first].body}\nset_argument 1", args=2, slots=_FRAME // word)
    read = _READ_AND_NOTIFY if setup.on_g0 else _READ
    found = [
        *deep.values(), Function("read", _body(read), args=1, slots=2), _system("handler", _HANDLER),
        _system("sigprof", setup.walk), _system("collector", _COLLECTOR.format(scan=setup.scan)),
    ]
    found += [_system("notify", _NOTIFY)] if setup.on_g0 else []
    found += [_system("lockStack", _LOCK_STACK)] if any("invoke lockStack" in f.body for f in found) else []
    return tuple(found)


def _system(name: str, text: str) -> Function:
    """A function for g0, gsignal or a thread of the collector's: without a stack check."""
    return Function(name, _body(text), args=1, slots=1, nosplit=True)


def _body(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())


def profiling(arch: Arch, guests: tuple[Function, ...], offset: int = FIRST) -> Profiling:
    """The goroutine in its system call, and the two that come together over its stack. ``offset``: of barriers."""
    return Profiling(arch, Program(guests, _CHAIN[0], _ARGUMENT, _RESULT), offset)


def run(variant: Variant, arch: Arch, schedule: str) -> Verdict:
    """Explore, or follow the schedule."""
    return verdict({variant.name: profiling(arch, functions(variant, arch.word)).race}, schedule)


def text(variant: Variant, arch: Arch) -> str:
    """The guests."""
    guests = functions(variant, arch.word)
    return "\n\n".join(f"{f.name}:{'  // no stack check' if f.nosplit else ''}\n{f.body}" for f in guests)



CASE = Case(
    name="barrier-lock",
    title="a profiler walks a stack whose return PCs the collector is replacing",
    story=STORY,
    variants=(
        Variant("before", "87f97c73d37d^", "nobody locks", BREAKS),
        Variant("committed", "87f97c73d37d", "walk and scan lock g.stackLock", HOLDS),
        Variant("g0", "87f97c73d37d", "the same; the signal finds the thread on g0", BREAKS),
        Variant("later", "9c9d74aba7", "the walk tries the lock of m.curg", HOLDS),
    ),
    run=run,
    text=text,
    schedules=True,
)
