"""Ctrl-C ends a run at once, with exit code 130."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path


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
