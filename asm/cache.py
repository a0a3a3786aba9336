"""Small facts that are slow to get, kept as JSON in the user's cache folder. It never fails: at worst it forgets."""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 16 << 20
"""No entry of ours is larger; what is, is not ours."""


def folder() -> Path | None:
    """The user's cache folder of this program (XDG_CACHE_HOME, else ~/.cache); None if there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG specification says to ignore a relative one
        return Path(base) / "stackcarry"
    try:
        return Path.home() / ".cache" / "stackcarry"
    except RuntimeError:
        return None


def read(where: Path, key: str) -> object | None:
    """What was written under ``key``; None if there is nothing, or if it is not what was written."""
    path = where / f"{key}.json"
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        found = json.loads(path.read_bytes())
        return found["value"] if found["crc32"] == _sum(found["value"]) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write(where: Path, key: str, value: object) -> None:
    """Keep ``value`` (JSON) under ``key``, in one step, so that a reader sees all of it or nothing."""
    import tempfile  # takes a while, and is not needed where all is known

    with suppress(OSError):
        where.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{key}.", dir=where)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump({"crc32": _sum(value), "value": value}, file)
            os.replace(temporary, where / f"{key}.json")
        except OSError:
            os.unlink(temporary)


def _sum(value: object) -> int:
    return zlib.crc32(json.dumps(value).encode())
