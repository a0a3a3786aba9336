"""Encodings that were found good, kept from one run of the command to the next: asking and reading back takes time.

Off unless `start` is called. An entry says what an instruction's bytes depend on and what they are; all entries go
when anything in this package changes.
"""

from __future__ import annotations

import atexit
import hashlib
from functools import cache
from pathlib import Path

from asm import cache as store

Known = dict[tuple[str, bytes, int], bytes]
"""(canonical text, bytes that are ours, address or distance) -> encoding."""


class _Keeper:
    def __init__(self) -> None:
        self.folder: Path | None = None
        self.known: dict[str, Known] = {}
        self.sizes: dict[str, int] = {}

    def save(self) -> None:
        for arch, known in self.known.items():
            if self.folder is not None and len(known) > self.sizes[arch]:
                rows = [[text, code.hex(), far, found.hex()] for (text, code, far), found in known.items()]
                store.write(self.folder, _key(arch), rows)


_keeper = _Keeper()


def start(folder: Path | None = None) -> None:
    """Begin with what is kept in ``folder`` (the user's cache folder by default), and keep what is found, at exit."""
    if _keeper.folder is None:
        atexit.register(_keeper.save)
    _keeper.folder = folder or store.folder()


def known(arch: str) -> Known:
    """The encodings known for an arch; what is put in is kept if keeping was started."""
    if arch not in _keeper.known:
        rows = store.read(_keeper.folder, _key(arch)) if _keeper.folder is not None else None
        _keeper.known[arch] = _parsed(rows)
        _keeper.sizes[arch] = len(_keeper.known[arch])
    return _keeper.known[arch]


def _parsed(rows: object) -> Known:
    if not isinstance(rows, list):
        return {}
    try:
        return {(text, bytes.fromhex(code), far): bytes.fromhex(found) for text, code, far, found in rows}
    except (TypeError, ValueError):
        return {}


@cache
def _key(arch: str) -> str:
    """Another name for every state of this package's code."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return f"encodings-{arch}-{digest[:16]}"
