"""gc-triple: a collector scans a goroutine that is on its way out of a system call."""

from __future__ import annotations

from collections.abc import Mapping

from arch.model import Arch
from asm.guests import Function
from emu import target
from emu.cases.explored import verdict
from emu.cases.model import BREAKS, HOLDS, Case, Variant, Verdict
from emu.contracts.judge import kept_by_callee
from emu.race import Guest, Race, Script
from emu.runtime import fields
from emu.runtime.arena import Arena
from emu.runtime.collector import LENGTHS, Collector, Length, Scanning, new_sched, sched_layout
from emu.runtime.linking import link
from emu.runtime.racing import Racing
from emu.runtime.struct import Struct
from emu.runtime.world import World

STORY = """
In 2011 a goroutine's stack is a list of segments. The collector scans each from its SP up to its base: for a goroutine
that does not run, from g.sched.sp to g.stackbase, and so on down the list. It stops the world first, but a goroutine in
a system call does not count as running: nobody waits for it.

So it may come back while it is scanned. exitsyscall is ordinary code with a stack check. If that fails, newstack links
another segment and sets g.stackbase and g.stackguard, one after the other; mcall, later, sets g.sched.sp. Whoever reads
the two meanwhile has the SP of one segment and the base of another, and hands scanblock their difference as a length.
That can be too long: then what lies between two segments is scanned, and what it points to is never freed. Or it can
be negative. What becomes of it then depends on how C turns the difference of two pointers into 64 bits. The commit
tells that with words of 32 bits it is nearly 4 G, and the scan ends in unmapped memory; with 64 bits it is negative,
nothing is scanned, and what only this stack points to is freed. By the rules of that C front end the difference is
signed, and the loop takes it for an unsigned number: nearly 2**64, on both. Which of the two the code of that day did
is open. Here both are run, each under its name.

before: scanstack reads what it finds.

committed (27 April 2011; issues 1620, 1746): entersyscall notes sp, base and guard in g.gcsp, g.gcstack, g.gcguard
under the scheduler's lock, exitsyscall clears gcstack when nothing can scan it any more, gosched loses its stack
check, scanstack uses the triple, and it and scanblock throw at what can't be. But scanstack asks g.gcstack, the
collector's own, which is nil, where it means gp.gcstack: the triple is never used. All that changes is that most
mis-scans are now throws. One is not: the base of the new segment with the guard of the old one passes the checks.

later (an hour after): gp.gcstack.

What is left out: msyscall, profiling, other goroutines, and entersyscall's own check of the triple. Waiting for the
scheduler's lock is a spin. The scheduler, newstack and the collector are Python. scanblock reads a whole range in one
step: the goroutine stores no pointer there meanwhile.
"""

VARIANTS = (
    Variant("before", "370276a3e58c^", "the collector reads g.sched.sp and g.stackbase", BREAKS),
    Variant("committed", "370276a3e58c", "a triple is saved; scanstack asks the wrong g for it; checks", BREAKS),
    Variant("later", "37b3494026", "scanstack asks the g that it scans", HOLDS),
)
TESTS = {"before": "", "committed": "g", "later": "gp"}

_ROOM, _LARGE = 320, 480  # bytes: left for the goroutine above its guard; of exitsyscall's frame, which does not fit
_DEAD = frozenset({"dead block"})
BLOCKS = {"live block": 256, "dead block": 256, "segment A": 4096, "waste": 256, "segment B": 4096}

_SYSCALLER = """
argument 1
put 0
invoke entersyscall         // the system call follows
argument 1
put 0
invoke exitsyscall
argument 0                  // a pointer to the live block, which nothing else points to
put 0
invoke use
invoke goexit
"""
_SCHEDLOCK = """
argument 0
spin_lock sched.lock
"""
_GOSAVE = """
get 2
plus_constant g.sched.sp
put 0
invoke gosave
"""
_TRIPLE = """
get 2
word_at g.sched.sp
set_word_at 2, g.gcsp
get 2
word_at g.stackbase
set_word_at 2, g.gcstack
get 2
word_at g.stackguard
set_word_at 2, g.gcguard
"""
_CLEAR = """
constant 0
set_word_at 2, g.gcstack
"""
_ENTERSYSCALL = """
argument 0
put 1                       // sched
running
put 2                       // g
{first}
get 1
put 0
invoke schedlock
constant 3                  // Gsyscall
set_half_at 2, g.status
get 1
word_at sched.mcpu
plus_constant -1
set_word_at 1, sched.mcpu
get 1
word_at sched.waitstop      // does a collector wait for us?
if_zero .saved
get 1
word_at sched.mcpumax
put 3
get 1
word_at sched.mcpu
unless_above 3, .wake
goto .saved
.wake:
constant 0
set_word_at 1, sched.waitstop
invoke wake
.saved:
{save}
constant 0
set_word_at 1, sched.lock
"""
_EXITSYSCALL = """
argument 0
put 1                       // sched
running
put 2                       // g
get 1
put 0
invoke schedlock
get 1
word_at sched.mcpu
plus_constant 1
set_word_at 1, sched.mcpu
get 1
word_at sched.mcpumax
put 3
get 1
word_at sched.mcpu
unless_above 3, .fast
constant 1                  // not so many may run: let the scheduler make it runnable
set_word_at 1, sched.readyonstop
constant 0
set_word_at 1, sched.lock
invoke runtime_gosched
{clear}
goto .done
.fast:
constant 2                  // Grunning
set_half_at 2, g.status
{clear}
constant 0
set_word_at 1, sched.lock
.done:
"""


