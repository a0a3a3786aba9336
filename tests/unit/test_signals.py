"""Handlers on their frames: how they are entered, what they may change, when they run, and the way back."""

from __future__ import annotations

from kernel_guest import STEPS, finished
from signal_guest import SignalGuest, each

from arch.linux import Errno
from arch.signals import SIGNALS, Act, Signal
from emu.kernel import Outcome, run, waits
from emu.kernel.frames import Pushed
from emu.kernel.table import Thread

END = "sys nr.exit_group, 0, 0, 0, 0, 0\n"
CATCH = "sys nr.rt_sigaction, SIGUSR1, act.0, 0, 8, 0\n"
SEND = "sys nr.kill, 1000, SIGUSR1, 0, 0, 0\n"
HANDLER = "handler:\ntake slot.12\ncount slot.11\ndone\n"


def _guest(arch: str, text: str, flags: Act = Act(0), *mask: Signal) -> SignalGuest:  # noqa: B008
    """One whose ``act.0`` is the handler at ``handler``; ``slot.11`` counts, and is 0."""
    guest = SignalGuest(arch, text)
    guest.action(0, "handler", flags, *mask)
    guest.pointers(11, 0)
    return guest


@each
def test_a_handler_is_entered_with_its_arguments_on_an_aligned_frame(arch: str) -> None:
    guest = _guest(arch, CATCH + SEND + "keep slot.0\n" + END + HANDLER)
    seen: list[tuple[Pushed, dict[str, int]]] = []
    guest.kernel.on_signal = lambda thread, frame: seen.append((frame, thread.process.machine.registers()))
    finished(guest)
    (frame, entry), layout = seen[0], SIGNALS[arch].frame
    assert len(seen) == 1
    assert guest.slot(0) == 0
    assert [guest.slot(12), guest.slot(13), guest.slot(14)] == [
        Signal.SIGUSR1, frame.address + layout.info, frame.context,
    ]
    sp, flags = guest.arch.roles["sp"], guest.arch.roles["flags"]
    assert entry[sp] == frame.address
    assert (entry[sp] + layout.align[2]) % layout.align[1] == 0
    assert frame.address + layout.size <= frame.registers[sp] - layout.red_zone
    assert entry[flags] & layout.cleared == 0
    assert guest.process.machine.read(frame.address + layout.info, 12) == bytes([10, 0, 0, 0]) + bytes(8)
    assert guest.process.machine.read(frame.address + layout.info + SIGNALS[arch].structs.info_union, 8) == (
        (1000).to_bytes(4, "little") + bytes(4)
    )


@each
def test_what_a_handler_spoils_comes_back(arch: str) -> None:
    """Registers, flags and the mask after sigreturn are those of before, whatever the handler did."""
    guest = _guest(arch, CATCH + "sys nr.tkill, 1000, SIGUSR1, 3, 4, 5\n" + END + HANDLER)
    states: list[dict[str, int]] = []
    masks: list[int] = []

    def entered(thread: Thread, frame: Pushed) -> None:
        states.append(dict(frame.registers))
        masks.append(thread.mask)

    def back(thread: Thread, frame: Pushed | None) -> None:
        assert frame is not None
        states.append(thread.process.machine.registers())
        masks.append(thread.mask)

    guest.kernel.on_signal, guest.kernel.on_sigreturn = entered, back
    finished(guest)
    assert states[0] == states[1]
    assert masks == [1 << Signal.SIGUSR1 - 1, 0]
    assert guest.slot(11) == 1
    assert not guest.kernel.main.signals.frames


@each
def test_a_handler_sends_its_program_elsewhere(arch: str) -> None:
    """PC, SP and the result register are taken from the frame, as asynchronous preemption wants it."""
    result = SIGNALS[arch].frame
    names = {"386": ("eip", "esp", "eax"), "amd64": ("rip", "rsp", "rax"), "arm": ("pc", "sp", "r0")}[arch]
    assert set(names) <= set(result.registers)
    pc, sp, value = names
    guest = _guest(
        arch,
        CATCH + SEND + f"""
            sys nr.exit_group, 1, 0, 0, 0, 0
        elsewhere:
            keep slot.0
            keep_sp slot.1
            sys nr.exit_group, 0, 0, 0, 0, 0
        handler:
            put uc.{pc}, elsewhere
            put uc.{sp}, spare
            put uc.{value}, 77
            done
        """,
    )
    finished(guest)
    assert [guest.slot(0), guest.slot(1)] == [77, guest.names["spare"]]


