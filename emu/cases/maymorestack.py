"""maymorestack: a hook in front of every stack check makes the rare event the usual one; and must itself do no harm."""

from __future__ import annotations

from dataclasses import dataclass

from arch import golang
from arch.habits import habits
from arch.model import Arch
from asm import guests, hooks
from asm.guests import Function
from asm.hooks import Hook
from emu import target as targets
from emu.cases.model import BREAKS, HOLDS, Case, Variant, Verdict
from emu.check import check
from emu.contracts.judge import Check
from emu.flows.hooked import ROUNDS, Program
from emu.scenes import hooked

STORY = """
A goroutine may be preempted, and its stack moved, at every function it enters; in most runs this happens at almost
none. Code that takes it for granted that nothing changes across a call passes its tests for years: in issue 47441 of
Go's runtime, state that was read before a call was used after it, when a preemption had made it somebody else's.

before: a worker reads a counter, calls a closure that adds one, and stores what it returns. Two workers, and the sum
is right: nobody happens to be preempted in that call.

found: Go 1.18 has a debug flag, maymorestack. Under it every prologue that checks its stack first calls a function
that the flag names. The runtime brings two. mayMoreStackPreempt writes StackPreempt into the guard that the prologue
then compares: each call is preempted, and one worker's work is lost. On g0 and gsignal the hook does nothing, and a
guard that already asks for something (a fork's poison, a move) is left alone.

committed: the worker reads the counter after the call. Under the same hook each call of each function is preempted
exactly once, because the jump back from morestack leads behind the hook; what the program computes is what it was.

move: the other hook. Each call moves the stack, to another one of the same size.

recursive: a hook must not have a stack check. If it has one, it has the call of the hook as well: its own.

emitted: a hook is code like any other and may destroy what its ABI lets it. What the function still needs the prologue
must keep: the return PC, the closure context, arguments in registers. Here the hook is a gate that destroys all it
may. On arm the prologue puts the closure context (R7) on the stack and never takes it back: the generator prepared the
load and then used its place for the next one. A closure reads its variables through whatever the hook left in R7. The
runtime's own hooks leave R7 alone, so nobody noticed from Go 1.18 to 1.27.3.

intended: the prologue with that load.

Beside the workers a recursion through frames of every size and a goroutine that gives way run in each variant. The
same defect is found in a program of one's own, built with -gcflags=all=-d=maymorestack=runtime.mayMoreStackPreempt
(main= instead of all= matches no package, and is silently ignored): stackcarry check --elf PROGRAM main.f.func1.
"""

# worker(counter, rounds): adds 1 to the counter, so many times. advance(x) returns x and the word in its closure.
_WORKER = """
    code advance; put 3; constant 1; put 4
.turn:
    argument 1; if_zero .end
    argument 0; put 2
    {before}; put 0
    address 3; invoke_value
    {after}; set_word_at 2, 0
    argument 1; plus_constant -1; set_argument 1
    goto .turn
.end:
"""
_STALE = ("word_at 0", "get 1")
_FRESH = ("constant 0", "get 2; word_at 0; plus 1")
_ADVANCE = Function("advance", "context word; put 0; argument 0; plus 0; set_argument 1", args=2, slots=1, ctxt=True)
_CALLED = {"worker": 2, "advance": 2 * ROUNDS}

_SPLITTABLE = Function(hooked.HOOK, "constant 0; put 0", slots=1)  # what a hook may not be


@dataclass(frozen=True)
class Setup:
    """What differs: how the worker reads and stores, the hook, and whether that is a function with a stack check."""

    work: tuple[str, str]
    hook: Hook | None
    splittable: bool = False

    @property
    def functions(self) -> tuple[Function, ...]:
        """The guests that matter here."""
        before, after = self.work
        worker = Function("worker", _WORKER.format(before=before, after=after), args=2, slots=5)
        return (worker, _ADVANCE, *((_SPLITTABLE,) if self.splittable else ()))


