"""Changes that no check notices, each with the reason why none should.

A row holds in every era and arch it names, or it is wrong: where it matches nothing any more, the test fails.
``go-1.21`` and ``go-newest`` are the routines of real binaries; the rows of the latter are those of Go 1.27.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sweep.run import Survivor


@dataclass(frozen=True)
class Row:
    """Survivors by where they are, and why they may be. ``*`` in the last three patterns stands for anything.

    ``text`` is of the unchanged instructions, as the source has them, those of a pair with `` ; `` between.
    """

    eras: str
    arches: str
    routine: str
    operator: str
    text: str
    reason: str

    def covers(self, era: str, arch: str) -> bool:
        return era in self.eras.split() and arch in self.arches.split()

    def matches(self, survivor: Survivor) -> bool:
        return all(
            _pattern(pattern).fullmatch(value)
            for pattern, value in (
                (self.routine, survivor.routine), (self.operator, survivor.operator), (self.text, survivor.shown),
            )
        )


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in text.split("*")))


def unexplained(era: str, arch: str, survivors: Iterable[Survivor]) -> tuple[list[Survivor], list[Row]]:
    """The survivors that no row explains, and the rows that explain none though they should."""
    unused = {table: [row for row in rows if row.covers(era, arch)] for table, rows in TABLES.items()}
    rows = {table: list(found) for table, found in unused.items()}
    left = []
    for survivor in survivors:
        found = [row for row in rows[survivor.executed] if row.matches(survivor)]
        if not found:
            left.append(survivor)
        unused[survivor.executed] = [row for row in unused[survivor.executed] if row not in found]
    return left, [row for table in unused.values() for row in table]


_OURS = "2011 2014 2017 modern"
_REAL = "go-1.21 go-newest"
_X86 = "386 amd64"

_REPLACED = "where the branch is taken the result replaces the -1"
_FREE = "it keeps registers that its caller does not use again"
_SAME = "rbp equals rsp there"
_PROBE = "a probe for a nil g: the load is what counts, not its result"

# Instructions that no scene executes.
UNREACHED: tuple[Row, ...] = (
    Row("2017 modern", f"{_X86} arm", "systemstack_switch", "*", "*", "it is never called: its address says who waits"),
    Row("2011", _X86, "mcall", "nop", "ret", "stands behind the call of badmcall2, which never returns"),
    Row("2011", "arm", "mcall", "*", "bx lr", "stands behind the call of badmcall2, which never returns"),
    Row(_REAL, _X86, "mcall", "nop", "ret", "stands behind the jump to badmcall2"),
    Row(_REAL, "amd64", "mcall", "*", "pop rbp", "stands behind the jump to badmcall2"),
    Row(_REAL, "arm", "mcall", "*", "add pc, lr, #0", "stands behind the branch to badmcall2"),
    Row(_REAL, _X86, "morestack", "nop", "ret", "stands behind the call of abort, which never returns"),
    Row(_REAL, "arm", "*", "nop", "b #*", "the assembler's mark between code that has ended and its literals"),
)

SURVIVORS: tuple[Row, ...] = (
    # What is loaded is not used.
    Row(f"{_OURS} {_REAL}", _X86, "mcall", "register", "pop *ax", "drops a word: which register takes it is all one"),
    Row(f"{_OURS} {_REAL}", "386", "morestack", "register", "mov ebx, dword ptr [eax - 4]",
        "a probe of g0's stack: the load is what counts, not its result"),
    Row("2011 2014", "arm", "gogo", "register", "ldr r2, [r10]", _PROBE),
    Row("2011", "arm", "gogocall", "register", "ldr r3, [r10]", _PROBE),
    Row(f"modern {_REAL}", "arm", "gogo", "register", "ldr r2, [r0]", _PROBE),
    Row("2011", "arm", "gogocall", "*", "ldr r2, [sp, #12]", "the third argument is loaded and nothing is made of it"),
    Row("2017 modern", "arm", "*", "*", "mov r0, r10", "setg keeps r0 for all who use it; this routine has no need"),
    Row(_REAL, "arm", "setg", "*", "mov r0, r10", "it keeps r0, which gogo does not need"),
    Row(_REAL, "arm", "save_g", "*", "mov r0, r10", "it keeps r0, which none of the callers needs"),
    Row(f"modern {_REAL}", "amd64", "systemstack", "*", "mov rbp, qword ptr [rax + *]",
        "the saved frame pointer is that of its own frame: the next pop replaces it"),
    Row(_REAL, "386", "gosave_systemstack_switch", "register", "push e*x", _FREE),
    Row(_REAL, "386", "gosave_systemstack_switch", "register", "pop e*x", _FREE),
    Row(_REAL, "386", "gosave_systemstack_switch", "swap", "push e*x ; *", _FREE),
    Row(_REAL, "386", "gosave_systemstack_switch", "swap", "pop ebx ; pop eax", _FREE),
    # The same value, or the same way, twice.
    Row("modern", "amd64", "mcall", "register", "mov rbx, qword ptr [rsp + 8]", _SAME),
    Row("modern", "amd64", "mcall", "register", "lea rbx, [rsp + 16]", _SAME),
    Row("modern", "amd64", "systemstack", "register", "mov rdi, qword ptr [rsp + 16]", _SAME),
    Row("modern", "amd64", "systemstack", "register", "mov qword ptr [r14 + g.sched.sp], rsp", _SAME),
    Row(_REAL, "amd64", "mcall", "register", "mov rbx, rsp", _SAME),
    Row(_REAL, "amd64", "mcall", "register", "mov rbx, qword ptr [rbx + 8]", "rbp equals rbx there"),
    Row(_REAL, "amd64", "mcall", "register", "lea rbx, [rsp + 0x10]", _SAME),
    Row(_REAL, "amd64", "systemstack", "register", "mov rdi, qword ptr [rsp + 0x10]", _SAME),
    Row(_REAL, "386", "systemstack", "nop", "mov ecx, dword ptr gs:[0]", "the callee before it has left ecx as it was"),
    Row(_REAL, "386", "systemstack", "swap", "call * ; mov ecx, dword ptr gs:[0]", "the callee does not touch ecx"),
    Row(_REAL, "arm", "gogo", "swap", "bl * ; ldr sp, [r1]", "the callee, setg, uses no stack"),
    Row(_REAL, _X86, "systemstack", "nop", "int 3", "the padding behind it is the same instruction"),
    Row("2017", _X86, "systemstack", "nop", "ret", "control runs on into systemstack_switch, which is a ret"),
    # One of the two is undone, or changes nothing, where the other one leads.
    Row("2014 2017 modern", "386", "mcall", "swap", "je badmcall ; mov dword ptr [* + TLS.g], esi",
        "the branch is taken on g0, and there the word holds g0 already"),
    Row("2014 2017", "amd64", "mcall", "swap", "je badmcall ; mov qword ptr fs:[TLS.g], rsi",
        "the branch is taken on g0, and there the word holds g0 already"),
    Row("2011", "arm", "mcall", "swap", "bleq badmcall ; ldr sp, [r10, #g.sched.sp]",
        "the call is made on g0, and there the word is the SP that was just saved"),
    Row("2011 2014 2017", _X86, "RawSyscall", "swap", "jbe .ok ; mov *ptr [*sp + *], -1", _REPLACED),
    Row("2011 2014 2017", _X86, "RawSyscall6", "swap", "jbe .ok ; mov *ptr [*sp + *], -1", _REPLACED),
    Row("modern", _X86, "rawVforkSyscall", "swap", "jbe .good ; mov *ptr [*sp + *], -1", _REPLACED),
    Row("2017", "amd64", "rawVforkSyscall", "swap", "jbe .good ; mov *ptr [*sp + *], -1", _REPLACED),
    Row("modern", "386", "Syscall6", "swap", "jbe .good ; mov *ptr [*sp + *], -1", _REPLACED),
    Row(_REAL, _X86, "rawVforkSyscall", "swap", "jbe * ; mov *ptr [*sp + *], *", _REPLACED),
    Row(_REAL, "386", "Syscall6", "swap", "jbe * ; mov *ptr [*sp + *], *", _REPLACED),
    # No-ops.
    Row(f"modern {_REAL}", "arm", "morestack_noctxt", "nop", "mov sp, sp", "a mark for readers of stack tables"),
    Row("go-newest", "amd64", "mcall", "nop", "nop", "is one"),
    Row("go-newest", "amd64", "mcall", "swap", "call r12 ; nop", "fn returns one byte further on, to the same"),
)

TABLES = {True: SURVIVORS, False: UNREACHED}