@each
def test_vector_registers_survive_a_handler(arch: str) -> None:
    name = {"386": "xmm1", "amd64": "xmm15", "arm": "d9"}[arch]
    guest = _guest(arch, CATCH + SEND + END + HANDLER)
    machine = guest.process.machine
    machine.set_vector(name, 0x1234_5678_9ABC)
    guest.kernel.on_signal = lambda _thread, _frame: machine.set_vector(name, 1)
    finished(guest)
    assert machine.vector(name) == 0x1234_5678_9ABC


# alternate stacks


@each
def test_a_handler_runs_on_the_alternate_stack_if_it_asks_for_it(arch: str) -> None:
    text = "sys nr.sigaltstack, alt, 0, 0, 0, 0\n" + CATCH + SEND + "sys nr.sigaltstack, 0, old, 0, 0, 0\n" + END + """
    handler:
        keep_sp slot.0
        sys nr.sigaltstack, 0, old + 0x20, 0, 0, 0
        sys nr.sigaltstack, alt, 0, 0, 0, 0
        keep slot.1
        done
    """
    guest = _guest(arch, text, Act.ONSTACK)
    finished(guest)
    start, size = guest.names["alt.start"], 8192
    assert start < guest.slot(0) <= start + size - SIGNALS[arch].frame.size
    assert start + size - guest.slot(0) < SIGNALS[arch].frame.size + 64  # at its very end
    assert guest.slot(1) == -Errno.EPERM
    field = SIGNALS[arch].structs.stack["flags"].offset
    told = [guest.process.machine.read(guest.names["old"] + at + field, 4)[0] for at in (0x20, 0)]
    assert told == [1, 0]  # in use, and free again


@each
def test_a_second_handler_stays_on_the_alternate_stack_below_the_first(arch: str) -> None:
    guest = _guest(
        arch,
        "sys nr.sigaltstack, alt, 0, 0, 0, 0\n" + CATCH + "sys nr.rt_sigaction, SIGUSR2, act.1, 0, 8, 0\n" + SEND + END
        + "handler:\nsys nr.kill, 1000, SIGUSR2, 0, 0, 0\nspin\n" + """
        second:
            sys nr.exit_group, 0, 0, 0, 0, 0
        """,
        Act.ONSTACK,
    )
    guest.action(1, "second", Act.ONSTACK)
    frames: list[int] = []
    guest.kernel.on_signal = lambda _thread, frame: frames.append(frame.address)
    finished(guest)
    size = SIGNALS[arch].frame.size
    assert guest.names["alt.start"] < frames[1] <= frames[0] - size


@each
def test_a_stack_without_room_for_the_frame_is_the_end(arch: str) -> None:
    """The frame cannot be pushed, nor that of the SIGSEGV which comes of it."""
    guest = _guest(arch, CATCH + "sys nr.rt_sigaction, SIGSEGV, act.0, 0, 8, 0\n" + SEND + END + HANDLER)
    guest.process.set_role("sp", guest.names["stack"] - 0xF80)
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.kernel.main.task.status == Signal.SIGSEGV


@each
def test_sigaltstack_refuses_what_is_no_stack(arch: str) -> None:
    guest = _guest(arch, "sys nr.sigaltstack, nowhere, 0, 0, 0, 0\nkeep slot.0\n"
                   "sys nr.sigaltstack, old, 0, 0, 0, 0\nkeep slot.1\n" + END + HANDLER)
    guest.process.write(guest.names["old"], bytes(32))
    finished(guest)
    assert [guest.slot(0), guest.slot(1)] == [-Errno.EFAULT, -Errno.ENOMEM]


# masks


@each
def test_a_blocked_signal_waits_and_is_kept_once(arch: str) -> None:
    guest = _guest(arch, CATCH + """
        sys nr.rt_sigprocmask, 0, set.0, 0, 8, 0
    """ + SEND + SEND + """
        sys nr.rt_sigpending, old, 8, 0, 0, 0
        wait_for still, slot.11, 0
        sys nr.rt_sigprocmask, 1, set.0, set.1, 8, 0
        keep slot.0
    """ + END + HANDLER)
    guest.mask(0, Signal.SIGUSR1, Signal.SIGKILL)
    finished(guest)
    assert [guest.slot(0), guest.slot(11)] == [0, 1]
    assert guest.process.machine.read(guest.names["old"], 8) == (1 << 9).to_bytes(8, "little")
    assert guest.process.machine.read(guest.names["set.1"], 8) == (1 << 9).to_bytes(8, "little")


