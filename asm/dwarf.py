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
from typing import TYPE_CHECKING, NamedTuple

from arch.layout import Layout
from asm.elf import ElfError

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DWARFInfo

BUDGET = 1_000_000
"""Most work that is done: one for an attribute, five for an entry, one for a byte of an abbreviation table.

Real programs take 200,000 to 300,000, mostly for the functions of the runtime, and hardly more if they are large.
"""
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


class Facts(NamedTuple):
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
    info = _open(sections, word)
    try:
        types, constants = _walk(info)
        layout = _layout(types, word)
    except ElfError:
        raise
    except Exception as error:  # pyelftools lets through whatever it trips over: the one place to catch that
        reason = " ".join(str(error).split())[:100]
        raise ElfError(f"damaged DWARF ({type(error).__name__}{': ' if reason else ''}{reason})") from None
    if "stackGuard" not in constants:
        raise ElfError("the DWARF has no constant runtime.stackGuard (Go before 1.21, or not built by gc)")
    return Facts(layout, constants)


class _Types:
    """Types by their offset in .debug_info; ``roots``: offset -> the struct of interest there, by its short name."""

    def __init__(self) -> None:
        self.at: dict[int, _Type] = {}
        self.roots: dict[int, str] = {}

    def add(self, where: int, kind: _Type) -> _Type:
        self.at[where] = kind
        if kind.target is None and kind.name in _STRUCTS:
            self.roots[where] = _STRUCTS[kind.name]
        return kind

    def complete(self, reached: int, meter: _Meter) -> bool:
        """Whether all that the structs of interest are made of stands before ``reached``.

        It stands near the front of its unit, which in a large program is megabytes long.
        """
        if len(self.roots) < len(_STRUCTS):
            return False
        seen: set[int] = set()
        ahead = list(self.roots)
        while ahead:
            where = ahead.pop()
            if where >= reached:
                return False
            if where not in seen:
                seen.add(where)
                meter.spend(1)
                kind = self.at.get(where)
                if kind:
                    ahead += [target for _, _, target in kind.members]
                    ahead += [kind.target] if kind.target is not None else []
        return True


class _Meter:
    """Ends a walk that does far more work than any Go program asks for."""

    def __init__(self) -> None:
        self._left = BUDGET
        self._tables: set[int] = set()

    def spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise ElfError("damaged DWARF: far more of it than the runtime has")

    def table(self, start: int, end: int) -> None:
        """Accounts for an abbreviation table, which is parsed when it is first met."""
        if start not in self._tables:
            self._tables.add(start)
            self.spend(end - start)


def _walk(info: DWARFInfo) -> tuple[_Types, dict[str, int]]:
    """All types that are needed, and constants by their bare name."""
    types = _Types()
    constants: dict[str, int] = {}
    meter = _Meter()
    for unit in info.iter_CUs():
        current = _Type("", 0, None)
        for depth, entry in _entries(unit, meter):
            attributes = entry.attributes
            match depth, entry.tag:
                case 1, "DW_TAG_structure_type" | "DW_TAG_typedef":
                    if types.complete(entry.offset, meter):
                        break
                    size = int(attributes["DW_AT_byte_size"].value) if "DW_AT_byte_size" in attributes else 0
                    current = types.add(entry.offset, _Type(_name(entry), size, _target(unit, entry)))
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


def _entries(unit: CompileUnit, meter: _Meter) -> Iterator[tuple[int, DIE]]:
    """Depth and entry for all entries of a unit of interest, and for the top one of any other."""
    table = unit.get_abbrev_table()
    meter.table(table.offset, table.stream.tell())
    top = unit.get_top_DIE()
    wanted = "DW_AT_name" in top.attributes and top.attributes["DW_AT_name"].value in _UNITS
    depth = 0
    for entry in unit.iter_DIEs() if wanted else (top,):
        meter.spend(5)
        if entry.abbrev_code is None or entry.is_null():
            depth -= 1
            continue
        meter.spend(len(table.get_abbrev(entry.abbrev_code)["attr_spec"]))
        yield depth, entry
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


def _layout(types: _Types, word: int) -> Layout:
    offsets: dict[str, int] = {}
    sizes: dict[str, int] = {}

    def flatten(name: str, base: int, where: int, nesting: int) -> None:
        for _ in range(_NESTING):
            kind = types.at.get(where)
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

    for where, name in types.roots.items():
        sizes[name] = types.at[where].size
        flatten(name, 0, where, 0)
    missing = next((name for name in _REQUIRED if name not in offsets), None)
    if missing:
        raise ElfError(f"the DWARF has no field {missing} of the runtime")
    return Layout(word, offsets, sizes)
