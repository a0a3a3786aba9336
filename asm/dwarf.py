"""The layout of Go's runtime structs, and its stack constants, out of a program's DWARF.

The Go linker puts the types of all packages into one unit named ``runtime``, and the constants of a package
into the unit of that package. Only those units are walked, in one line from front to back: references and sibling
links are never followed by the walk, so that damaged bytes cannot make it run in circles.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from arch.layout import Layout
from asm.elf import ElfError

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DWARFInfo

BUDGET = 2_000_000
"""Most attributes that are read. A hello world has 150,000 in the units of interest, whatever else it links."""
ABBREVIATIONS = 1 << 20
"""Largest .debug_abbrev, in bytes."""

_STRUCTS = {"runtime.g": "g", "runtime.m": "m", "runtime.gobuf": "gobuf", "runtime.stack": "stack"}
_UNITS = {b"runtime", b"internal/abi"}
_CONSTANT = re.compile(r"(?:runtime|internal/abi)\.((?:fixedS|[sS])tack\w*)")
_REQUIRED = (
    "g.stack.lo", "g.stack.hi", "g.stackguard0", "g.stackguard1", "g.m", "g.sched.sp", "g.sched.pc", "g.sched.g",
    "g.sched.ctxt", "g.sched.lr", "g.sched.bp", "m.g0", "m.gsignal", "m.curg", "m.tls", "m.morebuf.sp",
    "m.morebuf.pc", "m.morebuf.g", "gobuf.sp", "gobuf.pc", "gobuf.ctxt",
)  # fmt: skip
_NESTING, _FIELDS = 12, 20_000
# pyelftools adds up a LEB128 number of any length, in quadratic time.
_ENDLESS_NUMBER = re.compile(rb"[\x80-\xff]{4096}")


@dataclass(frozen=True)
class Facts:
    """``layout`` of ``g``, ``m``, ``gobuf`` and ``stack``; ``constants``: ``stackGuard``, ``StackSmall`` … -> value."""

    layout: Layout
    constants: Mapping[str, int]


@dataclass
class _Type:
    """A struct (with members: name, offset, type) or a typedef (with the type it stands for)."""

    name: str
    size: int
    target: int | None
    members: list[tuple[str, int, int]] = field(default_factory=list)


def read(sections: Mapping[str, bytes], word: int) -> Facts:
    """The facts in the unpacked ``.debug_*`` sections of a program whose pointers have ``word`` bytes.

    Raises:
        ElfError: the DWARF is damaged, or is not that of a Go program.
    """
    if len(sections[".debug_abbrev"]) > ABBREVIATIONS or _ENDLESS_NUMBER.search(sections[".debug_info"]):
        raise ElfError("damaged DWARF: not what a Go linker writes")
    try:
        types, constants = _walk(sections, word)
        layout = _layout(types, word)
    except ElfError:
        raise
    except Exception as error:  # pyelftools lets through whatever it trips over: the one place to catch that
        reason = " ".join(str(error).split())[:100]
        raise ElfError(f"damaged DWARF ({type(error).__name__}{': ' if reason else ''}{reason})") from None
    if "stackGuard" not in constants:
        raise ElfError("the DWARF has no constant runtime.stackGuard (Go before 1.21, or not built by gc)")
    return Facts(layout, constants)


def _walk(sections: Mapping[str, bytes], word: int) -> tuple[dict[int, _Type], dict[str, int]]:
    """Types by their offset in .debug_info, and constants by their bare name."""
    types: dict[int, _Type] = {}
    constants: dict[str, int] = {}
    current = _Type("", 0, None)
    for unit, depth, entry in _entries(_open(sections, word)):
        attributes = entry.attributes
        match depth, entry.tag:
            case 1, "DW_TAG_structure_type" | "DW_TAG_typedef":
                size = int(attributes["DW_AT_byte_size"].value) if "DW_AT_byte_size" in attributes else 0
                current = types[entry.offset] = _Type(_name(entry), size, _target(unit, entry))
            case 1, "DW_TAG_constant":
                if known := _CONSTANT.fullmatch(_name(entry)):
                    constants[known[1]] = int(attributes["DW_AT_const_value"].value)
            case 2, "DW_TAG_member":
                target = _target(unit, entry)
                if target is not None:
                    offset = int(attributes["DW_AT_data_member_location"].value)
                    current.members.append((_name(entry), offset, target))
    return types, constants


def _open(sections: Mapping[str, bytes], word: int) -> DWARFInfo:
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

    def descriptor(name: str) -> DebugSectionDescriptor | None:
        data = sections.get(name)
        return None if data is None else DebugSectionDescriptor(io.BytesIO(data), name, None, len(data), 0)

    config = DwarfConfig(little_endian=True, machine_arch="", default_address_size=word)
    names = (
        "debug_info", "debug_aranges", "debug_abbrev", "debug_frame", "eh_frame", "debug_str", "debug_loc",
        "debug_ranges", "debug_line", "debug_pubtypes", "debug_pubnames", "debug_addr", "debug_str_offsets",
        "debug_line_str", "debug_loclists", "debug_rnglists", "debug_sup", "gnu_debugaltlink", "debug_types",
    )  # fmt: skip
    return DWARFInfo(config=config, **{f"{name}_sec": descriptor(f".{name}") for name in names})


def _entries(info: DWARFInfo) -> Iterator[tuple[CompileUnit, int, DIE]]:
    """Unit, depth and entry for all entries of the units of interest, within the budget."""
    budget, tables = BUDGET, set()
    for unit in info.iter_CUs():
        table = unit.get_abbrev_table()
        if table.offset not in tables:
            tables.add(table.offset)
            budget -= table.stream.tell() - table.offset
        top = unit.get_top_DIE()
        wanted = "DW_AT_name" in top.attributes and top.attributes["DW_AT_name"].value in _UNITS
        depth = 0
        for entry in unit.iter_DIEs() if wanted else (top,):
            budget -= 1
            if entry.abbrev_code is None or entry.is_null():
                depth -= 1
                continue
            budget -= len(table.get_abbrev(entry.abbrev_code)["attr_spec"])
            if budget < 0:
                raise ElfError("damaged DWARF: far more of it than the runtime has")
            yield unit, depth, entry
            depth += bool(entry.has_children)


def _name(entry: DIE) -> str:
    name: bytes = entry.attributes["DW_AT_name"].value if "DW_AT_name" in entry.attributes else b""
    return name.decode("utf-8", "replace")


def _target(unit: CompileUnit, entry: DIE) -> int | None:
    """Where in .debug_info the type of an entry stands."""
    if "DW_AT_type" not in entry.attributes:
        return None
    attribute = entry.attributes["DW_AT_type"]
    return int(attribute.value) + (0 if attribute.form == "DW_FORM_ref_addr" else unit.cu_offset)


def _layout(types: Mapping[int, _Type], word: int) -> Layout:
    offsets: dict[str, int] = {}
    sizes: dict[str, int] = {}

    def flatten(name: str, base: int, where: int, nesting: int) -> None:
        for _ in range(_NESTING):
            kind = types.get(where)
            if kind is None or kind.target is None:
                break
            where = kind.target
        if kind is None:
            return
        for member, offset, target in kind.members:
            if member == "_":
                continue
            if nesting == _NESTING or len(offsets) == _FIELDS or not 0 <= offset <= kind.size:
                raise ElfError(f"damaged DWARF: the fields of {name} make no sense")
            offsets[f"{name}.{member}"] = base + offset
            flatten(f"{name}.{member}", base + offset, target, nesting + 1)

    for where, kind in types.items():
        if kind.name in _STRUCTS and kind.target is None:
            sizes[_STRUCTS[kind.name]] = kind.size
            flatten(_STRUCTS[kind.name], 0, where, 0)
    missing = next((name for name in _REQUIRED if name not in offsets), None)
    if missing:
        raise ElfError(f"the DWARF has no field {missing} of the runtime")
    return Layout(word, offsets, sizes)
