"""Lifting real programs, built by the oldest and the newest Go toolchain for each architecture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import toolchain
from elftools.elf.elffile import ELFFile

import arch
from arch import golang
from asm import dwarf, goelf
from asm.goelf import GoBinary
from asm.program import Program, Symbol

# Field -> (on 32-bit, on 64-bit) of Go 1.27, as its compiler wrote them into go_asm.h.
MODERN = {
    "gobuf.sp": (0, 0), "gobuf.pc": (4, 8), "gobuf.g": (8, 16), "gobuf.ctxt": (12, 24), "gobuf.lr": (16, 32),
    "gobuf.bp": (20, 40), "stack.lo": (0, 0), "stack.hi": (4, 8), "g.stack.lo": (0, 0), "g.stack.hi": (4, 8),
    "g.stackguard0": (8, 16), "g.stackguard1": (12, 24), "g._panic": (16, 32), "g._defer": (20, 40), "g.m": (24, 48),
    "g.sched": (28, 56), "g.sched.sp": (28, 56), "g.sched.ctxt": (40, 80), "g.sched.bp": (48, 96),
    "g.syscallsp": (52, 104), "g.param": (68, 136), "g.atomicstatus": (72, 144), "g.goid": (80, 152),
    "g.preempt": (101, 177), "m.g0": (0, 0), "m.morebuf.pc": (8, 16), "m.procid": (32, 64), "m.gsignal": (40, 72),
    "m.tls": (72, 128), "m.curg": (100, 184), "m.p": (112, 208), "m.locks": (148, 264),
}  # fmt: skip

newest = pytest.mark.parametrize("go_version", ["newest"], indirect=True)


@pytest.fixture(scope="session")
def lifted(go_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> GoBinary:
    return goelf.load(go_binary, tmp_path_factory.mktemp("cache"))


def test_architecture_and_version_come_from_the_file(lifted: GoBinary, go_version: str, goarch: str) -> None:
    assert lifted.arch == lifted.program.arch == goarch
    assert lifted.go == toolchain.go_version(go_version)
    assert lifted.layout.word == arch.get(goarch).word


@newest
def test_layout_is_the_one_the_compiler_reports(lifted: GoBinary) -> None:
    column = 0 if lifted.layout.word == 4 else 1
    expected = {name: offsets[column] for name, offsets in MODERN.items()}
    assert {name: lifted.layout[name] for name in MODERN} == expected
    assert {name: lifted.layout.sizes[name] for name in ("m", "gobuf", "stack")} == {
        "m": (1240, 1832)[column],
        "gobuf": (24, 48)[column],
        "stack": (8, 16)[column],
    }
    assert "gobuf.ret" not in lifted.layout


@newest
def test_modern_era_is_what_the_newest_toolchain_builds(lifted: GoBinary, goarch: str) -> None:
    era = golang.era("modern")
    table = era.layout(arch.get(goarch))
    assert table.offsets == {name: lifted.layout.offsets.get(name) for name in table.offsets}
    assert table.sizes == {name: lifted.layout.sizes.get(name) for name in table.sizes}
    constants = {
        "stackGuard": era.guards.guard,
        "StackSmall": era.guards.small,
        "StackBig": era.guards.big,
        "stackMin": era.guards.minimum,
        "stackNosplit": era.guards.nosplit,
    }
    assert {name: lifted.constants[name] for name in constants} == constants


def test_old_layout_differs_where_it_must(lifted: GoBinary, go_version: str) -> None:
    """Go 1.21 still had the field ret in Gobuf: a layout that was assumed, not read, would miss that."""
    assert ("gobuf.ret" in lifted.layout) == ("g.sched.ret" in lifted.layout) == (go_version == "1.21")


def test_guard_constant(lifted: GoBinary) -> None:
    assert lifted.constants["stackGuard"] == 928


def test_vfork_inputs_are_those_of_the_prototype(lifted: GoBinary, go_version: str) -> None:
    source = (toolchain.go_root(go_version) / "src/syscall/syscall_linux.go").read_text()
    prototype = re.search(r"^func rawVforkSyscall\(([^)]*) uintptr\)", source, re.MULTILINE)
    assert prototype
    assert lifted.vfork_inputs == len(prototype[1].split(",")) == {"1.21": 3, "newest": 4}[go_version]


def test_routines_are_the_assembly_not_its_wrappers(lifted: GoBinary, go_version: str, goarch: str) -> None:
    suffix = ".abi0" if goarch == "amd64" else ""
    names = {name: symbol.name for name, symbol in lifted.routines.items() if symbol}
    assert names.pop("Syscall6") == {
        "1.21": "runtime/internal/syscall.Syscall6",
        "newest": "internal/runtime/syscall/linux.Syscall6",
    }[go_version]
    assert names == {
        "mcall": "runtime.mcall",
        "gogo": f"runtime.gogo{suffix}",
        "gogo<>": "gogo",
        "systemstack": f"runtime.systemstack{suffix}",
        "morestack": f"runtime.morestack{suffix}",
        "morestack_noctxt": f"runtime.morestack_noctxt{suffix}",
        "rawVforkSyscall": f"syscall.rawVforkSyscall{suffix}",
        "rawSyscallNoError": f"syscall.rawSyscallNoError{suffix}",
    }


def test_dropped_routine_is_absent(
    lifted: GoBinary, go_version: str, goarch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dwarf, "read", lambda *_: dwarf.Facts(lifted.layout, lifted.constants))
    small = goelf.load(toolchain.build(go_version, goarch, toolchain.SMALL), tmp_path)
    assert small.routines["rawVforkSyscall"] is None
    assert small.vfork_inputs is None
    assert small.routines.keys() == goelf.ROUTINES.keys()
    assert small.routines["mcall"] is not None


def test_program_is_the_file_as_an_independent_reader_sees_it(lifted: GoBinary) -> None:
    program = lifted.program
    with lifted.path.open("rb") as file:
        elf = ELFFile(file)
        loads = [s for s in elf.iter_segments("PT_LOAD") if s["p_memsz"]]
        assert [(s.address, s.data, s.size) for s in program.segments] == [
            (s["p_vaddr"], s.data(), s["p_memsz"]) for s in loads
        ]
        assert [(s.executable, s.writable) for s in program.segments] == [
            (bool(s["p_flags"] & 1), bool(s["p_flags"] & 2)) for s in loads
        ]
        text = elf.get_section_by_name(".text")
        start, code = text["sh_addr"], text.data()
        expected = {}
        for symbol in elf.get_section_by_name(".symtab").iter_symbols():
            defined = symbol["st_shndx"] != "SHN_UNDEF"
            if defined and symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE"):
                expected.setdefault(symbol.name, (symbol["st_value"], symbol["st_size"]))
    assert {name: (s.address, s.size) for name, s in program.symbols.items()} == expected
    for routine in lifted.routines.values():
        assert routine is not None
        offset = routine.address - start
        assert program.read(routine.address, routine.size) == code[offset : offset + routine.size]


def test_functions_and_data_are_found_by_name_and_address(lifted: GoBinary) -> None:
    mcall = lifted.program.symbol("runtime.mcall")
    assert lifted.program.describe(mcall.address + 2) == "runtime.mcall+0x2"
    for name in ("runtime.iscgo", "runtime.g0", "runtime.m0", "main.main", "runtime.newstack"):
        assert name in lifted.program


def test_two_names_of_one_address() -> None:
    """Linkers merge equal functions; the later name of the table wins, and nothing breaks."""
    symbols = {name: Symbol(name, 16, 8) for name in ("first", "second")}
    program = Program(arch="386", segments=(), symbols=symbols)
    assert program.describe(20) == "second+0x4"
    assert program.at(24) is None
