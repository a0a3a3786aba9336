"""Whether the order of two neighbouring instructions can be observed: both orders are run from the same state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from emu.machine import Stop
from emu.process import Process
from sweep.subject import Case, patched

_PAIR = 2  # instructions


def observable(case: Case, step: int, address: int, swapped: bytes) -> bool:
    """Whether the two instructions from ``address``, first executed at ``step`` of a case, show their order there.

    ``swapped``: their bytes the other way round. What is compared after both: why the machine stopped, the registers,
    and every byte that was written.
    """
    plain = _after_pair(case, step)
    with patched(case.process, {address: swapped}):
        return plain != _after_pair(case, step)


def _after_pair(case: Case, step: int) -> tuple[Stop, dict[str, int], dict[int, int]]:
    """The state when two instructions have been run from ``step`` on."""
    machine = case.process.machine
    with _halting(case.process, step):
        try:
            for _ in case.run():
                pass
        except _Halted:
            stop = machine.run(_PAIR)
    written = {a for w in machine.recorder.writes if w.step >= step for a in range(w.address, w.address + w.size)}
    return stop, machine.registers(), {a: machine.read(a, 1)[0] for a in written}


class _Halted(Exception):
    """The wanted step has come."""


@contextmanager
def _halting(process: Process, step: int) -> Iterator[None]:
    """A process that goes no further than to ``step``."""
    recorder, run = process.machine.recorder, process.run

    def run_until(steps: int) -> Stop:
        left = step - recorder.steps
        stop = run(min(steps, left))
        if recorder.steps == step and steps >= left:
            raise _Halted
        return stop

    process.run = run_until  # type: ignore[method-assign]
    try:
        yield
    finally:
        del process.run
