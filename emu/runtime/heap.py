"""The heap's lock: a word of guest memory, so that a copy of the memory has a copy of the lock, held or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.machine import PAGE

if TYPE_CHECKING:
    from emu.session import Session


class Heap:
    """The lock that stacks are allocated under. It holds the tid of the thread that has it, or 0."""

    def __init__(self, session: Session) -> None:
        self._session, self._process = session, session.process
        self._word = self._process.add_region("heap lock", PAGE).address

    def clear(self) -> None:
        """Nobody has it."""
        self._process.set_word(self._word, 0)

    @property
    def holder(self) -> int:
        """The tid of the thread that has it; 0 if none has."""
        return self._process.word(self._word)

    def lock(self) -> None:
        """In a gate: take it for the thread on the CPU, which sleeps until it is free. Raises Deadlock."""
        thread, holder = self._session.thread, self.holder
        if self._take(thread.tid) is not None:
            return
        alive = [t.tid for t in self._session.kernel.threads if t.process is self._process]
        gone = "" if holder in alive else ", whom its process does not have"
        self._session.loop.wait(f"the heap lock, held by thread {holder}{gone}", lambda: self._take(thread.tid))

    def unlock(self) -> None:
        """Free it."""
        self.clear()

    def _take(self, tid: int) -> int | None:
        if self.holder:
            return None
        self._process.set_word(self._word, tid)
        return 0
