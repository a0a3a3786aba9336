"""The package built where no C compiler is: it installs, and records by ctypes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import emu, emu.callbacks
from emu import cli
print(emu.__file__)
print(type(emu.callbacks.build()).__name__)
cli.cli.main(["trace", "mcall", "--arch", "arm"], standalone_mode=False)
"""


def test_without_a_compiler(tmp_path: Path) -> None:
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "*.so")
    tree = shutil.copytree(ROOT, tmp_path / "tree", ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    environment = {name: value for name, value in os.environ.items() if name != "STACKCARRY_RECORDER"}
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(tree)], check=True, env={**environment, "CC": "false"})
    (wheel,) = tmp_path.glob("stackcarry-*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    assert not list(installed.rglob("*.so"))
    environment["PYTHONPATH"] = os.pathsep.join([str(installed), *sys.path])
    words = [sys.executable, "-S", "-c", SCRIPT]  # -S: what is installed for editing would fill the gap
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
    place, build, *trace = done.stdout.splitlines()
    assert Path(place).is_relative_to(installed)
    assert build == "Callbacks"
    assert len(trace) > 10
