"""Faults of the CPU as signals: which one, with what told of it, and who survives."""

from __future__ import annotations

import pytest
from kernel_guest import STEPS, finished
from signal_guest import SignalGuest, each

import arch as arches
from arch.signals import SIGNALS, Act, Code, Signal
from emu.kernel import Outcome, run, signals
from emu.kernel.frames import Pushed
from emu.machine import Stop

END = "sys nr.exit_group, 0, 0, 0, 0, 0\n"
SKIP = "handler:\nput uc.{pc}, behind\ndone\n"


def _guest(arch: str, name: str, text: str) -> tuple[SignalGuest, list[Pushed]]:
    """One that handles ``name`` by going on at ``behind``; what its handler is told."""
    handler = SKIP.format(pc=arches.get(arch).roles["pc"])
    setup = f"sys nr.rt_sigaction, {name}, act.0, 0, 8, 0\nat:\n"
    guest = SignalGuest(arch, f"{setup}{text}\ngo behind\nbehind:\n{END}{handler}")
    guest.action(0, "handler")
    seen: list[Pushed] = []
    guest.kernel.on_signal = lambda _thread, frame: seen.append(frame)
    return guest, seen


def _words(guest: SignalGuest, frame: Pushed) -> tuple[int, int, int]:
    """Trap number, error word and address out of the frame in memory."""
    layout = SIGNALS[guest.arch.name].frame
    return tuple(  # type: ignore[return-value]
        guest.process.word(frame.address + offset) for offset in (layout.trap, layout.error, layout.fault)
    )


def _told(guest: SignalGuest, frame: Pushed) -> tuple[int, int, int]:
    """Signal, code and address out of the siginfo in memory."""
    facts = SIGNALS[guest.arch.name]
    at = frame.address + facts.frame.info
    data = guest.process.machine.read(at, 128)
    return (
        int.from_bytes(data[:4], "little"), int.from_bytes(data[8:12], "little", signed=True),
        guest.process.word(at + facts.structs.info_union),
    )


@each
def test_a_touch_of_what_is_not_there(arch: str) -> None:
    guest, seen = _guest(arch, "SIGSEGV", "bad_load")
    finished(guest)
    nowhere = guest.names["nowhere"]
    assert _told(guest, seen[0]) == (Signal.SIGSEGV, Code.SEGV_MAPERR, nowhere)
    assert _words(guest, seen[0]) == {"386": (14, 4, nowhere), "amd64": (14, 4, nowhere), "arm": (14, 5, nowhere)}[arch]
    pc = seen[0].registers[guest.arch.roles["pc"]]
    assert guest.program.symbol("at").address < pc < guest.program.symbol("behind").address


@each
def test_a_store_where_only_reading_is_allowed(arch: str) -> None:
    guest, seen = _guest(arch, "SIGSEGV", "poke begin, 0")
    finished(guest)
    begin = guest.program.symbol("begin").address
    assert _told(guest, seen[0]) == (Signal.SIGSEGV, Code.SEGV_ACCERR, begin)
    assert _words(guest, seen[0])[1] == {"386": 7, "amd64": 7, "arm": 0x80F}[arch]


@each
def test_an_instruction_that_is_none(arch: str) -> None:
    guest, seen = _guest(arch, "SIGILL", "illegal")
    finished(guest)
    assert _told(guest, seen[0])[0] == Signal.SIGILL
    assert _told(guest, seen[0])[2] == guest.program.symbol("at").address
    assert _words(guest, seen[0])[:2] == (6, 0)


@pytest.mark.parametrize("arch", ["386", "amd64"])
def test_a_division_by_nothing(arch: str) -> None:
    guest, seen = _guest(arch, "SIGFPE", "xor ecx, ecx\nfails:\ndiv ecx\n")
    finished(guest)
    assert _told(guest, seen[0]) == (Signal.SIGFPE, Code.FPE_INTDIV, guest.program.symbol("fails").address)
    assert _words(guest, seen[0])[:2] == (0, 0)


@each
def test_a_breakpoint(arch: str) -> None:
    """On arm it is the word that debuggers use, which the CPU does not know."""
    guest, seen = _guest(arch, "SIGTRAP", ".long 0xe7f001f0" if arch == "arm" else "int3")
    finished(guest)
    at = guest.program.symbol("at").address
    assert seen[0].registers[guest.arch.roles["pc"]] == at + (0 if arch == "arm" else 1)
    expected = (Code.TRAP_BRKPT, at) if arch == "arm" else (Code.KERNEL, 0)
    assert _told(guest, seen[0]) == (Signal.SIGTRAP, *expected)


@pytest.mark.amd64
def test_an_address_that_is_none() -> None:
    """Bits 47 to 63 of an address are equal: anything else is no page fault, and the address is not told."""
    guest, seen = _guest("amd64", "SIGSEGV", "mov rax, 0x123456789abcdef0\nmov rax, qword ptr [rax]\n")
    finished(guest)
    assert _told(guest, seen[0]) == (Signal.SIGSEGV, Code.KERNEL, 0)
    assert _words(guest, seen[0])[:2] == (13, 0)


@each
def test_a_fault_that_nobody_handles_stops_the_run_and_kills_as_a_signal(arch: str) -> None:
    guest = SignalGuest(arch, "bad_load\n" + END)
    outcome = run(guest.kernel, STEPS)
    assert (outcome.kind, outcome.thread) == ("stop", guest.kernel.main)
    assert outcome.stop is not None
    signals.fault(guest.kernel.main, outcome.stop)
    assert guest.kernel.main.task.status == Signal.SIGSEGV


@each
def test_a_fault_whose_signal_is_blocked_kills(arch: str) -> None:
    """As one in a handler of the same signal does."""
    text = "sys nr.rt_sigaction, SIGSEGV, act.0, 0, 8, 0\nbad_load\n" + END + "handler:\nbad_load\nspin\n"
    guest = SignalGuest(arch, text)
    guest.action(0, "handler")
    outcome = run(guest.kernel, STEPS)
    assert outcome.kind == "stop"
    assert outcome.stop is not None
    assert outcome.stop.address == guest.names["nowhere"]
    signals.fault(guest.kernel.main, outcome.stop)
    assert guest.kernel.main.task.status == Signal.SIGSEGV


@each
def test_a_fault_of_the_stack_is_handled_on_the_alternate_one(arch: str) -> None:
    text = "sys nr.sigaltstack, alt, 0, 0, 0, 0\nsys nr.rt_sigaction, SIGSEGV, act.0, 0, 8, 0\nbad_load\nspin\n"
    guest = SignalGuest(arch, text + "handler:\n" + END)
    guest.action(0, "handler", Act.ONSTACK)
    guest.process.set_role("sp", guest.names["nowhere"] + 64)
    finished(guest)


@each
def test_sigreturn_without_a_frame_is_a_fault(arch: str) -> None:
    guest = SignalGuest(arch, "sys nr.rt_sigreturn, 0, 0, 0, 0, 0\n" + END)
    guest.process.set_role("sp", guest.names["nowhere"] + 64)
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.kernel.main.task.status == Signal.SIGSEGV


@each
def test_any_stop_has_a_meaning(arch: str) -> None:
    """Whatever exception a machine reports, the guest is sent a signal."""
    for vector in (0, 1, 6, 8, 13, 14, 255, None):
        guest = SignalGuest(arch, END)
        signals.fault(guest.kernel.main, Stop("fault", guest.names["heap"], vector=vector))
        assert guest.kernel.main.task.status in (Signal.SIGSEGV, Signal.SIGFPE, Signal.SIGILL)
