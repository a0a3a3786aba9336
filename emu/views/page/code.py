"""The instructions that a page shows: those that ran, and a few on either side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from asm.readback import disassemble
from emu.trace.model import Recording
from emu.views.names import with_target

AROUND = 12  # instructions shown before and behind one that ran
LONGEST = 16  # bytes; no arch has a longer instruction

Instruction = tuple[int, str, str, str]  # address, bytes in hex, text, place and words of its source line


def instructions(recording: Recording, ran: Iterable[int]) -> list[Instruction]:
    """What stands at the addresses that ``ran`` and around them, ascending."""
    wanted, program = sorted(set(ran)), recording.header.program
    by_symbol: dict[tuple[int, int], set[int]] = {}
    for pc in wanted:
        symbol = program.at(pc)
        if symbol is not None:
            by_symbol.setdefault((symbol.address, symbol.size), set()).add(pc)
    found: dict[int, Instruction] = {}
    for (start, size), inside in by_symbol.items():
        found |= {line[0]: line for line in _near(list(_read(recording, start, size)), inside)}
    for pc in wanted:
        if pc not in found:
            found[pc] = next(islice(_read(recording, pc, LONGEST), 1), (pc, "", "?", ""))
    return [found[address] for address in sorted(found)]


def _read(recording: Recording, start: int, size: int) -> Iterator[Instruction]:
    header = recording.header
    for address, code, text in disassemble(header.arch, recording.code(start, size), start):
        line = header.program.lines.get(address)
        source = f"{line.file}:{line.number}  {line.text}" if line else ""
        data = header.program.data.get(address)
        yield address, code.hex(), data.text if data else with_target(header.program, text), source


def _near(lines: list[Instruction], ran: set[int]) -> Iterator[Instruction]:
    """Those lines that ran or stand near one that did."""
    places = [place for place, line in enumerate(lines) if line[0] in ran]
    near = {n for place in places for n in range(place - AROUND, place + AROUND + 1)}
    return (line for place, line in enumerate(lines) if place in near)
