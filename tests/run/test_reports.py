"""What `run` says: of programs that nobody knows, of broken contracts, of faults where no fault may be."""

from __future__ import annotations

from pathlib import Path

import pytest
import whole

from arch import ARCHES
from asm.goelf import load
from asm.readback import disassemble


def _hello(goarch: str) -> Path:
    return whole.PROGRAMS["hello"].build("newest", goarch)


def _without(path: Path, routine: str, start: str, into: Path) -> Path:
    """The program with the first instruction of a routine that starts so replaced by no-ops."""
    binary = load(path)
    symbol, arch = binary.routines[routine], ARCHES[binary.arch]
    assert symbol is not None
    code = binary.program.read(symbol.address, symbol.size)
    at, size = next((at, len(data)) for at, data, text in disassemble(arch, code, 0) if text.startswith(start))
    broken = code[:at] + arch.nop * (size // len(arch.nop)) + code[at + size :]
    found = path.read_bytes()
    assert found.count(code) == 1
    into.write_bytes(found.replace(code, broken))
    return into


@pytest.mark.parametrize("other", [b"go1.37.3", b"go1.19.3"])
def test_a_release_that_is_not_known_runs_unchecked(other: bytes, tmp_path: Path) -> None:
    path = tmp_path / "unknown"
    release = load(_hello("arm")).go.encode()
    path.write_bytes(_hello("arm").read_bytes().replace(release, other.ljust(len(release), b"0")[: len(release)]))
    ran = whole.run_file(path)
    assert ran.code == 0
    assert ran.out == whole.run_file(_hello("arm")).out
    (unchecked,) = ran.summary["unchecked"]
    assert "built by go1." in unchecked["why"]
    assert not any(ran.summary["summary"][0]["crossings"].values())


def test_a_broken_crossing_is_told_with_all_around_it(goarch: str, tmp_path: Path) -> None:
    store = {"386": "mov dword ptr [ebx + 4]", "amd64": "mov qword ptr [rbx + 8]", "arm": "str r3, [r8"}[goarch]
    path = _without(_hello(goarch), "morestack", store, tmp_path / "broken")
    ran = whole.run_file(path)
    assert ran.code == 121
    (broken,) = ran.summary["broken"]
    assert broken["routine"] == "morestack_noctxt"
    assert broken["goroutine"] == 1
    functions = [frame[0] if isinstance(frame, list) else frame["function"] for frame in broken["stack"]]
    assert functions[:2] == ["runtime.newstack", "runtime.morestack"]
    assert functions[-1] == "runtime.goexit"  # the goroutine that was left, to its end
    assert len(broken["last"]) == 8


def test_a_fault_in_a_crossing_is_a_broken_one(tmp_path: Path) -> None:
    path = _without(_hello("amd64"), "mcall", "mov rdx, rax", tmp_path / "broken")
    ran = whole.run_file(path)
    assert ran.code == 121
    (broken,) = ran.summary["broken"]
    assert (broken["routine"], broken["check"], broken["expected"]) == ("mcall", "control leaves mcall", "no fault")
    assert broken["found"].startswith("a fault touching 0x")


def test_a_fault_tells_the_guest_its_exact_address(goarch: str) -> None:
    ran = whole.command("run", str(whole.PROGRAMS["panics"].build("newest", goarch)), "address")
    assert ran.code == 2
    assert "unexpected fault address 0x12345678" in ran.err
