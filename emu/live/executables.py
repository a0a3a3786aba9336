"""The programs of a world's files: each is lifted once, for as long as its file stays what it is."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from arch.linux import Errno
from asm import goelf
from asm.elf import MEMORY, ElfError
from asm.goelf import GoBinary
from emu.kernel.errors import Refused
from emu.kernel.kernel import Kernel
from emu.kernel.nodes import Regular
from emu.kernel.table import Image

_MOST = 8  # programs that are remembered


class _Known(NamedTuple):
    size: int
    modified: int
    binary: GoBinary


class Programs:
    """What execve finds in files."""

    def __init__(self) -> None:
        self._known: OrderedDict[Regular, _Known] = OrderedDict()

    def know(self, file: Regular, binary: GoBinary) -> None:
        """A file holds this program."""
        self._known[file] = _Known(file.size, file.modified, binary)
        self._known.move_to_end(file)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def get(self, kernel: Kernel, file: Regular, image: Image) -> GoBinary:
        """The program in a file. Raises Refused with ENOEXEC, and notes why, if it cannot be run."""
        known = self._known.get(file)
        if known is None or (known.size, known.modified) != (file.size, file.modified):
            self.know(file, self._lift(kernel, file, image))
        self._known.move_to_end(file)
        return self._known[file].binary

    def _lift(self, kernel: Kernel, file: Regular, image: Image) -> GoBinary:
        try:
            if file.size > MEMORY:
                raise ElfError(f"the file has {file.size} bytes; the limit is {MEMORY}")
            binary = goelf.lift(file.read(0, file.size), Path(image.path), quick=True)
            if binary.arch != kernel.arch.name:
                raise ElfError(f"for {binary.arch}, in a world of {kernel.arch.name}")
        except ElfError as error:
            kernel.refuse(f"execve of {image.path}: {error}")
            raise Refused(Errno.ENOEXEC) from None
        return binary
