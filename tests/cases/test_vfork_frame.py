"""Case vfork-frame: every cell as history says, and what else breaks when a protection is taken away."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

import arch as arches
from asm.compiler import compile_text
from emu.backport import stub_text, with_stub, with_vfork
from emu.cases import vfork_frame as case
from emu.cases.model import Verdict
from emu.check import check
from emu.cli import cli
from emu.session import Session

each = pytest.mark.parametrize(
    "arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in arches.ARCHES]
)
SOURCE = case.FORK_EXEC + case.TWO_FRAMES


def verdict(arch: str, source: str = SOURCE, stub: str = "", reuse: bool = True) -> Verdict:
    """Of a forkExec that need not be the case's."""
    target = with_stub("2017", arch, stub) if stub else with_vfork("2017", arch)
    return case.judge(Session(target, compile_text(source, arches.get(arch), reuse=reuse)))


def without(source: str, *lines: str) -> str:
    """A source without some lines, each of which stands in it once."""
    for line in lines:
        assert len(re.findall(rf"(?m)^ *{line}.*\n", source)) == 1, line
        source = re.sub(rf"(?m)^ *{line}.*\n", "", source)
    return source


@each
@pytest.mark.parametrize("variant", case.CASE.variants, ids=lambda variant: variant.name)
def test_every_cell_is_as_history_says_and_always_the_same(variant: case.Variant, arch: str) -> None:
    found = case.CASE.run(variant, arches.get(arch), "")
    assert found.word == variant.history[arch]
    assert case.CASE.run(variant, arches.get(arch), "") == found
    assert found.looked > 1000


@each
@pytest.mark.parametrize("variant", ["before", "inlined"])
def test_slot_reader_and_writer_are_named(variant: str, arch: str) -> None:
    found = case.CASE.run(case.CASE.variant(variant), arches.get(arch), "")
    assert re.fullmatch(
        r"the parent reads slot \d+ of forkAndExecInChild \(mapped, \S*nextfd\) at forkAndExecInChild\+0x[0-9a-f]+; "
        r"its vfork child wrote that last, at forkAndExecInChild\+0x[0-9a-f]+, \d+ steps before \(the program runs\)",
        found.breaks,
    )
    assert "the program runs: the parent is left with the descriptors [1, 2]" in found.findings


@each
def test_the_child_leaves_much_on_the_stack_that_its_parent_does_not_read(arch: str) -> None:
    found = case.CASE.run(case.CASE.variant("committed"), arches.get(arch), "")
    told = re.compile(r"wrote (\d+) bytes of the stack last; its parent reads (\d+)")
    counts = [told.search(line) for line in found.findings]
    assert [(int(m[1]) > 40, m[2]) for m in counts if m] == [(True, "0"), (True, "0")]


@each
def test_a_compiler_that_gives_every_local_its_own_slot_hides_it(arch: str) -> None:
    assert not verdict(arch, case.FORK_EXEC + case.ONE_FRAME, reuse=False).breaks


# protections that are taken away


@each
@pytest.mark.parametrize("line", ["unless locked goto .unlocked", "locked = 1", "afterfork()"])
def test_the_hooks_must_come_in_pairs(line: str, arch: str) -> None:
    found = verdict(arch, without(SOURCE, re.escape(line)))
    where = "the pipe for the id maps fails" if line.startswith("unless") else "the program runs"
    assert found.breaks == f"schedule: holding locks ({where})"


@each
def test_the_outer_frame_needs_the_pipe(arch: str) -> None:
    dropped = "p0 = 0\n    p1 = 0\n    r1, err, _, _, locked ="
    found = verdict(arch, SOURCE.replace("r1, err, p0, p1, locked =", dropped))
    assert "waits for bytes from descriptor" in found.breaks
    assert found.breaks.endswith("(id maps are wanted)")


@each
def test_a_child_that_does_not_say_why(arch: str) -> None:
    found = verdict(arch, without(SOURCE, re.escape("RawSyscall(SYS_write, pipe")))
    assert re.fullmatch(r"forkExec returns pid \d+, error 0, status 0xfd00 \(there is no such program\)", found.breaks)


