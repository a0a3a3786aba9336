"""execve. Sources: its manual page; for the line of a script the kernel's own code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from arch.files import ARG_MAX, ARG_STRLEN, EXECUTE, INTERPRETERS, PATH_MAX, SCRIPT_LINE
from arch.linux import Errno
from emu.kernel import memory, programs
from emu.kernel.errors import Refused
from emu.kernel.nodes import Program, Regular
from emu.kernel.pending import ThreadSignals
from emu.kernel.table import Image, Thread


def execve(thread: Thread, path: int, argv: int, envp: int) -> int | None:
    """Become another program: its path, arguments and environment are noted, and what else a process keeps of it.

    From then on nothing of the process's uses the memory that it may have shared.
    """
    kernel = thread.kernel
    name = memory.string(thread, path, PATH_MAX, Errno.ENAMETOOLONG)
    arguments = memory.strings(thread, argv, ARG_STRLEN, ARG_MAX) if argv else ()
    environment = memory.strings(thread, envp, ARG_STRLEN, ARG_MAX) if envp else ()
    name, file, arguments = _program(thread, name, arguments)
    image = Image(name, arguments, environment)
    if isinstance(file, Program):
        replace(thread, image)
        programs.begin(thread, file.main)
    else:
        kernel.execute(thread, file, image)
        thread.lender, thread.answered = None, True  # its registers are those of the new program's first moment
    return None


def _program(thread: Thread, name: str, arguments: tuple[str, ...]) -> tuple[str, Regular, tuple[str, ...]]:
    """The file to execute, its name and arguments: for a script the interpreter that its first line names."""
    task, tree = thread.task, thread.kernel.tree
    for _ in range(INTERPRETERS + 1):
        file = tree.resolve(task, name, task.folder or tree.root).there
        if not isinstance(file, Regular) or not file.mode & EXECUTE:
            raise Refused(Errno.EACCES)
        if isinstance(file, Program) or file.read(0, 2) != b"#!":
            return name, file, arguments
        words = _interpreter(file)
        arguments = (*words, name, *arguments[1:])
        name = words[0]
    raise Refused(Errno.ELOOP)


def _interpreter(file: Regular) -> list[str]:
    """The words of a script's first line: a path, and all that follows as one. Raises Refused if there is no path."""
    head = file.read(2, SCRIPT_LINE - 2)
    line, ended, _ = head.partition(b"\n")
    words = re.split("[ \t]+", line.decode("utf-8", "surrogateescape").strip(" \t"), maxsplit=1)
    if not words[0] or (not ended and len(words) == 1 and len(head) == SCRIPT_LINE - 2):
        raise Refused(Errno.ENOEXEC)  # also if the path may go on where the line was cut
    return words


def replace(thread: Thread, image: Image) -> None:
    """What execve does to a process, whatever it becomes: one thread, no handlers, fewer descriptors."""
    task = thread.task
    for other in task.threads:
        if other is not thread and other.state != "ended":
            thread.kernel.end_thread(other, 0)
    if thread.tid != task.pid:
        thread.kernel.lead(thread)
    task.files.executed()
    task.signals.executed()
    thread.signals, thread.clear_tid = ThreadSignals(pending=thread.signals.pending), 0
    task.image = image
    task.executable = _absolute(thread, image.path)


def _absolute(thread: Thread, path: str) -> str:
    task, tree = thread.task, thread.kernel.tree
    place = tree.resolve(task, path, task.folder or tree.root)
    return f"{tree.path(place.parent).rstrip('/')}/{place.name}"


CALLS: Mapping[str, Callable[..., int | None]] = {"execve": execve}
