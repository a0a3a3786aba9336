"""Pieces of a run as sections of a chunk, and back: `format.md` has the list."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from emu.naming import Struct
from emu.trace.model import (
    ACCESS,
    FIELDS,
    STANDING,
    Accesses,
    Event,
    Numbers,
    Outside,
    Rows,
    Stack,
    Standing,
    Thread,
    Turn,
)
from emu.trace.pages import PAGE, Page
from emu.trace.pieces import Kept, no_accesses
from emu.trace.sections import MOST, Broken

MOST_ROWS = 1 << 20  # rows, accesses or events of one piece; a writer makes fewer
MOST_THREADS = 1 << 32
_WORD = 1 << 64
_F = TypeVar("_F", bound=Callable[..., Any])


def encode(piece: Kept, start: Standing) -> Iterator[tuple[str, bytes]]:
    """A piece as sections. ``start``: what stands at the begin of the run, which is not repeated."""
    yield "meta", _bytes(np.array([piece.first, piece.end, len(piece.rows), len(piece.accesses)]))
    yield "turns", _bytes(np.array(piece.turns, np.uint64))
    for number in range(piece.rows.shape[1]):
        yield f"row.{number}", _differences(piece.rows[:, number])
    yield "cut.step", _bytes(piece.cuts[0])
    yield "cut.row", _bytes(piece.cuts[1].T)
    accesses = piece.accesses
    yield "acc.step", _differences(accesses["step"])
    yield "acc.address", _differences(accesses["address"])
    yield "acc.value", _narrow(np.ascontiguousarray(accesses["value"]))
    yield "acc.info", (accesses["size"] << np.uint32(1) | (accesses["write"] != 0)).astype("<u4").tobytes()
    yield "events", _events(piece.events, False)
    yield "changes", _events(piece.events, True)
    yield "out.at", _bytes(np.array([(o.step + 1, o.address, len(o.data)) for o in piece.outside], np.uint64))
    yield "out.data", b"".join(o.data for o in piece.outside)
    yield "standing", b"" if piece.standing == start else json.dumps(_standing(piece.standing), **_JSON).encode()
    pages = sorted(piece.pages.items())
    yield "page.at", _bytes(np.array([address for address, _ in pages], np.uint64))
    yield "page.data", b"".join(content.tobytes() for _, (content, _) in pages)
    yield "page.known", b"".join(np.packbits(known).tobytes() for _, (_, known) in pages)
    code = sorted(piece.code.items())
    yield "code.at", _bytes(np.array([(address, len(data)) for address, data in code], np.uint64))
    yield "code.data", b"".join(data for _, data in code)


_JSON: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":")}


def _events(events: Sequence[Event], standing: bool) -> bytes:
    """Events of `STANDING`, or the others, each with its number among all."""
    kept = [[n, *event] for n, event in enumerate(events) if (event.kind in STANDING) == standing]
    return json.dumps(kept, **_JSON).encode() if kept else b""


def _bytes(values: NDArray[Any]) -> bytes:
    return values.astype("<u8").tobytes()


def _narrow(values: Numbers) -> bytes:
    """Numbers in 4 bytes each if all fit, else in 8."""
    return values.astype("<u4" if not len(values) or values.max() >> np.uint64(32) == 0 else "<u8").tobytes()


def _differences(values: Numbers) -> bytes:
    """Each number less the one before, modulo the size they are kept in."""
    narrow = np.frombuffer(_narrow(np.ascontiguousarray(values)), "<u8" if _wide(values) else "<u4")
    return np.diff(narrow, prepend=narrow.dtype.type(0)).tobytes()


def _wide(values: Numbers) -> bool:
    return bool(len(values)) and bool(values.max() >> np.uint64(32))


def _standing(standing: Standing) -> list[list[list[Any]]]:
    return [
        [[*stack] for stack in standing.stacks.values()],
        [[*struct] for struct in standing.structs.values()],
        [[number, *thread] for number, thread in standing.threads.items()],
    ]


def numbers(raw: bytes, count: int, what: str, *, summed: bool = False) -> Numbers:
    """``count`` numbers from a section, of 4 or 8 bytes each. Raises Broken."""
    if len(raw) not in (4 * count, 8 * count):
        raise Broken(f"{what}: {len(raw)} bytes for {count} numbers")
    found = np.frombuffer(raw, "<u8" if len(raw) == 8 * count else "<u4")
    if summed:
        found = np.cumsum(found, dtype=found.dtype)
    return found.astype(np.uint64, copy=False)


def table(raw: bytes, width: int, what: str) -> Rows:
    """Rows of ``width`` numbers of 8 bytes. Raises Broken."""
    if len(raw) % (8 * width):
        raise Broken(f"{what}: not a whole number of rows")
    return np.frombuffer(raw, "<u8").reshape(-1, width)


def read_json(raw: bytes, what: str) -> Any:
    """JSON from a section. Raises Broken."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise Broken(f"{what}: not JSON") from None