@each
def test_a_handler_blocks_its_signal_and_its_mask_until_it_returns(arch: str) -> None:
    """Both that it sends itself come after it, one after the other; with NODEFER they come in its midst."""
    text = CATCH + "sys nr.rt_sigaction, SIGUSR2, act.1, 0, 8, 0\n" + SEND + END + """
    handler:
        count slot.11
        sys nr.kill, 1000, SIGUSR2, 0, 0, 0
        done
    second:
        count slot.10
        done
    """
    for flags, mask, depth in ((Act(0), (Signal.SIGUSR2,), 1), (Act(0), (), 2)):
        guest = _guest(arch, text, flags, *mask)
        guest.action(1, "second")
        guest.pointers(10, 0)
        depths: list[int] = []
        guest.kernel.on_signal = lambda thread, _frame, depths=depths: depths.append(  # type: ignore[misc]
            len(thread.signals.frames)
        )
        finished(guest)
        assert [guest.slot(10), guest.slot(11)] == [1, 1]
        assert depths == [1, depth]


@each
def test_nodefer_lets_a_handler_interrupt_itself_and_resethand_makes_it_the_last(arch: str) -> None:
    text = CATCH + SEND + END + "handler:\ncount slot.11\n" + SEND + "spin\n"
    guest = _guest(arch, text, Act.NODEFER | Act.RESETHAND)
    assert run(guest.kernel, STEPS) == Outcome("ended", ())
    assert guest.slot(11) == 1
    assert guest.kernel.main.task.status == Signal.SIGUSR1
    deep = _guest(arch, text, Act.NODEFER)
    frames: list[int] = []
    deep.kernel.on_signal = lambda _thread, frame: frames.append(frame.address)
    run(deep.kernel, STEPS)
    assert len(frames) > 2
    assert frames == sorted(frames, reverse=True)


@each
def test_sigsuspend_waits_with_another_mask_and_pause_with_the_same(arch: str) -> None:
    guest = _guest(arch, CATCH + "sys nr.rt_sigprocmask, 0, set.0, 0, 8, 0\n" + SEND + """
        sys nr.rt_sigsuspend, set.1, 8, 0, 0, 0
        keep slot.0
        sys nr.rt_sigprocmask, 0, 0, set.2, 8, 0
        sys nr.pause, 0, 0, 0, 0, 0
    """ + END + HANDLER)
    guest.mask(0, Signal.SIGUSR1)
    guest.mask(1, Signal.SIGUSR2)
    outcome = run(guest.kernel, STEPS)
    assert (outcome.kind, outcome.waiting) == ("deadlock", ("thread 1000 waits for a signal",))
    assert [guest.slot(0), guest.slot(11)] == [-Errno.EINTR, 1]
    assert guest.process.machine.read(guest.names["set.2"], 8) == (1 << 9).to_bytes(8, "little")


@each
def test_sigtimedwait_takes_a_pending_signal(arch: str) -> None:
    guest = _guest(arch, "sys nr.rt_sigprocmask, 0, set.0, 0, 8, 0\n" + SEND + """
        sys nr.rt_sigtimedwait, set.0, old, 0, 8, 0
        keep slot.0
        sys nr.rt_sigtimedwait, set.0, 0, set.3, 8, 0
        keep slot.1
    """ + END + HANDLER)
    guest.mask(0, Signal.SIGUSR1)
    guest.process.write(guest.names["set.3"], bytes(16))
    finished(guest)
    assert [guest.slot(0), guest.slot(1), guest.slot(11)] == [Signal.SIGUSR1, -Errno.EAGAIN, 0]
    assert guest.process.machine.read(guest.names["old"], 4) == bytes([10, 0, 0, 0])


# calls that a signal interrupts


