"""Every store that is missing is said to be missing, and nothing else; the order of independent ones is free."""

from __future__ import annotations

from itertools import pairwise

import pytest
import traced
from assembled import ARCHES

from emu import target as targets
from emu.trace.align import MOVED, ONLY_A

ROUTINES = ("mcall", "gogo", "morestack")
_MORESTACK = [
    "g.sched.pc ← PC in f", "g.sched.sp ← SP of f", "g.sched.ctxt ← closure context",
    "m.morebuf.pc ← f's return PC", "m.morebuf.sp ← SP of f's caller", "m.morebuf.g ← g",
]

# What each store of a routine carries, in any order. ``SP``: the instruction also moves SP.
STORES: dict[tuple[str, str], list[str]] = {
    ("386", "mcall"): ["g.sched.pc ← return PC", "g.sched.sp ← caller's SP", "running g ← g0", "SP, argument 0 ← g"],
    ("386", "gogo"): ["running g ← buf.g", "buf.sp ← 0", "buf.ctxt ← 0"],
    ("386", "morestack"): [*_MORESTACK, "running g ← g0"],
    ("amd64", "mcall"): [
        "g.sched.pc ← return PC", "g.sched.sp ← caller's SP", "g.sched.bp ← frame pointer", "running g ← g0",
        "SP, argument 0 ← g",
    ],
    ("amd64", "gogo"): ["running g ← buf.g", "buf.sp ← 0", "buf.ctxt ← 0", "buf.bp ← 0"],
    ("amd64", "morestack"): [*_MORESTACK, "g.sched.bp ← frame pointer", "running g ← g0"],
    ("arm", "mcall"): [
        "g.sched.sp ← caller's SP", "g.sched.pc ← return PC", "g.sched.lr ← 0", "argument 0 ← g",
    ],
    ("arm", "gogo"): ["buf.sp ← 0", "buf.lr ← 0", "buf.ctxt ← 0"],
    ("arm", "morestack"): [*_MORESTACK, "g.sched.lr ← f's return PC", "link word ← 0"],
}
_CASES = [
    pytest.param(arch, routine, store, marks=getattr(pytest.mark, arch), id=f"{arch}-{routine}-{store.split(' ←')[0]}")
    for (arch, routine), stores in STORES.items() for store in stores
]


def _stores(arch: str, routine: str, era: str = "modern") -> list[traced.Insn]:
    """The instructions that write, but for calls: what a call leaves is the jump's."""
    found = traced.instructions(traced.of_era(arch, routine, era))
    return [insn for insn in found if insn.writes and not insn.text.startswith(("call", "bl"))]


def _own_frame(insn: traced.Insn) -> bool:
    """What mcall's prologue keeps for itself on amd64."""
    return insn.text == "push rbp"


@pytest.mark.parametrize(("arch", "routine", "store"), _CASES)
def test_a_missing_store(arch: str, routine: str, store: str) -> None:
    target, whole = targets.of_era("modern", arch), traced.of_era(arch, routine)
    missing = f"< {store.removeprefix('SP, ')}"
    runs = [traced.without(target, routine, insn) for insn in _stores(arch, routine)]
    lists = [traced.shown(traced.differences(whole, run)) for run in runs]
    found = [texts for texts in lists if missing in texts]
    assert len(found) == 1
    others = [text for text in found[0] if text != missing]
    assert [text.split(" ←")[0] for text in others] == (["| SP"] if store.startswith("SP, ") else [])


@pytest.mark.parametrize(("arch", "routine"), [(arch, routine) for arch in ARCHES for routine in ROUTINES])
def test_the_table_has_every_store(arch: str, routine: str) -> None:
    stores = [insn for insn in _stores(arch, routine) if not _own_frame(insn)]
    assert len(stores) == len(STORES[arch, routine])


@pytest.mark.parametrize("era", ["2011", "2014", "2017", "modern"])
@pytest.mark.parametrize("arch", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ARCHES])
def test_in_every_era(arch: str, era: str) -> None:
    """A store that does not move SP takes one carry away; one that does is not passed over."""
    target = targets.of_era(era, arch)
    for routine in ROUTINES:
        whole = traced.of_era(arch, routine, era)
        for insn in _stores(arch, routine, era):
            pairs = traced.differences(whole, traced.without(target, routine, insn))
            if insn.text.startswith("push") or insn.text.endswith("!"):
                assert pairs, (routine, insn)
            else:
                assert [pair.mark for pair in pairs] == [ONLY_A], (routine, insn)


def test_a_port_that_forgets_something() -> None:
    """Seen from another arch: what is missing stands beside what there is no place for, and says no reason."""
    reference, target = traced.of_era("amd64", "mcall"), targets.of_era("modern", "arm")
    known = traced.shown(traced.differences(reference, traced.of_era("arm", "mcall")))
    for insn in _stores("arm", "mcall"):
        pairs = traced.differences(reference, traced.without(target, "mcall", insn))
        new = [pair for pair in pairs if not pair.lacks]
        if "#0x2c" in insn.text:  # g.sched.lr, which amd64 does not write
            assert new == []
            continue
        assert [pair.mark for pair in new] == [ONLY_A]
        assert len(pairs) == len(known) + 1


@pytest.mark.parametrize(
    ("arch", "routine"),
    [("386", "gogo"), ("amd64", "gogo"), ("arm", "gogo"), ("arm", "mcall"), ("arm", "morestack")],
)
def test_swapped_stores(arch: str, routine: str) -> None:
    """Any two stores that stand behind each other."""
    target, whole = targets.of_era("modern", arch), traced.of_era(arch, routine)
    stores = _stores(arch, routine)
    pairs = [(a, b) for a, b in pairwise(stores) if b.pc == a.pc + len(a.code)]
    pairs = [pair for pair in pairs if "gs:" not in pair[0].text and "fs:" not in pair[0].text]
    assert pairs
    for one, other in pairs:
        assert traced.differences(whole, traced.reordered(target, routine, [other, one])) == []


@pytest.mark.parametrize(("arch", "last"), [("386", 20), ("arm", 15)])
def test_a_store_behind_the_switch_of_g(arch: str, last: int) -> None:
    """m.morebuf.g is then written when another g runs already: a signal in between would see that."""
    target, whole = targets.of_era("modern", arch), traced.of_era(arch, "morestack")
    insns = [insn for insn in traced.instructions(whole) if 11 < insn.step <= last]
    first = next(n for n, insn in enumerate(insns) if insn.writes and insn.step >= last - 3)
    late = [*insns[first + 1 :], insns[first]]
    pairs = traced.differences(whole, traced.reordered(target, "morestack", late))
    assert [pair.mark for pair in pairs] == [MOVED]
    assert pairs[0].note == "A does this before the running g changes, B after"
