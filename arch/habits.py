"""What the switching routines of each era save, clear, check and refuse: the points where eras differ.

What all eras share is in the contracts. Sources: the trampolines at the commits that the era records name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_NOTHING: Mapping[str, str] = {}


class Growth(NamedTuple):
    """How one era's morestack and lessstack behave. f: the function whose stack check failed.

    ``hands``: arch -> what -> the register in which f's check hands it over: ``frame`` and ``arg`` (sizes), ``m``,
    ``return`` (f's return PC, once the call of morestack has taken the link register).
    ``refuses``: fields of m that name a g whose stack cannot grow. ``tells``: badmorestackg0 or badmorestackgsignal
    is called before the crash. ``abort``: arches that crash by calling abort; the others execute a breakpoint.
    ``saves_first``: arches that write g.sched before they refuse. ``sched_g``: arches that write sched.g.
    ``ctxt``: where f's closure context goes: ``sched``, ``argument`` of newstack, or ``""`` for nowhere.
    ``frame``: the frame pointer that newstack starts with: ``zero``, ``g0`` (from g0.sched), or ``""`` for any.
    ``no_link``: newstack is called with a zero link word on g0's stack, on an arch with a link register.
    ``probe``: arches that touch g0's stack before they move to it. ``jumps``: arches that jump to newstack and
    oldstack, so that the link register stays. ``if_newstack_returns``, ``if_oldstack_returns``: arch -> ``abort``,
    ``fault:ADDRESS``, ``link`` (goes where the link register then leads), ``entry link`` (where it led at entry).
    """

    hands: Mapping[str, Mapping[str, str]]
    refuses: tuple[str, ...]
    tells: bool
    abort: frozenset[str]
    saves_first: frozenset[str]
    sched_g: frozenset[str]
    ctxt: str
    frame: str
    no_link: bool
    probe: frozenset[str]
    jumps: frozenset[str]
    if_newstack_returns: Mapping[str, str]
    if_oldstack_returns: Mapping[str, str] = _NOTHING


class OnSystem(NamedTuple):
    """How one era's systemstack behaves.

    ``frame``: arches on which it has a frame of one word of its own. ``sched_pc``: arch -> offset into
    systemstack_switch of the PC that stands in g.sched meanwhile. ``clean``: g.sched then has no link and no
    result, and a stale ctxt is refused; otherwise sched.lr is the return PC. ``saves_frame``: sched.bp is that of the
    ``caller`` or of its ``own`` frame, which is then taken from there and cleared on the way back.
    ``bottom``: mstart as a return PC lies under fn on g0's stack. ``tail``: on g0 and gsignal fn is jumped to, and
    otherwise called. ``ends``: a refusal that returns ends in abort.
    """

    frame: frozenset[str]
    sched_pc: Mapping[str, int]
    clean: bool
    saves_frame: str
    bottom: bool
    tail: bool
    ends: bool


class Habits(NamedTuple):
    """How one era's routines behave where another's do not.

    ``clears``: gogo empties the gobuf it resumes from (all but PC and g), and gosave and mcall the link word.
    ``function``: mcall's fn is a ``code`` address or a ``funcval`` (a pointer to a word with the code address).
    ``saves_g``: mcall writes sched.g. ``refusal_calls``: a refusing mcall calls badmcall instead of jumping.
    ``frame_saved``: mcall and systemstack save the frame pointer: ``own`` register, ``caller`` (the word BP
    points at), or ``""``. ``frame_cleared``: a switch to g0 leaves the frame pointer 0.
    ``probe``: arch -> when gogo reads through g: ``before`` the thread's g changes, ``after``, or ``""`` never.
    ``barrier``: gogo calls the write barrier for a ctxt that it is about to clear.
    ``link_flags``: condition flags that gogo leaves set on an arch with a link register.
    ``cgo``: what gogo does with g under cgo where g lives in a register: ``call`` save_gm, ``mirror`` it in a
    TLS word, or ``""``. ``growth``, ``system``: see there; ``system`` is None where there is no systemstack.
    """

    clears: bool
    function: str
    saves_g: bool
    refusal_calls: bool
    frame_saved: str
    frame_cleared: bool
    probe: Mapping[str, str]
    barrier: bool
    link_flags: tuple[str, ...]
    cgo: str
    growth: Growth
    system: OnSystem | None = None


_X86_BEFORE = {"386": "before", "amd64": "before"}
_X86, _ARM, _ALL = frozenset({"386", "amd64"}), frozenset({"arm"}), frozenset({"386", "amd64", "arm"})
_STORE = {"386": "fault:0x1003", "amd64": "fault:0x1003"}
_LESS = {"386": "fault:0x1004", "amd64": "fault:0x1004"}

_GROWTH: dict[str, Growth] = {
    "2011": Growth(
        hands={
            "386": {"frame": "edx", "arg": "eax"}, "amd64": {"m": "rbx"},
            "arm": {"frame": "r1", "arg": "r2", "return": "r3"},
        },
        refuses=("g0",), tells=False, abort=_ARM, saves_first=frozenset(), sched_g=frozenset(), ctxt="", frame="",
        no_link=False, probe=frozenset({"386"}), jumps=_ARM, if_newstack_returns=_STORE | {"arm": "entry link"},
        if_oldstack_returns=_LESS | {"arm": "entry link"},
    ),
    "2014": Growth(
        hands={
            "386": {"frame": "edi", "arg": "eax"}, "amd64": {"m": "rbx"},
            "arm": {"frame": "r1", "arg": "r2", "return": "r3"},
        },
        refuses=("g0",), tells=False, abort=_ARM, saves_first=frozenset(), sched_g=_X86, ctxt="sched", frame="",
        no_link=False, probe=frozenset({"386"}), jumps=frozenset(), if_newstack_returns=_STORE | {"arm": "link"},
        if_oldstack_returns=_LESS,
    ),
    "2017": Growth(
        hands={"arm": {"return": "r3"}}, refuses=("g0", "gsignal"), tells=True, abort=_ARM, saves_first=frozenset(),
        sched_g=_X86, ctxt="argument", frame="", no_link=True, probe=frozenset({"386"}), jumps=frozenset(),
        if_newstack_returns=_STORE | {"arm": "link"},
    ),
    "modern": Growth(
        hands={"arm": {"return": "r3"}}, refuses=("g0", "gsignal"), tells=True, abort=_ALL, saves_first=_ALL,
        sched_g=frozenset(), ctxt="sched", frame="zero", no_link=True, probe=frozenset({"386"}), jumps=frozenset(),
        if_newstack_returns={"386": "abort", "amd64": "abort", "arm": "link"},
    ),
}

_SYSTEM: dict[str, OnSystem] = {
    "2017": OnSystem(
        frame=_ARM, sched_pc={"386": 0, "amd64": 0, "arm": 4}, clean=False, saves_frame="caller", bottom=True,
        tail=False, ends=False,
    ),
    "modern": OnSystem(
        frame=frozenset({"amd64", "arm"}), sched_pc={"386": 0, "amd64": 8, "arm": 4}, clean=True, saves_frame="own",
        bottom=False, tail=True, ends=True,
    ),
}

HABITS: dict[str, Habits] = {
    "2011": Habits(
        clears=False, function="code", saves_g=True, refusal_calls=True, frame_saved="", frame_cleared=False,
        probe={**_X86_BEFORE, "arm": "after"}, barrier=False, link_flags=(), cgo="",
        growth=_GROWTH["2011"],
    ),
    "2014": Habits(
        clears=True, function="code", saves_g=True, refusal_calls=False, frame_saved="", frame_cleared=False,
        probe={**_X86_BEFORE, "arm": "after"}, barrier=False, link_flags=("Z", "C"), cgo="call",
        growth=_GROWTH["2014"],
    ),
    "2017": Habits(
        clears=True, function="funcval", saves_g=True, refusal_calls=False, frame_saved="own", frame_cleared=False,
        probe={**_X86_BEFORE, "arm": ""}, barrier=True, link_flags=("Z", "C"), cgo="mirror",
        growth=_GROWTH["2017"], system=_SYSTEM["2017"],
    ),
    "modern": Habits(
        clears=True, function="funcval", saves_g=False, refusal_calls=False, frame_saved="caller", frame_cleared=True,
        probe={**_X86_BEFORE, "arm": "before"}, barrier=False, link_flags=("Z", "C"), cgo="mirror",
        growth=_GROWTH["modern"], system=_SYSTEM["modern"],
    ),
}


def habits(era: str, go: str = "") -> Habits:
    """The habits of an era; ``go`` (``go1.21.13``) narrows the modern ones to a release.

    Seen in the sources and binaries of Go 1.21 to 1.27: the frame pointer is cleared on the way to g0 since 1.25;
    morestack writes g.sched before it refuses since 1.22 on amd64, since 1.23 everywhere.
    """
    found = HABITS[era]
    release = re.match(r"go1\.(\d+)", go)
    if era != "modern" or release is None:
        return found
    growth, minor = found.growth, int(release[1])
    if minor < 23:
        growth = growth._replace(saves_first=frozenset({"amd64"}) if minor == 22 else frozenset())
    if minor < 25:
        return found._replace(frame_cleared=False, growth=growth._replace(frame="g0"))
    return found._replace(growth=growth)
