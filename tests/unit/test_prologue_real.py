"""The contract of the stack check on real functions: what Go 1.21 and the newest Go put in front of theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from emu import target as targets
from emu.contracts import prologue as contract
from emu.contracts.judge import judge
from emu.contracts.prologue import Function
from emu.process import Region
from emu.runtime.world import World
from emu.scenes import prologue
from emu.target import Target

_FAR = rb"(?:\x76.|\x0f\x86.{4})"
PATTERNS = {
    "386": {
        "small": rb"\x65\x8b\x0d\0{4}\x8b\x89\xfc\xff{3}\x3b\x61\x08" + _FAR,
        "medium": rb"\x65\x8b\x0d\0{4}\x8b\x89\xfc\xff{3}\x8d(?:\x84\x24(.{4})|\x44\x24(.))\x3b\x41\x08" + _FAR,
        "huge": rb"\x65\x8b\x0d\0{4}\x8b\x89\xfc\xff{3}\x89\xe0\x2d(.{4})(?:\x72.|\x0f\x82.{4})\x3b\x41\x08" + _FAR,
    },
    "amd64": {
        "small": rb"\x49\x3b\x66\x10" + _FAR,
        "small abi0": rb"\x64\x4c\x8b\x34\x25\xf8\xff{3}\x49\x3b\x66\x10" + _FAR,
        "medium": rb"\x4c\x8d(?:\xa4\x24(.{4})|\x64\x24(.))\x4d\x3b\x66\x10" + _FAR,
        "huge": rb"\x49\x89\xe4\x49\x81\xec(.{4})(?:\x72.|\x0f\x82.{4})\x4d\x3b\x66\x10" + _FAR,
    },
    "arm": {
        "small": rb"\x08\x10\x9a\xe5\x01\x00\x5d\xe1.{3}\x9a",
        "medium": rb"\x08\x10\x9a\xe5(.[\x20-\x2f]\x4d\xe2)\x01\x00\x52\xe1.{3}\x9a",
        "huge": rb"\x08\x10\x9a\xe5(.[\xb0-\xbf][\x00-\x0f]\xe3)\x0b\x20\x5d\xe0\x01\x00\x52\x21.{3}\x9a",
    },
}
SAMPLES = 4  # functions of each form
LARGEST = 0x8000  # of the frames that are tried, so that the low stack lies below any program


def frame_of(arch: str, form: str, match: re.Match[bytes]) -> int:
    """The frame that a real check is made for; any small one if it is small."""
    if form.startswith("small"):
        return 128
    found = next(group for group in match.groups() if group)
    value = int.from_bytes(found, "little", signed=form == "medium" and arch != "arm")
    if arch != "arm":
        return abs(value) + 128
    if form == "huge":  # movw
        return (value >> 4 & 0xF000 | value & 0xFFF) + 128
    rotated, by = value & 0xFF, 2 * (value >> 8 & 0xF)
    return ((rotated >> by | rotated << (32 - by)) & 0xFFFF_FFFF) + 128


def entry_called(target: Target, name: str) -> str:
    """Which of the two entries of morestack the tail of a real function calls."""
    symbol = target.program.symbol(name)
    code = target.program.read(symbol.address, symbol.size)
    opcode, width, ahead, unit = (b"\xe8", 4, 5, 1) if target.arch.isa == "x86" else (b"\xeb", 3, 8, 4)
    for match in re.finditer(re.escape(opcode), code):
        at = match.start() + 1 if width == 4 else match.start() - 3
        start = match.start() if width == 4 else at
        called = symbol.address + start + ahead + unit * int.from_bytes(code[at : at + width], "little", signed=True)
        for entry in ("morestack", "morestack_noctxt"):
            if called == target.routines[entry].address:
                return entry
    raise AssertionError(f"{name} never calls morestack")


def real_functions(target: Target) -> Iterator[tuple[Function, int]]:
    """Some functions of a binary for each form, and the address of the body behind their check."""
    for form, pattern in PATTERNS[target.arch.name].items():
        yield from islice(_real(target, form, re.compile(pattern, re.DOTALL)), SAMPLES)


def _real(target: Target, form: str, pattern: re.Pattern[bytes]) -> Iterator[tuple[Function, int]]:
    for name, symbol in target.program.symbols.items():
        try:
            match = pattern.match(target.program.read(symbol.address, min(symbol.size, 64)))
        except ValueError:  # not part of the image
            continue
        if match and (frame := frame_of(target.arch.name, form, match)) < LARGEST:
            function = Function(
                frame, ctxt=entry_called(target, name) == "morestack", abi0="abi0" in form, borders=True, symbol=name,
                spills=10,
            )
            yield function, symbol.address + match.end()


def test_real_functions_keep_the_contract(go_binary: Path) -> None:
    target = targets.of_binary(str(go_binary))
    found = list(real_functions(target))
    assert {target.era.check_form(target.arch, f.frame) for f, _ in found} == set(prologue.FORMS)
    assert any(f.abi0 for f, _ in found) == (target.arch.internal is not None)
    entries = {entry: target.routines[entry].address for entry in ("morestack", "morestack_noctxt")}
    gates = {**target.program.gates, **entries, **{f.body: address for f, address in found}}
    w = World(replace(target, program=replace(target.program, gates=gates)))
    w.process.machine.map(0, LARGEST)
    w.process.regions.append(Region("lowest stack", 0, LARGEST))
    for function, _ in found:
        checks = [c for scene in prologue.scenes(w, function) for c in judge(w, scene, contract.of(function))]
        assert not [c for c in checks if not c.ok], function
