"""A few words of memory followed through a piece: what each held at every moment, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emu.trace.model import Accesses, Numbers, Outside

_TIME = 44  # bits of a key for the moment; the word's number stands above them
_WIDEST = 64  # bytes of the widest write
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]  # numbers of words; -1 for none


class _Write(NamedTuple):
    """Bytes written at a moment: steps since the piece began times two, and one more for what came from outside."""

    moment: int
    address: int
    data: bytes


class Timeline:
    """What some words held in the course of a piece."""

    def __init__(self, first: int, keys: Places, values: Numbers, known: Flags) -> None:
        self._first, self._keys, self._values, self._known = first, keys, values, known

    def at(self, words: Places, steps: Numbers, after: bool) -> tuple[Numbers, Flags]:
        """The value of one word for each step, right before its instruction (or ``after`` it), and if it is known."""
        if not len(self._keys):
            return np.zeros(len(words), np.uint64), np.zeros(len(words), np.bool_)
        moments = 2 * (steps.astype(np.int64) - self._first) + 2
        keys = (np.maximum(words, 0) << _TIME) + moments
        place = np.searchsorted(self._keys, keys, side="right" if after else "left") - 1
        return self._values[place], self._known[place] & (words >= 0)


class Words:
    """Words of ``size`` bytes by address, and what they hold now: None where nobody knows."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._now: dict[int, int | None] = {}
        self.addresses: Numbers = np.empty(0, np.uint64)

    def follow(self, values: Mapping[int, int | None]) -> None:
        """Follow more words, from what they hold now; those that are followed already go on as they are."""
        new = {address: value for address, value in values.items() if address not in self._now}
        if new:
            self._now.update(new)
            self._now = dict(sorted(self._now.items()))
            self.addresses = np.array(list(self._now), np.uint64)

    def missing(self, addresses: Iterable[int]) -> list[int]:
        """Those of the addresses that are not followed."""
        return [address for address in addresses if address not in self._now]

    def number(self, address: int | None) -> int:
        """The number of a word that is followed; -1 for None."""
        return -1 if address is None else int(np.searchsorted(self.addresses, np.uint64(address)))

    def take(self, first: int, accesses: Accesses, outside: Sequence[Outside]) -> Timeline:
        """Follow the words through a piece that begins at step ``first``."""
        held = list(self._now.values())
        start = np.array([value or 0 for value in held], np.uint64)
        sure = np.array([value is not None for value in held], np.bool_)
        hits, words = self._hits(accesses)
        others = [o for o in outside if self._touches(o)]
        whole = bool(np.all((hits["address"] == self.addresses[words]) & (hits["size"] == self._size)))
        if whole and not others:
            moments = 2 * (hits["step"].astype(np.int64) - first) + 2
            values, known = hits["value"], np.ones(len(hits), np.bool_)
        else:
            words, moments, values, known = self._slowly(first, hits, others)
        keys = np.concatenate([np.arange(len(start), dtype=np.int64) << _TIME, (words << _TIME) + moments])
        order = np.argsort(keys, kind="stable")
        line = Timeline(
            first, keys[order], np.concatenate([start, values])[order], np.concatenate([sure, known])[order]
        )
        self._go_on(line)
        return line

    def _go_on(self, line: Timeline) -> None:
        """Hold what the words hold at the end of a piece."""
        every = np.arange(len(self.addresses), dtype=np.int64)
        last = np.full(len(every), (1 << (_TIME - 2)) + line._first, np.uint64)
        values, known = line.at(every, last, after=False)
        pairs = zip(self._now, values.tolist(), known.tolist(), strict=True)
        self._now = {address: value if sure else None for address, value, sure in pairs}

    def _hits(self, accesses: Accesses) -> tuple[Accesses, Places]:
        """The writes that touch a word, and the (lowest) word each touches."""
        if not len(self.addresses):
            return accesses[:0], np.empty(0, np.int64)
        low, high = self.addresses[0], self.addresses[-1] + np.uint64(self._size)
        address = accesses["address"]
        near = (address < high) & (address > low - np.uint64(min(int(low), _WIDEST))) & (accesses["write"] != 0)
        writes = accesses[near]
        number = np.searchsorted(self.addresses + np.uint64(self._size), writes["address"], side="right")
        inside = number < len(self.addresses)
        writes, number = writes[inside], number[inside]
        touching = self.addresses[number] < writes["address"] + writes["size"]
        return writes[touching], number[touching].astype(np.int64)

    def _touches(self, write: Outside) -> bool:
        low, high = np.searchsorted(
            self.addresses,
            np.array([max(write.address - self._size + 1, 0), write.address + len(write.data)], np.uint64),
        )
        return bool(low < high)

    def _slowly(
        self, first: int, hits: Accesses, outside: Sequence[Outside]
    ) -> tuple[Places, Places, Numbers, Flags]:
        """Changes of the words, one write after the other: for parts of words, and what comes from outside."""
        writes = [
            _Write(2 * (int(w["step"]) - first) + 2, int(w["address"]), _stored(int(w["value"]), int(w["size"])))
            for w in hits
        ]
        writes += [_Write(2 * (o.step - first) + 3, o.address, o.data) for o in outside]
        now, found = dict(self._now), []
        addresses = list(now)
        for write in sorted(writes, key=lambda w: w.moment):
            low = int(np.searchsorted(self.addresses, np.uint64(max(write.address - self._size + 1, 0))))
            for number in range(low, len(addresses)):
                if addresses[number] >= write.address + len(write.data):
                    break
                value = now[addresses[number]] = self._changed(now[addresses[number]], addresses[number], write)
                found.append((number, write.moment, value))
        return (
            np.array([number for number, _, _ in found], np.int64),
            np.array([moment for _, moment, _ in found], np.int64),
            np.array([value or 0 for _, _, value in found], np.uint64),
            np.array([value is not None for _, _, value in found], np.bool_),
        )

    def _changed(self, old: int | None, word: int, write: _Write) -> int | None:
        """A word after a write at or around it; what is unknown stays so until it is written as a whole."""
        offset = write.address - word
        if offset <= 0 and word + self._size <= write.address + len(write.data):
            return int.from_bytes(write.data[-offset : self._size - offset], "little")
        if old is None:
            return None
        content = bytearray(old.to_bytes(self._size, "little"))
        for index, byte in enumerate(write.data, offset):
            if 0 <= index < self._size:
                content[index] = byte
        return int.from_bytes(content, "little")


def _stored(value: int, size: int) -> bytes:
    """The bytes of a guest's write; of one wider than 8 bytes only the lower ones are on record."""
    return (value & ((1 << 8 * min(size, 8)) - 1)).to_bytes(min(size, 8), "little")
