"""The header of a trace as JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import arch as arches
from arch.layout import Layout
from asm.program import Line, Program, Symbol
from emu.naming import Region
from emu.trace.codec import read_json, stack_of, struct_of, text_of, word_of
from emu.trace.model import VERSION, Header, Limits
from emu.trace.sections import Broken

_MOST_FIELD = 1 << 24  # bytes from the begin of a struct; no field lies farther


def encode_header(header: Header) -> bytes:
    """The header as JSON."""
    program = header.program
    fields = {
        "version": header.version, "arch": header.arch_name, "command": list(header.command), "name": header.name,
        "sha256": header.sha256, "go": header.go, "entered": header.entered, "columns": list(header.columns),
        "symbols": [[s.name, s.address, s.size] for s in program.symbols.values()], "gates": dict(program.gates),
        "lines": [[address, line.file, line.number, line.text] for address, line in program.lines.items()],
        "regions": [list(r) for r in header.regions], "segments": [list(s) for s in header.segments],
        "structs": [list(s) for s in header.structs], "stacks": [list(s) for s in header.stacks],
        "limits": {"red": header.limits.red, "switching": header.limits.switching},
        "special": _pairs(header.special), "offsets": dict(header.layout.offsets), "sizes": dict(header.layout.sizes),
        "g_register": header.g_register, "g_word": header.g_word, "exact": _pairs(header.exact),
        "values": _pairs(header.values), "threads": _pairs(header.threads),
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _pairs(mapping: Mapping[int, str]) -> list[list[Any]]:
    return [[number, name] for number, name in mapping.items()]


def decode_header(raw: bytes) -> Header:
    """The header that was written. Raises Broken, also for a version of the format that is not known."""
    found = read_json(raw, "header")
    if not isinstance(found, dict):
        raise Broken("header: not an object")
    if found.get("version") != VERSION:
        raise Broken(f"version {found.get('version')!r} of the format; version {VERSION} is known here")
    try:
        header = _header(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Broken(f"header: not what it should be ({error})") from None
    _check(header)
    return header


def _header(found: Mapping[str, Any]) -> Header:
    arch = arches.get(text_of(found["arch"]))
    sizes = {text_of(name): _small(size) for name, size in found["sizes"].items()}
    offsets = {text_of(name): _small(offset) for name, offset in found["offsets"].items()}
    optional = {name: found[name] for name in ("g_register", "g_word") if found[name] is not None}
    return Header(
        arch_name=arch.name, command=[text_of(word) for word in found["command"]], name=text_of(found["name"]),
        sha256=text_of(found["sha256"]), go=text_of(found["go"]), entered=text_of(found["entered"]),
        columns=[text_of(name) for name in found["columns"]], program=_program(arch.name, found),
        regions=[_region(r) for r in found["regions"]], segments=[_region(s) for s in found["segments"]],
        structs=[struct_of(s) for s in found["structs"]], stacks=[stack_of(s) for s in found["stacks"]],
        limits=Limits(word_of(found["limits"]["red"]), word_of(found["limits"]["switching"])),
        special=_names(found["special"]), layout=Layout(arch.word, offsets, sizes),
        g_register=text_of(optional["g_register"]) if "g_register" in optional else None,
        g_word=word_of(optional["g_word"]) if "g_word" in optional else None,
        exact=_names(found["exact"]), values=_names(found["values"]), threads=_names(found["threads"]),
    )


def _small(value: object) -> int:
    if isinstance(value, int) and 0 <= value < _MOST_FIELD:
        return value
    raise ValueError("a size or an offset that cannot be")


def _program(arch: str, found: Mapping[str, Any]) -> Program:
    symbols = [Symbol(text_of(name), word_of(address), word_of(size)) for name, address, size in found["symbols"]]
    lines = {
        word_of(at): Line(text_of(file), word_of(number), text_of(text)) for at, file, number, text in found["lines"]
    }
    gates = {text_of(name): word_of(address) for name, address in found["gates"].items()}
    return Program(arch, (), {symbol.name: symbol for symbol in symbols}, gates, lines)


def _region(values: Any) -> Region:
    name, address, size, kind = values
    return Region(text_of(name), word_of(address), word_of(size), text_of(kind))


def _names(pairs: Any) -> dict[int, str]:
    return {word_of(number): text_of(name) for number, name in pairs}


def _check(header: Header) -> None:
    """Whether a view can rely on it. Raises Broken."""
    columns = header.columns
    if len(set(columns)) != len(columns) or header.column("sp") is None or header.column("pc") is None:
        raise Broken("header: columns without SP and PC, or one twice")
    if not {struct.kind for struct in header.structs} <= set(header.layout.sizes):
        raise Broken("header: a struct of no known size")
    if header.g_register is not None and header.g_register not in (*header.arch.registers, *columns):
        raise Broken("header: g in a register that is none")
    if not any("." not in name for name in header.layout.offsets) and header.layout.guards:
        return
    raise Broken("header: a layout without a guard, or fields without a struct")
