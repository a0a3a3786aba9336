"""Listings: address, bytes, source."""

from __future__ import annotations

from collections.abc import Iterator

from asm.program import Program


def listing(program: Program) -> Iterator[tuple[int, bytes, str]]:
    """Rows of (address, bytes, source) in order of address; a label is a row without bytes, ``name:``.

    A row of instructions holds one; a row of data what its directive made, padding before the next row included.
    """
    sources = {**program.data, **program.lines}
    labels: dict[int, list[str]] = {}
    for symbol in program.symbols.values():
        labels.setdefault(symbol.address, []).append(symbol.name)
    ends = sorted(segment.address + segment.size for segment in program.segments)
    places = sorted(sources)
    for place, following in zip(places, [*places[1:], *ends[-1:]], strict=True):
        for name in labels.pop(place, ()):
            yield place, b"", f"{name}:"
        end = min([following, *(end for end in ends if end > place)])
        yield place, program.read(place, end - place), sources[place].text
    for place in sorted(labels):
        for name in labels[place]:
            yield place, b"", f"{name}:"
