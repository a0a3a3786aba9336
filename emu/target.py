"""What is checked: a program with its arch, era and layout, assembled from our sources or lifted from a binary.

From here on nobody asks where the program came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import arch as arches
from arch import golang, stubs
from arch.golang import Era
from arch.model import Arch
from arch.stubs import VFORK_INPUTS
from asm import goelf, hooks, source
from asm.assembler import assemble
from asm.program import Program, Segment, Symbol
from asm.statement import Statement

# Far from where Go's linker puts programs, and close enough for an arm branch from code to gates.
CODE, DATA, VDSO, GATES = 0x4E00_0000, 0x4E80_0000, 0x4E90_0000, 0x4F00_0000
OWN_END = 0x7000_0000  # up to here lie the stacks and structs of 32-bit worlds, too
OWN_64 = range(0xC0_0000_0000, 0xD0_0000_0000)  # and those of 64-bit ones
_GATE_STEP = 16

# Functions of the runtime that Python stands for.
RUNTIME_GATES = (
    "newstack", "oldstack", "badmcall", "badmcall2", "badmorestackg0", "badmorestackgsignal", "badsystemstack",
    "badctxt", "abort", "prewrite", "save_gm", "mstart",
)
# Where function pointers and return PCs of scenes and guests lead.
OUTSIDE_GATES = ("fn", "resumed", "caller", "other")


@dataclass(frozen=True, eq=False)
class Target:
    """A program and what is known of it. Compared and hashed by identity.

    ``routines``: name -> symbol, None where the linker dropped it (*absent*). ``data``: name -> address of
    the variables that scenes set (``iscgo``, ``tls_g``, ``_vdso``). ``go``, ``file``: for a lifted binary.
    ``vfork_inputs``: words that rawVforkSyscall takes, 0 where there is none.
    """

    arch: Arch
    era: Era
    program: Program
    routines: Mapping[str, Symbol | None]
    data: Mapping[str, int]
    go: str = ""
    file: str = ""
    vfork_inputs: int = 0

    @property
    def title(self) -> str:
        """How it is named above its column: the era, or the file and its Go version."""
        return f"{self.file} ({self.go})" if self.file else f"era {self.era.name}"


def gates(names: tuple[str, ...]) -> dict[str, int]:
    """Addresses for gates, in order."""
    return {name: GATES + index * _GATE_STEP for index, name in enumerate(names)}


def _data(arch: Arch) -> tuple[tuple[Segment, ...], dict[str, int]]:
    """The variables that our sources read: iscgo (a byte), tls_g and _vdso (words), and what that leads to."""
    names = ("iscgo", "tls_g", "_vdso")
    addresses = {name: DATA + index * 16 for index, name in enumerate(names)}
    code = stubs.VDSO_CODE.get(arch.name, b"")
    image = bytes(addresses["_vdso"] - DATA) + arch.pack(VDSO if code else 0).ljust(16, b"\0")
    data = Segment(DATA, image, len(image), writable=True, executable=False)
    entry = Segment(VDSO, code, len(code), writable=False, executable=True)
    return ((data, entry) if code else (data,)), addresses


@cache
def of_era(era_name: str, arch_name: str) -> Target:
    """Our own sources of an era, assembled. Raises KeyError for unknown names, AsmError for a broken source."""
    arch, era = arches.get(arch_name), golang.era(era_name)
    return of_statements(era, arch, source.load(era.name, arch.name))


@cache
def of_hooks(era_name: str, arch_name: str) -> Target:
    """Our own sources of the runtime's hooks in front of stack checks. Raises KeyError, AsmError as `of_era`."""
    arch, era = arches.get(arch_name), golang.era(era_name)
    outside = gates(RUNTIME_GATES + OUTSIDE_GATES)
    program = assemble(hooks.routines(arch), arch, base=CODE, names=era.names(arch), gates=outside)
    return Target(arch, era, program, {name: program.symbols[name] for name in golang.HOOKS}, {})


def of_statements(era: Era, arch: Arch, statements: Sequence[Statement]) -> Target:
    """The routines of an era, assembled from statements that need not be ours. Raises AsmError."""
    segments, data = _data(arch)
    program = assemble(
        statements, arch, base=CODE, names={**era.names(arch), **data}, gates=gates(RUNTIME_GATES + OUTSIDE_GATES)
    )
    program = replace(program, segments=(*program.segments, *segments))
    routines = {name: program.symbols.get(name) for name in era.routines[arch.name]}
    return Target(arch, era, program, routines, data, vfork_inputs=VFORK_INPUTS.get(era.name, 0))


# Values of GOARM with which cgo finds its word of TLS through code in a page of the kernel's, which scenes do not have.
_HELPED = ("5", "6")


@lru_cache(maxsize=8)
def of_binary(path: str) -> Target:
    """The routines, layout and constants of a static Go binary. Raises ElfError."""
    binary = goelf.load(path)
    for own in (range(CODE, OWN_END), OWN_64):
        for segment in binary.program.segments:
            if segment.address < own.stop and segment.address + segment.size > own.start:
                where = f"{own.start:#x} to {own.stop:#x} is needed for stacks and gates"
                raise goelf.ElfError(f"{path}: linked at {segment.address:#x}; {where}: link it elsewhere")
    arch = arches.get(binary.arch)
    if binary.layout is None:
        raise goelf.ElfError(f"{path}: {binary.unknown}")
    try:
        modern = golang.era(binary.go)
    except KeyError:
        raise goelf.ElfError(f"{path}: built by {binary.go}; Go 1.21 to 1.27 are known") from None
    era = modern._replace(layouts={arch.name: binary.layout})
    found = {name: _address(binary.program, name) for name in RUNTIME_GATES}
    named = {name: address for name, address in found.items() if address is not None}
    program = replace(binary.program, gates={**named, **gates(OUTSIDE_GATES)})
    cgo = "runtime.iscgo" in program and binary.settings.get("GOARM", "7")[0] not in _HELPED
    data = {"iscgo": program.symbols["runtime.iscgo"].address} if cgo else {}
    hooked = {name: program.symbols[f"runtime.{name}"] for name in golang.HOOKS if f"runtime.{name}" in program}
    return Target(
        arch, era, program, {**binary.routines, **hooked}, data, binary.go, str(path),
        vfork_inputs=binary.vfork_inputs or 0,
    )


def _address(program: Program, name: str) -> int | None:
    """Where assembly that calls a runtime function arrives: at its stack-ABI entry if it has one."""
    for symbol in (f"runtime.{name}.abi0", f"runtime.{name}"):
        if symbol in program:
            return program.symbols[symbol].address
    return None
