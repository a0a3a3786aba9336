"""What Go's system-call stubs hand to the kernel and take back: the points where arches and eras differ.

Sources: syscall/asm_linux_*.s at the commits that the era records name, and the stubs in binaries of Go 1.21 and 1.27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from arch.model import Arch


class Stub(NamedTuple):
    """One stub on one architecture.

    ``inputs``: words it takes, the system call's number first; its results follow: r1, r2 if it has one, err if it
    can fail. ``arguments``: how many of the kernel's arguments it sets; those beyond its inputs are 0.
    ``echo``: on success r2 is this argument of the kernel's, counted from 1, because the kernel keeps its register
    (0: r2 is 0; None: there is no r2). ``fails``: whether it tells errors from results.
    ``keeper``: the register that holds the return PC while the kernel runs. ``called``: the kernel is entered
    through a call, whose return PC then lies just below SP.
    """

    inputs: int
    arguments: int
    echo: int | None
    fails: bool = True
    keeper: str = ""
    called: bool = False


# Words that rawVforkSyscall takes: 2, then 3 in Go 1.20, 4 since Go 1.22. A lifted binary knows its own number.
VFORK_INPUTS: Mapping[str, int] = {"2017": 2, "modern": 4}

_STUBS: Mapping[str, Mapping[str, Stub]] = {
    "386": {
        "RawSyscall": Stub(4, 5, echo=3),
        "RawSyscall6": Stub(7, 6, echo=3),
        "Syscall6": Stub(7, 6, echo=3),
        "rawSyscallNoError": Stub(4, 5, echo=3, fails=False),
        "rawVforkSyscall": Stub(4, 3, echo=None, keeper="esi"),
    },
    "amd64": {
        "RawSyscall": Stub(4, 6, echo=3),
        "RawSyscall6": Stub(7, 6, echo=3),
        "Syscall6": Stub(7, 6, echo=3),
        "rawSyscallNoError": Stub(4, 3, echo=3, fails=False),
        "rawVforkSyscall": Stub(4, 6, echo=None, keeper="r12"),
    },
    "arm": {
        "RawSyscall": Stub(4, 3, echo=0),
        "RawSyscall6": Stub(7, 6, echo=2),
        "Syscall6": Stub(7, 6, echo=2),
        "rawSyscallNoError": Stub(4, 3, echo=0, fails=False),
        "rawVforkSyscall": Stub(4, 3, echo=None, keeper="lr"),
    },
}

# Where an era enters the kernel through a pointer to code that the kernel provides (the vDSO).
_CALLED = {("2014", "386")}
VDSO_CODE = {"386": bytes.fromhex("cd80 c3")}
"""What that pointer leads to where the kernel provides nothing better: ``int 0x80; ret``."""


def stub(era: str, arch: Arch, name: str) -> Stub:
    """The stub ``name`` of an era; KeyError if there is none. rawVforkSyscall's inputs are those of the modern era."""
    found = _STUBS[arch.name][name]
    return found._replace(called=True) if (era, arch.name) in _CALLED else found
