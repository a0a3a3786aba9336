"""Stripped programs are lifted from what the linker leaves in them, to the same as whole ones."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import toolchain

from arch import releases
from asm import goelf
from asm.elf import ElfError
from asm.goelf import GoBinary

STRIP = "-ldflags=-s -w"
# What the watch over a running program asks for, beside `goelf.ROUTINES`.
WATCHED = (
    "newstack", "copystack", "systemstack_switch", "asyncPreempt", "asyncPreempt2", "sigtramp", "sigtrampgo", "mstart",
    "goexit", "abort", "badmorestackg0", "badmorestackgsignal", "badsystemstack", "rt0_go", "mstart0", "schedule",
    "sigreturn__sigaction", "clone", "exit", "exitThread", "gosave_systemstack_switch",
)  # fmt: skip


@pytest.fixture(scope="session")
def whole(go_binary: Path) -> GoBinary:
    return goelf.load(go_binary)


@pytest.fixture(scope="session")
def stripped(go_version: str, goarch: str) -> GoBinary:
    return goelf.load(toolchain.build(go_version, goarch, toolchain.PROGRAM, STRIP))


def without_sections(program: Path, folder: Path) -> Path:
    """The program as the loader sees it: no section table."""
    data = bytearray(program.read_bytes())
    if data[4] == 2:
        struct.pack_into("<Q", data, 40, 0)
        struct.pack_into("<HHH", data, 58, 0, 0, 0)
    else:
        struct.pack_into("<I", data, 32, 0)
        struct.pack_into("<HHH", data, 46, 0, 0, 0)
    (folder / "program").write_bytes(data)
    return folder / "program"


def test_all_but_data_is_there(whole: GoBinary, stripped: GoBinary) -> None:
    assert (whole.stripped, stripped.stripped) == (False, True)
    assert stripped.entry == whole.entry
    assert (stripped.arch, stripped.go, stripped.vfork_inputs) == (whole.arch, whole.go, whole.vfork_inputs)
    assert stripped.unknown == whole.unknown == ""
    assert stripped.constants == whole.constants
    assert {name: symbol and (symbol.address, symbol.size) for name, symbol in stripped.routines.items()} == {
        name: symbol and (symbol.address, symbol.size) for name, symbol in whole.routines.items()
    }
    assert "runtime.m0" in whole.program
    assert "runtime.m0" not in stripped.program


def test_layout_of_the_release_is_part_of_the_one_in_the_dwarf(whole: GoBinary, stripped: GoBinary) -> None:
    assert whole.layout is not None
    assert stripped.layout is not None
    assert stripped.layout.offsets.items() < whole.layout.offsets.items()
    assert stripped.layout.sizes == whole.layout.sizes


def test_quick_takes_the_releases_layout(whole: GoBinary, stripped: GoBinary, tmp_path: Path) -> None:
    quick = goelf.load(whole.path, tmp_path, quick=True)
    assert quick.layout == stripped.layout
    assert quick.program.symbols == whole.program.symbols
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", WATCHED)
def test_function_has_the_same_entry(name: str, whole: GoBinary, stripped: GoBinary) -> None:
    """At the entry for assembly, ``name.abi0`` where there is one, else at the only one."""

    def entry(binary: GoBinary) -> int:
        symbols = binary.program.symbols
        names = (f"runtime.{name}.abi0", f"runtime.{name}", name)
        return next((symbols[found].address for found in names if found in symbols), 0)

    assert entry(stripped) == entry(whole)
    assert entry(whole) or name == "sigreturn__sigaction"


def test_lines_are_the_same(whole: GoBinary, stripped: GoBinary) -> None:
    for name in ("mcall", "gogo", "systemstack", "morestack", "rawVforkSyscall"):
        symbol = stripped.routines[name]
        assert symbol is not None
        for address in range(symbol.address, symbol.address + symbol.size):
            found = stripped.functions.line(address)
            assert found == whole.functions.line(address)
            assert found
            assert found[0].endswith(f"_{whole.arch}.s") or found[0].endswith(f"_linux_{whole.arch}.s")


def test_without_a_section_table(stripped: GoBinary, tmp_path: Path) -> None:
    bare = goelf.load(without_sections(stripped.path, tmp_path))
    assert (bare.go, bare.settings, bare.stripped) == (stripped.go, stripped.settings, True)
    assert (bare.routines, bare.layout) == (stripped.routines, stripped.layout)
    assert list(bare.functions) == list(stripped.functions)


def test_settings_of_the_build(goarch: str) -> None:
    """The defaults of the tests' own builds, and spellings that newer toolchains accept."""
    own = {"386": ("GO386", "softfloat"), "amd64": ("GOAMD64", "v2"), "arm": ("GOARM", "5,hardfloat")}
    name, value = own[goarch]
    for flags in ((), (STRIP,)):
        program = toolchain.build("newest", goarch, toolchain.SMALL, *flags, **{name: value})
        found = goelf.load(program, quick=True).settings
        assert (found["GOOS"], found["GOARCH"], found["CGO_ENABLED"], found[name]) == ("linux", goarch, "0", value)


