"""`trace -o FILE` and `view FILE`: the same lines as without a file, damage named, an interrupted run kept."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runner import Run

from emu.trace.reader import open_trace

ARCHES = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("386", "amd64", "arm")]


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize(
    ("words", "code"),
    [(("mcall",), 0), (("gogo", "--era", "2011", "--scene", "nil g"), 0), (("mcall", "--steps", "3"), 124)],
)
def test_view_shows_what_trace_does(
    run: Run, tmp_path: Path, arch: str, options: tuple[str, ...], words: tuple[str, ...], code: int
) -> None:
    direct = run("trace", *words, "--arch", arch, *options)
    path = str(tmp_path / "trace")
    written = run("trace", *words, "--arch", arch, "-o", path)
    viewed = run("view", path, *options)
    assert (direct.code, written.code, viewed.code) == (code, code, 0)
    assert (written.out, written.err, viewed.err) == ("", "", "")
    assert viewed.out == direct.out
    assert len(direct.out.splitlines()) > 3


def test_damage_is_named_after_what_is_whole(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    run("trace", "mcall", "--arch", "arm", "-o", str(path))
    whole = run("view", str(path)).out
    path.write_bytes(path.read_bytes()[:-1])
    ran = run("view", str(path))
    assert (ran.code, ran.out) == (2, whole)
    assert ran.err.startswith(f"stackcarry: {path}: damaged at byte 0x")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93stackcarry\r\n\x1a\n\0"])
def test_what_is_no_trace(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content)
    ran = run("view", str(path))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"stackcarry: {path}: ")
    assert len(ran.err.splitlines()) == 1


def test_files_that_cannot_be(run: Run, tmp_path: Path) -> None:
    assert run("view", str(tmp_path / "nowhere")).err.endswith("nowhere: No such file or directory\n")
    ran = run("trace", "mcall", "--arch", "arm", "-o", str(tmp_path / "no" / "folder"))
    assert (ran.code, ran.err) == (2, f"stackcarry: {tmp_path / 'no' / 'folder'}: No such file or directory\n")


def test_full_disk(run: Run) -> None:
    ran = run("trace", "mcall", "--arch", "arm", "-o", "/dev/full")
    assert ran.code == 2
    assert "No space left" in ran.err


def test_an_interrupted_run_is_kept(tmp_path: Path, go_binary: Path) -> None:
    """A loop that a plain call with poisoned arguments never leaves."""
    path = tmp_path / "trace"
    script = (
        "import sys\n"
        "from emu import cli\n"
        "from emu.machine import Machine\n"
        "run = Machine.run\n"
        "def forever(self, steps):\n"
        "    pc = self.registers()[self.arch.roles['pc']]\n"
        "    self.write(pc, {'x86': b'\\xeb\\xfe', 'arm': b'\\xfe\\xff\\xff\\xea'}[self.arch.isa])\n"
        "    print('running', flush=True)\n"
        "    return run(self, steps)\n"
        "Machine.run = forever\n"
        f"sys.argv = ['stackcarry', 'trace', 'runtime.memequal', '--elf', {str(go_binary)!r}, '--steps', '1000000000',"
        f" '-o', {str(path)!r}]\n"
        "cli.main()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "running\n"
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert (child.returncode, errors) == (130, "")
    with open_trace(str(path)) as recording:
        assert recording.damage is None
        assert recording.steps > 1000
        assert len(recording.rows(0, recording.steps)) == recording.steps
        end = recording.events(recording.steps - 1, recording.steps)[-1]
        assert (end.kind, end.data["outcome"], end.data["steps"]) == ("end", "interrupted", recording.steps)
