"""How a system call is refused."""

from __future__ import annotations

from arch.linux import Errno


class Refused(Exception):
    """Raised by a system call's handler: the guest gets ``-errno``."""

    def __init__(self, errno: Errno) -> None:
        super().__init__(errno.name)
        self.errno = errno