@each
def test_a_parent_that_goes_on_in_the_frame_of_its_child(arch: str) -> None:
    """The inner function reads, in the parent, a local of its own before it returns."""
    source = SOURCE.replace("    flags = ", "    hint = mapped + 5\n    flags = ", 1).replace(
        "    if r1 goto .return ", "    unless r1 goto .child\n    locked = hint + 1\n    return\n.child:\n    #"
    )
    found = verdict(arch, source)
    assert re.match(r"the parent reads slot \d+ of forkAndExecInChild1 \(.*hint.*\) at", found.breaks)




def _stub(arch: str, changes: dict[str, str]) -> str:
    text = stub_text("2017", arch)
    for old, new in changes.items():
        assert text.count(old) >= 1, old
        text = "\n".join(new if line.strip().startswith(old) else line for line in text.split("\n"))
    return text


KEEPERS = {
    "386": {"pop esi": "", "push esi": ""},
    "amd64": {"pop r12": "", "push r12": ""},
    "arm": {"svc #0": "    str lr, [sp, #-4]!\n    svc #0\n    ldr lr, [sp], #4"},
}
RESULTS = {  # err is stored before the kernel is entered, for both
    "386": {"mov dword ptr [esp + 16], 0": "", "pop esi": "    mov dword ptr [esp + 16], 0\n    pop esi"},
    "amd64": {"mov qword ptr [rsp + 32], 0": "", "pop r12": "    mov qword ptr [rsp + 32], 0\n    pop r12"},
    "arm": {"str r0, [sp, #16]": "", "svc #0": "    str r1, [sp, #16]\n    svc #0"},
}


@each
def test_a_return_address_that_stays_on_the_stack(arch: str) -> None:
    found = verdict(arch, stub=_stub(arch, KEEPERS[arch]))
    assert re.match(
        r"the parent reads the return PC of rawVforkSyscall at rawVforkSyscall\+0x[0-9a-f]+; its vfork child wrote "
        r".* last, at", found.breaks,
    )


@each
def test_results_that_the_parent_does_not_store_again(arch: str) -> None:
    found = verdict(arch, stub=_stub(arch, RESULTS[arch]))
    assert re.match(r"the parent reads slot 3 of forkAndExecInChild1 at", found.breaks)


@each
def test_the_stub_of_each_architecture_keeps_its_contract_here_too(arch: str) -> None:
    results = list(check(with_vfork("2017", arch), ["rawVforkSyscall"]))
    assert [r.name for r in results if r.check is None or not r.check.ok] == []
    assert len(results) > 50


@each
def test_what_is_expected_is_looked_at(arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = case.SCENARIOS
    monkeypatch.setattr(case, "SCENARIOS", (replace(first, status=8 << 8), *others))
    assert re.match(r"forkExec returns pid \d+, error 0, status 0x700", verdict(arch).breaks)


# as its readers see it


def test_the_variants_differ_in_few_lines() -> None:
    lines = list(case.CASE.differences(arches.get("arm")))
    inlined = lines[lines.index("+++ inlined") :]
    assert [line for line in inlined[1:] if line[0] in "+-"] == [
        "-noinline func forkAndExecInChild1(argv0, argv, mapped, pipe) (r1, err1, p0, p1, locked):",
        "+func forkAndExecInChild1(argv0, argv, mapped, pipe) (r1, err1, p0, p1, locked):",
    ]


def test_show_and_run() -> None:
    shown = CliRunner().invoke(cli, ["case", "show", "vfork-frame"]).output
    for words in ("67e53754", "87adaf4c", "noinline", "Go 1.17", "+++ committed", "-    if err1 goto .forked"):
        assert words in shown
    ran = CliRunner().invoke(cli, ["case", "run", "vfork-frame", "--arch", "arm", "--variant", "committed"])
    assert "holds:" in ran.output
    assert "1 cells, 0 not as history says" in ran.output
