"""What is kept of a lifted program: the same content, by content, and never in the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import toolchain

from arch.layout import Layout
from asm import cache, dwarf, goelf

FACTS = dwarf.Facts(Layout(8, {"g.m": 48, "g.sched.sp": 56, "a.first": 1}, {"g": 456}), {"stackGuard": 928, "A": -1})
"""Stands for what the DWARF says: reading that takes a second, and is tested elsewhere."""


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the DWARF was read: one item each time."""
    seen: list[int] = []

    def read(_: object, word: int) -> dwarf.Facts:
        seen.append(word)
        return FACTS

    monkeypatch.setattr(dwarf, "read", read)
    return seen


@pytest.fixture(scope="module")
def binary() -> Path:
    return toolchain.build("newest", "amd64", toolchain.PROGRAM)


def test_second_load_gives_the_same_without_the_dwarf(binary: Path, reads: list[int], tmp_path: Path) -> None:
    cold, warm = goelf.load(binary, tmp_path), goelf.load(binary, tmp_path)
    assert reads == [8]
    assert warm == cold
    assert (cold.layout, cold.constants) == (FACTS.layout, FACTS.constants)
    assert list(warm.layout.offsets) == list(cold.layout.offsets)
    assert list(warm.constants) == list(cold.constants)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: good[:0], id="empty"),
        pytest.param(lambda good: good[:1], id="brace"),
        pytest.param(lambda good: b"[%d]" % len(good), id="list"),
        pytest.param(lambda good: b"\xff" + good[1:], id="not-utf8"),
        pytest.param(lambda good: b"[" * 100 * len(good), id="deep"),
        pytest.param(lambda good: good[: len(good) // 2], id="half"),
        pytest.param(lambda good: good.replace(b'"g.sched.sp": 56', b'"g.sched.sp": 48'), id="one-number"),
        pytest.param(lambda good: good.replace(b"928", b"9" * 5000), id="huge-number"),
    ],
)
def test_damaged_entry_is_rebuilt(
    damage: Callable[[bytes], bytes], binary: Path, reads: list[int], tmp_path: Path
) -> None:
    fresh = goelf.load(binary, tmp_path)
    (entry,) = tmp_path.iterdir()
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    assert entry.read_bytes() != good
    assert goelf.load(binary, tmp_path) == fresh
    assert len(reads) == 2
    assert entry.read_bytes() == good


def test_entries_are_by_content_not_by_name(binary: Path, reads: list[int], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(binary.read_bytes())
    goelf.load(binary, tmp_path / "cache")
    goelf.load(copy, tmp_path / "cache")
    assert len(reads) == 1
    copy.write_bytes(binary.read_bytes() + b"\0")
    goelf.load(copy, tmp_path / "cache")
    assert len(reads) == 2


@pytest.mark.usefixtures("reads")
def test_users_cache_folder_is_the_default(binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    goelf.load(binary)
    assert len(list((tmp_path / "xdg" / "stackcarry").iterdir())) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    goelf.load(binary)
    assert len(list((tmp_path / "home" / ".cache" / "stackcarry").iterdir())) == 1


def test_folder_that_cannot_be_made_is_done_without(binary: Path, reads: list[int], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for _ in range(2):
        assert goelf.load(binary, tmp_path / "file" / "cache").layout == FACTS.layout
    assert len(reads) == 2


def test_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    cache.write(tmp_path, "key", [1])
    assert list(tmp_path.iterdir()) == []
    assert cache.read(tmp_path, "key") is None
