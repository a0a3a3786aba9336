"""Every file that cannot be lifted ends in one line that says what is wrong, and costs nothing."""

from __future__ import annotations

import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import toolchain
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arch.layout import Layout
from asm import dwarf, goelf
from asm.goelf import ElfError, GoBinary

SECONDS = 5.0
"""CPU time that no file may exceed here; the whole of one takes 0.02."""

shallow = pytest.mark.usefixtures("no_dwarf")
Edit = Callable[[bytearray], None]


@pytest.fixture(scope="module")
def binary() -> bytes:
    return toolchain.build("newest", "amd64", toolchain.PROGRAM).read_bytes()


@pytest.fixture
def no_dwarf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the DWARF, whose own damage is tested elsewhere and would take most of the time."""
    monkeypatch.setattr(dwarf, "read", lambda *_: dwarf.Facts(Layout(8, {}, {}), {}))


def refusal(path: Path, cache: Path) -> str:
    """What is said about a file, without its name; '' if it is lifted. Anything else than that fails the test."""
    start = time.process_time()
    try:
        assert isinstance(goelf.load(path, cache), GoBinary)
    except ElfError as error:
        text = str(error)
        assert text.startswith(f"{path}: ")
        assert "\n" not in text
        return text.removeprefix(f"{path}: ")
    else:
        return ""
    finally:
        assert time.process_time() - start < SECONDS


def put(form: str, offset: int, *values: int) -> Edit:
    return lambda data: struct.pack_into(form, data, offset, *values)


def program_header(data: bytes | bytearray, kind: int, index: int = 0) -> int:
    """Where in a 64-bit file the index-th program header of a kind stands."""
    (start,), (count,) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<H", data, 56)
    found = [at for at in range(start, start + 56 * count, 56) if struct.unpack_from("<I", data, at)[0] == kind]
    return found[index]


def section_header(data: bytes | bytearray, name: str) -> int:
    """Where in a 64-bit file the header of a section stands."""
    (start,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    (strings,) = struct.unpack_from("<Q", data, start + 64 * names + 24)
    for at in range(start, start + 64 * count, 64):
        (offset,) = struct.unpack_from("<I", data, at)
        if data[strings + offset :].startswith(name.encode() + b"\0"):
            return at
    raise AssertionError(name)


def in_section(name: str, form: str, offset: int, *values: int) -> Edit:
    """Changes the contents of a section."""

    def edit(data: bytearray) -> None:
        (start,) = struct.unpack_from("<Q", data, section_header(data, name) + 24)
        struct.pack_into(form, data, start + offset, *values)

    return edit


def in_header(name: str, form: str, offset: int, *values: int) -> Edit:
    """Changes the header of a section."""
    return lambda data: struct.pack_into(form, data, section_header(data, name) + offset, *values)


def in_load(form: str, offset: int, *values: int) -> Edit:
    """Changes the program header of the first loadable segment."""
    return lambda data: struct.pack_into(form, data, program_header(data, 1) + offset, *values)


def in_functions(offset: int | None, *values: int) -> Edit:
    """Changes the records of the function table; without an offset, the record of the first function."""

    def edit(data: bytearray) -> None:
        (table,) = struct.unpack_from("<Q", data, section_header(data, ".gopclntab") + 24)
        (records,) = struct.unpack_from("<Q", data, table + 64)
        (first,) = struct.unpack_from("<I", data, table + records + 4)
        struct.pack_into(f"<{len(values)}I", data, table + records + (first if offset is None else offset), *values)

    return edit


def bomb(data: bytearray) -> None:
    """.debug_info becomes 100 MB of zeros, packed, that claim to be a byte more."""
    packed = zlib.compress(bytes(100_000_000))
    header = section_header(data, ".debug_info")
    struct.pack_into("<QQ", data, header + 24, len(data), 24 + len(packed))
    data += struct.pack("<IxxxxQQ", 1, 100_000_001, 1) + packed


CASES: list[tuple[str, Edit, str]] = [
    ("not ELF", put("<I", 0, 0), "not an ELF file"),
    ("class", put("B", 4, 3), "damaged: the ELF header is of no known class or byte order"),
    ("big-endian", put("B", 5, 2), "a big-endian program; only little-endian ones are supported"),
    ("arm64", put("<H", 18, 183), "a 64-bit program for AARCH64; supported are 386, amd64, arm"),
    ("riscv", put("<H", 18, 243), "a 64-bit program for RISCV; supported are 386, amd64, arm"),
    ("unheard of", put("<H", 18, 9999), "a 64-bit program for machine 9999; supported are 386, amd64, arm"),
    ("x32", put("B", 4, 1), "a 32-bit program for X86_64; supported are 386, amd64, arm"),
    ("object", put("<H", 16, 1), "an object file, not a static executable: build it with CGO_ENABLED=0"),
    ("core", put("<H", 16, 4), "a core dump, not a static executable"),
    ("interpreter", lambda d: put("<I", program_header(d, 4), 3)(d), "dynamically linked; only static programs"),
    ("dynamic", lambda d: put("<I", program_header(d, 4), 2)(d), "dynamically linked; only static programs"),
    ("entry size", put("<H", 54, 55), "damaged: an entry of the segment table has 55 bytes, not 56"),
    ("segments gone", put("<Q", 32, 1 << 63), "truncated: the segment table ends at byte"),
    ("sections gone", put("<Q", 40, 1 << 63), "truncated: the section table ends at byte"),
    ("no names", put("<H", 62, 999), "damaged: the section table has no names"),
    ("huge segment", in_load("<Q", 40, 1 << 40), "the segments take "),
    ("wraps round", in_load("<Q", 16, (1 << 64) - 4096), "damaged: the segment at 0xfffffffffffff000 has impossible"),
    ("file over memory", in_load("<Q", 40, 1), "damaged: the segment at 0x400000 has impossible sizes"),
    ("past the end", in_load("<Q", 8, 1 << 32), "truncated: the segment at 0x400000 ends at byte"),
    ("overlap", in_load("<Q", 40, 0x300000), "damaged: the segments at 0x400000 and "),
    ("no build info", in_header(".go.buildinfo", "<I", 0, 0), "not a Go program: it has no Go build information"),
    ("wrong build info", in_section(".go.buildinfo", "B", 0, 0), "not a Go program"),
    ("old build info", in_section(".go.buildinfo", "B", 15, 0), "built by a Go older than 1.18"),
    ("version length", in_section(".go.buildinfo", "B", 32, 255), "damaged Go build information"),
    ("version text", in_section(".go.buildinfo", "B", 33, 7), "damaged Go build information"),
    ("symbols' size", in_header(".symtab", "<Q", 32, 25), "section .symtab is damaged: its size"),
    ("symbols' names", in_header(".symtab", "<I", 40, 999), "section .symtab is damaged: it names no string table"),
    ("no runtime", in_header(".symtab", "<Q", 32, 24), "the symbol table is not that of a Go program"),
    ("a name", in_section(".symtab", "<I", 24 * 500, 1 << 31), "section .symtab is damaged: a symbol's name"),
    ("packing", in_section(".debug_info", "<I", 0, 2), "section .debug_info is compressed in a way"),
    ("unpacked size", in_section(".debug_info", "<Q", 8, 1 << 40), "section .debug_info claims to unpack to 10995"),
    ("another size", in_section(".debug_info", "<Q", 8, 1000), "section .debug_info is damaged: it does not unpack"),
    ("packed bytes", in_section(".debug_info", "<Q", 24, 0), "section .debug_info is damaged: Error -3"),
    ("short packing", in_header(".debug_info", "<Q", 32, 3), "section .debug_info is damaged: too short"),
    ("bomb", bomb, "section .debug_info is damaged: it does not unpack"),
    ("pclntab", in_section(".gopclntab", "<I", 0, 0xFFFFFFF0), "the Go function table is of an unknown kind"),
    ("pclntab word", in_section(".gopclntab", "B", 7, 4), "the Go function table is of an unknown kind"),
    ("pclntab gone", in_header(".gopclntab", "<I", 0, 0), "the program has no Go function table"),
    ("pclntab short", in_header(".gopclntab", "<Q", 32, 40), "damaged Go function table"),
    ("pclntab empty", in_section(".gopclntab", "<Q", 8, 0), "damaged Go function table"),
    ("pclntab huge", in_section(".gopclntab", "<Q", 8, 1 << 63), "damaged Go function table"),
    ("pclntab far", in_section(".gopclntab", "<Q", 64, 1 << 63), "damaged Go function table"),
    ("pclntab names", in_section(".gopclntab", "<Q", 32, 1 << 63), "damaged Go function table"),
    ("pclntab text", in_section(".gopclntab", "<Q", 24, 0x10), "damaged Go function table: it speaks of code that is"),
    ("starts", in_functions(8 * 100, 1), "damaged Go function table"),
    ("a record's place", in_functions(8 * 100 + 4, 1 << 31), "damaged Go function table"),
    ("a record", in_functions(None, 1), "damaged Go function table"),
    ("a function's name", in_functions(None, 0, 1 << 31), "damaged Go function table"),
    ("module", in_section(".go.module", "<Q", 0, 0), "damaged: nothing says where the code of the Go function table"),
    ("module text", in_section(".go.module", "<Q", 22 * 8, 0), "damaged: nothing says where the code of the Go"),
]


@shallow
@pytest.mark.parametrize(("edit", "message"), [pytest.param(*case, id=name) for name, *case in CASES])
def test_damage_is_named(edit: Edit, message: str, binary: bytes, tmp_path: Path) -> None:
    data = bytearray(binary)
    edit(data)
    (tmp_path / "program").write_bytes(data)
    assert refusal(tmp_path / "program", tmp_path / "cache").startswith(message)


@shallow
def test_undamaged_file_is_lifted(binary: bytes, tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(binary)
    assert refusal(tmp_path / "program", tmp_path / "cache") == ""


@shallow
def test_repeated_bytes_of_the_file_are_not_multiplied(binary: bytes, tmp_path: Path) -> None:
    """Three hundred segments that all show the same two megabytes would fill the memory."""
    data = bytearray(binary)
    start, size = len(data), 0x200000
    for index in range(300):
        data += struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000 + index * size, 0, size, size, 1)
    struct.pack_into("<Q", data, 32, start)
    struct.pack_into("<H", data, 56, 300)
    (tmp_path / "program").write_bytes(data)
    assert refusal(tmp_path / "program", tmp_path).startswith("damaged or truncated: the segments hold more bytes")


@shallow
def test_symbol_outside_of_the_code_is_refused(binary: bytes, tmp_path: Path) -> None:
    lifted = goelf.load(toolchain.build("newest", "amd64", toolchain.PROGRAM), tmp_path)
    mcall = lifted.routines["mcall"]
    assert mcall is not None
    known = struct.pack("<QQ", mcall.address, mcall.size)
    (tmp_path / "program").write_bytes(binary.replace(known, struct.pack("<QQ", 16, mcall.size)))
    assert refusal(tmp_path / "program", tmp_path) == "damaged: runtime.mcall lies outside of the code"


@pytest.mark.parametrize("stripped", [(), ("-ldflags=-s -w",)], ids=["whole", "stripped"])
@pytest.mark.parametrize(
    ("flags", "settings", "message"),
    [
        (("-buildmode=pie",), {}, "position-independent (PIE) or a shared library, not a static executable"),
        ((), {"GOAMD64": "v3"}, "built with GOAMD64=v3; the emulated CPU has no AVX: rebuild it with GOAMD64=v2"),
        ((), {"GOAMD64": "v4"}, "built with GOAMD64=v4; the emulated CPU has no AVX: rebuild it with GOAMD64=v2"),
        ((), {"GOOS": "freebsd"}, "built with GOOS=freebsd; only GOOS=linux is supported"),
    ],
    ids=["pie", "v3", "v4", "freebsd"],
)
def test_real_programs_that_are_refused(
    flags: tuple[str, ...], settings: dict[str, str], message: str, stripped: tuple[str, ...], tmp_path: Path
) -> None:
    program = toolchain.build("newest", "amd64", toolchain.SMALL, *flags, *stripped, **settings)
    assert refusal(program, tmp_path).startswith(message)


def test_c_code_in_a_static_program_is_refused(tmp_path: Path, binary: bytes) -> None:
    """A program with runtime/cgo has the function crosscall2, stripped or not."""
    name = b"\0internal/cpu.Initialize\0"
    assert name in binary
    (tmp_path / "program").write_bytes(binary.replace(name, b"\0crosscall2\0".ljust(len(name), b"\0")))
    assert refusal(tmp_path / "program", tmp_path).startswith("it contains C code (cgo); only pure Go is supported")


def test_what_is_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("#!/bin/sh\n")
    said = {name: refusal(tmp_path / name, tmp_path) for name in ("empty", "pipe", "text", "missing", "text/x")}
    assert said == {
        "empty": "the file is empty",
        "pipe": "not a regular file",
        "text": "not an ELF file",
        "missing": "cannot be read: No such file or directory",
        "text/x": "cannot be read: Not a directory",
    }
    assert refusal(tmp_path, tmp_path) == "a directory, not a program"
    assert refusal(tmp_path / "a\0b", tmp_path) == "no file has such a name"

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert refusal(tmp_path / "text", tmp_path) == "cannot be read: Permission denied"


def test_file_too_large_to_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate((1 << 30) + 1)
    assert refusal(tmp_path / "huge", tmp_path).startswith("the file has 1073741825 bytes; the limit is")


# Damage of every kind, everywhere.

PLACES = {"header": (0, 64), "segments": (64, 400), "sections": (400, 2064), "anywhere": (0, 1 << 30)}


@pytest.fixture(scope="module", params=toolchain.GOARCHES)
def original(request: pytest.FixtureRequest) -> bytes:
    return toolchain.build("newest", request.param, toolchain.PROGRAM).read_bytes()


FUZZ = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@shallow
@FUZZ
@given(cut=st.integers(min_value=0))
def test_truncated_anywhere(cut: int, original: bytes, tmp_path: Path) -> None:
    (tmp_path / "program").write_bytes(original[: cut % len(original)])
    assert refusal(tmp_path / "program", tmp_path / "cache")


@shallow
@FUZZ
@given(
    place=st.sampled_from(sorted(PLACES)),
    changes=st.lists(st.tuples(st.integers(min_value=0), st.sampled_from([0, 1, 2, 4, 8]), st.binary(max_size=8))),
    tables=st.lists(st.tuples(st.sampled_from([".symtab", ".strtab", ".gopclntab", ".go.buildinfo"]), st.binary())),
)
def test_changed_anywhere(
    place: str,
    changes: list[tuple[int, int, bytes]],
    tables: list[tuple[str, bytes]],
    original: bytes,
    tmp_path: Path,
) -> None:
    data = bytearray(original)
    low, high = PLACES[place]
    high = min(high, len(data) - 16)
    for where, align, change in changes:
        at = low + where % (high - low)
        at -= at % align if align else 0
        data[at : at + len(change)] = change
    if original[4] == 2 and place == "anywhere":
        for name, change in tables:
            (start,) = struct.unpack_from("<Q", original, section_header(original, name) + 24)
            data[start : start + len(change)] = change
    (tmp_path / "program").write_bytes(data)
    refusal(tmp_path / "program", tmp_path / "cache")


@settings(FUZZ, max_examples=12)
@given(seed=st.integers(min_value=0), change=st.binary(min_size=1, max_size=4))
def test_changed_debug_sections(seed: int, change: bytes, original: bytes, tmp_path: Path) -> None:
    """The packed sections carry a checksum, so that nearly all damage is seen before DWARF is read."""
    data = bytearray(original)
    at = len(data) * 2 // 3 + seed % (len(data) // 3 - 16)
    data[at : at + len(change)] = change
    (tmp_path / "program").write_bytes(data)
    refusal(tmp_path / "program", tmp_path / "cache")
