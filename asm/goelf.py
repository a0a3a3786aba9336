"""A Go program lifted from its executable: code, symbols, layout of the runtime's structs, routines of interest.

Sources: the ELF file's own tables; `.go.buildinfo` (Go's debug/buildinfo) for the version; DWARF for layout and
constants; `.gopclntab` (Go's runtime/symtab.go) for the size of an assembly function's frame of arguments.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from arch.layout import Layout
from arch.model import Arch
from asm import cache as store
from asm import dwarf
from asm.elf import MEMORY, ElfError, Image, parse
from asm.program import Program, Symbol

__all__ = ["ROUTINES", "ElfError", "GoBinary", "load"]

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
_BUILDINFO = b"\xff Go buildinf:"
_INLINE = 2
_PCLNTAB = b"\xf1\xff\xff\xff\0\0"  # since Go 1.20


@dataclass(frozen=True)
class GoBinary:
    """A static Go program for Linux, read from its executable.

    ``arch``: name of the architecture. ``go``: version of the toolchain, such as ``go1.27.3``. ``layout``: of ``g``,
    ``m``, ``gobuf`` and ``stack``, nested structs by dotted name beside their own. ``constants``: stack constants by
    bare name (``stackGuard``, ``StackSmall``). ``vfork_inputs``: words that rawVforkSyscall takes, the trap number
    among them. ``routines``: the names of `ROUTINES`; None is a routine that the linker dropped: *absent*.
    """

    path: Path
    arch: str
    go: str
    program: Program
    layout: Layout
    constants: Mapping[str, int]
    vfork_inputs: int | None
    routines: Mapping[str, Symbol | None]


def load(path: Path | str, cache: Path | None = None) -> GoBinary:
    """Lift the Go program at ``path``.

    What is taken from DWARF is kept, by the hash of the file's contents, in the folder ``cache`` (the user's cache
    folder unless given), because getting it takes a second.

    Raises:
        ElfError: the file cannot be read or is not a static, unstripped Go program for a known architecture.
    """
    path = Path(path)
    try:
        data = _contents(path)
        image = parse(data)
        go = _version(image)
        symbols = _symbols(image)
        routines = {name: _routine(image, symbols, names) for name, names in ROUTINES.items()}
        facts = _facts(image, cache or store.folder())
        return GoBinary(
            path=path,
            arch=image.arch.name,
            go=go,
            program=Program(arch=image.arch.name, segments=image.segments, symbols=symbols),
            layout=facts.layout,
            constants=facts.constants,
            vfork_inputs=_vfork_inputs(image, symbols, routines["rawVforkSyscall"]),
            routines=routines,
        )
    except ElfError as error:
        raise ElfError(f"{path}: {error}") from None


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


def _version(image: Image) -> str:
    """The Go version, once the file is known to be a static Go program that is not stripped."""
    info = image.section(".go.buildinfo")
    if info is None or not info.startswith(_BUILDINFO) or len(info) < 33:
        raise ElfError("not a Go program: it has no Go build information")
    if not info[15] & _INLINE:
        raise ElfError("built by a Go older than 1.18, which is not supported")
    length = info[32]
    text = info[33 : 33 + length].decode("ascii", "replace")
    if not 0 < length < 128 or len(text) != length or not text.isprintable():
        raise ElfError("damaged Go build information: no version in it")
    if image.dynamic:
        raise ElfError("dynamically linked; only static programs are supported: rebuild it with CGO_ENABLED=0")
    for setting, only in (("GOOS", "linux"), ("GOARM", "7")):
        found = re.search(rf"build\t{setting}=([0-9a-z]+)".encode(), info)
        if found and found[1].decode() != only:
            raise ElfError(f"built for {setting}={found[1].decode()}; only {setting}={only} is supported")
    for name, what in ((".symtab", "symbol table"), (".debug_info", "DWARF"), (".debug_abbrev", "DWARF")):
        if image.section(name) is None:
            raise ElfError(f"stripped (no {what}): {_REBUILD}")
    return text.split()[0] if text.startswith("go1") else text


def _symbols(image: Image) -> dict[str, Symbol]:
    """Symbols by name; of several with one name, which are local to files, the first."""
    symbols: dict[str, Symbol] = {}
    for symbol in image.symbols():
        symbols.setdefault(symbol.name, symbol)
    if "runtime.text" not in symbols:
        raise ElfError("the symbol table is not that of a Go program: no runtime.text")
    return symbols


def _routine(image: Image, symbols: Mapping[str, Symbol], names: tuple[str, ...]) -> Symbol | None:
    symbol = next((symbols[name] for name in names if name in symbols), None)
    if symbol is None:
        return None
    end = symbol.address + symbol.size
    for segment in image.segments:
        if segment.address <= symbol.address < end <= segment.address + len(segment.data) and segment.executable:
            return symbol
    raise ElfError(f"damaged: {symbol.name} lies outside of the code")


def _facts(image: Image, folder: Path | None) -> dwarf.Facts:
    """Layout and constants, from the cache if they are there."""
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


def _vfork_inputs(image: Image, symbols: Mapping[str, Symbol], stub: Symbol | None) -> int | None:
    """Arguments of rawVforkSyscall without its two results. DWARF knows no parameters of assembly functions."""
    if stub is None:
        return None
    size = _argument_bytes(image, image.arch, stub.address - symbols["runtime.text"].address)
    words, rest = divmod(size, image.arch.word)
    if rest or not 2 <= words - 2 <= 6:
        raise ElfError("damaged Go function table: rawVforkSyscall takes impossible arguments")
    return words - 2


def _argument_bytes(image: Image, arch: Arch, offset: int) -> int:
    """Bytes of arguments and results of the function that starts ``offset`` bytes into the text."""
    table = image.section(".gopclntab") or b""
    if table[:6] != _PCLNTAB or table[7:8] != bytes([arch.word]):
        raise ElfError("the Go function table is of an unknown kind (Go before 1.20, or one too new)")
    try:
        count, *_, functions = struct.unpack_from("<8Q" if arch.word == 8 else "<8I", table, 8)
        records = table[functions:]  # a slice, for an index may be too large for struct
        pairs = list(struct.iter_unpack("<II", records[: 8 * count]))
        index = bisect_left(pairs, (offset, 0))
        start, record = pairs[index]
        if start != offset:
            raise ElfError("damaged Go function table: it does not know rawVforkSyscall")
        return int(struct.unpack_from("<IiI", records, record)[2])
    except (struct.error, IndexError):
        raise ElfError("damaged Go function table") from None
