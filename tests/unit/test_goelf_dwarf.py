"""Layout and constants out of DWARF that is written here, entry by entry, sound and damaged."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asm import dwarf
from asm.elf import ElfError

SECONDS = 20.0
"""CPU time that nothing may exceed here: the budget lets through about five seconds of work."""

STRING, UDATA, SDATA, REF_ADDR, REF4 = 0x08, 0x0F, 0x0D, 0x10, 0x13
NAME, SIZE, MEMBER, TYPE, VALUE, SIBLING = 0x03, 0x0B, 0x38, 0x49, 0x1C, 0x01
# Abbreviation -> tag, whether it has children, attributes: those of Go's own compiler, and two that it never uses.
ABBREVIATIONS: dict[str, tuple[int, bool, list[tuple[int, int]]]] = {
    "unit": (0x11, True, [(NAME, STRING)]),
    "struct": (0x13, True, [(NAME, STRING), (SIZE, UDATA)]),
    "member": (0x0D, False, [(NAME, STRING), (MEMBER, UDATA), (TYPE, REF_ADDR)]),
    "typedef": (0x16, False, [(NAME, STRING), (TYPE, REF_ADDR)]),
    "base": (0x24, False, [(NAME, STRING), (SIZE, UDATA)]),
    "constant": (0x27, False, [(NAME, STRING), (TYPE, REF_ADDR), (VALUE, SDATA)]),
    "near": (0x16, False, [(NAME, STRING), (TYPE, REF4)]),
    "function": (0x2E, True, [(NAME, STRING), (SIBLING, REF4)]),
}
END = ("end",)
Entry = tuple[object, ...]


def leb(value: int, signed: bool = False) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 127, value >> 7
        if value == (-1 if signed and byte & 64 else 0):
            return bytes(out) + bytes([byte])
        out.append(byte | 128)


def abbreviations() -> bytes:
    out = b""
    for code, (tag, children, attributes) in enumerate(ABBREVIATIONS.values(), 1):
        out += leb(code) + leb(tag) + bytes([children])
        out += b"".join(leb(name) + leb(form) for name, form in [*attributes, (0, 0)])
    return out + b"\0"


@dataclass
class Writer:
    """Writes units; a type is referred to by the name of the entry that it stands under."""

    version: int = 4
    data: bytearray = field(default_factory=bytearray)
    labels: dict[str, int] = field(default_factory=dict)
    holes: list[tuple[int, str, int]] = field(default_factory=list)

    def unit(self, name: str, entries: list[Entry]) -> None:
        start = len(self.data)
        header = b"\0\0\0\0\x08" if self.version == 4 else b"\x01\x08\0\0\0\0"
        self.data += struct.pack("<IH", 0, self.version) + header
        for kind, *values in (("unit", name), *entries, END):
            if kind == "end":
                self.data.append(0)
                continue
            self.labels.setdefault(str(values[0]), len(self.data))
            self.data += leb(list(ABBREVIATIONS).index(str(kind)) + 1)
            for (_, form), value in zip(ABBREVIATIONS[str(kind)][2], values, strict=True):
                self.attribute(form, value, start)
        struct.pack_into("<I", self.data, start, len(self.data) - start - 4)

    def attribute(self, form: int, value: object, start: int) -> None:
        if form == STRING:
            self.data += str(value).encode() + b"\0"
        elif isinstance(value, int):
            self.data += leb(value, signed=form == SDATA)
        else:
            self.holes.append((len(self.data), str(value), 0 if form == REF_ADDR else start))
            self.data += bytes(4)

    def sections(self) -> dict[str, bytes]:
        for at, label, start in self.holes:
            struct.pack_into("<I", self.data, at, self.labels[label] - start)
        return {".debug_info": bytes(self.data), ".debug_abbrev": abbreviations()}


def struct_entries(name: str, size: int, *members: tuple[str, int, str]) -> list[Entry]:
    return [("struct", name, size), *(("member", *member) for member in members), END]


TYPES: list[Entry] = [
    ("base", "uintptr", 8),
    *struct_entries("runtime.stack", 16, ("lo", 0, "uintptr"), ("hi", 8, "uintptr")),
    *struct_entries(
        "runtime.gobuf", 48, ("sp", 0, "uintptr"), ("pc", 8, "uintptr"), ("g", 16, "uintptr"),
        ("ctxt", 24, "uintptr"), ("lr", 32, "uintptr"), ("bp", 40, "uintptr"),
    ),
    ("typedef", "Gobuf", "runtime.gobuf"),
    ("near", "NearGobuf", "Gobuf"),
    *struct_entries(
        "runtime.g", 120, ("stack", 0, "runtime.stack"), ("stackguard0", 16, "uintptr"), ("_", 20, "uintptr"),
        ("stackguard1", 24, "uintptr"), ("m", 48, "uintptr"), ("sched", 56, "NearGobuf"),
    ),
    *struct_entries(
        "runtime.m", 96, ("g0", 0, "uintptr"), ("morebuf", 8, "Gobuf"), ("gsignal", 64, "uintptr"),
        ("tls", 72, "uintptr"), ("curg", 88, "uintptr"),
    ),
]  # fmt: skip
CONSTANTS: list[Entry] = [
    ("function", "runtime.newstack", "runtime.newstack"),
    ("constant", "runtime.stackNosplit", "uintptr", 1),
    END,
    ("constant", "runtime.stackGuard", "uintptr", 928),
    ("constant", "runtime.stackOdd", "uintptr", -1314),
    ("constant", "runtime.mutexStackLocked", "uintptr", 512),
]


def program(types: list[Entry] = TYPES, constants: list[Entry] = CONSTANTS, version: int = 4) -> dict[str, bytes]:
    """Sections as a Go linker lays them out: a unit a package, the types of all in one more unit ``runtime``."""
    writer = Writer(version)
    writer.unit("main", [("constant", "runtime.stackMain", "uintptr", 1)])
    writer.unit("internal/abi", [("constant", "internal/abi.StackSmall", "uintptr", 128)])
    writer.unit("runtime", constants)
    writer.unit("runtime", types)
    return writer.sections()


def without(entries: list[Entry], name: str) -> list[Entry]:
    kept = [entry for entry in entries if name not in entry]
    assert len(kept) == len(entries) - 1
    return kept


def replaced(entries: list[Entry], name: str, entry: Entry) -> list[Entry]:
    return [entry if name in old[:2] else old for old in entries]


def refusal(sections: dict[str, bytes]) -> str:
    """What is said about sections; '' if they are read. Anything else than that fails the test."""
    start = time.process_time()
    try:
        assert isinstance(dwarf.read(sections, 8), dwarf.Facts)
        said = ""
    except ElfError as error:
        said = str(error)
    assert time.process_time() - start < SECONDS
    assert "\n" not in said
    return said


@pytest.mark.parametrize("version", [4, 5])
def test_nested_structs_are_flattened(version: int) -> None:
    layout = dwarf.read(program(version=version), 8).layout
    assert layout.sizes == {"stack": 16, "gobuf": 48, "g": 120, "m": 96}
    gobuf = {"sp": 0, "pc": 8, "g": 16, "ctxt": 24, "lr": 32, "bp": 40}
    assert layout.offsets == {
        "stack.lo": 0, "stack.hi": 8, **{f"gobuf.{name}": at for name, at in gobuf.items()},
        "g.stack": 0, "g.stack.lo": 0, "g.stack.hi": 8, "g.stackguard0": 16, "g.stackguard1": 24, "g.m": 48,
        "g.sched": 56, **{f"g.sched.{name}": 56 + at for name, at in gobuf.items()},
        "m.g0": 0, "m.morebuf": 8, **{f"m.morebuf.{name}": 8 + at for name, at in gobuf.items()},
        "m.gsignal": 64, "m.tls": 72, "m.curg": 88,
    }  # fmt: skip


def test_types_of_the_program_behind_those_of_the_runtime_are_not_read() -> None:
    """They may be megabytes; here they are damaged."""
    assert refusal(program([*TYPES, ("typedef", "main.First", "Gobuf"), *[("near", "x", 0)] * 3])) == ""
    assert refusal(program([*TYPES, *[("near", "x", 0)] * 3, ("base", "late", 1)])) == ""
    assert refusal(program([("near", "x", "runtime.g"), *TYPES])) == ""


def test_constants_are_those_of_the_runtime_at_the_top_level() -> None:
    """Not those of another package, nor those inside a function, which may carry the same name."""
    assert dwarf.read(program(), 8).constants == {"StackSmall": 128, "stackGuard": 928, "stackOdd": -1314}


@pytest.mark.parametrize(
    ("types", "constants", "message"),
    [
        pytest.param(without(TYPES, "tls"), CONSTANTS, "the DWARF has no field m.tls of the runtime", id="a field"),
        pytest.param(
            replaced(TYPES, "Gobuf", ("typedef", "Gobuf", "Gobuf")), CONSTANTS,
            "the DWARF has no field g.sched.sp of the runtime", id="a typedef of itself",
        ),
        pytest.param(
            replaced(TYPES, "stack", ("member", "stack", 0, "runtime.g")), CONSTANTS,
            "damaged DWARF: the fields of g.stack.stack", id="a struct in itself",
        ),
        pytest.param(
            replaced(TYPES, "stack", ("member", "stack", 1 << 70, "runtime.stack")), CONSTANTS,
            "damaged DWARF: the fields of g make no sense", id="a far field",
        ),
        pytest.param(TYPES, CONSTANTS[:3], "the DWARF has no constant runtime.stackGuard", id="a constant"),
        pytest.param(TYPES[:1], CONSTANTS, "the DWARF has no field g.stack.lo", id="all types"),
        pytest.param([("member", "x", 0, "main"), *TYPES], CONSTANTS, "", id="a member of nothing"),
        pytest.param([*TYPES, END, END, END], CONSTANTS, "", id="more ends than starts"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(types: list[Entry], constants: list[Entry], message: str) -> None:
    said = refusal(program(types, constants))
    assert said.startswith(message)
    assert bool(said) == bool(message)


def wide_struct() -> dict[str, bytes]:
    """Structs of ten structs of ten …: a hundred entries that flatten to ten billion fields."""
    levels: list[Entry] = []
    for level in range(10):
        inside = f"level{level - 1}" if level else "uintptr"
        levels += struct_entries(f"level{level}", 1 << 40, *((f"f{i}", i, inside) for i in range(10)))
    return program([*levels, *replaced(TYPES, "stack", ("member", "stack", 0, "level9"))])


def endless_number() -> dict[str, bytes]:
    """A LEB128 number of a megabyte, in the first entry."""
    sections = program()
    return {**sections, ".debug_info": sections[".debug_info"][:11] + b"\xff" * 1_000_000}


def far_too_much() -> dict[str, bytes]:
    """Ten million empty entries in a unit of the right name."""
    sections = program()
    head = bytearray(sections[".debug_info"])
    head += struct.pack("<IHIB", 7 + 9 + 10_000_000, 4, 0, 8) + b"\x01runtime\0"
    return {**sections, ".debug_info": bytes(head) + bytes(10_000_000)}


def costly_entries() -> dict[str, bytes]:
    """Entries of one byte that carry thousands of attributes of no bytes."""
    attributes = (leb(NAME) + leb(0x19)) * 20_000
    abbrev = abbreviations()[:-1] + leb(99) + leb(0x24) + b"\0" + attributes + b"\0\0\0"
    info = struct.pack("<IHIB", 7 + 9 + 100_000, 4, 0, 8) + b"\x01runtime\0" + bytes([99]) * 100_000
    return {".debug_info": info, ".debug_abbrev": abbrev}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wide_struct, "damaged DWARF: the fields of g.stack"),
        (endless_number, "damaged DWARF: not what a Go linker writes"),
        (far_too_much, "damaged DWARF: far more of it than the runtime has"),
        (costly_entries, "damaged DWARF: far more of it than the runtime has"),
        (lambda: {**program(), ".debug_abbrev": bytes(1 << 21)}, "damaged DWARF: not what a Go linker writes"),
        (lambda: {**program(), ".debug_abbrev": b""}, "damaged DWARF (DWARFError: Offset '0x0' to abbrev table out of"),
        (lambda: {**program(), ".debug_info": b""}, "the DWARF has no field"),
    ],
)
def test_hostile_sections_are_refused_in_time(make: Callable[[], dict[str, bytes]], message: str) -> None:
    sections = make()
    assert refusal(sections).startswith(message)


@settings(max_examples=600, derandomize=True, deadline=None)
@given(
    st.sampled_from([4, 5]),
    st.lists(st.tuples(st.sampled_from([".debug_info", ".debug_abbrev"]), st.integers(0), st.binary(max_size=4))),
    st.integers(0),
)
def test_damage_anywhere(version: int, changes: list[tuple[str, int, bytes]], cut: int) -> None:
    sections = {name: bytearray(data) for name, data in program(version=version).items()}
    for name, where, change in changes:
        at = where % len(sections[name])
        sections[name][at : at + len(change)] = change
    if cut % 3 == 0:
        del sections[".debug_info"][cut // 3 % len(sections[".debug_info"]) :]
    refusal({name: bytes(data) for name, data in sections.items()})
