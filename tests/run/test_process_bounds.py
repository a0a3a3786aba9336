"""What processes leave behind is little, and how many there may be is bounded, as is the memory of them all."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import toolchain
from whole import FOLDER, Program, run_file

from emu.kernel.calls import MOST_SPACES
from emu.live.run import NO_MEMORY, LiveRun, Settings, open_program
from emu.process import Process

MIB = 1 << 20
STATUS = Path("/proc/self/status")
REEXEC = Program("reexec")


def _host() -> tuple[int, int]:
    """Bytes of this process that are resident, and of its address space; 0 where the host does not tell."""
    if not STATUS.exists():
        return 0, 0
    text = STATUS.read_text()
    resident, size = (re.search(rf"^{what}:\s*(\d+) kB$", text, re.MULTILINE) for what in ("VmRSS", "VmSize"))
    assert resident is not None
    assert size is not None
    return int(resident[1]) * 1024, int(size[1]) * 1024


def test_ended_processes_leave_nothing(goarch: str) -> None:
    """An engine that stays takes more than 32 MiB of address space, the memory of a guest more than 4 MiB."""
    path = toolchain.build("newest", goarch, FOLDER / "reexec")
    live = LiveRun(open_program(str(path)), ("series", "60"), Settings())
    close, seen = live.kernel.vacated, []

    def vacated(process: Process) -> None:
        close(process)
        gc.collect()
        seen.append((live.room.used, len(live.guests), len(live.kernel.tasks), *_host()))

    live.kernel.vacated = vacated
    assert live.run().status == 0
    assert live.kernel.output[1] == b"60 children\n"
    (used, guests, tasks, resident, size), last = seen[19], seen[59]
    assert last[0] - used <= 4 * MIB
    assert guests == last[1] == 1
    assert {tasks, last[2]} <= {1, 2}  # the last one may not have been waited for
    assert last[3] - resident < 24 * MIB  # code of the first process, of which an engine keeps 32 MiB
    assert last[4] - size < 32 * MIB


def test_many_at_once_share_what_there_is(goarch: str) -> None:
    """Twenty processes that live at once take less than 100 MB each, their own memory included."""
    path = toolchain.build("newest", goarch, FOLDER / "reexec")
    live = LiveRun(open_program(str(path)), ("many", "20"), Settings())
    close, seen = live.kernel.vacated, []
    before, _ = _host()

    def vacated(process: Process) -> None:
        seen.append((len(live.guests), live.room.used, _host()[0] - before))
        close(process)

    live.kernel.vacated = vacated
    assert live.run().status == 0
    guests, used, resident = max(seen)
    assert guests == 21
    assert used <= 21 * 64 * MIB
    assert resident < 20 * 100_000_000
    assert live.room.used == live.process.space.used


def test_processes_that_start_each_other_for_ever_are_refused(goarch: str) -> None:
    path = str(REEXEC.build("newest", goarch))
    once = run_file(Path(path), "bomb", "once")
    assert (once.code, once.out) == (12, b"true\n")
    (summary,) = once.summary["summary"]
    (why,) = summary["unknown"]
    assert why in (f"execve: {MOST_SPACES} processes have memory of their own", "execve: " + NO_MEMORY)
    for_ever = run_file(Path(path), "bomb", options=("--steps", "12000000"))
    assert for_ever.code == 124
    (ending,) = for_ever.summary["ending"]
    assert ending["outcome"] == "budget"


def test_one_bound_for_the_memory_of_all(goarch: str) -> None:
    """Each child takes 40 MiB of 512: some are refused, or end for want of memory; the others, and who comes later,
    are none the worse."""
    ran = run_file(REEXEC.build("newest", goarch), "memory", "16", "40", options=("--memory", "512"))
    assert ran.code == 0, ran.err
    found = re.fullmatch(rb"started (\d+) refused (\d+)\nafterwards <nil>\n", ran.out)
    assert found is not None, ran.out
    started, refused = map(int, found.groups())
    assert started + refused == 16
    assert 3 <= started <= 12
    plenty = run_file(REEXEC.build("newest", goarch), "memory", "6", "40", options=("--memory", "2048"))
    assert plenty.out == b"started 6 refused 0\nafterwards <nil>\n"
