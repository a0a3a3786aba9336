"""A program's first moment, as the kernel leaves it: arguments, environment and auxiliary vector on the stack.

Sources: the System V ABI supplements (process initialization); getauxval(3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from arch import auxv
from arch.files import ARG_MAX
from arch.linux import Errno
from emu.kernel.errors import Refused
from emu.live.process import STACK, STACK_TOP, LiveProcess
from emu.live.space import EXECUTE, READ, WRITE, NoMemory, pages
from emu.machine import PAGE

ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C", "TMPDIR": "/tmp"}
"""What a guest's environment holds unless it is told otherwise."""


def start(
    process: LiveProcess, entry: int, path: str, arguments: Sequence[str], environment: Sequence[str],
    random: Random,
) -> None:
    """Map the stack, fill it, and let the CPU stand at ``entry``.

    ``environment``: each ``NAME=VALUE``. Raises Refused if the texts are too long, or there is no memory.
    """
    arch, top = process.arch, STACK_TOP[process.arch.word]
    texts = [*arguments, *environment]
    encoded = [text.encode("utf-8", "surrogateescape") + b"\0" for text in texts]
    size = sum(len(text) + arch.word for text in encoded)
    if size > ARG_MAX:
        raise Refused(Errno.E2BIG)
    room = STACK + pages(size)
    try:
        process.space.map(top - room, room, READ | WRITE, "stack")
    except NoMemory:
        raise Refused(Errno.ENOMEM) from None
    at = top - PAGE // 2
    pointers = []
    for text in (path.encode("utf-8", "surrogateescape") + b"\0", random.randbytes(16), *encoded):
        at -= len(text)
        process.machine.write(at, text)
        pointers.append(at)
    name, seed, *vectors = pointers
    arguments_at, environment_at = vectors[: len(arguments)], vectors[len(arguments) :]
    auxiliary = auxv.entries(arch, page=PAGE, entry=entry, random=seed, path=name)
    words = [len(arguments), *arguments_at, 0, *environment_at, 0, *(word for pair in auxiliary for word in pair)]
    sp = (at - len(words) * arch.word) & ~15
    process.machine.write(sp, b"".join(arch.pack(word) for word in words))
    process.set_registers({arch.roles["sp"]: sp, arch.roles["pc"]: entry})
    if arch.name in auxv.VECTOR_PAGE:
        address, code = auxv.VECTOR_PAGE[arch.name]
        process.space.map(address, PAGE, READ | EXECUTE, "vectors")
        process.machine.write(address, code.ljust(PAGE, b"\0"))
