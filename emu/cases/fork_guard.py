"""fork-guard: the child of a fork must not grow its stack, and a poisoned guard is what keeps it from that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import arch as arches
from arch.model import Arch
from arch.runtimes import RUNTIMES
from asm.guests import Function
from emu import target
from emu.cases.model import Case, Variant, Verdict
from emu.contracts.forking import Forking
from emu.runtime import fork
from emu.runtime.goroutine import Goroutine
from emu.runtime.hybrid import Hybrid
from emu.runtime.schedule import Runtime
from emu.runtime.struct import Struct
from emu.session import Session

STEPS = 60_000

STORY = """
Between fork and exec a child has one thread, however many its parent had. It runs on a copy of the parent's memory,
or on that memory itself, and must call nothing that allocates, waits for a lock or moves the stack. That stood in a
comment above forkAndExecInChild, and nothing held anyone to it: a function with a stack check that was called there
by mistake worked as long as the stack had room.

before: it has none. On copied memory newstack needs the heap's lock, which another thread held at the moment of the
fork: the copy of the lock is held for ever by a thread that the child does not have. On shared memory the child moves
the goroutine's stack and ends; the parent wakes up on a stack that is not there any more.

committed (2014, issue 7511): BeforeFork puts a value above every SP into both guard words and keeps the true guard in
m.forkstackguard; AfterFork, in the parent alone, puts it back. The child's first stack check calls morestack, and
newstack throws because m.forkstackguard is set. The mistake is found the first time it is made, whatever the room.

later (Go 1.4): the poison has a value of its own, StackFork, in the one guard word that is compared. newstack knows
it by that; the true guard is computed anew. Memory is shared since Go 1.9 on amd64, and Go 1.17 on 386 and arm.

What a throw leaves behind. Before newstack can throw, morestack has made g0 the running g. Where that stands in a word
of the thread (386, amd64) and memory is shared, the word is the parent's too: it wakes up as g0, and its next stack
check ends it. On arm g is in a register, and the parent goes on. A child that makes no mistake leaves nothing behind.

The holes. huge: the huge form of the check knew StackPreempt alone; of any other poison it sees only that the guard
is not far above SP, and lets the frame pass: until Go 1.16. linked: in 2014 BeforeFork had a stack check itself. If
that links a segment, oldstack looks for the segment by the guard that now is poison. Were it found, the poison would go
as the segment goes, and AfterFork put back a guard that never was the goroutine's. preempted: where memory is
shared, a thread of the parent may ask the goroutine to give way. That overwrites StackFork; newstack, which must not
preempt while m.locks is set, puts the true guard back, and the child goes on unguarded. In 2014 it could not: there
newstack asks m.
"""


@dataclass(frozen=True)
class Scene:
    """What a variant says. ``shared``: arches whose clone is told CLONE_VM and CLONE_VFORK. ``child``: what the child
    calls by mistake. ``other``: what another thread of the parent does. ``runtime``: in the era's place.
    ``room``: words that the stack has above its guard; 0 for the era's smallest stack.
    """

    era: str
    hooks: bool = True
    shared: Iterable[str] = ()
    child: str = "walk"
    other: str = "allocator"
    runtime: type[Runtime] | None = None
    room: int = 0


class Linking(Hybrid):
    """GOCOPYSTACK=0: stacks are not copied."""

    copies = False


class Finding(Linking):
    """And oldstack, which finds a segment by the guard in g, finds it by other means."""

    def take_top(self, goroutine: Goroutine) -> Struct:
        goroutine.g["stackguard"] = self.true_guard(goroutine)
        return super().take_top(goroutine)


ALL = tuple(arches.ARCHES)

SCENES = {
    "before": Scene("2014", hooks=False),
    "before-shared": Scene("2014", hooks=False, shared=ALL),
    "committed": Scene("2014"),
    "committed-shared": Scene("2014", shared=ALL),
    "later": Scene("2017", shared=("amd64",)),
    "modern": Scene("modern", shared=ALL),
    "faultless": Scene("modern", shared=ALL, child=""),
    "huge-committed": Scene("2014", child="huge"),
    "huge-later": Scene("2017", child="huge"),
    "huge-modern": Scene("modern", child="huge"),
    "linked": Scene("2014", runtime=Linking, room=44),
    "linked-found": Scene("2014", runtime=Finding, room=44),
    "linked-later": Scene("2017", room=44),
    "preempted-committed": Scene("2014", other="sysmon", shared=ALL),
    "preempted-later": Scene("2017", other="sysmon", shared=ALL),
    "preempted-modern": Scene("modern", other="sysmon", shared=ALL),
}

# What the guests are made of. A second thread is in the allocator for longer than one turn, or is sysmon.
OTHERS = {
    "allocator": "invoke lock_heap\nconstant 600\n.work:\nput 0; plus_constant -1; if_zero .done\ngoto .work\n"
                 ".done:\ninvoke unlock_heap\nconstant 0; put 0; system_call SYS_exit",
    "sysmon": "invoke preemptone\nconstant 0; put 0; system_call SYS_exit",
}
WALK = "invoke entered\nargument 0\nif_zero .end\nplus_constant -1; put 0; invoke walk\n.end:"


def main(scene: Scene) -> str:
    """The parent: it forks, and then calls the function that its child calls."""
    return "\n".join([
        *(["system_call SYS_sched_yield  // the other thread comes to hold the heap's lock"]
          if scene.other == "allocator" else []),
        "invoke about_to_fork",
        "invoke fork_exec",
        "invoke has_forked",
        "constant 0; put 0; invoke walk",
    ])


def fork_exec(scene: Scene, arch: Arch) -> str:
    """The trap stands in the frame itself: a stub's return PC on the stack is another story."""
    facts = RUNTIMES[scene.era].fork if scene.hooks else None
    shared = arch.name in scene.shared
    return "\n".join([
        *(["invoke before_fork"] if facts else []),
        "constant 0x4111  // SIGCHLD, CLONE_VM, CLONE_VFORK" if shared else "constant 0x11  // SIGCHLD",
        "put 0; constant 0; put 1; put 2; system_call SYS_clone",
        "reload_g",
        "if_zero .child",
        "put 3",
        *(["invoke after_fork"] if facts else []),
        "get 3; put 0; constant 0; put 1; put 2; system_call SYS_wait4",
        "goto .parent",
        ".child:",
        *(["invoke after_fork_in_child"] if facts and facts.masks else []),
        *([f"constant 150; put 0; invoke {scene.child}  // by mistake"] if scene.child else []),
        "constant 0; put 0; system_call SYS_exit_group",
        ".parent:",
    ])


