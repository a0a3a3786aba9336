"""Facts: CPUs and their Linux ABI, system-call numbers, layouts and guard constants of Go's runtime."""

from arch import amd64, arm, i386
from arch.model import Arch

ARCHES: dict[str, Arch] = {record.ARCH.name: record.ARCH for record in (i386, amd64, arm)}


def get(name: str) -> Arch:
    """The record of an architecture by its Go name; KeyError says which names exist."""
    try:
        return ARCHES[name]
    except KeyError:
        raise KeyError(f"no architecture {name!r}; there are {', '.join(ARCHES)}") from None
