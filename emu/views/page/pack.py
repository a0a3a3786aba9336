"""Arrays and a record of JSON in one text that a page's script unpacks (`data.js` is the other end).

The text is base64 of a zlib stream of: length of the JSON in bytes (4, little-endian), the JSON, zeros up to a
multiple of 4, the arrays one after the other. The JSON's ``arrays`` says where each begins and how many 32-bit
numbers it has. Each number but an array's first is stored as its exclusive or with the one before: what stays the
same from step to step becomes zeros.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT = 1 << 53  # beyond, a script's number does not hold every integer


def number(word: int) -> int | str:
    """A word for JSON: as a number if a script can hold it, else in hex."""
    return word if word < EXACT else hex(word)


def lanes(name: str, values: NDArray[np.uint64], word: int) -> dict[str, NDArray[np.uint32]]:
    """Words as arrays of 32 bits, ``name.0`` the low halves and, for 8-byte words, ``name.1`` the high ones."""
    values = np.ascontiguousarray(values, np.uint64)
    return {f"{name}.{lane}": (values >> np.uint64(32 * lane)).astype(np.uint32) for lane in range(word // 4)}


def pack(record: Mapping[str, Any], arrays: Mapping[str, NDArray[np.uint32]]) -> str:
    """The text for a page. ``arrays`` hold unsigned 32-bit numbers."""
    table, parts, at = {}, [], 0
    for name, values in arrays.items():
        stored = values.astype("<u4")
        stored[1:] ^= values[:-1].astype("<u4")
        table[name] = [at, len(stored)]
        parts.append(stored.tobytes())
        at += stored.nbytes
    text = json.dumps({**record, "arrays": table}, separators=(",", ":"), sort_keys=True).encode()
    head = len(text).to_bytes(4, "little") + text + bytes(-len(text) % 4)
    return base64.b64encode(zlib.compress(head + b"".join(parts), 9)).decode()
