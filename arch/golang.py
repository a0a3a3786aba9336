"""Eras of the Go runtime: layouts, guard constants, and what each era's routines do differently.

Sources: the commits named in each record (Go's repository), read per architecture. All of it is for Linux.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from arch import tables
from arch.layout import Layout
from arch.model import Arch


class Guards(NamedTuple):
    """Stack constants of an era on Linux, in bytes; ``special``: name -> signed value of a guard word.

    ``guard``: the guard lies this far above the bottom of a stack. ``small``: how far below the guard a
    frame may reach unchecked. ``big``: above it the huge form of the check is used. ``minimum``: smallest
    stack. ``extra``: added to a new segment (0 where there are none). ``nosplit``: most that a chain of
    unchecked functions may use. ``special`` holds only what is stored in the guard that prologues compare.
    ``poison_min`` (signed) is the bound at or above which a guard word, unsigned, is special; it is never stored.
    ``guard1`` (signed) stands in stackguard1 of every ordinary goroutine. 0 where the era has none.
    """

    guard: int
    small: int
    big: int
    minimum: int
    extra: int
    nosplit: int
    special: Mapping[str, int]
    poison_min: int = 0
    guard1: int = 0


class Check(NamedTuple):
    """The stack check in front of a function, as one era emits it on one architecture.

    ``small``, ``medium``: the largest frame that still gets this form. ``credit``: bytes of the frame that
    the medium form does not count. ``equal``: SP (less the frame) equal to the guard calls morestack.
    ``huge``: ``always`` calls it; ``preempt`` knows StackPreempt by equality and compares distances above
    the guard; ``borrow`` subtracts with an underflow test.
    """

    small: int
    medium: int
    credit: int
    equal: bool
    huge: str

    def form(self, frame: int) -> str:
        """``small``, ``medium`` or ``huge`` for a frame of so many bytes."""
        if frame <= self.small:
            return "small"
        return "medium" if frame <= self.medium else "huge"


class Era(NamedTuple):
    """A generation of the runtime.

    ``stacks``: ``segmented`` (linked segments), ``hybrid`` (copies or links) or ``contiguous`` (copies).
    ``tls_slots``: names of the words just below the thread's TLS base, lowest first.
    ``layouts``: arch name -> Layout. ``routines``: arch name -> routines that exist there, in the order
    of the source. ``internal``: arch name -> routines that follow the register ABI.
    ``checks``: arch name -> Check. ``first_g0``: arch name -> bytes from the guard of the first thread's g0
    up to the initial SP. ``g0_stack``, ``gsignal_stack``: bytes, for threads that Go makes.
    """

    name: str
    commit: str
    stacks: str
    guards: Guards
    tls_slots: tuple[str, ...]
    layouts: Mapping[str, Layout]
    routines: Mapping[str, tuple[str, ...]]
    internal: Mapping[str, frozenset[str]]
    checks: Mapping[str, Check]
    first_g0: Mapping[str, int]
    g0_stack: int
    gsignal_stack: int

    def layout(self, arch: Arch) -> Layout:
        """The layout of G, M, Gobuf (and Stktop) on ``arch``."""
        return self.layouts[arch.name]

    def names(self, arch: Arch) -> dict[str, int]:
        """Every name that an assembly source of this era may use for a number.

        Layout fields and sizes (``g.sched.sp``, ``g.size``), ``Stack*`` constants, and the special guard
        values as words (``StackPreempt``); ``word`` is the pointer size. Where a segment register leads to
        the thread's words, ``TLS.g`` (and ``TLS.m``) are their signed offsets from its base.
        """
        layout, guards = self.layout(arch), self.guards
        found = {**layout.offsets, **{f"{struct}.size": size for struct, size in layout.sizes.items()}}
        found |= {
            "word": arch.word,
            "StackGuard": guards.guard,
            "StackSmall": guards.small,
            "StackBig": guards.big,
            "StackMin": guards.minimum,
            "StackExtra": guards.extra,
        }
        words = {**guards.special, "StackPoisonMin": guards.poison_min, "StackGuard1": guards.guard1}
        found |= {name: value & arch.mask for name, value in words.items() if value}
        if arch.tls.segment:
            below = len(self.tls_slots)
            found |= {f"TLS.{slot}": (i - below) * arch.word for i, slot in enumerate(self.tls_slots)}
        return found

    def check_form(self, arch: Arch, frame: int) -> str:
        """Which form of the stack check a function has: ``small``, ``medium`` or ``huge``.

        ``frame``: all bytes below SP at entry, except the return PC on x86; on arm the saved link counts.
        """
        return self.checks[arch.name].form(frame)

    def grows(self, arch: Arch, frame: int, sp: int, guard: int) -> bool:
        """Whether the stack check of a function calls morestack.

        ``frame`` as in `check_form`; ``sp`` at entry; ``guard``: the guard word. All arithmetic is unsigned and wraps.
        """
        check, mask = self.checks[arch.name], arch.mask
        sp, guard = sp & mask, guard & mask
        form = check.form(frame)
        if form == "small":
            return _low(sp, guard, check.equal)
        if form == "medium":
            return _low((sp - (frame - check.credit)) & mask, guard, check.equal)
        if check.huge == "always":
            return True
        beyond = frame - self.guards.small
        if check.huge == "borrow":
            return sp < beyond or sp - beyond <= guard
        if guard == self.guards.special["StackPreempt"] & mask:
            return True
        return (sp + self.guards.guard - guard) & mask <= beyond + self.guards.guard


def _low(sp: int, guard: int, equal: bool) -> bool:
    return sp < guard or (equal and sp == guard)


def _everywhere(routines: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"386": routines, "amd64": routines, "arm": routines}


# morestackNN of the C eras' amd64: which of frame size and argument size the caller gave, or n words of arguments.
VARIANTS = tuple(f"morestack{n}" for n in ("00", "10", "01", "11", "8", "16", "24", "32", "40", "48"))

_RAW = ("RawSyscall", "RawSyscall6")
_2011 = ("gosave", "gogo", "gogocall", "mcall", "morestack")
_2014 = ("gosave", "gogo", "mcall", "morestack", "morestack_noctxt")
_2017 = ("gosave", "gogo", "mcall", "systemstack", "morestack", "morestack_noctxt", *_RAW)
_MODERN = (
    "gogo", "mcall", "systemstack", "morestack", "morestack_noctxt",
    "rawVforkSyscall", "rawSyscallNoError", "Syscall6",
)
_TWINS = tuple(f"{name}_noctxt" for name in VARIANTS)

_K64, _K8 = 64 * 1024 - 104, 8 * 1024 - 104

ERAS: dict[str, Era] = {
    era.name: era
    for era in (
        Era(
            name="2011",
            commit="370276a3e58c",
            stacks="segmented",
            guards=Guards(guard=256, small=128, big=4096, minimum=4096, extra=1024, nosplit=128, special={}),
            tls_slots=("g", "m"),
            layouts=tables.layouts(tables.E2011),
            routines=_everywhere((*_2011, "lessstack", *_RAW)) | {"amd64": (*_2011, *VARIANTS, "lessstack", *_RAW)},
            internal={},
            checks={
                "386": Check(small=128, medium=4095, credit=128, equal=True, huge="always"),
                "amd64": Check(small=128, medium=4095, credit=128, equal=True, huge="always"),
                "arm": Check(small=127, medium=4095, credit=0, equal=False, huge="always"),
            },
            first_g0={"386": _K64, "amd64": _K8, "arm": _K8},
            g0_stack=8192,
            gsignal_stack=32768,
        ),
        Era(
            name="2014",
            commit="e678ab4e3756",
            stacks="hybrid",
            guards=Guards(
                guard=256, small=128, big=4096, minimum=4096, extra=2048, nosplit=128,
                special={"StackPreempt": -1314, "StackPoison": -1315},
            ),
            tls_slots=("g", "m"),
            layouts=tables.layouts(tables.E2014),
            routines=_everywhere((*_2014, "lessstack", *_RAW))
            | {"amd64": (*_2014, *VARIANTS, *_TWINS, "lessstack", *_RAW)},
            internal={},
            checks={
                "386": Check(small=128, medium=4096, credit=128, equal=True, huge="preempt"),
                "amd64": Check(small=128, medium=4096, credit=128, equal=True, huge="preempt"),
                "arm": Check(small=128, medium=4096, credit=0, equal=True, huge="preempt"),
            },
            first_g0={"386": _K64, "amd64": _K64, "arm": _K8},
            g0_stack=8192,
            gsignal_stack=32768,
        ),
        Era(
            name="2017",
            commit="67e537541c04",
            stacks="contiguous",
            guards=Guards(
                guard=880, small=128, big=4096, minimum=2048, extra=0, nosplit=752,
                special={"StackPreempt": -1314, "StackFork": -1234}, guard1=-1,
            ),
            tls_slots=("g",),
            layouts=tables.layouts(tables.E2017),
            routines=_everywhere(_2017) | {"amd64": (*_2017, "rawVforkSyscall")},
            internal={},
            checks={
                "386": Check(small=128, medium=4096, credit=128, equal=True, huge="preempt"),
                "amd64": Check(small=128, medium=4096, credit=128, equal=True, huge="preempt"),
                "arm": Check(small=128, medium=4096, credit=128, equal=True, huge="preempt"),
            },
            first_g0={"386": _K64, "amd64": _K64, "arm": _K64},
            g0_stack=8192,
            gsignal_stack=32768,
        ),
        Era(
            name="modern",
            commit="go1.27.3",
            stacks="contiguous",
            guards=Guards(
                guard=928, small=128, big=4096, minimum=2048, extra=0, nosplit=800,
                special={"StackPreempt": -1314, "StackFork": -1234, "StackForceMove": -275},
                poison_min=-4096, guard1=-1,
            ),
            tls_slots=("g",),
            layouts=tables.layouts(tables.MODERN),
            routines=_everywhere(_MODERN),
            internal={"amd64": frozenset({"mcall", "Syscall6"})},
            checks={
                "386": Check(small=128, medium=4096, credit=128, equal=True, huge="borrow"),
                "amd64": Check(small=128, medium=4096, credit=128, equal=True, huge="borrow"),
                "arm": Check(small=128, medium=4096, credit=128, equal=True, huge="borrow"),
            },
            first_g0={"386": _K64, "amd64": 64 * 1024, "arm": _K64},
            g0_stack=16384,
            gsignal_stack=32768,
        ),
    )
}

HOOKS: Mapping[str, str] = {"mayMoreStackPreempt": "StackPreempt", "mayMoreStackMove": "StackForceMove"}
"""The runtime's own hooks in front of stack checks -> the request that they put into the guard."""

# The minor versions of Go 1 that belong to an era; 3 and 9 are the releases that the commits shipped in.
_RELEASES = {3: "2014", 9: "2017"} | dict.fromkeys(range(21, 28), "modern")


def era(name: str) -> Era:
    """The era of this name, or the one that a Go release (``go1.9``, ``go1.27.3``) belongs to.

    Raises KeyError, with a message that says what is accepted.
    """
    release = re.fullmatch(r"go1\.([1-9][0-9]*)(\.[0-9]+)?", name)
    found = _RELEASES.get(int(release[1]), "") if release else name
    if found not in ERAS:
        raise KeyError(f"no era {name!r}; there are {', '.join(ERAS)}, and the releases go1.3, go1.9, go1.21 to go1.27")
    return ERAS[found]