def _checked(read: _F) -> _F:
    """Say where it stands, if what is read cannot be."""

    @wraps(read)
    def checked(self: Coded, *args: Any) -> Any:
        try:
            return read(self, *args)
        except Broken as error:
            raise self.failed(str(error)) from None

    return cast(_F, checked)


class Coded:
    """A piece that is read when it is asked for. ``section``: gives a section's bytes.

    ``start``: what stands at the begin of the run. ``failed`` makes the exception for what cannot be.
    """

    def __init__(
        self, section: Callable[[str], bytes], columns: int, start: Standing, failed: Callable[[str], Exception]
    ) -> None:
        self._section, self._columns, self._start, self.failed = section, columns, start, failed
        self._begin()

    @_checked
    def _begin(self) -> None:
        section = self._section
        meta = table(section("meta"), 4, "meta")
        if len(meta) != 1:
            raise Broken("meta: not of its length")
        self.first, self.end, self.count, self._accesses = meta[0].tolist()
        if not self.first <= self.end < _WORD >> 1 or max(self.count, self._accesses) > MOST_ROWS:
            raise Broken("meta: numbers that cannot be")

    @cached_property
    @_checked
    def turns(self) -> Sequence[Turn]:
        found = table(self._section("turns"), 3, "turns").tolist()
        at = self.first
        for first, end, thread in found:
            if not at <= first < end <= self.end or thread >= MOST_THREADS:
                raise Broken("turns: not in order")
            at = end
        if sum(end - first for first, end, _ in found) != self.count:
            raise Broken("turns: not as many steps as rows")
        return [Turn(*turn) for turn in found]

    @_checked
    def column(self, number: int) -> Numbers:
        return numbers(self._section(f"row.{number}"), self.count, f"row.{number}", summed=True)

    @cached_property
    @_checked
    def rows(self) -> Rows:
        found = np.empty((self.count, self._columns), np.uint64)
        for number in range(self._columns):
            found[:, number] = self.column(number)
        return found

    @cached_property
    @_checked
    def cuts(self) -> tuple[Numbers, Rows]:
        steps = table(self._section("cut.step"), 1, "cut.step")[:, 0]
        if len(steps) > MOST_ROWS or np.any(steps[1:] < steps[:-1]) or np.any(steps >= np.uint64(self.end)):
            raise Broken("cut.step: not in order")
        rows = numbers(self._section("cut.row"), len(steps) * self._columns, "cut.row")
        return steps, rows.reshape(self._columns, -1).T if len(steps) else rows.reshape(0, self._columns)

    @cached_property
    @_checked
    def accesses(self) -> Accesses:
        count = self._accesses
        if not count:
            return no_accesses()
        found = np.empty(count, ACCESS)
        found["step"] = numbers(self._section("acc.step"), count, "acc.step", summed=True)
        found["address"] = numbers(self._section("acc.address"), count, "acc.address", summed=True)
        found["value"] = numbers(self._section("acc.value"), count, "acc.value")
        info = numbers(self._section("acc.info"), count, "acc.info").astype(np.uint32)
        found["size"], found["write"] = info >> np.uint32(1), info & np.uint32(1)
        steps = found["step"]
        if np.any(steps[1:] < steps[:-1]) or steps[0] < self.first or steps[-1] >= max(self.end, 1):
            raise Broken("acc.step: not in order")
        return found

    @cached_property
    @_checked
    def events(self) -> Sequence[Event]:
        numbered = sorted([*self._changes, *self._read_events("events")], key=lambda item: item[0])
        return [event for _, event in numbered]

    @cached_property
    @_checked
    def _changes(self) -> Sequence[tuple[int, Event]]:
        found = self._read_events("changes")
        if not all(event.kind in STANDING for _, event in found):
            raise Broken("changes: an event of another kind")
        return found

    @property
    def changes(self) -> Sequence[Event]:
        return [event for _, event in self._changes]

    def _read_events(self, name: str) -> list[tuple[int, Event]]:
        raw = self._section(name)
        found = read_json(raw, name) if raw else []
        if not isinstance(found, list):
            raise Broken(f"{name}: not a list")
        return [_event(item, self.first, self.end) for item in found]

    @cached_property
    @_checked
    def outside(self) -> Sequence[Outside]:
        data, found, at = self._section("out.data"), [], 0
        for step, address, size in table(self._section("out.at"), 3, "out.at").tolist():
            if not self.first <= step <= self.end or size > len(data) - at or address + size > _WORD:
                raise Broken("out.at: numbers that cannot be")
            found.append(Outside(step - 1, address, data[at : at + size]))
            at += size
        return found

    @cached_property
    @_checked
    def standing(self) -> Standing:
        raw = self._section("standing")
        return _read_standing(read_json(raw, "standing")) if raw else self._start

    @cached_property
    @_checked
    def written(self) -> list[int]:
        """Addresses of `pages`, without reading them."""
        return _page_addresses(table(self._section("page.at"), 1, "page.at")[:, 0], "page.at")

    @cached_property
    @_checked
    def pages(self) -> Mapping[int, Page]:
        count = len(self.written)
        data, known = self._section("page.data"), self._section("page.known")
        if len(data) != count * PAGE or len(known) != count * PAGE // 8:
            raise Broken("page.data: not of its length")
        content = np.frombuffer(data, np.uint8).reshape(count, PAGE)
        flags = np.unpackbits(np.frombuffer(known, np.uint8)).reshape(count, PAGE).astype(np.bool_)
        return {address: (content[n], flags[n]) for n, address in enumerate(self.written)}

    @cached_property
    @_checked
    def ran(self) -> list[int]:
        """Addresses of the pages in `code`."""
        return _page_addresses(table(self._section("code.at"), 2, "code.at")[:, 0], "code.at")

    @cached_property
    @_checked
    def code(self) -> Mapping[int, bytes]:
        data, found, at = self._section("code.data"), {}, 0
        for address, size in table(self._section("code.at"), 2, "code.at").tolist():
            if size > min(PAGE, len(data) - at):
                raise Broken("code.at: numbers that cannot be")
            found[address] = data[at : at + size]
            at += size
        return found


