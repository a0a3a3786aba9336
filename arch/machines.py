"""What uname says of each architecture, and which Linux this is."""

from __future__ import annotations

from collections.abc import Mapping

MACHINE: Mapping[str, str] = {"386": "i686", "amd64": "x86_64", "arm": "armv7l"}
RELEASE = "6.6.0"  # recent enough for all that Go asks of a kernel by its number
