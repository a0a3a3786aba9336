"""The two builds of the recorder, and rings of any size: the same bytes, in every mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from assembled import ARCHES, process
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import emu.callbacks
import emu.recorder
from emu.callbacks import Callbacks, State
from emu.errors import BadInput
from emu.process import Process
from emu.target import CODE, DATA

each = pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
BUILDS = ("c", "ctypes")
SLOT, G, GUARD = DATA + 0x40, DATA + 0x60, 8  # where g lies, what it points to, and how far in its guard word is

# Loops, calls, pushes of many words, repeated string instructions and exclusive stores; g and its guard change.
WORK = {
    "386": f"""
start:
    mov edi, data
    mov ecx, 20
.again:
    pushad
    call inner
    popad
    dec ecx
    jne .again
    mov ecx, 9
    rep stosb
    lock xadd dword ptr [edi], eax
    jmp fn
inner:
    mov dword ptr [{SLOT:#x}], {G:#x}
    mov dword ptr [{G + GUARD:#x}], ecx
    cmp ecx, 5
    jne .out
    mov dword ptr [{SLOT:#x}], 0
.out:
    ret
""",
    "amd64": f"""
start:
    mov rdi, data
    mov ecx, 20
.again:
    push rax
    push rcx
    call inner
    pop rcx
    pop rax
    dec ecx
    jne .again
    mov ecx, 9
    rep stosb
    lock xadd qword ptr [rdi], rax
    movups xmmword ptr [rdi + 16], xmm15
    jmp fn
inner:
    mov rbx, {SLOT:#x}
    mov rdx, {G:#x}
    mov qword ptr [rbx], rdx
    mov qword ptr [rdx + {GUARD}], rcx
    cmp ecx, 5
    jne .out
    mov qword ptr [rbx], 0
.out:
    ret
""",
    "arm": f"""
start:
    ldr r1, =data
    mov r2, #20
.again:
    push {{r0, r1, r2, r3, r4, r5, r6, r7, r8, lr}}
    bl inner
    pop {{r0, r1, r2, r3, r4, r5, r6, r7, r8, lr}}
    subs r2, r2, #1
    bne .again
.try:
    ldrex r3, [r1]
    add r3, r3, #1
    strex r4, r3, [r1]
    cmp r4, #0
    bne .try
    b fn
inner:
    ldr r5, ={SLOT:#x}
    ldr r10, ={G:#x}
    str r10, [r5]
    str r2, [r10, #{GUARD}]
    cmp r2, #5
    moveq r10, #0
    streq r10, [r5]
    bx lr
""",
}
MODES: dict[str, Sequence[str]] = {
    "full": (), "sp-pc": ("sp", "pc"), "pc": ("pc",), "ledger": ("sp", "pc", "g", "guard"),
    "guard-only": ("guard",), "numbered": ("step", "pc", "g"), "shuffled": ("pc", "result", "sp"),
}  # fmt: skip

Result = tuple[int, bytes, bytes, dict[str, int]]


def recorded(arch: str, mode: str, change: Callable[[Process], None] | None = None) -> Result:
    """Steps, rows, accesses and final registers of a run of `WORK`."""
    p = process(arch, WORK[arch])
    p.machine.write(DATA, bytes(0x100))
    recorder = p.machine.recorder
    roles = p.arch.roles
    recorder.columns = tuple(roles.get(name, name) for name in MODES[mode]) or p.arch.registers
    recorder.follow(None, SLOT, GUARD)
    recorder.rows_wanted = recorder.reads_wanted = True
    if change is not None:
        change(p)
    assert p.run(100_000).kind == "exit"
    return recorder.steps, bytes(recorder.rows.block), bytes(recorder.access_block), p.machine.registers()


@each
@pytest.mark.parametrize("mode", MODES)
def test_both_builds_record_the_same_bytes(arch: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for build in BUILDS:
        monkeypatch.setenv("STACKCARRY_RECORDER", build)
        found.append(recorded(arch, mode))
    assert found[0] == found[1]
    steps, rows, accesses, registers = found[0]
    assert steps > 150
    assert len(rows) == steps * 8 * (len(MODES[mode]) or len(registers))
    assert len(accesses) > 32 * 100


@each
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("room", [144, 145, 400, 4096])
def test_small_rings_neither_lose_nor_double(
    arch: str, build: str, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    for mode in ("full", "ledger", "pc"):
        expected = recorded(arch, mode)
        with monkeypatch.context() as small:
            small.setattr(emu.recorder, "ROOM", room)
            assert recorded(arch, mode) == expected


@each
@pytest.mark.parametrize("build", BUILDS)
def test_slices_change_nothing(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    expected = recorded(arch, "full")
    for steps in (1, 2, 7):
        monkeypatch.setattr(emu.recorder, "SLICE", steps)
        assert recorded(arch, "full") == expected


@each
def test_ledger_rows_are_what_memory_held(arch: str) -> None:
    steps, rows, _, _ = recorded(arch, "ledger")
    words = memoryview(rows).cast("Q").tolist()
    p = process(arch, WORK[arch])
    p.machine.write(DATA, bytes(0x100))
    for step in range(steps):
        g = p.word(SLOT)
        expected = [p.role("sp"), p.role("pc"), g, p.word(g + GUARD) if g else 0]
        assert words[4 * step : 4 * step + 4] == expected
        p.run(1)
    assert len({words[4 * step + 3] for step in range(steps)}) > 10


@pytest.mark.arm
@pytest.mark.parametrize("build", BUILDS)
def test_g_in_a_register(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    full = memoryview(recorded("arm", "full")[1]).cast("Q")
    r10 = full[10::17].tolist()

    def in_register(p: Process) -> None:
        p.machine.recorder.follow("r10", None, GUARD)

    _, rows, _, _ = recorded("arm", "ledger", in_register)
    words = memoryview(rows).cast("Q")
    assert words[2::4].tolist() == r10
    assert {guard for g, guard in zip(r10, words[3::4].tolist(), strict=True) if not g} == {0}
    assert len(set(words[3::4].tolist())) > 10


@each
def test_a_g_that_is_not_mapped_has_no_guard(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(p: Process) -> None:
        p.machine.recorder.follow(None, 0x3000_0000, GUARD)

    def beyond(p: Process) -> None:
        p.machine.recorder.follow(None, SLOT, (1 << 64) - 1)

    for change in (elsewhere, beyond):
        found = []
        for build in BUILDS:
            monkeypatch.setenv("STACKCARRY_RECORDER", build)
            found.append(recorded(arch, "ledger", change))
        assert found[0] == found[1]
    words = memoryview(recorded(arch, "ledger", elsewhere)[1]).cast("Q")
    assert set(words[2::4]) == set(words[3::4]) == {0}


@each
@pytest.mark.parametrize("build", BUILDS)
def test_ranges_keep_their_instructions_and_accesses(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    inner = process(arch, WORK[arch]).program.symbol("inner").address
    steps, rows, accesses, registers = recorded(arch, "numbered")
    numbers = [row[0] for row in _split(rows) if row[1] >= inner]
    assert 0 < len(numbers) < steps * 2 / 3

    def only_inner(p: Process) -> None:
        p.machine.recorder.restrict([(inner + 1, inner + 1000), (inner, inner + 2), (CODE - 8, CODE - 4)])

    kept_steps, kept, kept_accesses, after = recorded(arch, "numbered", only_inner)
    assert (kept_steps, after) == (steps, registers)
    assert _split(kept) == [row for row in _split(rows) if row[1] >= inner]
    entries = [accesses[at : at + 32] for at in range(0, len(accesses), 32)]
    assert kept_accesses == b"".join(e for e in entries if int.from_bytes(e[:8], "little") in set(numbers))


def _split(rows: bytes) -> list[list[int]]:
    words = memoryview(rows).cast("Q").tolist()
    return [words[at : at + 3] for at in range(0, len(words), 3)]


@each
@pytest.mark.parametrize("build", BUILDS)
def test_a_sink_gets_everything_once(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    expected = recorded(arch, "full")
    monkeypatch.setattr(emu.recorder, "ROOM", 1000)
    rows, accesses, firsts = bytearray(), bytearray(), list[int]()

    def sink(first: int, new_rows: memoryview, new_accesses: memoryview) -> None:
        assert first * 8 * width == len(rows)
        firsts.append(first)
        rows.extend(new_rows)
        accesses.extend(new_accesses)

    p = process(arch, WORK[arch])
    width = len(p.arch.registers)
    p.machine.write(DATA, bytes(0x100))
    recorder = p.machine.recorder
    recorder.rows_wanted = recorder.reads_wanted = True
    recorder.sink = sink
    while p.run(37).kind != "exit":
        pass
    recorder.drain()
    assert (bytes(rows), bytes(accesses)) == (expected[1], expected[2])
    assert len(firsts) > 10
    assert not recorder.rows
    assert recorder.accesses == []


@each
@pytest.mark.parametrize("build", BUILDS)
def test_hooks_that_come_late_see_code_that_ran_before(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    p = process(arch, WORK[arch])
    recorder, state = p.machine.recorder, p.machine.save()
    recorder.writes_wanted = False
    p.run(100_000)
    assert recorder.steps > 150
    assert not recorder.accesses
    steps = recorder.steps
    recorder.clear()
    recorder.writes_wanted = recorder.reads_wanted = True
    p.machine.restore(state)
    p.run(100_000)
    assert recorder.steps == steps
    assert {access.write for access in recorder.accesses} == {True, False}


@each
@pytest.mark.parametrize("build", BUILDS)
def test_views_stay_what_they_were(arch: str, build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    p = process(arch, WORK[arch])
    recorder = p.machine.recorder
    recorder.rows_wanted = True
    p.run(10)
    early = recorder.rows
    before = list(early)
    p.run(100)
    assert list(early) == before == recorder.rows[:10]
    assert recorder.rows[-1] == recorder.rows[109]
    recorder.clear()
    p.run(5)
    assert list(early) == before
    assert len(recorder.rows) == 5


@each
def test_a_copy_records_the_same(arch: str) -> None:
    p = process(arch, WORK[arch])
    recorder, roles = p.machine.recorder, p.arch.roles
    recorder.columns = (roles["sp"], "g", "guard")
    recorder.rows_wanted = recorder.reads_wanted = True
    recorder.follow(None, SLOT, GUARD)
    twin = p.machine.copy()
    for machine in (p.machine, twin):
        machine.run(120)
    assert list(twin.recorder.rows) == list(recorder.rows)
    assert twin.recorder.accesses == recorder.accesses


def test_a_row_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emu.recorder, "ROOM", 79)
    with pytest.raises(ValueError, match="does not fit"):
        process("386", WORK["386"]).machine.recorder.rows_wanted = True


@pytest.mark.parametrize("build", BUILDS)
def test_accesses_beyond_the_headroom_are_not_lost_in_silence(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STACKCARRY_RECORDER", build)
    monkeypatch.setattr(emu.recorder, "ROOM", 144)
    monkeypatch.setattr(emu.recorder, "HEADROOM", 32)
    p = process("386", WORK["386"])
    with pytest.raises(RuntimeError, match="more accesses"):
        p.run(1000)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ARCHES), st.sampled_from(sorted(MODES)), st.integers(144, 2000), st.integers(1, 40))
def test_any_room_and_slice(
    monkeypatch: pytest.MonkeyPatch, arch: str, mode: str, room: int, steps: int
) -> None:
    expected = recorded(arch, mode)
    with monkeypatch.context() as change:
        change.setattr(emu.recorder, "ROOM", room)
        change.setattr(emu.recorder, "SLICE", steps)
        for build in BUILDS:
            change.setenv("STACKCARRY_RECORDER", build)
            assert recorded(arch, mode) == expected


def test_which_build_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"c": State, "ctypes": Callbacks, "": State}
    for name, kind in kinds.items():
        monkeypatch.setenv("STACKCARRY_RECORDER", name)
        assert type(emu.callbacks.build()) is kind
    monkeypatch.setenv("STACKCARRY_RECORDER", "fast")
    with pytest.raises(BadInput, match="c or ctypes"):
        emu.callbacks.build()
