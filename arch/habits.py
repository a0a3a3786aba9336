"""What the switching routines of each era save, clear, check and refuse: the points where eras differ.

What all eras share is in the contracts. Sources: the trampolines at the commits that the era records name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Habits:
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
    TLS word, or ``""``.
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


_X86_BEFORE = {"386": "before", "amd64": "before"}

HABITS: dict[str, Habits] = {
    "2011": Habits(
        clears=False, function="code", saves_g=True, refusal_calls=True, frame_saved="", frame_cleared=False,
        probe={**_X86_BEFORE, "arm": "after"}, barrier=False, link_flags=(), cgo="",
    ),
    "2014": Habits(
        clears=True, function="code", saves_g=True, refusal_calls=False, frame_saved="", frame_cleared=False,
        probe={**_X86_BEFORE, "arm": "after"}, barrier=False, link_flags=("Z", "C"), cgo="call",
    ),
    "2017": Habits(
        clears=True, function="funcval", saves_g=True, refusal_calls=False, frame_saved="own", frame_cleared=False,
        probe={**_X86_BEFORE, "arm": ""}, barrier=True, link_flags=("Z", "C"), cgo="mirror",
    ),
    "modern": Habits(
        clears=True, function="funcval", saves_g=False, refusal_calls=False, frame_saved="caller", frame_cleared=True,
        probe={**_X86_BEFORE, "arm": "before"}, barrier=False, link_flags=("Z", "C"), cgo="mirror",
    ),
}


def habits(era: str, go: str = "") -> Habits:
    """The habits of an era; ``go`` (``go1.21.13``) narrows the modern ones to a release.

    Clearing the frame pointer on the way to g0 came after Go 1.21 (seen in the binaries of 1.21.13).
    """
    found = HABITS[era]
    return replace(found, frame_cleared=False) if go.startswith("go1.21") else found
