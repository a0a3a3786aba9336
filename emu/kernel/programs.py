"""Virtual programs: Python in the place of a process's own code, which waits as a thread does, without a CPU.

    def main(task: Task) -> Steps:
        while data := (yield from read(task, 0)):
            yield from write(task, 1, data)
        return 0

A program that never waits may be a plain function that returns its exit status.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from typing import Any

from arch.files import O_RDONLY
from arch.linux import Errno
from arch.signals import Signal
from emu.kernel.errors import Refused
from emu.kernel.files import Stream
from emu.kernel.table import Task, Thread

Wait = tuple[str, Callable[[], Any]]
"""What a program waits for, in words, and what is asked until it gives something else than None."""
Steps = Generator[Wait, Any, int]
Main = Callable[[Task], int | Steps]

_CHUNK = 65536


def exited(code: int) -> int:
    """wait4's word for a process that ended by itself."""
    return (code & 0xFF) << 8


def begin(thread: Thread, main: Main) -> None:
    """Let a thread become a program: from here on the kernel asks the program when it would have asked the thread."""
    result = main(thread.task)
    if isinstance(result, int):
        thread.kernel.end_task(thread.task, exited(result))
        return
    thread.lender = None
    thread.block("its program", lambda: None)
    running = _Running(thread, result)
    if running.goes_on:
        thread.until = running.ask
        running.ask()


class _Running:
    """A program that has begun."""

    def __init__(self, thread: Thread, steps: Steps) -> None:
        self._thread, self._steps = thread, steps
        self._until: Callable[[], Any] = lambda: None
        self.goes_on = self._take(lambda: next(steps))

    def ask(self) -> None:
        """Let the program do what it can; it never answers the call that it was begun by."""
        while self.goes_on:
            try:
                found = self._until()
            except Refused as refused:
                self.goes_on = self._take(partial(self._steps.throw, refused))
                continue
            if found is None:
                return
            self.goes_on = self._take(partial(self._steps.send, found))

    def _take(self, step: Callable[[], Wait]) -> bool:
        """Whether the program goes on after a step."""
        thread = self._thread
        thread.kernel.moves += 1
        try:
            thread.waits_for, self._until = step()
            return True
        except StopIteration as end:
            thread.kernel.end_task(thread.task, exited(end.value))
        except Refused as refused:
            status = int(Signal.SIGPIPE) if refused.errno == Errno.EPIPE else exited(1)
            thread.kernel.end_task(thread.task, status)
        return False


# what programs are made of


def _read(stream: Stream, why: str) -> Generator[Wait, Any, bytes]:
    data: bytes = yield why, lambda: stream.read(_CHUNK)
    return data


def read(task: Task, descriptor: int) -> Generator[Wait, Any, bytes]:
    """The next bytes from a descriptor, none at its end. Raises Refused."""
    return _read(task.files.stream(descriptor), f"bytes from descriptor {descriptor}")


def write(task: Task, descriptor: int, data: bytes) -> Generator[Wait, Any, None]:
    """Write all of it. Raises Refused."""
    stream = task.files.stream(descriptor)
    while data:
        taken: int = yield f"room in descriptor {descriptor}", partial(stream.write, data)
        data = data[taken:]


# the programs


def _arguments(task: Task) -> tuple[str, ...]:
    return task.image.argv[1:] if task.image is not None else ()


def echo(task: Task) -> Steps:
    """Its arguments and the end of a line; ``-n`` first leaves that out."""
    words = _arguments(task)
    end = "\n"
    if words[:1] == ("-n",):
        words, end = words[1:], ""
    yield from write(task, 1, (" ".join(words) + end).encode("utf-8", "surrogateescape"))
    return 0


def cat(task: Task) -> Steps:
    """What the files hold that are its arguments, or its input, which ``-`` stands for too."""
    code = 0
    for name in _arguments(task) or ("-",):
        try:
            for stream in _inputs(task, name):
                while data := (yield from _read(stream, f"bytes from {name}")):
                    yield from write(task, 1, data)
        except Refused as refused:
            if refused.errno == Errno.EPIPE:
                raise
            yield from write(task, 2, f"cat: {name}: {refused.errno.name}\n".encode("utf-8", "surrogateescape"))
            code = 1
    return code


def _inputs(task: Task, name: str) -> Iterator[Stream]:
    if name == "-":
        yield task.files.stream(0)
        return
    tree = task.kernel.tree
    stream = tree.resolve(task, name, task.folder or tree.root).there.open(task, O_RDONLY)
    yield stream
    stream.released()


def pwd(task: Task) -> Steps:
    """The path of its folder."""
    tree = task.kernel.tree
    yield from write(task, 1, (tree.path(task.folder or tree.root) + "\n").encode("utf-8", "surrogateescape"))
    return 0


PROGRAMS: Mapping[str, Main] = {
    "true": lambda _task: 0, "false": lambda _task: 1, "echo": echo, "cat": cat, "pwd": pwd,
}
