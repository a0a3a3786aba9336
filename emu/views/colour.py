"""Whether to write in colour: flag, NO_COLOR, FORCE_COLOR, TERM=dumb, then whether it is a tty."""

from __future__ import annotations

import os
from typing import IO, Any


def wanted(flag: bool | None, stream: IO[Any]) -> bool:
    """``flag``: of the command line, None when it was not given."""
    if flag is not None:
        return flag
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"
