"""barrier-lock: a profiler walks a stack whose return PCs the collector replaces."""

from __future__ import annotations

from arch.model import Arch
from asm.guests import Function
from emu.cases.explored import verdict
from emu.cases.model import Case, Variant, Verdict
from emu.runtime.profiling import Profiling, Program

STORY = """
TBD
"""

_FRAME = 700  # bytes of the larger frames: with four of them the collector puts two barriers in

_DEEP = """
argument 0
plus_constant {number}
put 0
put 1
invoke {next}
plus 1                      // what it returns is in the accumulator
"""
_READ = """
invoke entersyscall
invoke kernel               // the system call: the signal comes here
put 0
invoke exitsyscall
get 0
"""
_CHAIN = ("outer", "middle", "inner", "fill", "read")
_ARGUMENT = 0x1000

_HANDLER = """
argument 0
put 0
invoke sigprof
invoke sigreturn
"""
_WALK = "invoke gentraceback"
_SCAN = "invoke scanstack"
_LOCK = """
argument 0
put 0
invoke lockStack
{between}
argument 0
put 0
invoke freeStackLock
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
invoke castogscanstatus     // stop gp
if_zero .gone
{scan}
invoke casfromgscanstatus   // let it go on
.gone:
"""


def functions(variant: Variant, word: int) -> tuple[Function, ...]:
    """The goroutine's functions, the handler and the collector, as the variant has them."""
    locked = variant.name != "before"
    walk, scan = (_LOCK.format(between=part) if locked else part for part in (_WALK, _SCAN))
    deep = [
        Function(name, _body(_DEEP.format(number=number, next=after)), args=2, slots=_FRAME // word)
        for number, (name, after) in enumerate(zip(_CHAIN, _CHAIN[1:], strict=False), 1)
    ]
    deep[0] = Function("outer", f"{deep[0].body}\nset_argument 1", args=2, slots=_FRAME // word)
    return (
        *deep,
        Function("read", _body(_READ), args=1, slots=2),
        Function("handler", _body(_HANDLER), args=1, slots=1, nosplit=True),
        Function("sigprof", _body(walk), args=1, slots=1, nosplit=True),
        Function("collector", _body(_COLLECTOR.format(scan=scan)), args=1, slots=1, nosplit=True),
        *([Function("lockStack", _body(_LOCK_STACK), args=1, slots=1, nosplit=True)] if locked else []),
    )


def _body(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())


def result() -> int:
    """What the goroutine's first function returns if all is well."""
    total, passed = 7, _ARGUMENT
    for number in range(1, len(_CHAIN)):
        passed += number
        total += passed
    return total


def profiling(variant: Variant, arch: Arch) -> Profiling:
    """The scenario, as the variant has it."""
    return Profiling(arch, Program(functions(variant, arch.word), "outer", _ARGUMENT, result()))


def run(variant: Variant, arch: Arch, schedule: str) -> Verdict:
    """Explore, or follow the schedule."""
    return verdict({variant.name: profiling(variant, arch).race()}, schedule)


def text(variant: Variant, arch: Arch) -> str:
    """The guests."""
    return "\n\n".join(f"{f.name}:\n{f.body}" for f in functions(variant, arch.word))


_EVERYWHERE = ("386", "amd64", "arm")
CASE = Case(
    "barrier-lock", "a profiler walks a stack whose return PCs the collector replaces", STORY,
    (
        Variant("before", "87f97c73d37d^", "nobody locks", dict.fromkeys(_EVERYWHERE, "breaks")),
        Variant("committed", "87f97c73d37d", "both lock g.stackLock", dict.fromkeys(_EVERYWHERE, "holds")),
    ),
    run, text, schedules=True,
)
