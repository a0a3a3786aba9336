"""The package built where no C compiler is: it installs, records by ctypes, and runs programs by ctypes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import toolchain

ROOT = Path(__file__).parents[2]
SCRIPT = """
import emu, emu.callbacks
from emu import cli
print(emu.__file__)
print(type(emu.callbacks.build()).__name__)
cli.cli.main(["trace", "mcall", "--arch", "arm"], standalone_mode=False)
"""
RUN = """
import sys
from emu import cli
cli.cli.main(sys.argv[1:], standalone_mode=False)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what a wheel from a host without a compiler installs."""
    tmp_path = tmp_path_factory.mktemp("no-compiler")
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "*.so")
    tree = shutil.copytree(ROOT, tmp_path / "tree", ignore=unwanted)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(tree)], check=True, env={**os.environ, "CC": "false"})
    (wheel,) = tmp_path.glob("stackcarry-*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    return installed


def run(installed: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A script by what is installed there. -S: what is installed for editing would fill the gap."""
    chosen = ("STACKCARRY_RECORDER", "STACKCARRY_LIVE")
    environment = {name: value for name, value in os.environ.items() if name not in chosen}
    environment["PYTHONPATH"] = os.pathsep.join([str(installed), *sys.path])
    command = [sys.executable, "-S", "-c", script, *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=installed, check=False)


def test_a_routine_is_recorded(installed: Path) -> None:
    assert not list(installed.rglob("*.so"))
    done = run(installed, SCRIPT)
    assert done.returncode == 0, done.stderr
    place, build, *trace = done.stdout.splitlines()
    assert Path(place).is_relative_to(installed)
    assert build == "Callbacks"
    assert len(trace) > 10


def test_a_program_runs(installed: Path) -> None:
    """As it does where the extension was built, to the last crossing."""
    path = toolchain.build("newest", "arm", toolchain.PROGRAM / "run" / "exitcodes")
    words = ["run", "--summary", "--json", str(path), "42"]
    done = run(installed, RUN, *words)
    native = subprocess.run(
        [sys.executable, "-P", "-m", "emu.cli", *words], capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "STACKCARRY_LIVE": "c"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (42, "code 42\n"), done.stderr
    assert (native.returncode, native.stdout, native.stderr) == (42, done.stdout, done.stderr)
    assert '"digest": "' in done.stderr
