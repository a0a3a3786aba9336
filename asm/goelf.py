"""A Go program lifted from its executable: code, symbols, layout of the runtime's structs, routines of interest.

Sources: the ELF file's own tables; `asm.buildinfo` for version and settings; `asm.pclntab` for functions and lines;
DWARF (`asm.dwarf`) or `arch.releases` for layout and constants.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from arch import releases
from arch.layout import Layout
from arch.model import Arch
from asm import buildinfo, dwarf, pclntab
from asm import cache as store
from asm.buildinfo import BuildInfo
from asm.elf import MEMORY, ElfError, Image, parse
from asm.pclntab import FunctionTable
from asm.program import Program, Symbol
from asm.symbols import FunctionSymbols, TableSymbols

__all__ = ["ROUTINES", "ElfError", "GoBinary", "lift", "load"]

ROUTINES: Mapping[str, tuple[str, ...]] = {
    "mcall": ("runtime.mcall",),
    "gogo": ("runtime.gogo.abi0", "runtime.gogo"),
    "gogo<>": ("gogo",),
    "systemstack": ("runtime.systemstack.abi0", "runtime.systemstack"),
    "morestack": ("runtime.morestack.abi0", "runtime.morestack"),
    "morestack_noctxt": ("runtime.morestack_noctxt.abi0", "runtime.morestack_noctxt"),
    "rawVforkSyscall": ("syscall.rawVforkSyscall.abi0", "syscall.rawVforkSyscall"),
    "rawSyscallNoError": ("syscall.rawSyscallNoError.abi0", "syscall.rawSyscallNoError"),
    "Syscall6": ("internal/runtime/syscall/linux.Syscall6", "internal/runtime/syscall.Syscall6",
                 "runtime/internal/syscall.Syscall6"),
}  # fmt: skip
"""Routine -> the symbols that its body may have, the likeliest first.

