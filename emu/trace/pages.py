"""Guest memory as far as a trace knows it: pages with a flag for every byte, and what writes make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emu.trace.model import Accesses, Outside

PAGE = 1 << 12
Bytes = NDArray[np.uint8]
Page = tuple[Bytes, NDArray[np.bool_]]  # the bytes, and which of them are known


def unknown() -> Page:
    """A page of which nothing is known."""
    return np.zeros(PAGE, np.uint8), np.zeros(PAGE, np.bool_)


def touched(accesses: Accesses, outside: Iterable[Outside]) -> list[int]:
    """Addresses of the pages that are written, ascending."""
    writes = accesses[accesses["write"] != 0]
    first = writes["address"] >> np.uint64(12)
    last = (writes["address"] + writes["size"] - np.uint64(1)) >> np.uint64(12)
    found = set(np.unique(np.concatenate([first, last])).tolist())
    for _, address, data in outside:
        found.update(range(address >> 12, (address + len(data) + PAGE - 1) >> 12))
    return [page << 12 for page in sorted(found)]


def write(pages: Mapping[int, Page], accesses: Accesses, outside: Sequence[Outside]) -> None:
    """Change pages as writes do, in the order of steps; what a step wrote comes before what came from outside.

    Writes to pages that are not given are passed over.
    """
    if not pages:
        return
    writes = accesses[accesses["write"] != 0]
    at = 0
    for step, address, data in outside:
        upto = int(np.searchsorted(writes["step"], np.uint64(step), side="right")) if step >= 0 else 0
        _apply(pages, writes[at:upto])
        at = max(at, upto)
        _put(pages, address, data)
    _apply(pages, writes[at:])


def _put(pages: Mapping[int, Page], address: int, data: bytes) -> None:
    whole = np.frombuffer(data, np.uint8)
    done = 0
    while done < len(whole):
        page, offset = (address + done) & -PAGE, (address + done) % PAGE
        part = whole[done : done + PAGE - offset]
        if page in pages:
            content, known = pages[page]
            content[offset : offset + len(part)], known[offset : offset + len(part)] = part, True
        done += len(part)


def _apply(pages: Mapping[int, Page], writes: Accesses) -> None:
    """All writes at once: every byte of every write gets its place in one flat array, the last one wins."""
    if not len(writes):
        return
    order = np.array(sorted(pages), np.uint64)
    flat = np.concatenate([pages[int(page)][0] for page in order])
    known = np.concatenate([pages[int(page)][1] for page in order])
    span = np.arange(8, dtype=np.uint64)
    address = writes["address"][:, None] + span
    number = np.searchsorted(order, address, side="right").astype(np.int64) - 1
    inside = (number >= 0) & (span < writes["size"][:, None])
    inside &= (order[number] == address & ~np.uint64(PAGE - 1))
    place = (number << 12) + (address & np.uint64(PAGE - 1)).astype(np.int64)
    values = np.ascontiguousarray(writes["value"]).view(np.uint8).reshape(-1, 8)
    flat[place[inside]] = values[inside]
    known[place[inside]] = True
    for wide in writes[writes["size"] > 8]:  # of which only the lower half is on record
        beyond = np.arange(8, min(int(wide["size"]), 64), dtype=np.uint64) + wide["address"]
        number = np.searchsorted(order, beyond, side="right").astype(np.int64) - 1
        inside = (number >= 0) & (order[number] == beyond & ~np.uint64(PAGE - 1))
        known[(number[inside] << 12) + (beyond[inside] & np.uint64(PAGE - 1)).astype(np.int64)] = False
    for index, page in enumerate(order.tolist()):
        part = slice(index * PAGE, (index + 1) * PAGE)
        pages[page][0][:], pages[page][1][:] = flat[part], known[part]


class PagedMemory:
    """Memory before one step: pages are looked up when they are asked for."""

    def __init__(self, word: int, addresses: Sequence[int], page: Callable[[int], Page | None]) -> None:
        self._word, self._addresses, self._page = word, addresses, page
        self._seen: dict[int, Page | None] = {}

    def read(self, address: int, size: int) -> tuple[bytes, bytes]:
        """``size`` bytes, and as many flags: 1 where the byte is known, else 0."""
        data, flags = bytearray(size), bytearray(size)
        done = 0
        while done < size:
            base, offset = (address + done) & -PAGE, (address + done) % PAGE
            length = min(PAGE - offset, size - done)
            if base not in self._seen:
                self._seen[base] = self._page(base)
            page = self._seen[base]
            if page is not None:
                data[done : done + length] = page[0][offset : offset + length].tobytes()
                flags[done : done + length] = page[1][offset : offset + length].tobytes()
            done += length
        return bytes(data), bytes(flags)

    def word(self, address: int) -> int | None:
        """The word at an address; None if a part of it is not known."""
        data, known = self.read(address, self._word)
        return int.from_bytes(data, "little") if all(known) else None

    def pages(self) -> Sequence[int]:
        """Addresses of the 4 KiB pages of which anything is known, ascending."""
        return self._addresses
