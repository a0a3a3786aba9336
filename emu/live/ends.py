"""Where in a routine's code control may leave it, and where it enters the kernel; kept between commands."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import cast

from arch.model import Arch
from asm import cache as store
from asm.program import Program, Symbol

_KEPT = "ends-2"  # raise the number when the patterns change
_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "returns": re.compile(r"ret\b|bx lr|(mov|add) pc, lr|ldr pc, \[sp\]|(pop|ldm\w* sp!,) \{.*pc\}"),
    "traps": re.compile(r"syscall|int 0x80|svc"),
}


def ends(arch: Arch, program: Program, symbol: Symbol) -> Mapping[str, list[int]]:
    """``returns``: instructions that return; ``traps``: those behind a system call's. Addresses, ascending."""
    code = program.read(symbol.address, symbol.size)
    of = [arch.name, symbol.address, code.hex()]  # kept too, so that the key's sum need not tell all codes apart
    key, folder = f"{_KEPT}-{zlib.crc32(repr(of).encode()):08x}", store.folder()
    known = store.read(folder, key) if folder else None
    if isinstance(known, dict) and known.get("of") == of:
        return cast(Mapping[str, list[int]], known["ends"])
    found = _look(arch, code, symbol.address)
    if folder:
        store.write(folder, key, {"of": of, "ends": found})
    return found


def _look(arch: Arch, code: bytes, start: int) -> dict[str, list[int]]:
    from asm.readback import disassemble  # it takes long to load, and is not needed where all is known

    found: dict[str, list[int]] = {name: [] for name in _PATTERNS}
    for address, data, text in disassemble(arch, code, start):
        if _PATTERNS["returns"].match(text):
            found["returns"].append(address)
        if _PATTERNS["traps"].match(text):
            found["traps"].append(address + len(data))
    return found