On amd64 a plain name beside ``name.abi0`` is a wrapper that the compiler made, not the assembly. ``gogo<>`` is the
file-local tail that ``runtime.gogo`` jumps to.
"""

_CACHED = "goelf-1"  # raise the number when what is taken from DWARF changes
_REBUILD = "rebuild it with go build -ldflags='-s=false -w=false' (go test and go run strip by default)"
_CGO = "crosscall2"  # the way from C into Go: every program with runtime/cgo has it
_DWARF = (".debug_info", ".debug_abbrev")
# Build setting -> the values that cannot be run, as a pattern, and the way out.
_REFUSED: Mapping[str, tuple[str, str]] = {
    "GOOS": ("(?!linux$).*", "only GOOS=linux is supported"),
    "GOAMD64": ("v[3-9]", "the emulated CPU has no AVX: rebuild it with GOAMD64=v2 or v1"),
}


@dataclass(frozen=True)
class GoBinary:
    """A static Go program for Linux, read from its executable.

    ``arch``: name of the architecture. ``go``: version of the toolchain, such as ``go1.27.3``. ``settings``: how it
    was built (``GOARM`` -> ``7`` …), as far as the linker noted it. ``stripped``: it has no symbol table, so that
    ``program`` knows functions only, out of ``functions``, the table that every Go program carries. ``entry``: where
    it starts.

    ``layout``: of ``g``, ``m``, ``gobuf`` and ``stack``, nested structs by dotted name beside their own; None if it
    is not known, and ``unknown`` says why. ``constants``: stack constants by bare name (``stackGuard``,
    ``StackSmall``), empty without a layout. ``vfork_inputs``: words that rawVforkSyscall takes, the trap number
    among them. ``routines``: the names of `ROUTINES`; None is a routine that the linker dropped: *absent*.
    """

    path: Path
    arch: str
    go: str
    settings: Mapping[str, str]
    stripped: bool
    entry: int
    program: Program
    functions: FunctionTable = field(compare=False)
    layout: Layout | None
    unknown: str
    constants: Mapping[str, int]
    vfork_inputs: int | None
    routines: Mapping[str, Symbol | None]


def load(path: Path | str, cache: Path | None = None, *, quick: bool = False) -> GoBinary:
    """Lift the Go program at ``path``.

    The layout is the one that the program's DWARF tells, because a program may come from a changed runtime that
    kept its version number. Getting it takes a second, so it is kept, by the hash of the file's contents, in the
    folder ``cache`` (the user's cache folder unless given). Without DWARF it is the one of the Go release
    (`arch.releases`). ``quick`` takes the release's wherever there is one, and DWARF only for a version that the
    table does not have: what unchanged toolchains build has the same numbers in both.

    Raises:
        ElfError: the file cannot be read or is not a static Go program for a known architecture.
    """
    path = Path(path)
    try:
        return lift(_contents(path), path, cache, quick=quick)
    except ElfError as error:
        raise ElfError(f"{path}: {error}") from None


def lift(data: bytes, path: Path, cache: Path | None = None, *, quick: bool = False) -> GoBinary:
    """As `load`, of the bytes of an executable whose ``path`` is only told, and is not part of an error's text."""
    image = parse(data)
    info = buildinfo.read(image)
    _refuse(image, info)
    functions = _functions(image)
    stripped = not image.has(".symtab")
    symbols = FunctionSymbols(functions, image.arch.internal is not None) if stripped else TableSymbols(image)
    routines = {name: _routine(image, symbols, names) for name, names in ROUTINES.items()}
    release = None if info.experiments else releases.of_version(info.go)
    facts = _facts(image, release, cache or store.folder(), quick)
    return GoBinary(
        path=path,
        arch=image.arch.name,
        go=info.go,
        settings=info.settings,
        stripped=stripped,
        entry=image.entry,
        program=Program(arch=image.arch.name, segments=image.segments, symbols=symbols),
        functions=functions,
        layout=facts.layout if facts else None,
        unknown="" if facts else _why(info),
        constants=facts.constants if facts else {},
        vfork_inputs=_vfork_inputs(image.arch, functions, routines["rawVforkSyscall"]),
        routines=routines,
    )


def _contents(path: Path) -> bytes:
    if "\0" in str(path):
        raise ElfError("no file has such a name")
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ElfError("a directory, not a program")
        if not stat.S_ISREG(status.st_mode):  # a pipe or a device may never end
            raise ElfError("not a regular file")
        if status.st_size > MEMORY:
            raise ElfError(f"the file has {status.st_size} bytes; the limit is {MEMORY}")
        return path.read_bytes()
    except OSError as error:
        raise ElfError(f"cannot be read: {error.strerror or error}") from None


def _refuse(image: Image, info: BuildInfo) -> None:
    """Raises ElfError, with the way out, for a Go program that cannot be run."""
    if image.dynamic:
        raise ElfError("dynamically linked; only static programs are supported: rebuild it with CGO_ENABLED=0")
    for setting, (pattern, way_out) in _REFUSED.items():
        value = info.settings.get(setting, "")
        if value and re.fullmatch(pattern, value):
            raise ElfError(f"built with {setting}={value}; {way_out}")


def _functions(image: Image) -> FunctionTable:
    functions = pclntab.read(image)
    if functions.named(_CGO):
        raise ElfError("it contains C code (cgo); only pure Go is supported: rebuild it with CGO_ENABLED=0")
    return functions


def _routine(image: Image, symbols: Mapping[str, Symbol], names: tuple[str, ...]) -> Symbol | None:
    symbol = next((symbols[name] for name in names if name in symbols), None)
    if symbol is None:
        return None
    end = symbol.address + symbol.size
    for segment in image.segments:
        if segment.address <= symbol.address < end <= segment.address + len(segment.data) and segment.executable:
            return symbol
    raise ElfError(f"damaged: {symbol.name} lies outside of the code")


def _facts(image: Image, release: str | None, folder: Path | None, quick: bool) -> dwarf.Facts | None:
    """Layout and constants, from the release's table or from DWARF; None if neither is there."""
    described = all(image.has(name) for name in _DWARF)
    if release and (quick or not described):
        return dwarf.Facts(releases.layout(release, image.arch.word), releases.constants(release))
    return _described(image, folder) if described else None


def _described(image: Image, folder: Path | None) -> dwarf.Facts:
    """What the DWARF says, from the cache if it is there."""
    import hashlib  # OpenSSL takes a while to load, and most programs need none of this

    key = f"{_CACHED}-{hashlib.sha256(image.data).hexdigest()}"
    known = store.read(folder, key) if folder else None
    if isinstance(known, dict):  # its checksum holds, so it has the shape that was written
        layout = Layout(image.arch.word, known["offsets"], known["sizes"])
        return dwarf.Facts(layout, known["constants"])
    sections = {name: image.section(name) for name in image.sections if name.startswith(".debug_")}
    facts = dwarf.read({name: data for name, data in sections.items() if data is not None}, image.arch.word)
    if folder:
        value = {"offsets": facts.layout.offsets, "sizes": facts.layout.sizes, "constants": facts.constants}
        store.write(folder, key, value)
    return facts


def _why(info: BuildInfo) -> str:
    first, *_, last = releases.known()
    tried = f" with GOEXPERIMENT={info.experiments}" if info.experiments else ""
    return f"built by {info.go}{tried}: of {first} to {last} alone are layouts known without DWARF; {_REBUILD}"


def _vfork_inputs(arch: Arch, functions: FunctionTable, stub: Symbol | None) -> int | None:
    """Arguments of rawVforkSyscall without its two results. DWARF knows no parameters of assembly functions."""
    if stub is None:
        return None
    found = functions.at(stub.address)
    if found is None or found.address != stub.address:
        raise ElfError("damaged Go function table: it does not know rawVforkSyscall")
    words, rest = divmod(found.arguments or 0, arch.word)
    if rest or not 2 <= words - 2 <= 6:
        raise ElfError("damaged Go function table: rawVforkSyscall takes impossible arguments")
    return words - 2