_SETUPS = {
    "before": Setup(_STALE, None),
    "found": Setup(_STALE, Hook("mayMoreStackPreempt")),
    "committed": Setup(_FRESH, Hook("mayMoreStackPreempt")),
    "move": Setup(_FRESH, Hook("mayMoreStackMove")),
    "recursive": Setup(_FRESH, Hook(hooked.HOOK), splittable=True),
    "emitted": Setup(_FRESH, Hook(hooked.HOOK)),
    "intended": Setup(_FRESH, Hook(hooked.HOOK, intended=True)),
}


def _run(variant: Variant, arch: Arch, _schedule: str) -> Verdict:
    """The program on the modern era's routines; before it the hook alone or, if that is a gate, the prologues alone."""
    setup = _SETUPS[variant.name]
    program = Program(targets.of_era("modern", arch.name), setup.functions, _CALLED, setup.hook)
    alone, told, steps = list[tuple[str, Check]](), list[str](), 0
    if setup.hook and setup.hook.name in golang.HOOKS:
        results = check(targets.of_hooks("modern", arch.name), [setup.hook.name])
        alone = [(f"{setup.hook.name}, {r.scene}", r.check) for r in results if r.check]
        told.append(f"{setup.hook.name} alone, on g, g0 and gsignal, with every special guard: {len(alone)} checks")
    elif setup.hook and not setup.splittable:
        for scene, checks in hooked.judged("modern", arch.name, setup.hook.intended):
            alone += [(scene, item) for item in checks]
            steps += checks[-1].step
        told.append(f"prologues alone, the hook a gate: {len(alone)} checks")
    ran = list(program.run())
    met = [f"{item.name.rsplit(' ', 1)[-1]} {item.found}" for item in ran if " met by calls of " in item.name]
    told += [f"calls that met the request, each once: {', '.join(met)}"] if met else []
    told += [f"the program: {_words('', item)}" for item in ran if not item.ok]
    wrong = [(scene, item) for scene, item in (*alone, *(("", item) for item in ran)) if not item.ok]
    if not wrong:
        return Verdict(looked=steps + program.steps, findings=tuple(told))
    scene, item = wrong[0]
    return Verdict(_words(scene, item), item.step, findings=tuple(told) if scene else ())


def _words(scene: str, item: Check) -> str:
    what = item.found if item.expected == item.name else f"{item.name}: expected {item.expected}, found {item.found}"
    return f"{scene}: {what}" if scene else what


def _text(variant: Variant, arch: Arch) -> str:
    """The guests with their prologues, and the instructions that a prologue's call of the hook stands for."""
    setup, era = _SETUPS[variant.name], golang.era("modern")
    sources = [guests.text(f, era, arch, habits(era.name), setup.hook) for f in setup.functions]
    lines = [line.strip() for text in sources for line in text.replace(";", "\n").splitlines() if line.strip()]
    if setup.hook:
        lines += ["the call in advance:", *hooks.text(arch, setup.hook, ctxt=True)]
    return "\n".join(lines)



CASE = Case(
    name="maymorestack",
    title="a hook that preempts at every stack check, and the register that its call loses",
    story=STORY,
    variants=(
        Variant("before", "go1.17", "no hook; the worker's mistake goes unseen", HOLDS),
        Variant("found", "35c7234601c4", "the same worker under mayMoreStackPreempt", BREAKS),
        Variant("committed", "35c7234601c4", "a worker without the mistake under mayMoreStackPreempt", HOLDS),
        Variant("move", "bd580a0d10", "the same under mayMoreStackMove", HOLDS),
        Variant("recursive", "3839b60014", "a hook that has a stack check, and so the call of a hook", BREAKS),
        Variant(
            "emitted", "3839b60014", "the hook destroys all that its ABI lets it; the prologue as Go emits it",
            {**HOLDS, "arm": "breaks"},
            {"arm": "R7 is stored and never loaded again, in Go 1.18 to 1.27.3"},
        ),
        Variant("intended", "none", "the same; the prologue as it was meant, a change on arm only", HOLDS),
    ),
    run=_run,
    text=_text,
)
