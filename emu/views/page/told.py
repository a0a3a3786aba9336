"""What the script of a page is told of a run: a record for JSON, and arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arch import calltext
from emu.trace.model import Event, Header, Numbers, Recording, Rows, Standing, after
from emu.trace.pages import PAGE
from emu.views.page.accounts import accounts
from emu.views.page.code import instructions
from emu.views.page.pack import lanes, number

WRITE, OUTSIDE = 1, 2  # flags of an access; its size stands above them
_SHIFT = 8
Arrays = dict[str, NDArray[np.uint32]]


def told(recording: Recording, first: int, end: int) -> tuple[dict[str, Any], Arrays]:
    """The record and the arrays of the steps ``first`` up to ``end``, of which some have rows."""
    header, state = recording.header, recording.state(first)
    numbers, rows = recording.numbers(first, end), recording.rows(first, end)
    events = recording.events(first if first else -1, end)
    account, pages = accounts(recording, first, end), _pages(recording, first, end)
    held = [state.memory.read(page, PAGE) for page in pages]
    pc = header.column("pc")
    ran = [] if pc is None else np.unique(rows[:, pc]).tolist()
    record = {
        "header": _header(header), "names": _names(header, state.standing, events),
        "first": first, "end": end, "steps": recording.steps, "columns": list(header.columns),
        "threads": _threads(state.standing, events),
        "damage": str(recording.damage) if recording.damage else None, **account.record,
        "code": [[number(at), *rest] for at, *rest in instructions(recording, ran)],
        "events": [[_place(numbers, e), e.kind, e.thread, _plain(_answered(header, e))] for e in events],
        "pages": [number(page) for page in pages],
    }
    return record, {
        **_rows(recording, numbers, rows, first, end), **account.arrays,
        **_accesses(recording, numbers, set(pages), first, end),
        "memory": np.frombuffer(b"".join(data for data, _ in held), "<u4"),
        "known": np.frombuffer(b"".join(known for _, known in held), "<u4"),
    }


def _header(header: Header) -> dict[str, Any]:
    arch = header.arch
    return {
        "arch": arch.name, "word": arch.word, "roles": dict(arch.roles), "flagBits": dict(arch.flag_bits),
        "returnOnStack": arch.call.return_on_stack, "firstArgument": arch.call.first_argument,
        "command": " ".join(header.command), "name": header.name, "sha256": header.sha256, "go": header.go,
        "entered": header.entered, "red": header.limits.red, "guardOffset": header.guard_offset,
        "special": [[hex(value), name] for value, name in sorted(header.special.items())],
    }


def _names(header: Header, standing: Standing, events: Sequence[Event]) -> dict[str, Any]:
    """What `emu.naming.Names` knows, for the script's own lookup of values."""
    structs = dict(standing.structs)
    for event in events:
        if event.kind == "struct":
            structs |= {event.data["address"]: (event.data["kind"], event.data["address"], event.data["label"])}
    symbols = sorted((s for s in header.program.symbols.values() if s.size), key=lambda symbol: symbol.address)
    fields: dict[str, dict[int, str]] = {}
    for name, offset in header.layout.offsets.items():
        kind, field = name.split(".", 1)
        fields.setdefault(kind, {})[offset] = field
    return {
        "symbols": [[s.name, number(s.address), s.size] for s in symbols],
        "gates": [[name, number(address)] for name, address in header.program.gates.items()],
        "regions": [[region.name, number(region.address), region.size] for region in header.regions],
        "structs": [[kind, number(address), label] for kind, address, label in structs.values()],
        "sizes": dict(header.layout.sizes), "fields": fields,
        "exact": [[number(address), name] for address, name in header.exact.items()],
        "values": [[number(address), name] for address, name in header.values.items()],
    }


def _threads(standing: Standing, events: Sequence[Event]) -> dict[int, str]:
    new = {event.thread: str(event.data["name"]) for event in events if event.kind == "thread"}
    return {n: thread.name for n, thread in standing.threads.items()} | new


