"""Ctrl-C ends a run at once, with exit code 130."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_ctrl_c_during_a_run(go_binary: Path) -> None:
    words = ["trace", "runtime.memequal", "--elf", str(go_binary), "--steps", "1000000000"]
    # a loop that a plain call with poisoned arguments never leaves
    script = (
        "import sys; from emu import cli, freerun\n"
        "from emu.machine import Machine\n"
        "run = Machine.run\n"
        "def forever(self, steps):\n"
        "    print('running', flush=True)\n"
        "    pc = self.registers()[self.arch.roles['pc']]\n"
        "    self.write(pc, {'x86': b'\\xeb\\xfe', 'arm': b'\\xfe\\xff\\xff\\xea'}[self.arch.isa])\n"
        "    return run(self, steps)\n"
        "Machine.run = forever\n"
        f"sys.argv = ['stackcarry', *{words!r}]\n"
        "cli.main()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize("module", ["click", "emu.commands.run", "emu.live.run", "emu.engine"])
def test_ctrl_c_while_modules_are_loaded(module: str) -> None:
    script = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from emu.start import main\n"
        "sys.argv = ['stackcarry', 'run', 'nowhere']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")


def test_the_console_script_begins_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["stackcarry"] == "emu.start:main"
