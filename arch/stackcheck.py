"""How a stack check hands over to morestack: which entry, which sizes in which registers, and who comes back where.

Which check a frame has, and when it fails, stands in `arch.golang`. Sources: the prologues that the linkers and
assemblers emit at the commits that the era records name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from arch.golang import Era
from arch.habits import habits
from arch.model import Arch

_NOTHING: Mapping[str, int] = {}
_STKTOP = 88  # bytes that 2014's check reserves for a Stktop, whatever its real size


class Style(NamedTuple):
    """The handover of one era on one architecture.

    ``sizes``: nothing of them is passed (``""``); the frame itself (``frame``); a ``hint``, 0 where a segment of
    the smallest size does; or the same two through the choice of a ``variant`` of morestack. In which registers
    stands in `arch.habits` (``Growth.hands``); a variant takes both in the result register.
    ``again``: the function goes on in its ``body``, is entered anew from its ``start``, or makes the ``check`` again.
    ``scratch``: form -> registers that the check may change whether or not it calls.
    """

    sizes: str
    again: str
    scratch: Mapping[str, tuple[str, ...]]


class Call(NamedTuple):
    """What one function passes: the entry it calls and register -> value.

    ``extra``: what the era's source macro takes as its last parameter, a hint or a variant's sizes; None if nothing.
    """

    entry: str
    passed: Mapping[str, int] = _NOTHING
    extra: int | None = None


def _scratch(small: str, medium: str, huge: str) -> dict[str, tuple[str, ...]]:
    return {"small": tuple(small.split()), "medium": tuple(medium.split()), "huge": tuple(huge.split())}


_386, _AMD64 = _scratch("ecx", "ecx eax", "ecx eax esi"), _scratch("rcx", "rcx rax", "rcx rax rsi")
_ARM = _scratch("r1", "r1 r2 r11", "r1 r2 r3 r11")

STYLES: dict[str, dict[str, Style]] = {
    "2011": {
        "386": Style("hint", "body", _scratch("ecx", "ecx eax", "")),
        "amd64": Style("variant", "body", _scratch("rcx", "rcx rax", "")),
        "arm": Style("frame", "body", _scratch("r1", "r1 r2 r11", "")),
    },
    "2014": {
        "386": Style("hint", "start", _386),
        "amd64": Style("variant", "start", _AMD64),
        "arm": Style("frame", "start", _ARM),
    },
    "2017": {
        "386": Style("", "check", _386),
        "amd64": Style("", "check", _AMD64),
        "arm": Style("", "check", _ARM),
    },
    "modern": {
        "386": Style("", "check", _scratch("ecx", "ecx eax", "ecx eax")),
        "amd64": Style("", "check", _scratch("", "r12", "r12")),
        "arm": Style("", "check", _scratch("r1", "r1 r2 r11", "r1 r2 r11")),
    },
}


def style(era: Era, arch: Arch) -> Style:
    """How functions of ``era`` call morestack on ``arch``."""
    return STYLES[era.name][arch.name]


def frame_hint(era: Era, arch: Arch, frame: int, args: int) -> int:
    """The frame bytes that 2011's and 2014's checks ask for; 0 where any segment is large enough.

    2011 adds 160 bytes for callees that do not check and rounds down to 8; 2014 rounds the frame up to 8.
    """
    if era.name == "2011":
        needed = frame + 160
        return needed & ~7 if needed + args > era.guards.minimum else 0
    needed = _STKTOP + args + arch.word + frame + arch.word + era.guards.small
    return (frame + 7) & ~7 if needed >= era.guards.minimum else 0


def call(era: Era, arch: Arch, frame: int, args: int, *, ctxt: bool = True) -> Call:
    """What a function with ``frame`` and ``args`` bytes passes; ``ctxt``: it uses its closure context.

    2011 has no closure contexts and only the one kind of entry.
    """
    sizes, hands = style(era, arch).sizes, habits(era.name).growth.hands.get(arch.name, {})
    suffix = "" if ctxt or era.name == "2011" else "_noctxt"
    if sizes == "variant":
        return _variant(arch.roles["result"], frame_hint(era, arch, frame, args), args, suffix)
    entry = f"morestack{suffix}"
    if sizes == "hint":
        hint = frame_hint(era, arch, frame, args)
        return Call(entry, {hands["frame"]: hint, hands["arg"]: args}, hint)
    if sizes == "frame":
        unchecked = 160 if era.name == "2011" and era.check_form(arch, frame) != "huge" else 0
        return Call(entry, {hands["frame"]: frame + unchecked, hands["arg"]: args})
    return Call(entry)


HOOK_WORDS: Mapping[str, tuple[int, int]] = {"386": (1, 2), "amd64": (1, 2), "arm": (2, 2)}
"""Arch -> words below SP that a prologue uses when it calls its hook (Go 1.18 to 1.27): without a closure context to
keep, and with one. On arm the context is put there either way."""

HOOK_KEEPS: Mapping[str, tuple[str, ...]] = {"386": (), "amd64": (), "arm": ("ctxt",)}
"""Arch -> roles that the runtime's own hooks leave alone, although a callee need not: what emitted prologues lose."""


def _variant(register: str, hint: int, args: int, suffix: str) -> Call:
    """The amd64 entry of the C eras for these sizes: 48 bytes of arguments at most are in its name."""
    if not hint and not args:
        return Call(f"morestack00{suffix}")
    if not hint and args <= 48:
        return Call(f"morestack{args}{suffix}")
    digits = f"{int(bool(hint))}{int(bool(args))}"
    both = args << 32 | hint if hint and args else hint or args
    return Call(f"morestack{digits}{suffix}", {register: both}, both)