def _answered(header: Header, event: Event) -> Mapping[str, Any]:
    """An event's data; what a system call gave is told as the text views do."""
    result = event.data.get("result")
    if event.kind != "syscall" or result is None:
        return event.data
    return {**event.data, "result": calltext.answer(event.data["name"], result, header.arch.mask)}


def _plain(value: Any) -> Any:
    """An event's data, with words that a script's numbers cannot hold in hex."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return number(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _place(numbers: Numbers, event: Event) -> int:
    """The number of the last row that is not after an event; of a check the step it is about. -1: before all."""
    step = int(event.data.get("step", event.step)) if event.kind == "check" else event.step
    return int(np.searchsorted(numbers, np.uint64(step), side="right")) - 1 if step >= 0 else -1


def _rows(recording: Recording, numbers: Numbers, rows: Rows, first: int, end: int) -> Arrays:
    """Rows by column, and the state after those that the next row does not go on from (``cut``)."""
    word = recording.header.arch.word
    then, known = after(recording, first, end)
    plain = np.zeros(len(rows), np.bool_)
    plain[:-1] = known[:-1] & (then[:-1] == rows[1:]).all(axis=1)
    cut = np.flatnonzero(~plain)
    found = {"step": (numbers - np.uint64(first)).astype(np.uint32), "cut": cut.astype(np.uint32)}
    found["cut.known"] = known[cut].astype(np.uint32)
    found["thread"] = np.concatenate(
        [np.empty(0, np.uint32), *(np.full(t.end - t.first, t.thread, np.uint32) for t in recording.turns(first, end))]
    ).astype(np.uint32)
    for column in range(rows.shape[1]):
        found |= lanes(f"row.{column}", rows[:, column], word) | lanes(f"cut.{column}", then[cut, column], word)
    return found


def _pages(recording: Recording, first: int, end: int) -> list[int]:
    """Pages of which something is known at first, and that the run touches or that hold stacks and structs."""
    state, sizes = recording.state(first), recording.header.layout.sizes
    accesses = recording.accesses(first, end)
    touched = set((np.unique(accesses["address"] // np.uint64(PAGE)) * np.uint64(PAGE)).tolist())
    spans = [(stack.lo, stack.hi) for stack in state.standing.stacks.values()]
    spans += [(s.address, s.address + sizes.get(s.kind, 0)) for s in state.standing.structs.values()]
    return [
        page for page in state.memory.pages()
        if page in touched or any(lo < page + PAGE and page < hi for lo, hi in spans)
    ]


def _accesses(recording: Recording, numbers: Numbers, pages: set[int], first: int, end: int) -> Arrays:
    """Accesses of the rows' instructions, and what came from outside, in order.

    ``access.at``: how many rows there are up to the one that the access belongs to; ``access.info``: flags and size.
    """
    accesses = recording.accesses(first, end)
    info = accesses["size"].astype(np.uint64) << np.uint64(_SHIFT) | (accesses["write"] != 0).astype(np.uint64)
    own = np.stack([accesses["step"] * np.uint64(2), accesses["address"], accesses["value"], info], axis=1)
    outside = np.array(list(_outside(recording, pages, first, end)), np.uint64).reshape(-1, 4)
    every = np.concatenate([own.astype(np.uint64), outside])
    every = every[np.argsort(every[:, 0], kind="stable")]
    at = np.searchsorted(numbers, every[:, 0] // np.uint64(2), side="right").astype(np.uint32)
    return {
        "access.at": at, "access.info": every[:, 3].astype(np.uint32),
        **lanes("access.address", every[:, 1], 8), **lanes("access.value", every[:, 2], 8),
    }


def _outside(recording: Recording, pages: set[int], first: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Writes from outside in pieces of up to 8 bytes, as far as they lie in the page's memory."""
    for step, address, data in recording.outside(first, end):
        for at in range(0, len(data), 8):
            part = data[at : at + 8]
            if (address + at) & -PAGE in pages:
                flags = len(part) << _SHIFT | WRITE | OUTSIDE
                yield 2 * step + 1, address + at, int.from_bytes(part, "little"), flags
