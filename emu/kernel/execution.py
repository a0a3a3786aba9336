"""execve. Source: its manual page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from arch.files import EXECUTE, PATH_MAX
from arch.linux import Errno
from emu.kernel import memory, programs
from emu.kernel.errors import Refused
from emu.kernel.nodes import Program, Regular
from emu.kernel.pending import ThreadSignals
from emu.kernel.table import Image, Thread

_TEXT, _TEXTS = 32 * 4096, 1024  # bytes of an argument, number of arguments


def execve(thread: Thread, path: int, argv: int, envp: int) -> int | None:
    """Become another program: its path, arguments and environment are noted, and what else a process keeps of it.

    From then on nothing of the process's uses the memory that it may have shared.
    """
    kernel, task = thread.kernel, thread.task
    name = memory.string(thread, path, PATH_MAX, Errno.ENAMETOOLONG)
    arguments = memory.strings(thread, argv, _TEXTS, _TEXT) if argv else ()
    environment = memory.strings(thread, envp, _TEXTS, _TEXT) if envp else ()
    file = kernel.tree.resolve(task, name, task.folder or kernel.tree.root).there
    if not isinstance(file, Regular) or not file.mode & EXECUTE:
        raise Refused(Errno.EACCES)
    image = Image(name, arguments, environment)
    if isinstance(file, Program):
        replace(thread, image)
        programs.begin(thread, file.main)
    else:
        kernel.execute(thread, file, image)
        thread.lender, thread.answered = None, True  # its registers are those of the new program's first moment
    return None


def replace(thread: Thread, image: Image) -> None:
    """What execve does to a process, whatever it becomes: one thread, no handlers, fewer descriptors."""
    task = thread.task
    for other in task.threads:
        if other is not thread and other.state != "ended":
            thread.kernel.end_thread(other, 0)
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
