"""What the Go linker noted of a program: the toolchain's version and the build's settings.

Source: Go's debug/buildinfo. Stripping leaves it in, in a section of its own, and a loader that lost the section
table finds it by its magic, which stands at a multiple of 16.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from asm.elf import ElfError, Image

_MAGIC = b"\xff Go buildinf:"
_ALIGNMENT = 16
_INLINE = 2
_EXPERIMENTS = re.compile(r"[- ]X:([\w,]+)")  # joined to the version by a space or, in newer releases, by a hyphen
_MARK = 16
"""Bytes in front of and behind the module information, which mark it for those who search for it."""
_MOST = 1 << 20


class BuildInfo(NamedTuple):
    """``go``: the toolchain's version, such as ``go1.27.3``; ``settings``: GOARM -> ``7`` …

    ``experiments``: what was switched on (GOEXPERIMENT) that the toolchain leaves off, by commas.
    """

    go: str
    experiments: str
    settings: Mapping[str, str]


def read(image: Image) -> BuildInfo:
    """The build information of a program.

    Raises:
        ElfError: it has none, so that it is no Go program, or the information is damaged or in an old form.
    """
    data = image.section(".go.buildinfo") or b""
    if not image.sections:
        data = next((bytes(found[:_MOST]) for _, found in image.search(_MAGIC, _ALIGNMENT)), b"")
    if not data.startswith(_MAGIC) or len(data) < 33:
        raise ElfError("not a Go program: it has no Go build information")
    if not data[15] & _INLINE:
        raise ElfError("built by a Go older than 1.18, which is not supported")
    version, rest = _string(data[32:])
    text = version.decode("ascii", "replace")
    if not 0 < len(text) < 128 or not text.isprintable():
        raise ElfError("damaged Go build information: no version in it")
    modules, _ = _string(rest)
    settings = _settings(modules[_MARK:-_MARK].decode("utf-8", "replace"))
    found = _EXPERIMENTS.search(text)
    go = text[: found.start()] if found else text
    return BuildInfo(go.split()[0] if go.startswith("go1") else go, found[1] if found else "", settings)


def _settings(text: str) -> dict[str, str]:
    settings = {}
    for line in text.splitlines():
        kind, _, rest = line.partition("\t")
        name, found, value = rest.partition("=")
        if kind == "build" and found:
            settings[name] = value
    return settings


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string with its length in front (LEB128), and what is behind it."""
    length = 0
    for index, byte in enumerate(data[:4]):
        length |= (byte & 127) << 7 * index
        if byte < 128:
            break
    else:
        return b"", b""
    found = data[index + 1 : index + 1 + length]
    return (found, data[index + 1 + length :]) if len(found) == length else (b"", b"")
