"""Go's function table against two independent witnesses in the same programs, .symtab and DWARF's lines; its damage."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest
import toolchain
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from asm import elf, goelf, pclntab
from asm.elf import ElfError
from asm.goelf import GoBinary
from asm.pclntab import FunctionTable
from asm.symbols import FunctionSymbols

SECONDS = 5.0
"""CPU time that nothing may exceed here; a whole table takes 0.1."""
FENCES = {"go:textfipsstart", "go:textfipsend"}
"""Marks in the code, which are functions of no bytes in one table and of one in the other."""


@pytest.fixture(scope="session")
def lifted(go_binary: Path) -> GoBinary:
    return goelf.load(go_binary, quick=True)


def test_every_function_is_the_symbol_at_its_address(lifted: GoBinary) -> None:
    symbols: dict[int, dict[str, int]] = {}
    for symbol in lifted.program.symbols.values():
        symbols.setdefault(symbol.address, {})[symbol.name.removesuffix(".abi0").partition("[")[0]] = symbol.size
    functions = list(lifted.functions)
    assert len(functions) == len(lifted.functions) > 1500
    for function in functions:
        if function.name not in FENCES:
            assert symbols[function.address][function.name.partition("[")[0].replace("·", ".")] == function.size


def test_every_function_is_found_by_name_and_by_any_of_its_addresses(lifted: GoBinary) -> None:
    functions = lifted.functions
    for function in islice(functions, 0, None, 7):
        assert function in functions.named(function.name)
        if function.size:
            assert functions.at(function.address) == functions.at(function.address + function.size - 1) == function
            assert functions.describe(function.address) == function.name
        if function.size > 1:
            assert functions.describe(function.address + 1) == f"{function.name}+0x1"


def test_what_is_no_function_is_not_found(lifted: GoBinary) -> None:
    functions = lifted.functions
    last = list(functions)[-1]
    for outside in (0, functions.text - 1, last.address + last.size + 0x1000, 1 << 63):
        assert functions.at(outside) is functions.line(outside) is None
        assert functions.describe(outside) == hex(outside)
    for name in ("", "runtime.", "untime.mcall", "runtime.mcal", "runtime.mcall.abi0", "runtime.m0", "a\0b"):
        assert functions.named(name) == ()


def test_arguments_and_who_wrote_it(lifted: GoBinary, goarch: str) -> None:
    word = lifted.layout.word if lifted.layout else 0
    by_name = {name: lifted.functions.named(name) for name in ("runtime.mcall", "runtime.newstack", "main.main")}
    (mcall,), (main,) = by_name["runtime.mcall"], by_name["main.main"]
    assert mcall.arguments == word
    assert (mcall.assembly, main.assembly, main.arguments) == (True, False, 0)
    assert len(by_name["runtime.newstack"]) == (2 if goarch == "amd64" else 1)
    assert any(function.arguments is None for function in lifted.functions)


def test_lines_are_those_of_the_dwarf(go_version: str, goarch: str) -> None:
    program = toolchain.build(go_version, goarch, toolchain.SMALL)
    functions = goelf.load(program, quick=True).functions
    seen = 0
    for address, path, line in _lines(program):
        found = functions.line(address)
        assert found is not None, hex(address)
        assert (found[0].endswith(path), found[1]) == (True, line), hex(address)
        seen += 1
    assert seen > 2500


def _lines(program: Path) -> Iterator[tuple[int, str, int]]:
    """Address, end of the path and line: the first thousand statements of each package, as DWARF has them."""
    with program.open("rb") as file:
        info = ELFFile(file).get_dwarf_info()
        for unit in info.iter_CUs():
            table = info.line_program_for_CU(unit)
            if table is None:
                continue
            first = 0 if table.header.version >= 5 else 1
            states = [entry.state for entry in table.get_entries()[:1500] if entry.state]
            for state, following in pairwise(states):
                if not state.end_sequence and following.address != state.address:
                    yield state.address, table.header.file_entry[state.file - first].name.decode(), state.line


def test_symbols_without_a_symbol_table(lifted: GoBinary, goarch: str) -> None:
    """The same names as .symtab has, but for what has no wrapper any more and what the compiler made for types."""
    symbols = FunctionSymbols(lifted.functions, wrappers=goarch == "amd64")
    code = {function.address for function in lifted.functions}
    expected = {name: symbol for name, symbol in lifted.program.symbols.items() if symbol.address in code}
    exact = 0
    for name, symbol in expected.items():
        if name in FENCES | {"runtime.text"} or "[" in name or name.startswith("type:.eq."):
            continue
        found = symbols.get(name)
        if found is None:
            assert name.endswith(".abi0")
            assert symbols[name.removesuffix(".abi0")].address == symbol.address
        else:
            assert found == symbol
            exact += 1
    assert exact > 0.85 * len(expected)


def test_all_symbols_are_those_that_are_asked_for_one_by_one(lifted: GoBinary, goarch: str) -> None:
    one_by_one, at_once = (FunctionSymbols(lifted.functions, wrappers=goarch == "amd64") for _ in range(2))
    everything = dict(at_once)
    assert len(at_once) == len(everything) > 1500
    for name in islice(everything, 0, None, 5):
        assert one_by_one[name] == everything[name] == at_once[name]
    assert "runtime.nothing" not in at_once
    assert "runtime.nothing" not in one_by_one


# Damage.


@pytest.fixture(scope="module", params=toolchain.GOARCHES)
def original(request: pytest.FixtureRequest) -> elf.Image:
    return elf.parse(toolchain.build("newest", request.param, toolchain.SMALL).read_bytes())


def use(data: bytes, image: elf.Image) -> bool:
    """Asks a table all that can be asked; False if it is refused. Anything else than that fails the test."""
    start = time.process_time()
    try:
        table = FunctionTable(data, image.arch.word)
    except ElfError:
        return False
    table.text = image.sections[".text"].address
    for start in table.starts[:-1:11]:
        function = table.at(table.text + start)
        if function is not None:
            assert function.size >= 0
            table.named(function.name)
        assert isinstance(table.describe(table.text + start), str)
    for address in range(table.text, table.text + 0x20000, 0x235):
        table.line(address)
    assert time.process_time() - start < SECONDS
    return True


def test_undamaged_table_is_read(original: elf.Image) -> None:
    assert use(original.section(".gopclntab") or b"", original)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(cut=st.integers(min_value=0))
def test_truncated_anywhere(cut: int, original: elf.Image) -> None:
    table = original.section(".gopclntab") or b""
    use(table[: cut % len(table)], original)


PARTS = ("header", "names", "units", "files", "values", "records")


@settings(max_examples=80, derandomize=True, deadline=None)
@given(
    part=st.sampled_from(PARTS),
    changes=st.lists(st.tuples(st.integers(min_value=0), st.binary(min_size=1, max_size=8)), min_size=1, max_size=40),
)
def test_changed_anywhere(part: str, changes: list[tuple[int, bytes]], original: elf.Image) -> None:
    data = bytearray(original.section(".gopclntab") or b"")
    header = struct.unpack_from("<8Q" if original.arch.word == 8 else "<8I", data, 8)
    bounds = [0, *header[3:], len(data)]
    index = PARTS.index(part)
    for where, change in changes:
        at = bounds[index] + where % (bounds[index + 1] - bounds[index])
        data[at : at + len(change)] = change[: len(data) - at]
    use(bytes(data), original)


def test_numbers_without_end(original: elf.Image) -> None:
    """PC tables that never say that they end."""
    data = bytearray(original.section(".gopclntab") or b"")
    header = struct.unpack_from("<8Q" if original.arch.word == 8 else "<8I", data, 8)
    for byte in (0xFF, 0x80, 0x01, 0x00):
        data[header[6] : header[7]] = bytes([byte]) * (header[7] - header[6])
        assert use(bytes(data), original)


def test_many_starts_of_a_table_are_not_all_tried(original: elf.Image) -> None:
    """Without a section table a table is looked for; a file may be full of things that look like one."""
    text = next(segment for segment in original.segments if segment.executable)
    many = elf.Segment(0x10000, (pclntab.MAGIC + b"\1\4" + bytes(56)) * 200_000, 1 << 24, False, False)
    image = elf.Image(b"", original.arch, 0, False, (many, text), {}, ())
    start = time.process_time()
    with pytest.raises(ElfError, match="no Go function table was found"):
        pclntab.read(image)
    assert time.process_time() - start < SECONDS
