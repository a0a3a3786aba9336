"""The system calls of guests: processes, threads, and what they may ask. Nothing reaches the host.

    kernel = Kernel(process)          # the process's CPU stands at the first thread's entry

    @kernel.syscall("getpid")
    def pid(thread: Thread) -> int:   # as many of the call's arguments as it names
        return 7

    outcome = run(kernel, steps=100_000)
"""

from emu.kernel.errors import Refused
from emu.kernel.kernel import Kernel, Witness
from emu.kernel.loop import Outcome, run
from emu.kernel.table import Image, Task, Thread

__all__ = ["Image", "Kernel", "Outcome", "Refused", "Task", "Thread", "Witness", "run"]
