"""The shadow of who wrote a stack last, on guests of a few instructions."""

from __future__ import annotations

import pytest
from kernel_guest import STEPS, VFORK, Guest, each

from emu.kernel import run
from emu.shadow import Shadow

# A parent that reads a word of its stack after its child has done something.
TEXT = """
    poke stack - 64, 5
    {fork}
    child .child
    {parent}
    wait_for .wait, stack - 64, {value}
    sys nr.exit, 0, 0, 0, 0, 0
.child:
    {child}
    sys nr.exit, 0, 0, 0, 0, 0
"""
CHILD_WRITES = "poke stack - 64, 6"


def followed(
    arch: str, fork: str = VFORK, parent: str = "", child: str = CHILD_WRITES, value: int = 6, steps: int = STEPS
) -> Shadow:
    guest = Guest(arch, TEXT.format(fork=fork, parent=parent, child=child, value=value), ("\6",))
    shadow = Shadow(guest.kernel, guest.process)
    run(guest.kernel, steps)
    shadow.close()
    assert not guest.kernel.witnesses
    return shadow


@each
def test_a_read_of_what_the_child_wrote(arch: str) -> None:
    shadow = followed(arch)
    (stale,) = shadow.stale
    word = 8 if arch == "amd64" else 4
    guest = Guest(arch, TEXT.format(fork=VFORK, parent="", child=CHILD_WRITES, value=6))
    assert (stale.address, stale.size) == (guest.names["stack"] - 64, word)
    assert (stale.reader.tid, stale.writer.tid) == (1000, 1001)
    assert stale.writer.step < stale.reader.step < shadow.steps
    start = guest.program.symbol("start").address
    assert start < stale.reader.pc < stale.writer.pc < guest.program.symbol("start").size + start
    assert stale.reader.sp == stale.writer.sp == guest.names["stack"]
    assert shadow.left == {1001: word}


@each
def test_each_read_counts(arch: str) -> None:
    again = "wait_for .first, stack - 64, 6"
    assert len(followed(arch, parent=again).stale) == 2


@each
def test_one_byte_is_enough(arch: str) -> None:
    """The kernel stores a byte for the child, in a word that the parent reads whole."""
    calls = "sys nr.pipe, slot.8, 0, 0, 0, 0\n"
    child = "sys nr.write, 4, text, 1, 0, 0\n sys nr.read, 3, stack - 63, 1, 0, 0"
    (stale,) = followed(arch, fork=calls + VFORK, child=child, value=0x605).stale
    guest = Guest(arch, TEXT.format(fork=VFORK, parent="", child="", value=0))
    assert (stale.address, stale.size) == (guest.names["stack"] - 63, 1)


@each
def test_the_kernel_reads_for_the_parent(arch: str) -> None:
    shadow = followed(arch, parent="sys nr.write, 1, stack - 64, 2, 0, 0\n poke stack - 64, 6")
    assert [stale.size for stale in shadow.stale] == [2]


HARMLESS = {
    "the parent writes first": {"parent": "poke stack - 64, 6"},
    "the kernel writes for the parent": {
        "fork": "sys nr.pipe, slot.8, 0, 0, 0, 0\n sys nr.write, 4, stack - 64, 8, 0, 0\n" + VFORK,
        "parent": "sys nr.read, 3, stack - 64, 8, 0, 0", "value": 5,
    },
    "the child only reads": {"child": "wait_for .look, stack - 64, 5", "value": 5},
    "another word": {"child": "poke stack - 80, 6", "value": 5},
    "the child has a copy": {"fork": "sys nr.fork, 0, 0, 0, 0, 0", "value": 5},
    "not on the stack": {"child": "poke slot.0, 9", "parent": "wait_for .look, slot.0, 9", "value": 5},
}


@each
@pytest.mark.parametrize("what", HARMLESS)
def test_what_the_rule_allows(arch: str, what: str) -> None:
    assert followed(arch, **HARMLESS[what]).stale == []  # type: ignore[arg-type]


@each
def test_a_childs_child_counts_too(arch: str) -> None:
    child = f"{VFORK}\n child .grandchild\n sys nr.exit, 0, 0, 0, 0, 0\n .grandchild:\n {CHILD_WRITES}"
    (stale,) = followed(arch, child=child).stale
    assert stale.writer.tid == 1002


@each
def test_a_child_with_a_stack_of_its_own_may_not_write_its_parents(arch: str) -> None:
    (stale,) = followed(arch, fork="sys nr.clone, 0x4111, spare, 0, 0, 0").stale
    assert stale.writer.sp != stale.reader.sp


@each
def test_only_what_is_followed_counts(arch: str) -> None:
    """A shadow that begins late knows only what it saw."""
    guest = Guest(arch, TEXT.format(fork=VFORK, parent="", child=CHILD_WRITES, value=6))
    guest.process.run(2)
    shadow = Shadow(guest.kernel, guest.process)
    run(guest.kernel, STEPS)
    assert len(shadow.stale) == 1
    assert shadow.steps < guest.process.machine.recorder.steps