def guests(scene: Scene, arch: Arch) -> tuple[Function, ...]:
    """Every function of a variant."""
    return (
        Function("main", main(scene), slots=4),
        Function("fork_exec", fork_exec(scene, arch), slots=4),
        Function("walk", WALK, args=1, slots=6),
        Function("huge", "invoke entered", args=1, slots=6000 // arch.word),
        Function(scene.other, OTHERS[scene.other], slots=4, nosplit=True),
        *(fork.hooks(scene.era) if scene.hooks else ()),
    )


def run(variant: Variant, arch: Arch, _schedule: str = "") -> Verdict:
    """Fork once, with another thread about, and say what did not hold."""
    return look(SCENES[variant.name], arch)


def look(scene: Scene, arch: Arch) -> Verdict:
    """Run a scene."""
    session = Session(target.of_era(scene.era, arch.name), guests(scene, arch))
    session.restart(scene.runtime)
    session.start_thread(scene.other)
    session.fork.start_profile(100)
    stack = session.era.guards.guard + scene.room * arch.word if scene.room else 0
    session.go("main", name="main", stack=stack)
    seen = Forking(session)
    seen.run(STEPS)
    if seen.broken:
        return Verdict(seen.broken[0].what, seen.broken[0].step, session.steps, findings=seen.facts)
    return Verdict(looked=session.steps, findings=seen.facts)


def text(variant: Variant, arch: Arch) -> str:
    """The guests of a variant, and what else it says of its run."""
    scene = SCENES[variant.name]
    lines = [f"// era {scene.era}", *([f"// {scene.runtime.__doc__}"] if scene.runtime else [])]
    lines += [f"// a stack with {scene.room} words above its guard"] if scene.room else []
    for function in guests(scene, arch):
        check = "no stack check" if function.nosplit else "stack check"
        lines += [f"{function.name}:  // {check}, {function.slots} slots"]
        lines += [f"    {line}" if not line.startswith(".") else line for line in function.body.split("\n")]
    return "\n".join(lines)


def _variant(
    name: str, commit: str, differs: str, breaks: str = "", where: str = "386 amd64 arm", **notes: str
) -> Variant:
    """``breaks``: the arches on which it does; ``where``: those that had such code; ``on_ARCH``: a note."""
    history = {arch: "breaks" if arch in breaks.split() else "holds" for arch in where.split()}
    return Variant(name, commit, differs, history, {arch.removeprefix("on_"): note for arch, note in notes.items()})


_EVERYWHERE = "386 amd64 arm"
_X86 = "386 amd64"
_COPIED = "fork copied memory here until Go 1.17"
_G0 = "the child throws as it should; the parent wakes up as g0 (so does a program of Go 1.27.3 with such a child)"

CASE = Case(
    "fork-guard", "the child of a fork must not grow its stack", STORY,
    (
        _variant("before", "e678ab4e^", "no hooks; fork copies memory", _EVERYWHERE),
        _variant("before-shared", "e678ab4e^", "the program asks for CLONE_VM and CLONE_VFORK", _EVERYWHERE),
        _variant("committed", "e678ab4e", "BeforeFork and AfterFork poison both guards and restore them"),
        _variant("committed-shared", "e678ab4e", "the same, on shared memory", _X86, on_386=_G0, on_amd64=_G0),
        _variant(
            "later", "15b76ad94b", "StackFork in one guard, as in Go 1.9: vfork on amd64", "amd64",
            on_386=_COPIED, on_amd64=_G0, on_arm=_COPIED,
        ),
        _variant("modern", "go1.27.3", "vfork everywhere; the hooks stay on the goroutine's stack", _X86,
                 on_386=_G0, on_amd64=_G0),
        _variant("faultless", "go1.27.3", "the same; the child makes no mistake"),
        _variant("huge-committed", "e678ab4e", "the child's mistake has a huge frame", _EVERYWHERE),
        _variant("huge-later", "15b76ad94b", "the same in Go 1.9", _EVERYWHERE),
        _variant("huge-modern", "ef3122e909", "the huge check subtracts with a borrow, Go 1.17 (arm: 24dd8cfe23)"),
        _variant("linked", "e678ab4e", "BeforeFork's own stack check links a segment", _EVERYWHERE),
        _variant("linked-found", "e678ab4e", "the same, if oldstack found the segment to free", _EVERYWHERE),
        _variant("linked-later", "15b76ad94b", "the same room; BeforeFork works on g0's stack"),
        _variant("preempted-committed", "e678ab4e", "sysmon asks meanwhile; newstack asks m.forkstackguard", _X86,
                 on_386=_G0, on_amd64=_G0),
        _variant("preempted-later", "df0892cbf8", "sysmon asks meanwhile; newstack asks the guard", "amd64", "amd64"),
        _variant("preempted-modern", "go1.27.3", "the same on all three", _EVERYWHERE),
    ),
    run, text,
)
