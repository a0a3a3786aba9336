"""`go test -exec` of a real module, on each architecture: files, exit codes, profiles, the installed scripts."""

from __future__ import annotations

import gzip
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toolchain
from test_folders import fingerprint
from test_reports import _without
from whole import PATIENCE, command

RUN = shlex.join([sys.executable, "-P", "-m", "emu.cli", "run"])
MODULE = f"{RUN} --module"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A copy of tests/goprog/module, beside a file that its tests must not see."""
    (tmp_path / "outside").write_text("outside")
    return Path(shutil.copytree(toolchain.PROGRAM / "module", tmp_path / "module"))


def go(goarch: str, module: Path, *words: str, **settings: str) -> tuple[int, str]:
    """The exit code and the output of the go command in the module."""
    environment = {**toolchain._environment(goarch), "GOSETTING": "set", "OTHER": "other", **settings}
    done = subprocess.run(
        [str(toolchain.go_root("newest") / "bin" / "go"), *words], cwd=module, env=environment, timeout=PATIENCE,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_module_passes(goarch: str, module: Path) -> None:
    before = fingerprint(module)
    code, out = go(goarch, module, "test", "-v", "-count=1", "-exec", MODULE, "./...")
    assert code == 0, out
    assert [line.split()[2] for line in out.splitlines() if line.startswith("--- PASS")] == [
        "TestFiles", "TestWrites", "TestDouble", "TestOthers", "TestEnvironment"]
    assert f"on {goarch}" in out
    assert "GOSETTING is set" in out
    assert "ok  \tgoprog/module/part\t" in out
    assert fingerprint(module) == before


def test_a_failure_is_told_of(goarch: str, module: Path) -> None:
    code, out = go(goarch, module, "test", "-exec", MODULE, "./part", "-wrong")
    assert code == 1
    assert "--- FAIL: TestDouble/21" in out
    assert "21 doubled is not 42" in out
    assert "FAIL\tgoprog/module/part" in out


def test_the_module_is_not_seen_unless_asked_for(module: Path) -> None:
    code, out = go("arm", module, "test", "-exec", RUN, "./part", "-run", "Files")
    assert code == 1
    assert "no such file or directory" in out


def test_profiles(goarch: str, module: Path) -> None:
    profiles = {f"-{name}profile": f"{name}.out" for name in ("cover", "cpu", "mem", "block", "mutex")}
    before = {path.relative_to(module).as_posix() for path in module.rglob("*")}
    words = [f"{flag}={name}" for flag, name in profiles.items()]
    code, out = go(goarch, module, "test", "-count=1", "-exec", MODULE, *words, "-trace=trace.out", "./part")
    assert code == 0, out
    assert "coverage: 66.7% of statements" in out
    assert (module / "cover.out").read_text() == (
        "mode: set\n"
        "goprog/module/part/part.go:6.2,6.11 1 1\n"
        "goprog/module/part/part.go:7.3,8.1 1 0\n"
        "goprog/module/part/part.go:9.2,9.14 1 1\n"
    )
    written = {path.relative_to(module).as_posix() for path in module.rglob("*")} - before
    assert written == {*profiles.values(), "trace.out", "part.test"}
    assert all((module / name).stat().st_size for name in written)
    assert all(gzip.decompress((module / name).read_bytes()) for name in profiles.values() if name != "cover.out")


def test_coverage_of_several_packages(goarch: str, module: Path) -> None:
    covered = module / "covered"
    covered.mkdir()
    code, out = go(goarch, module, "test", "-count=1", "-exec", MODULE, "-coverpkg=./...", "./part", "-args",
                   f"-test.gocoverdir={covered}")
    assert code == 0, out
    kinds = sorted(path.name.split(".")[0] for path in covered.iterdir())
    assert kinds == ["covcounters", "covmeta"]
    code, out = go(goarch, module, "tool", "covdata", "percent", f"-i={covered}", GOOS="", GOARCH="")
    assert "goprog/module/part\t\tcoverage: 66.7% of statements" in out


def test_a_benchmark(module: Path) -> None:
    code, out = go("arm", module, "test", "-exec", MODULE, "-run=^$", "-bench=.", "-benchtime=100x", "./part")
    assert code == 0, out
    assert "BenchmarkDouble" in out


def test_a_broken_contract_fails_the_test(goarch: str, module: Path, tmp_path: Path) -> None:
    """A test binary whose morestack lacks an instruction, as the go command shows it."""
    store = {"386": "mov dword ptr [ebx + 4]", "amd64": "mov qword ptr [rbx + 8]", "arm": "str r3, [r8"}[goarch]
    code, out = go(goarch, module, "test", "-c", "-o", "part.test", "./part")
    assert code == 0, out
    broken = _without(module / "part.test", "morestack", store, tmp_path / "broken")
    script = tmp_path / "exec"
    script.write_text(f'#!/bin/sh\nshift\nexec {MODULE} {broken} "$@"\n')
    script.chmod(0o755)
    code, out = go(goarch, module, "test", "-count=1", "-exec", str(script), "./part")
    assert code == 1
    assert "stackcarry: morestack_noctxt broke its contract: " in out
    assert "FAIL\tgoprog/module/part" in out


def test_the_installed_scripts(goarch: str, module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    done = command("go-exec", "--install", str(folder))
    paths = [folder / f"go_linux_{name}_exec" for name in ("386", "amd64", "arm")]
    assert (done.code, done.out.decode().split()) == (0, [str(path) for path in paths])
    assert sorted(folder.iterdir()) == paths
    assert all(os.access(path, os.X_OK) for path in paths)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    words = [] if goarch != _host() else ["-exec", f"go_linux_{goarch}_exec"]
    code, out = go(goarch, module, "test", "-v", "-count=1", *words, "./part", PATH=path)
    assert code == 0, out
    assert f"on {goarch}" in out
    assert "is not on PATH" in done.err
    code, out = go(goarch, module, "run", *words, ".", "one", "two words", PATH=path)
    assert code == 1
    assert f"{goarch} \"far\\n\" <nil> [\"one\" \"two words\"]\n" in out
    assert "exit status 3" in out


def _host() -> str:
    return {"x86_64": "amd64", "i686": "386", "armv7l": "arm"}.get(os.uname().machine, "")


def test_only_our_own_scripts_are_replaced(tmp_path: Path) -> None:
    for _ in range(2):
        assert command("go-exec", "--install", str(tmp_path)).code == 0
    arm = tmp_path / "go_linux_arm_exec"
    arm.write_text("#!/bin/sh\nexec qemu-arm \"$@\"\n")
    before = fingerprint(tmp_path)
    done = command("go-exec", "--install", str(tmp_path))
    assert done.code == 2
    assert "go_linux_arm_exec is there already" in done.err
    assert fingerprint(tmp_path) == before
    done = command("go-exec", "--uninstall", str(tmp_path))
    assert done.code == 0
    assert "go_linux_arm_exec is not one of ours: it stays" in done.err
    assert [Path(line).name for line in done.out.decode().splitlines()] == ["go_linux_386_exec", "go_linux_amd64_exec"]
    assert command("go-exec", "--uninstall", str(tmp_path)).code == 2, "nothing is left to remove"
    assert list(tmp_path.iterdir()) == [arm]
    assert command("go-exec").code == command("go-exec", "--install", "x", "--uninstall", "y").code == 2
    (tmp_path / "file").write_text("")
    assert command("go-exec", "--install", str(tmp_path / "file")).code == 2


def test_coverage_of_other_packages(goarch: str, module: Path) -> None:
    words = ("-coverpkg=./...", "-coverprofile=cover.out", "./...")
    code, out = go(goarch, module, "test", "-count=1", "-exec", MODULE, *words)
    assert code == 0, out
    assert "of statements in ./..." in out
    lines = (module / "cover.out").read_text().splitlines()
    assert lines[0].startswith("mode: ")
    assert any(line.endswith(" 1") for line in lines), "something was covered"
