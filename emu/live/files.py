"""What a run sees of the host's files, and what it leaves there: the only files of the host that are ever written."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from emu.kernel import hostdir
from emu.kernel.errors import Refused
from emu.kernel.nodes import Directory, Member, Regular
from emu.kernel.table import Task


class Files(NamedTuple):
    """``folders``: (a folder of the host's, its path in the guests' tree). ``start``: the first process's folder.

    ``outs``: (a path in the guests' tree, the host's file or folder that what guests wrote there is saved as), of which
    the first ``asked`` were asked for by name.
    """

    folders: tuple[tuple[str, str], ...] = ()
    start: str = "/"
    outs: tuple[tuple[str, str], ...] = ()
    asked: int = 0


def give(task: Task, files: Files) -> None:
    """Furnish a world with them. Raises OSError for what is no folder, Refused for a path that cannot be one."""
    tree = task.kernel.tree
    for host, path in sorted(files.folders, key=lambda folder: -folder[1].rstrip("/").count("/")):
        hostdir.mount(tree, path, host)
    if files.start != "/":
        task.folder = _folder(task, files.start)
    for path, host in files.outs:
        path = _from(files.start, path)
        _folder(task, path if os.path.isdir(host) else posixpath.dirname(path))


def save(task: Task, files: Files) -> Iterator[str]:
    """Save the outs; yields in words what could not be. What no guest has written is left alone."""
    tree = task.kernel.tree
    for number, (path, host) in enumerate(files.outs):
        try:
            node = tree.resolve(task, _from(files.start, path), tree.root).node
        except Refused:
            node = None
        written = list(_written(task, node))
        if not written and number < files.asked:
            yield f"--out {path}: no guest has written it"
        try:
            for rest, file in written:
                target = os.path.join(host, rest) if rest else host
                if rest:
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "wb") as out:
                    out.write(file.read(0, file.size))
        except OSError as error:
            yield f"{path} cannot be saved as {host}: {error.strerror or error}"


def _written(task: Task, node: Member | None, at: str = "") -> Iterator[tuple[str, Regular]]:
    """The files that guests wrote at a node or below it, with their paths from there."""
    if isinstance(node, Regular) and (node.cost or node.altered):
        yield at, node
    elif isinstance(node, Directory):
        for name in node.names(task):
            below = node.find(name, task)
            yield from _written(task, below, posixpath.join(at, name))


def _from(start: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(start, path))


def _folder(task: Task, path: str) -> Directory:
    """The folder that a path leads to, made if there is none."""
    tree = task.kernel.tree
    try:
        node = tree.resolve(task, path, tree.root).node
    except Refused:
        node = None
    return node if isinstance(node, Directory) else tree.folder(path)
