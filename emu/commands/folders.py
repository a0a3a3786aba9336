"""What `run` is given of the host's files and of its environment."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator

import click

from emu.live.files import Files

_WRITTEN = frozenset(
    f"-test.{name}"
    for name in ("blockprofile", "coverprofile", "cpuprofile", "memprofile", "mutexprofile", "trace")
)
"""Flags of a test binary that name a file that it writes, in the folder of _OUTPUT. Source: Go's testing package."""
_OUTPUT, _ARTIFACTS = "-test.outputdir", "-test.artifacts"
_COVERAGE = "-test.gocoverdir"  # a folder that it reads and writes
_GO = "GO"
_ZONES = "/usr/share/zoneinfo"  # where Go's time package looks for time zones first


def environment(texts: tuple[str, ...], module: str | None) -> dict[str, str]:
    """The settings of --env; a name alone takes the command's own value. A module brings Go's variables along."""
    found = {} if module is None else {name: value for name, value in os.environ.items() if name.startswith(_GO)}
    if module is not None:
        found["PWD"] = module
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or "\0" in text:
            raise click.BadParameter(f"{text!r} is not of the form NAME or NAME=VALUE", param_hint="--env")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def files(
    folders: tuple[str, ...], outs: tuple[str, ...], module: bool, program: str, arguments: tuple[str, ...]
) -> Files:
    """What --dir, --out and --module say; the guest starts in the command's own folder if it is among those given.

    With a module come the time zones, and the folder that the go command has built ``program`` in: a test that
    measures the coverage of other packages finds what it needs of them there.
    """
    here = _here()
    given = [_pair(text, here) for text in folders]
    saved = [_out(text, here) for text in outs]
    if module:
        around, flags = _module(here), dict(_flags(arguments))
        saved += _test_outs(flags, here)
        coverage = posixpath.join(here, flags[_COVERAGE]) if flags.get(_COVERAGE) else ""
        taken = {path for _, path in given}
        for folder in dict.fromkeys((around, _built(posixpath.join(here, program)), coverage, _ZONES)):
            if folder not in taken and os.path.isdir(folder):
                given.append((folder, folder))
    for number, (host, path) in enumerate(given):
        _check(host, path, [other for _, other in given[:number]])
    return Files(tuple(given), _start(given), tuple(saved), len(outs))


def _here() -> str:
    """The working folder, by the name that the user knows it by."""
    known = os.environ.get("PWD", "")
    try:
        if os.path.isabs(known) and os.path.samefile(known, "."):
            return posixpath.normpath(known)
    except OSError:
        pass
    return os.getcwd()


def _pair(text: str, here: str) -> tuple[str, str]:
    host, colon, path = text.rpartition(":")
    if not colon or not path.startswith("/"):
        host, path = text, posixpath.join(here, text)
    return host, "/" + posixpath.normpath(path).lstrip("/")


def _check(host: str, path: str, others: list[str]) -> None:
    from emu.kernel.hostwalk import Mount

    try:
        Mount(host)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise click.BadParameter(f"{host!r} cannot be given: {why}", param_hint="--dir") from None
    if path in others or path.split("/")[1] == "proc":
        raise click.BadParameter(f"{path} is taken", param_hint="--dir")


def _module(here: str) -> str:
    """The folder of the Go module around a folder, or that folder itself."""
    above = here
    while not os.path.isfile(os.path.join(above, "go.mod")):
        if above == os.path.dirname(above):
            return here
        above = os.path.dirname(above)
    return above


def _built(program: str) -> str:
    """The folder of its own that the go command has built a program in, if it has."""
    match = re.match(r".*?/go-build\d+(?=/)", program)
    return match[0] if match else ""


def _start(given: list[tuple[str, str]]) -> str:
    real, best = os.path.realpath("."), ("", "/")
    for host, path in given:
        top = os.path.realpath(host)
        if os.path.commonpath((top, real)) == top and len(top) > len(best[0]):
            best = top, posixpath.normpath(posixpath.join(path, os.path.relpath(real, top)))
    return best[1]


def _out(text: str, here: str) -> tuple[str, str]:
    path, colon, host = text.partition(":")
    if not path or (colon and not host) or "\0" in text:
        raise click.BadParameter(f"{text!r} is not of the form GUEST or GUEST:HOST", param_hint="--out")
    return path, posixpath.join(here, host if colon else path)


def _test_outs(flags: dict[str, str], here: str) -> Iterator[tuple[str, str]]:
    """What the flags of a test binary name: the guest's path and the host's are the same."""
    folder = posixpath.join(here, flags.get(_OUTPUT, ""))
    paths = [posixpath.join(folder, flags[name]) for name in sorted(_WRITTEN & flags.keys()) if flags[name]]
    if flags.get(_COVERAGE):
        paths.append(posixpath.join(here, flags[_COVERAGE]))
    if flags.get(_ARTIFACTS) == "true":
        paths.append(posixpath.join(folder, "_artifacts"))
    for path in paths:
        yield path, path


def _flags(arguments: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The flags that stand before the first argument that is none, as -name=value."""
    for text in arguments:
        if not text.startswith("-") or text == "--":
            return
        name, _, value = text.partition("=")
        yield name.replace("--", "-", 1) if name.startswith("--") else name, value