def _page_addresses(found: Numbers, what: str) -> list[int]:
    if np.any(found & np.uint64(PAGE - 1)):
        raise Broken(f"{what}: not the begin of a page")
    return [int(address) for address in found]


def _event(item: Any, first: int, end: int) -> tuple[int, Event]:
    """An event as it was written, with its number: its kind has what it must."""
    match item:
        case [int(number), int(step), str(kind), int(thread), dict(data)] if first - 1 <= step < max(end, first):
            for name, types in FIELDS.get(kind, {}).items():
                if not isinstance(data.get(name), types) and not (kind == "stack" and data.get("gone")):
                    raise Broken(f"events: {kind} without {name}")
                if isinstance(data.get(name), int) and not -(_WORD >> 1) <= data[name] < _WORD:
                    raise Broken(f"events: {name} of {kind} is no word")
            return number, Event(step, kind, thread, data)
    raise Broken("events: one that is none")


def _read_standing(found: Any) -> Standing:
    try:
        stacks, structs, threads = found
        return Standing(
            {name: stack_of([name, *rest]) for name, *rest in stacks},
            {struct[1]: struct_of(struct) for struct in structs},
            {word_of(number): Thread(text_of(name), None if g is None else word_of(g)) for number, name, g in threads},
        )
    except (TypeError, ValueError, IndexError):
        raise Broken("standing: not what it should be") from None


def word_of(value: object) -> int:
    """A word, checked. Raises ValueError."""
    if isinstance(value, int) and 0 <= value < _WORD:
        return value
    raise ValueError("not a word")


def text_of(value: object) -> str:
    """A text, checked. Raises ValueError."""
    if isinstance(value, str):
        return value
    raise ValueError("not a text")


def stack_of(values: Sequence[object]) -> Stack:
    """A stack, checked. Raises ValueError."""
    name, label, *numbers = values
    return Stack(text_of(name), text_of(label), *map(word_of, numbers))


def struct_of(values: Sequence[object]) -> Struct:
    """A struct, checked. Raises ValueError."""
    kind, address, label = values
    return Struct(text_of(kind), word_of(address), text_of(label))


assert MOST_ROWS * 8 <= MOST
