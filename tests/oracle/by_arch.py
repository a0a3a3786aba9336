"""Where one architecture carries what another does not, or carries it otherwise: all of it, with reasons.

``eras`` and ``routine`` of a row are patterns; several eras are separated by blanks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from roles import ITSELF, SPOILED


@dataclass(frozen=True)
class Row:
    """What every row says: where it holds, and why."""

    eras: str
    routine: str

    def covers(self, era: str, routine: str) -> bool:
        return any(fnmatchcase(era, e) for e in self.eras.split()) and fnmatchcase(routine, self.routine)


@dataclass(frozen=True)
class Exists(Row):
    """A routine (``scene`` is ``*``) or a scene of it exists on some ``arches`` only."""

    scene: str
    arches: str
    why: str


@dataclass(frozen=True)
class Stops(Row):
    """A scene ends in another way: arch -> stop. What is carried there is not compared."""

    scene: str
    stops: Mapping[str, str]
    why: str


@dataclass(frozen=True)
class Only(Row):
    """A (role, place) that only some ``arches`` carry; ``value``: a name of what they carry there.

    ``as PLACE`` stands for what the same role carries to another place.
    """

    role: str
    place: str
    arches: str
    value: str
    why: str


@dataclass(frozen=True)
class Differs(Row):
    """A (role, place) whose value differs at a stop: arch -> a name of its value."""

    scene: str
    stop: str
    role: str
    place: str
    values: Mapping[str, str]
    why: str


_SIZES = "amd64's checks pass sizes through morestackNN, which store them"
_PAIR = "386 and arm pass the sizes in two registers; on amd64 they are the business of morestackNN"
_NO_LINK = "there is a link register: g.sched, gobufs and frames have a word for it"
_FRAME = "Go keeps frame pointers on amd64"
_MIRROR = "the register ABI repeats g in a register"
_CGO = "g is a register: programs with C code repeat it in a word of the thread"
_M = "m is a register, which must survive; elsewhere it is a word that nobody writes"
AS_G = "as running g"
_OWN_FRAME = "the frame that the routine itself pushes: saved BP on amd64, saved link on arm, none on 386"
_CALL = "where a call leaves its return PC"
_FLAGS = "a check's call is conditional there, and so may the branch behind it be"
_KERNEL = "the stub sets as many of the kernel's arguments as the author of this architecture's stub thought of"

EXISTS = (
    Exists("2011 2014", "morestack[0-9]*", "*", "amd64", _SIZES),
    Exists("2017", "rawVforkSyscall", "*", "amd64", "386 and arm have it since Go 1.17"),
    Exists("*", "morestack", "g0 without room", "386", "386 touches g0's stack before it moves there"),
    Exists("2014 2017 modern", "gogo", "opposite flags", "arm", _FLAGS),
    Exists("2014 2017 modern", "gogo", "iscgo", "arm", _CGO),
    Exists("2017 modern", "mcall", "iscgo", "arm", _CGO),
    Exists("2017 modern", "systemstack", "iscgo", "arm", _CGO),
    Exists("2017 modern", "morestack", "iscgo", "arm", _CGO),
    Exists("2014", "lessstack", "oldstack returns", "386 amd64", "arm jumps: there is nothing behind it"),
)

_BEHIND = "behind arm's call is a return, through a link that newstack has spoiled"
_STORE = {"386": "fault:0x1003", "amd64": "fault:0x1003"}
STOPS = (
    Stops("2011", "morestack", "newstack returns", {**_STORE, "arm": "resumed"},
          "arm jumps to newstack: it returns to f"),
    Stops("2014 2017", "morestack", "newstack returns", {**_STORE, "arm": SPOILED}, _BEHIND),
    Stops("modern", "morestack", "newstack returns", {"386": "abort", "amd64": "abort", "arm": SPOILED}, _BEHIND),
    Stops("2011", "lessstack", "oldstack returns", {"386": "fault:0x1004", "amd64": "fault:0x1004", "arm": "other"},
          "arm jumps to oldstack: it returns where f's link led"),
    Stops("2017", "gogo", "nil g", {"386": "fault:0x0", "amd64": "fault:0x0", "arm": "resumed"},
          "only x86 reads through g in this era"),
)  # fmt: skip

ONLY = (
    Only("2011 2014", "*", "m", ITSELF, "arm", "m", _M),
    # the link register
    Only("2014 2017 modern", "gogo", "cleared", "buf.lr", "arm", "0", _NO_LINK),
    Only("2014 2017", "gosave", "cleared", "buf.lr", "arm", "0", _NO_LINK),
    Only("2014 2017 modern", "gogo", "link", ITSELF, "arm", "buf.lr at entry", _NO_LINK),
    Only("2014 2017 modern", "mcall", "no link", "g.sched.lr", "arm", "0", _NO_LINK),
    Only("modern", "systemstack", "no link", "g.sched.lr", "arm", "0", _NO_LINK),
    Only("2017", "systemstack", "link", "g.sched.lr", "arm", "caller", _NO_LINK),
    Only("2014 2017 modern", "morestack*", "f's link", "g.sched.lr", "arm", "caller", _NO_LINK),
    Only("2017 modern", "morestack*", "no caller", "saved link on g0's stack", "arm", "0", _NO_LINK),
    Only("2017", "gogo", "link", "saved link", "arm", "caller", "it is saved around the call of the write barrier"),
    Only("*", "*yscall*", "link", ITSELF, "arm", "caller", "the return PC stays in the link register all the time"),
    Only("2011", "morestack", "PC in f", "link", "arm", "resumed", "arm jumps to newstack, so that the link stays"),
    Only("2011", "gogocall", "return PC", "link", "arm", "resumed", _CALL),
    Only("2011", "gogocall", "return PC", "return PC of fn", "386 amd64", "resumed", _CALL),
    Only("modern", "systemstack", "return PC", "link", "arm", "caller", _CALL),
    Only("modern", "systemstack", "return PC", ITSELF, "386 amd64", "caller", _CALL),
    Only("2014 2017 modern", "gogo", "flag C", ITSELF, "arm", "set", _FLAGS),
    Only("2014 2017 modern", "gogo", "flag Z", ITSELF, "arm", "set", _FLAGS),
    # the frame pointer
    Only("2017 modern", "gogo", "cleared", "buf.bp", "amd64", "0", _FRAME),
    Only("2017 modern", "gogo", "fp", ITSELF, "amd64", "buf.bp at entry", _FRAME),
    Only("2017", "gosave", "frame pointer", "buf.bp", "amd64", "fp at entry", _FRAME),
    Only("*", "*yscall*", "frame pointer", "fp", "amd64", "fp at entry", _FRAME),
    Only("2017", "gosave", "frame pointer", "fp", "amd64", "fp at entry", _FRAME),
    Only("2017 modern", "systemstack", "frame pointer", "fp", "amd64", "fp at entry", _FRAME),
    Only("modern", "systemstack", "frame pointer", "fp", "amd64", "SP at entry -1", _OWN_FRAME),
    Only("modern", "morestack*", "frame pointer", "fp", "amd64", "0", _FRAME),
    Only("2017 modern", "mcall", "frame pointer", "g.sched.bp", "amd64", "fp at entry", _FRAME),
    Only("2017 modern", "morestack*", "frame pointer", "g.sched.bp", "amd64", "fp at entry", _FRAME),
    Only("2017", "systemstack", "frame pointer", "g.sched.bp", "amd64", "fp at entry", _FRAME),
    Only("modern", "systemstack", "frame pointer", "g.sched.bp", "amd64", "SP at entry -1", _OWN_FRAME),
    Only("modern", "mcall", "no frame", "fp", "amd64", "0", _FRAME),
    Only("modern", "systemstack", "g.sched is free", "g.sched.bp", "amd64", "0", _FRAME),
    # the register ABI
    Only("modern", "*", "g", "g register", "amd64", AS_G, _MIRROR),
    Only("modern", "*", "g0", "g register", "amd64", AS_G, _MIRROR),
    Only("modern", "morestack", "gsignal", "g register", "amd64", AS_G, _MIRROR),
    Only("modern", "Syscall6", "zero", "zero register", "amd64", "0", "the register ABI has a register that holds 0"),
    # what x86 alone writes, and what not every stub passes
    Only("2014 2017", "morestack*", "g", "g.sched.g", "386 amd64", "as m.morebuf.g", "arm finds it there"),
    Only("2011 2014", "morestack*", "size of f's frame", "m.moreframesize", "386 arm", "f's frame at entry", _PAIR),
    Only("2011 2014", "morestack*", "size of f's arguments", "m.moreargsize", "386 arm", "f's arg at entry", _PAIR),
    Only("2011 2014 2017", "RawSyscall", "a4", ITSELF, "386 amd64", "0", _KERNEL),
    Only("2011 2014 2017", "RawSyscall", "a5", ITSELF, "386 amd64", "0", _KERNEL),
    Only("2011 2014 2017", "RawSyscall", "a6", ITSELF, "amd64", "0", _KERNEL),
    Only("modern", "rawSyscallNoError", "a4", ITSELF, "386", "0", _KERNEL),
    Only("modern", "rawSyscallNoError", "a5", ITSELF, "386", "0", _KERNEL),
    Only("modern", "rawVforkSyscall", "a4", ITSELF, "amd64", "0", _KERNEL),
    Only("modern", "rawVforkSyscall", "a5", ITSELF, "amd64", "0", _KERNEL),
    Only("modern", "rawVforkSyscall", "a6", ITSELF, "amd64", "0", _KERNEL),
)

DIFFERS = (
    Differs("2011", "mcall", "switch", "badmcall2", "g0's SP", "sp",
            {"386": "g0.sched.sp, after a call", "amd64": "g0.sched.sp, after a call", "arm": "g0.sched.sp -2"},
            "x86 pops fn's argument and calls; arm leaves its frame of two words"),
    Differs("2014 2017 modern", "mcall", "switch", "badmcall2", "g0's SP", "sp",
            {"386": "g0.sched.sp", "amd64": "g0.sched.sp", "arm": "g0.sched.sp -2"},
            "x86 pops fn's argument and jumps; arm leaves its frame of two words"),
    Differs("modern", "mcall", "on g0", "badmcall", "SP", "sp",
            {"386": "SP at entry", "amd64": "SP at entry -1", "arm": "SP at entry"}, _OWN_FRAME),
    Differs("2011 2014", "gogo", "nil g", "fault:0x0", "g", "running g", {"386": "g", "amd64": "g", "arm": "0"},
            "arm moves g into its register to read through it"),
    Differs("2017", "systemstack", "*", "fn", "PC", "g.sched.pc",
            {"386": "systemstack_switch+0x0", "amd64": "systemstack_switch+0x0", "arm": "systemstack_switch+0x4"},
            "behind the push of what systemstack has pushed too"),
    Differs("modern", "systemstack", "*", "*", "PC", "g.sched.pc",
            {"386": "systemstack_switch+0x0", "amd64": "systemstack_switch+0x8", "arm": "systemstack_switch+0x4"},
            "behind the push of what systemstack has pushed too"),
    Differs("modern", "systemstack", "*", "*", "SP", "g.sched.sp",
            {"386": "SP at entry", "amd64": "SP at entry -1", "arm": "SP at entry -1"}, _OWN_FRAME),
    Differs("modern", "systemstack", "wrong g", "abort", "SP", "sp",
            {"386": "SP at entry", "amd64": "SP at entry -1", "arm": "SP at entry -1"}, _OWN_FRAME),
    Differs("modern", "systemstack", "wrong g", "badsystemstack", "SP", "sp",
            {"386": "SP at entry, after a call", "amd64": "SP at entry -1, after a call", "arm": "SP at entry -1"},
            _OWN_FRAME),
    Differs("2014", "RawSyscall*", "*", "trap", "SP", "sp",
            {"386": "SP at entry, after a call", "amd64": "SP at entry", "arm": "SP at entry"},
            "386 enters the kernel through a call of what _vdso points to"),
    Differs("*", "RawSyscall", "*", "caller", "r2", ITSELF,
            {"386": "every byte 0x44", "amd64": "every byte 0x44", "arm": "0"},
            "x86 returns a register that the kernel has kept; arm's short stub returns 0"),
    Differs("modern", "rawSyscallNoError", "*", "caller", "r2", ITSELF,
            {"386": "every byte 0x44", "amd64": "every byte 0x44", "arm": "0"},
            "x86 returns a register that the kernel has kept; arm's short stub returns 0"),
    Differs("*", "*yscall6", "*", "caller", "r2", ITSELF,
            {"386": "every byte 0x44", "amd64": "every byte 0x44", "arm": "every byte 0x33"},
            "a register that the kernel has kept: the third argument's on x86, the second's on arm"),
)  # fmt: skip
