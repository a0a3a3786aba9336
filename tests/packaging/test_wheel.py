"""The built wheel and the source distribution: their top-level names, and the sources that must come along."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NATIVE = {"emu/_live.c", "emu/_recorder.c", "emu/_hostmap.h"}
BUILD = "from setuptools import build_meta; build_meta.build_sdist('..')"


PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def copied(place: Path) -> Path:
    """A copy of the tree, without what was built in it."""
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "*.so")
    return shutil.copytree(ROOT, place / "tree", ignore=unwanted)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel built from a copy of the tree."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(place), str(copied(place))], check=True)
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


def test_native_modules_are_built(names: list[str]) -> None:
    built = {name.split(".")[0] for name in names if name.endswith((".so", ".pyd"))}
    assert built == {"emu/_live", "emu/_recorder"}


def test_their_sources_come_along(names: list[str]) -> None:
    assert set(names) >= NATIVE


def test_the_source_distribution(tmp_path: Path) -> None:
    """It holds all that the wheel is built from. Built by a setuptools of its own: this one may be too old."""
    tools = tmp_path / "tools"
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    subprocess.run([*PIP, "install", "--quiet", "--target", str(tools), *needed], check=True)
    tree = copied(tmp_path)
    subprocess.run(
        [sys.executable, "-c", BUILD], check=True, cwd=tree, env={**os.environ, "PYTHONPATH": str(tools)},
        capture_output=True,
    )  # fmt: skip
    (path,) = tmp_path.glob("stackcarry-*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "asm").rglob("*.s")}
    code = (path for top in ("arch", "asm", "emu") for path in (ROOT / top).rglob("*.py"))
    python = {path.relative_to(ROOT).as_posix() for path in code}
    assert held >= NATIVE | sources | python | {"LICENSE", "README.md", "pyproject.toml"}


def test_types_and_licence_come_along(names: list[str]) -> None:
    assert {"arch/py.typed", "asm/py.typed", "emu/py.typed"} <= set(names)
    assert any(name.endswith("LICENSE") for name in names)
    assert not any(name.startswith("tests/") for name in names)
