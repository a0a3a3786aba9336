"""`run --dir` and `--out`: real programs in a given folder, which is never written but for what was asked for."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import toolchain
from whole import FOLDER, command

WALK = """\
found . drwxr-xr-x 0
found a -rw-r--r-- 5
found gone Lrwxrwxrwx 9
found in drwxr-xr-x 0
found in/b -rw-r--r-- 5
found link Lrwxrwxrwx 4
found up Lrwxrwxrwx 9
"""
CHANGED = """\
found . drwxr-xr-x 0
found a -rw-r--r-- 7
found gone Lrwxrwxrwx 9
found in drwxr-xr-x 0
found in/hard -rwxr-x--x 3
found in/new drwxr-xr-x 0
found in/new/file -rw-r--r-- 3
found in/new/folder drwxr-xr-x 0
found link Lrwxrwxrwx 4
found out drwxr-xr-x 0
found out/b -rwxr-x--x 3
found up Lrwxrwxrwx 9
"""
LEFT = """\
found . drwxr-xr-x 0
found gone Lrwxrwxrwx 9
found in drwxr-xr-x 0
found in/hard -rwxr-x--x 3
found in/new drwxr-xr-x 0
found in/new/file -rw-r--r-- 3
found in/new/folder drwxr-xr-x 0
found link Lrwxrwxrwx 4
found result -rw-r--r-- 11
found up Lrwxrwxrwx 9
"""


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder beside a secret, with what must not be opened in it."""
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "given"
    (folder / "in").mkdir(parents=True)
    for path in (tmp_path, folder, folder / "in"):
        path.chmod(0o755)
    for name, text in (("a", "hello"), ("in/b", "world")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    (folder / "link").symlink_to("in/b")
    (folder / "up").symlink_to("../secret")
    (folder / "gone").symlink_to("../../../")
    os.mkfifo(folder / "fifo")
    return folder


def fingerprint(folder: Path) -> str:
    """All that a folder holds but the times at which it was read."""
    rows = [(str(path), path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns,
             path.read_bytes() if path.is_file() else b"") for path in sorted([folder, *folder.rglob("*")])]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def escapes(folder: Path) -> list[str]:
    """Paths to what the host has."""
    secret = str(folder.parent / "secret")
    return [
        secret, "../secret", "up", "in/../../secret", "gone" + secret, "../../../../../../../.." + secret, "fifo",
        "/proc/1/environ", "/proc/self/root" + secret, "/proc/self/cwd/../secret", "/proc/self/fd/0/../../secret",
        "/proc/cpuinfo", "/dev/mem", "/dev/kmsg", "/sys/class", "/etc/shadow", "gone/etc/shadow", "/run", "/usr/lib",
        __file__, "/dev/fd/77",
    ]  # fmt: skip


@pytest.mark.parametrize("guest", ["", "/work/folder"])
def test_a_program_in_a_given_folder(goarch: str, guest: str, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = toolchain.build("newest", goarch, FOLDER / "folders")
    monkeypatch.chdir(given)
    before = fingerprint(given.parent)
    ways = escapes(given)
    done = command("run", "--dir", f".:{guest}" if guest else ".", str(program), *ways)
    assert done.err == ""
    texts = "hello world world hello\n", "changed world and more world and more\n"
    shown = f"in {guest or given}\n{WALK}{texts[0]}{texts[1]}{CHANGED}{LEFT}"
    assert (done.code, done.out.decode()) == (0, shown)
    assert fingerprint(given.parent) == before


def test_without_a_folder_there_is_nothing(goarch: str, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = toolchain.build("newest", goarch, FOLDER / "folders")
    monkeypatch.chdir(given)
    done = command("run", str(program))
    assert done.out.decode().startswith("in /\n")
    assert str(given) not in done.out.decode()


@pytest.mark.parametrize(("given_at", "out", "saved"), [
    (".", "result", "given/result"), (".", "result:kept", "given/kept"), ("in:/in", "/result:../kept", "kept"),
])
def test_what_is_asked_for_is_saved(
    goarch: str, given_at: str, out: str, saved: str, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(given)
    before = fingerprint(given)
    if given_at == ".":
        program, words = toolchain.build("newest", goarch, FOLDER / "folders"), []
    else:
        program, words = toolchain.build("newest", goarch, FOLDER / "envargs"), ["x"]
    done = command("run", "--dir", given_at, "--out", out, str(program), *words)
    target = given.parent / saved
    if words:
        assert not target.exists(), "this one writes nothing"
        assert done.code == 10, "its own"
        assert f"--out {out.split(':')[0]}: no guest has written it" in done.err
    else:
        assert done.code == 0, done.err
        assert target.read_text() == "the result\n"
        target.unlink()
        os.utime(given, ns=(0, 0))
    if words:
        assert fingerprint(given) == before


def test_a_folder_can_be_saved(goarch: str, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = toolchain.build("newest", goarch, FOLDER / "folders")
    monkeypatch.chdir(given)
    done = command("run", "--dir", ".", "--out", "in:../saved", str(program))
    assert done.code == 0, done.err
    saved = given.parent / "saved"
    found = {path.relative_to(saved).as_posix(): path.read_text() for path in saved.rglob("*") if path.is_file()}
    assert found == {"hard": "wor", "new/file": "new"}


def test_what_was_there_before_is_not_saved(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = toolchain.build("newest", "arm", FOLDER / "folders")
    monkeypatch.chdir(given)
    done = command("run", "--dir", ".", "--out", "a:never", "--out", "/etc/hosts:never", str(program))
    assert done.code == 125
    assert "--out a: no guest has written it" in done.err
    assert "--out /etc/hosts: no guest has written it" in done.err
    assert not (given / "never").exists()


def test_what_cannot_be_saved_is_told(given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = toolchain.build("newest", "arm", FOLDER / "folders")
    monkeypatch.chdir(given)
    done = command("run", "--dir", ".", "--out", "result:a/b/c", str(program))
    assert done.code == 125
    assert "result cannot be saved" in done.err


@pytest.mark.parametrize(("words", "why"), [
    (("--dir", "none"), "No such file or directory"), (("--dir", "a"), "Not a directory"),
    (("--dir", "/proc"), "nobody's files"), (("--dir", ".:/proc/here"), "is taken"),
    (("--dir", ".:/x", "--dir", "in:/x"), "is taken"), (("--out", ""), "GUEST"), (("--out", "a:"), "GUEST"),
    (("--env", "=x"), "NAME"), (("--storm", "--out", "a"), "--storm"),
])
def test_wrong_use(words: tuple[str, ...], why: str, given: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(given)
    done = command("run", *words, "program")
    assert done.code == 125
    assert why in done.err


def test_environment(goarch: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = toolchain.build("newest", goarch, FOLDER / "envargs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOTESTED", "go's")
    monkeypatch.setenv("MINE", "my own")
    monkeypatch.delenv("UNSET", raising=False)
    plain = command("run", "--env", "MINE", "--env", "UNSET", "--env", "OTHER=a=b", str(program)).out.decode()
    assert "my own" in plain
    assert "UNSET" not in plain
    assert "a=b" in plain
    assert "go's" not in plain
    assert "go's" in command("run", "--module", str(program)).out.decode()
    assert "my own" not in command("run", "--module", str(program)).out.decode()