@each
def test_a_read_is_made_again_or_fails_as_the_handler_says(arch: str) -> None:
    """The child kills its parent, who reads from a pipe, and then writes to it."""
    text = CATCH + """
        sys nr.pipe, slot.8, 0, 0, 0, 0
        sys nr.fork, 0, 0, 0, 0, 0
        child other
        sys nr.read, 3, slot.4, 1, 0, 0
        keep slot.0
        sys nr.exit_group, 0, 0, 0, 0, 0
    other:
        wait_a_little
        sys nr.kill, 1000, SIGUSR1, 0, 0, 0
        wait_a_little
        sys nr.write, 4, text, 1, 0, 0
    """.replace("wait_a_little", "sys nr.getpid, 0, 0, 0, 0, 0\n" * 4) + END + HANDLER
    for flags, result in ((Act.RESTART, 1), (Act(0), -Errno.EINTR)):
        guest = _guest(arch, text, flags)
        run(guest.kernel, STEPS, turn=3)
        assert [guest.slot(0), guest.slot(11)] == [result, 1]


@each
def test_a_sleep_is_never_slept_again(arch: str) -> None:
    guest = _guest(arch, CATCH + """
        sys nr.fork, 0, 0, 0, 0, 0
        child other
        sys nr.nanosleep, set.3, 0, 0, 0, 0
        keep slot.0
        sys nr.exit_group, 0, 0, 0, 0, 0
    other:
    """ + SEND + END + HANDLER, Act.RESTART)
    guest.process.write(guest.names["set.3"], guest.arch.pack(100) + guest.arch.pack(0))
    guest.kernel.add(waits.CALLS)
    finished(guest)
    assert [guest.slot(0), guest.slot(11)] == [-Errno.EINTR, 1]


@each
def test_a_write_that_is_interrupted_half_way_tells_how_far_it_came(arch: str) -> None:
    """More than the pipe holds is written, and nobody reads: the rest is for the guest to write again."""
    guest = _guest(arch, CATCH + """
        sys nr.pipe, slot.8, 0, 0, 0, 0
        sys nr.fork, 0, 0, 0, 0, 0
        child other
        sys nr.write, 4, room, 70000, 0, 0
        keep slot.0
        sys nr.exit_group, 0, 0, 0, 0, 0
    other:
        wait_a_little
    """.replace("wait_a_little", "sys nr.getpid, 0, 0, 0, 0, 0\n" * 4) + SEND + END + HANDLER, Act.RESTART)
    guest.process.machine.map(guest.names["room"], 0x12000)
    run(guest.kernel, STEPS, turn=3)
    assert [guest.slot(0), guest.slot(11)] == [65536, 1]


@each
def test_a_write_to_nobody_is_a_signal(arch: str) -> None:
    """It may come while the write waits: the reader, who is killed, never read."""
    text = "sys nr.rt_sigaction, SIGPIPE, act.0, 0, 8, 0\n" + """
        sys nr.pipe, slot.8, 0, 0, 0, 0
        sys nr.fork, 0, 0, 0, 0, 0
        child other
        sys nr.close, 3, 0, 0, 0, 0
        sys nr.write, 4, room, 65536, 0, 0
        sys nr.write, 4, room, 1, 0, 0
        keep slot.0
    """ + END + """
    other:
        wait_a_little
        sys nr.exit_group, 0, 0, 0, 0, 0
    """.replace("wait_a_little", "sys nr.getpid, 0, 0, 0, 0, 0\n" * 9) + HANDLER
    guest = _guest(arch, text)
    guest.process.machine.map(guest.names["room"], 0x12000)
    assert run(guest.kernel, STEPS, turn=3) == Outcome("ended", ())
    assert [guest.slot(0), guest.slot(11)] == [-Errno.EPIPE, 1]
    deaf = _guest(arch, text.replace("sys nr.rt_sigaction, SIGPIPE, act.0, 0, 8, 0\n", ""))
    deaf.process.machine.map(deaf.names["room"], 0x12000)
    assert run(deaf.kernel, STEPS, turn=3) == Outcome("ended", ())
    assert deaf.kernel.main.task.status == Signal.SIGPIPE


@each
def test_a_parent_that_waits_for_its_vfork_child_can_only_be_killed(arch: str) -> None:
    text = CATCH + """
        sys nr.vfork, 0, 0, 0, 0, 0
        child other
        keep slot.0
    """ + END + "other:\nsys nr.kill, 1000, {signal}, 0, 0, 0\npoke slot.1, 1\n" + END + HANDLER
    guest = _guest(arch, text.format(signal="SIGUSR1"))
    finished(guest)
    assert [guest.slot(0), guest.slot(1), guest.slot(11)] == [1001, 1, 1]
    killed = _guest(arch, text.format(signal="SIGTERM"))
    assert run(killed.kernel, STEPS) == Outcome("ended", ())
    assert killed.kernel.main.task.status == Signal.SIGTERM
