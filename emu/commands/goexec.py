"""`go-exec`: the scripts by which the go command runs programs of other architectures."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

_ARCHES = ("386", "amd64", "arm")
_MARK = "# Written by `stackcarry go-exec`; it runs what `go test` and `go run` build for another architecture."


@click.command(name="go-exec")
@click.option("--install", "folder", type=click.Path(file_okay=False), metavar="DIR", help="Write the scripts there.")
@click.option("--uninstall", "other", type=click.Path(file_okay=False), metavar="DIR", help="Take them away again.")
def go_exec(folder: str | None, other: str | None) -> None:
    """Install go_linux_arm_exec, go_linux_386_exec and go_linux_amd64_exec, which the go command looks for on PATH.

    Then `GOOS=linux GOARCH=arm CGO_ENABLED=0 go test ./...` runs the tests by `stackcarry run --module`. The go
    command uses the script of its own architecture never: name it, as in `go test -exec go_linux_amd64_exec`.

    \b
    stackcarry go-exec --install bin
    """
    if bool(folder) == bool(other):
        raise click.UsageError("either --install or --uninstall, with a folder that is on PATH")
    paths = [Path(folder or other or "") / f"go_linux_{arch}_exec" for arch in _ARCHES]
    foreign = [path for path in paths if os.path.lexists(path) and not _ours(path)]
    if foreign and folder:
        raise click.UsageError(f"{foreign[0]} is there already, and not one of ours: nothing was written")
    for path in foreign:
        click.echo(f"{path} is not one of ours: it stays", err=True)
    paths = [path for path in paths if folder or (path not in foreign and path.exists())]
    if not paths:
        raise click.UsageError(f"{other} has none of our scripts")
    for path in paths:
        try:
            if folder:
                _write(path)
            else:
                path.unlink()
        except OSError as error:
            raise click.UsageError(f"{path}: {error.strerror or error}") from None
        click.echo(path)
    if folder and os.path.abspath(folder) not in map(os.path.abspath, os.get_exec_path()):
        click.echo(f"{folder} is not on PATH: the go command will not find them yet", err=True)


def _ours(path: Path) -> bool:
    try:
        return _MARK in path.read_text(errors="replace").splitlines()[1:2]
    except OSError:
        return False


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{_MARK}\nexec {shlex.join(_command())} run --module "$@"\n')
    path.chmod(0o755)


def _command() -> list[str]:
    """This command by absolute path, as it was called; else its interpreter and module."""
    called = os.path.abspath(sys.argv[0])
    if os.path.basename(called) == "stackcarry" and os.access(called, os.X_OK):
        return [called]
    return [sys.executable, "-P", "-m", "emu.cli"]
