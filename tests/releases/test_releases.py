"""The layouts of Go's releases against the DWARF of programs that toolchains build here.

The oldest and the newest are always there. STACKCARRY_GOROOTS may name more (folders with bin/go, joined as in PATH).
"""

from __future__ import annotations

import os
from pathlib import Path

import generate
import pytest
import toolchain

import arch
from arch import golang, releases

NAMED = os.environ.get("STACKCARRY_GOROOTS", "").split(os.pathsep)
TOOLCHAINS = [*toolchain.VERSIONS, *filter(None, NAMED)]
# What the watch over a running program reads.
WATCHED = (
    "g.stack.lo", "g.stack.hi", "g.stackguard0", "g.stackguard1", "g.m", "g.sched.sp", "g.sched.pc", "g.sched.g",
    "g.sched.ctxt", "g.sched.lr", "g.sched.bp", "g.goid", "g.atomicstatus", "g.throwsplit", "g.asyncSafePoint",
    "g.preempt", "g.preemptStop", "g._panic", "g.syscallsp", "m.g0", "m.gsignal", "m.curg", "m.morebuf.sp",
    "m.morebuf.pc", "m.morebuf.g", "m.morebuf.ctxt", "m.tls", "m.procid", "m.id", "m.locks", "m.mallocing",
    "m.throwing", "m.preemptoff", "gobuf.sp", "gobuf.pc", "gobuf.g", "gobuf.ctxt", "gobuf.lr", "gobuf.bp",
    "stack.lo", "stack.hi", "m.lockedg", "m.preemptGen",
)  # fmt: skip


def column(release: str, word: int) -> dict[str, int]:
    """Sizes and offsets of a release."""
    layout = releases.layout(release, word)
    assert layout.word == word
    return {**layout.sizes, **layout.offsets}


def test_column_is_what_the_dwarf_says(go_version: str, goarch: str) -> None:
    found = generate.read(toolchain.build(go_version, goarch, toolchain.SMALL))
    release = releases.of_version(toolchain.go_version(go_version))
    assert release is not None
    assert column(release, arch.get(goarch).word) == generate.rows(found)
    assert releases.constants(release) == found.constants


@pytest.mark.parametrize("name", TOOLCHAINS)
def test_column_agrees_with_what_the_script_reads(name: str, tmp_path: Path) -> None:
    version, found = generate.facts(toolchain.go_root(name) if name in toolchain.VERSIONS else Path(name), tmp_path)
    release = releases.of_version(version)
    assert release is not None
    for word in (4, 8):
        rows = found[str(word)]
        for row, value in column(release, word).items():
            assert value == rows[row] if "." in row else value >= rows[row]
    assert releases.constants(release) == found["constant"]


def test_every_release_of_the_modern_era_has_a_column() -> None:
    assert releases.known() == tuple(f"go1.{minor}" for minor in range(21, 28))
    assert all(golang.era(release).name == "modern" for release in releases.known())
    with pytest.raises(KeyError):
        golang.era("go1.28")
    for release in releases.known():
        assert all(releases.of_version(version) == release for version in releases.measured(release))


def test_what_is_watched_is_known_in_every_release() -> None:
    missing = {
        (release, name)
        for release in releases.known() for word in (4, 8) for name in WATCHED if name not in column(release, word)
    }  # fmt: skip
    assert missing == {("go1.24", "m.lockedg"), ("go1.24", "m.preemptGen")}, "Go 1.24 moved them in a point release"


def test_what_some_releases_only_have() -> None:
    having = {
        name: [release for release in releases.known() if name in column(release, 8)]
        for name in ("gobuf.ret", "g.sched.ret", "m.morebuf.ret", "g.syscallbp", "g.syncGroup", "g.bubble")
    }
    old = ["go1.21", "go1.22", "go1.23", "go1.24"]
    assert having == {
        "gobuf.ret": old, "g.sched.ret": old, "m.morebuf.ret": old, "g.syscallbp": list(releases.known()[2:]),
        "g.syncGroup": ["go1.24"], "g.bubble": ["go1.25", "go1.26", "go1.27"],
    }  # fmt: skip


def test_file_is_whole() -> None:
    """Each row has a cell for each release, and each cell is a number or one of the two marks."""
    lines = (generate.ROOT / "arch" / "releases.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert {len(row) for row in rows} == {2 + len(releases.known())}
    assert {row[0] for row in rows} == {"release", "measured", "constant", "4", "8"}
    assert all(cell.isdigit() or cell in "-~" for row in rows[2:] for cell in row[2:])
    assert len({(row[0], row[1]) for row in rows[2:]}) == len(rows) - 2


def test_cells() -> None:
    assert generate.cell("g.m", [48]) == generate.cell("g.m", [48, 48]) == "48"
    assert generate.cell("g.m", [None, None]) == "-"
    assert generate.cell("g.m", [48, 56]) == generate.cell("g.m", [None, 56]) == "~"
    assert generate.cell("m", [1896, 1904]) == "1904"


def test_table_of_made_up_releases() -> None:
    def facts(**rows: int) -> generate.Facts:
        return {"4": {"g": 8, **rows}, "8": {"g": 16}, "constant": {"stackGuard": 928}}

    found = {
        "go1.30.10": facts(**{"g.a": 0, "g.b": 4}), "go1.30.9": facts(**{"g.a": 4}), "go1.29": facts(**{"g.a": 0}),
    }  # fmt: skip
    assert list(generate.table(found)) == [
        "release - go1.29 go1.30",
        "measured - go1.29 go1.30.9,go1.30.10",
        "constant stackGuard 928 928",
        "4 g 8 8",
        "4 g.a 0 ~",
        "4 g.b - ~",
        "8 g 16 16",
    ]
