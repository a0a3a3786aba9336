"""The built wheel: its top-level names, and the sources that must come along."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel built from a copy of the tree."""
    place = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "*.so")
    tree = shutil.copytree(ROOT, place / "tree", ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(place), str(tree)], check=True)
    (wheel,) = place.glob("stackcarry-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_top_level_names(names: list[str]) -> None:
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"arch", "asm", "emu"}


def test_assembly_sources_come_along(names: list[str]) -> None:
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "asm").rglob("*.s")}
    assert len(sources) >= 12
    assert sources <= set(names)


def test_native_recorder_is_built(names: list[str]) -> None:
    assert [name for name in names if name.startswith("emu/_recorder.") and name.endswith((".so", ".pyd"))]


def test_types_and_licence_come_along(names: list[str]) -> None:
    assert {"arch/py.typed", "asm/py.typed", "emu/py.typed"} <= set(names)
    assert any(name.endswith("LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)
