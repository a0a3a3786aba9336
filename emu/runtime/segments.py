"""How a segment is linked to a stack and taken away again, access by access, for all that have linked segments.

Sources: newstack and oldstack of the eras 2011 and 2014, in the order of their stores.
"""

from __future__ import annotations

from emu.access import Accesses, get, put, read_bytes, write, write_bytes
from emu.runtime.struct import Struct


def set_bounds(g: Struct, base: int, guard: int) -> Accesses[None]:
    """Write stackbase, and then every guard word that the era has."""
    yield from put(g, "stackbase", base)
    for field in g.layout.guards:
        yield from put(g, field.removeprefix("g."), guard)


def fill_top(g: Struct, m: Struct, top: Struct, args: int, free: int, guard: int) -> Accesses[None]:
    """Note in a Stktop where to go back to, and set g's bounds for the newest segment."""
    yield from put(top, "stackbase", (yield from get(g, "stackbase")))
    yield from put(top, "stackguard", (yield from get(g, "stackguard")))
    for field in (name.removeprefix("gobuf.") for name in g.layout.offsets if name.startswith("gobuf.")):
        yield from put(top, f"gobuf.{field}", (yield from get(m, f"morebuf.{field}")))
    yield from put(top, "argp", (yield from get(m, "moreargp")))
    yield from put(top, "argsize", args)
    if top.has("free"):
        yield from put(top, "free", free)
    yield from put(top, "panic", (yield from get(g, "ispanic")))
    yield from put(g, "ispanic", 0)
    yield from set_bounds(g, top.address, guard)


def pass_arguments(m: Struct, top: Struct, args: int, link: bool) -> Accesses[int]:
    """Copy the arguments below ``top``; with ``link`` a zero below them, where a caller would have saved its link.

    Gives the SP that the function is called with, a return PC not yet pushed.
    """
    sp = top.address - args
    yield from write_bytes(sp, (yield from read_bytes((yield from get(m, "moreargp")), args)))
    if link:
        sp -= top.layout.word
        yield from write(sp, top.layout.word, 0)
    return sp


def return_results(top: Struct) -> Accesses[None]:
    """Copy the arguments' and results' words back to where the caller has them."""
    args = yield from get(top, "argsize")
    data = yield from read_bytes(top.address - args, args)
    yield from write_bytes((yield from get(top, "argp")), data)