def guests(variant: Variant, word: int) -> list[Function]:
    """The functions of the goroutine, as the variant has them."""
    saved = variant.name != "before"
    enter = _ENTERSYSCALL.format(first="" if saved else _GOSAVE, save=_GOSAVE + _TRIPLE if saved else "")
    leave = _EXITSYSCALL.format(clear=_CLEAR if saved else "")
    return [
        Function("syscaller", _body(_SYSCALLER), args=2, slots=1),
        Function("schedlock", _body(_SCHEDLOCK), args=1),
        Function("entersyscall", _body(enter), args=1, slots=4, nosplit=True),
        Function("exitsyscall", _body(leave), args=1, slots=_LARGE // word),
        Function("runtime_gosched", "switch_to gosched0", slots=1, nosplit=saved),
    ]


def _body(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.strip())


def scanning(variant: Variant, length: Length) -> Scanning:
    """scanstack and scanblock, as the variant has them."""
    return Scanning(TESTS[variant.name], variant.name != "before", length)


def race(arch: Arch, rule: Scanning, functions: list[Function], sizes: Mapping[str, int] = BLOCKS) -> Race:
    """A goroutine about to make a system call, with little stack left, and a collector about to collect.

    ``sizes``: the heap's blocks, in the order of their addresses.
    """
    layout = sched_layout(arch.word)
    linked, _, _ = link(target.of_era("2011", arch.name), functions, stops=False, names=layout.offsets)
    world = World(linked)
    process, g = world.process, world.g
    arena, sched = Arena(process, sizes), new_sched(process, procs=2)
    blocks, guard, top = arena.blocks, world.era.guards.guard, world.layout.sizes["stktop"]
    for struct in (g, world.other, world.m):
        fields.clear(struct)
    world.m["g0"], world.m["curg"] = world.g0.address, g.address
    first = blocks["segment A"]
    g["stackbase"], g["stackguard"] = first.end - top, first.address + guard
    fields.put(g, "status", 2)
    process.set_word(blocks["waste"].address, blocks["dead block"].address)
    process.set_role("sp", g["stackguard"] + _ROOM)
    world.enter("syscaller", blocks["live block"].address, sched.address)
    racing = Racing(world, arena, sched, g, blocks["segment B"])
    collector = Collector(arena, sched, g, world.other, guard, 2, _DEAD, rule)
    goroutine = Guest("goroutine", process.machine.registers(), racing.gates(), tls=world.tls_base)
    words = _words(world, arena, sched)
    return Race(
        process, [goroutine, Script("collector", collector.run)], [(at, arch.word) for at in words],
        lambda at: words.get(at) or arena.describe(at) or world.describe(at), frozenset(kept_by_callee(world)),
    )


def _words(world: World, arena: Arena, sched: Struct) -> dict[int, str]:
    """What both threads touch, with names: words of g, of the Stktops, and all of the scheduler's."""
    of_g = ("stackbase", "stackguard", "sched.sp", "gcstack", "gcsp", "gcguard", "status")
    words = {sched.address + offset: name for name, offset in sched.layout.offsets.items()}
    words |= {world.g.at(field): f"g.{field}" for field in of_g}
    for block in arena.blocks.values():
        top = block.end - world.layout.sizes["stktop"]
        for field in ("stackbase", "stackguard", "gobuf.sp") if block.stack else ():
            words[top + world.layout[f"stktop.{field}"]] = f"{field} in the Stktop of {block.name}"
    return words


def run(variant: Variant, arch: Arch, schedule: str) -> Verdict:
    """Explore, or follow the schedule, under both readings of the length."""
    functions = guests(variant, arch.word)
    return verdict({name: race(arch, scanning(variant, n), functions) for name, n in LENGTHS.items()}, schedule)


def text(variant: Variant, arch: Arch) -> str:
    """The goroutine's functions, and what the variant makes of scanstack."""
    parts = [
        f"{f.name}:{'  // no stack check' if f.nosplit else ''}\n{f.body}" for f in guests(variant, arch.word)
    ]
    rule = scanning(variant, next(iter(LENGTHS.values())))
    asked = f"if {rule.tests}.gcstack != nil: from gp.gcsp to gp.gcstack" if rule.tests else "no triple"
    checks = "throws at what can't be" if rule.checks else "no checks"
    return "\n\n".join([*parts, f"scanstack:\nfrom gp.sched.sp to gp.stackbase\n{asked}\n{checks}"])


TITLE = "the collector scans a stack that changes under it"
CASE = Case("gc-triple", TITLE, STORY, VARIANTS, run, text, schedules=True)