@pytest.mark.parametrize("setting", ["5", "6"])
def test_old_arm_is_lifted(setting: str, go_version: str) -> None:
    lifted = goelf.load(toolchain.build(go_version, "arm", toolchain.SMALL, STRIP, GOARM=setting))
    assert lifted.settings["GOARM"] == setting
    assert lifted.routines["mcall"]


def with_version(program: Path, old: bytes, new: bytes, folder: Path) -> Path:
    """The program with another version of the same length in its build information."""
    data = program.read_bytes()
    assert len(old) == len(new)
    assert data.count(b"Go buildinf:")
    at = data.index(old, data.index(b"\xff Go buildinf:"))
    (folder / "program").write_bytes(data[:at] + new + data[at + len(old) :])
    return folder / "program"


@pytest.mark.parametrize("version", ["go1.28.3", "go1.20.3", "go1.27rc", "go2.27.3", "devel-27"])
def test_unknown_version_has_no_layout_and_says_so(version: str, tmp_path: Path) -> None:
    program = toolchain.build("newest", "amd64", toolchain.SMALL, STRIP)
    known = toolchain.go_version("newest").encode()
    changed = with_version(program, known, version.encode().ljust(len(known)), tmp_path)
    lifted = goelf.load(changed)
    assert lifted.layout is None
    assert lifted.unknown.startswith(f"built by {version}: of go1.21 to go1.27 alone are layouts known without DWARF")
    assert "-ldflags='-s=false -w=false'" in lifted.unknown
    assert lifted.routines["mcall"]
    assert not lifted.constants


def test_unknown_version_with_dwarf_has_a_layout(tmp_path: Path) -> None:
    program = toolchain.build("newest", "amd64", toolchain.SMALL)
    known = toolchain.go_version("newest").encode()
    lifted = goelf.load(with_version(program, known, b"go1.28.3", tmp_path), tmp_path, quick=True)
    assert (lifted.go, lifted.unknown) == ("go1.28.3", "")
    assert lifted.layout == goelf.load(program, tmp_path).layout


def test_experiments_are_no_release(go_version: str) -> None:
    """They may change the structs, so that only DWARF is believed."""
    flags = {"GOEXPERIMENT": "arenas"}
    whole, stripped = (
        goelf.load(toolchain.build(go_version, "amd64", toolchain.SMALL, *more, **flags), quick=True)
        for more in ((), (STRIP,))
    )
    assert whole.go == stripped.go == toolchain.go_version(go_version)
    assert whole.layout is not None
    assert "g.trace" in whole.layout, "read from DWARF: no release's table has it"
    assert stripped.layout is None
    assert stripped.unknown.startswith(f"built by {whole.go} with GOEXPERIMENT=arenas: ")


def test_no_build_information_without_sections(tmp_path: Path) -> None:
    bare = without_sections(toolchain.build("newest", "amd64", toolchain.SMALL, STRIP), tmp_path)
    bare.write_bytes(bare.read_bytes().replace(b"\xff Go buildinf:", b"\xff Go buildinf."))
    with pytest.raises(ElfError, match="not a Go program: it has no Go build information"):
        goelf.load(bare)


def test_the_release_of_a_version() -> None:
    of_version = releases.of_version
    assert (of_version("go1.21"), of_version("go1.24.3"), of_version("go1.27.99")) == ("go1.21", "go1.24", "go1.27")
    for unknown in ("go1.20.1", "go1.28", "go1.27rc1", "go1.27.3-custom", "go1.27.3 ", "1.27.3", "", "go1", "devel"):
        assert of_version(unknown) is None
