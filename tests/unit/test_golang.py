"""Eras: layouts against field order and the numbers known one by one; the stack check against its borders."""

import re

import pytest

import arch
from arch import golang

ARCHES = ("386", "amd64", "arm")
X86 = ("386", "amd64")
ALL = [(era, name) for era in golang.ERAS for name in ARCHES]


def column(name: str) -> int:
    return 1 if name == "amd64" else 0


# Field order of the structs: w a word, 4 a 32-bit number, 1 a byte, gobuf the era's own.
GOBUF = {
    "2011": "sp:w pc:w g:w",
    "2014": "sp:w pc:w g:w ctxt:w ret:w lr:w",
    "2017": "sp:w pc:w g:w ctxt:w ret:w lr:w bp:w",
    "modern": "sp:w pc:w g:w ctxt:w lr:w bp:w",
}
STKTOP = {
    "2011": "stackguard:w stackbase:w gobuf:gobuf argsize:4 argp:w free:w panic:1",
    "2014": "stackguard:w stackbase:w gobuf:gobuf argsize:4 panicwrap:4 argp:w panic:1 malloced:1",
}
# Starts of G and M, as far as their fields are consecutive; 8 is a 64-bit number.
START = {
    ("2011", "g"): "stackguard:w stackbase:w defer:w panic:w sched:gobuf gcstack:w gcsp:w gcguard:w stack0:w entry:w "
    "alllink:w",
    ("2014", "g"): "stackguard0:w stackbase:w panicwrap:4 defer:w panic:w sched:gobuf syscallstack:w syscallsp:w "
    "syscallpc:w syscallguard:w stackguard:w stack0:w stacksize:w",
    ("2017", "g"): "stack.lo:w stack.hi:w stackguard0:w stackguard1:w _panic:w _defer:w m:w sched:gobuf syscallsp:w "
    "syscallpc:w stktopsp:w param:w atomicstatus:4 stackLock:4 goid:8",
    ("modern", "g"): "stack.lo:w stack.hi:w stackguard0:w stackguard1:w _panic:w _defer:w m:w sched:gobuf syscallsp:w "
    "syscallpc:w syscallbp:w stktopsp:w param:w atomicstatus:4 stackLock:4 goid:8",
    ("2011", "m"): "g0:w morepc:w moreargp:w morebuf:gobuf moreframesize:4 moreargsize:4 cret:w procid:8 gsignal:w",
    ("2014", "m"): "g0:w moreargp:w morebuf:gobuf moreframesize:4 moreargsize:4 cret:w procid:8 gsignal:w tls:w",
    ("2017", "m"): "g0:w morebuf:gobuf divmod:4 procid:8 gsignal:w",
    ("modern", "m"): "g0:w morebuf:gobuf divmod:4 procid:8 gsignal:w",
}


def compute(order: str, word: int, gobuf: int = 0) -> tuple[dict[str, int], int]:
    """Offsets and size by the compilers' rule: 8-byte integers align to the word (4 on 386 and arm), as larger do."""
    offsets, at, widest = {}, 0, 1
    for name, kind in (item.split(":") for item in order.split()):
        size = {"w": word, "gobuf": gobuf}.get(kind) or int(kind)
        align = min(size, word)
        at = -(-at // align) * align
        offsets[name], at, widest = at, at + size, max(widest, align)
    return offsets, -(-at // widest) * widest


@pytest.mark.parametrize(("era", "name"), ALL)
def test_gobuf_follows_from_field_order(era: str, name: str) -> None:
    layout = golang.ERAS[era].layout(arch.get(name))
    offsets, size = compute(GOBUF[era], layout.word)
    assert {k: v for k, v in layout.offsets.items() if k.startswith("gobuf.")} == {
        f"gobuf.{field}": at for field, at in offsets.items()
    }
    assert layout.sizes["gobuf"] == size


@pytest.mark.parametrize(("era", "name"), [(e, a) for e, a in ALL if e in STKTOP])
def test_stktop_follows_from_field_order(era: str, name: str) -> None:
    layout = golang.ERAS[era].layout(arch.get(name))
    offsets, size = compute(STKTOP[era], layout.word, layout.sizes["gobuf"])
    found = {k: v for k, v in layout.offsets.items() if re.fullmatch(r"stktop\.\w+", k)}
    assert found == {f"stktop.{field}": at for field, at in offsets.items()}
    assert layout.sizes["stktop"] == size


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize(("era", "struct"), START)
def test_g_and_m_start_as_field_order_says(era: str, struct: str, name: str) -> None:
    layout = golang.ERAS[era].layout(arch.get(name))
    offsets, _ = compute(START[era, struct], layout.word, layout.sizes["gobuf"])
    assert offsets == {field: layout[f"{struct}.{field}"] for field in offsets}


def test_stktop_of_2014_is_the_stacktop_constant() -> None:
    assert golang.ERAS["2014"].layout(arch.get("amd64")).sizes["stktop"] == 88


# What the runtime's own sources give for nested fields: (32-bit, 64-bit).
NESTED = {
    "2011": {
        "g.sched.sp": (16, 32), "g.sched.pc": (20, 40), "g.sched.g": (24, 48),
        "m.morebuf.sp": (12, 24), "m.morebuf.pc": (16, 32), "m.morebuf.g": (20, 40),
        "stktop.gobuf.sp": (8, 16), "stktop.gobuf.pc": (12, 24), "stktop.gobuf.g": (16, 32),
    },
    "2014": {
        "g.sched.sp": (20, 40), "g.sched.pc": (24, 48), "g.sched.g": (28, 56), "g.sched.ctxt": (32, 64),
        "g.sched.ret": (36, 72), "g.sched.lr": (40, 80),
        "m.morebuf.sp": (8, 16), "m.morebuf.pc": (12, 24), "m.morebuf.g": (16, 32), "m.morebuf.ctxt": (20, 40),
        "m.morebuf.ret": (24, 48), "m.morebuf.lr": (28, 56),
        "stktop.gobuf.sp": (8, 16), "stktop.gobuf.lr": (28, 56),
    },
    "2017": {
        "g.sched.sp": (28, 56), "g.sched.pc": (32, 64), "g.sched.g": (36, 72), "g.sched.ctxt": (40, 80),
        "g.sched.ret": (44, 88), "g.sched.lr": (48, 96), "g.sched.bp": (52, 104),
        "m.morebuf.sp": (4, 8), "m.morebuf.pc": (8, 16), "m.morebuf.g": (12, 24), "m.morebuf.ctxt": (16, 32),
        "m.morebuf.ret": (20, 40), "m.morebuf.lr": (24, 48), "m.morebuf.bp": (28, 56),
    },
    "modern": {
        "g.sched.sp": (28, 56), "g.sched.pc": (32, 64), "g.sched.g": (36, 72), "g.sched.ctxt": (40, 80),
        "g.sched.lr": (44, 88), "g.sched.bp": (48, 96),
        "m.morebuf.sp": (4, 8), "m.morebuf.pc": (8, 16), "m.morebuf.g": (12, 24), "m.morebuf.ctxt": (16, 32),
        "m.morebuf.lr": (20, 40), "m.morebuf.bp": (24, 48),
    },
}


@pytest.mark.parametrize(("era", "name"), ALL)
def test_nested_gobufs_are_where_the_sources_have_them(era: str, name: str) -> None:
    layout = golang.ERAS[era].layout(arch.get(name))
    expected = {field: offsets[column(name)] for field, offsets in NESTED[era].items()}
    assert {field: layout[field] for field in expected} == expected


@pytest.mark.parametrize(("era", "name"), ALL)
def test_fields_lie_apart_and_inside_their_struct(era: str, name: str) -> None:
    layout = golang.ERAS[era].layout(arch.get(name))
    for struct, size in layout.sizes.items():
        nested = {"g": "g.sched", "m": "m.morebuf", "stktop": "stktop.gobuf"}.get(struct)
        inside = [at for field, at in layout.offsets.items() if field.startswith(f"{struct}.") and field != nested]
        assert len(set(inside)) == len(inside)
        assert max(inside) < size


@pytest.mark.parametrize("era", ["2011", "2014"])
@pytest.mark.parametrize("name", ARCHES)
def test_one_store_reaches_both_more_sizes(era: str, name: str) -> None:
    layout = golang.ERAS[era].layout(arch.get(name))
    assert layout["m.moreargsize"] == layout["m.moreframesize"] + 4
    if name == "amd64":
        assert layout["m.moreframesize"] % 8 == 0


@pytest.mark.parametrize("era", golang.ERAS)
def test_386_and_arm_have_the_same_layout(era: str) -> None:
    layouts = golang.ERAS[era].layouts
    assert layouts["386"] == layouts["arm"] != layouts["amd64"]


# -- names -----------------------------------------------------------------------------------------------

def test_names_give_fields_sizes_constants_and_special_words() -> None:
    names = golang.ERAS["modern"].names(arch.get("386"))
    expected = {
        "g.sched.sp": 28, "gobuf.size": 24, "g.size": 288, "m.size": 1240, "word": 4, "StackGuard": 928,
        "StackSmall": 128,
        "StackBig": 4096, "StackMin": 2048, "StackPreempt": 4294965982, "StackFork": 4294966062,
        "StackForceMove": 4294967021, "StackPoisonMin": 4294963200, "StackGuard1": 0xFFFFFFFF, "TLS.g": -4,
    }
    assert {name: names[name] for name in expected} == expected
    assert "TLS.m" not in names
    assert "StackPoison" not in names


@pytest.mark.parametrize(
    ("era", "special"),
    [
        ("2011", {}),
        ("2014", {"StackPreempt": -1314, "StackPoison": -1315}),
        ("2017", {"StackPreempt": -1314, "StackFork": -1234}),
        ("modern", {"StackPreempt": -1314, "StackFork": -1234, "StackForceMove": -275}),
    ],
)
@pytest.mark.parametrize("name", ARCHES)
def test_special_guards_by_era(era: str, special: dict[str, int], name: str) -> None:
    record, one = golang.ERAS[era], arch.get(name)
    assert record.guards.special == special
    names = record.names(one)
    known = {"StackPreempt", "StackPoison", "StackFork", "StackForceMove"}
    assert {n: one.signed(names[n]) for n in known & names.keys()} == special


@pytest.mark.parametrize(
    ("era", "slots"),
    [("2011", {"g": -2, "m": -1}), ("2014", {"g": -2, "m": -1}), ("2017", {"g": -1}), ("modern", {"g": -1})],
)
def test_tls_slots_lie_below_the_segment_base(era: str, slots: dict[str, int]) -> None:
    for name in ARCHES:
        one = arch.get(name)
        found = {k: v for k, v in golang.ERAS[era].names(one).items() if k.startswith("TLS.")}
        assert found == ({f"TLS.{k}": v * one.word for k, v in slots.items()} if name in X86 else {})


# -- routines and names of eras ----------------------------------------------------------------------------

def test_routines_differ_by_arch_only_where_the_runtime_did() -> None:
    extra = {
        "2011": set(golang.VARIANTS),
        "2014": {n + tail for n in golang.VARIANTS for tail in ("", "_noctxt")},
        "2017": {"rawVforkSyscall"},
        "modern": set(),
    }
    for era, record in golang.ERAS.items():
        assert record.routines["386"] == record.routines["arm"]
        assert set(record.routines["amd64"]) - set(record.routines["386"]) == extra[era]
        for name in ARCHES:
            routines = record.routines[name]
            assert len(set(routines)) == len(routines)
            assert set(routines) >= {"gogo", "mcall", "morestack"}
            assert record.internal.get(name, frozenset()) <= set(routines)
    assert golang.ERAS["modern"].internal == {"amd64": {"mcall", "Syscall6"}}


@pytest.mark.parametrize(
    ("name", "era"),
    [("2011", "2011"), ("modern", "modern"), ("go1.3", "2014"), ("go1.9", "2017"), ("go1.9.7", "2017"),
     ("go1.21", "modern"), ("go1.21.13", "modern"), ("go1.27", "modern"), ("go1.27.3", "modern")],
)
def test_era_by_name_or_release(name: str, era: str) -> None:
    assert golang.era(name) is golang.ERAS[era]


@pytest.mark.parametrize(
    "name", ["", "2015", "go1", "go1.2", "go1.20", "go1.28", "go1.027", "go1.27.", "go1.27rc1", "Modern"]
)
def test_an_unknown_era_names_what_is_accepted(name: str) -> None:
    with pytest.raises(KeyError, match=r"2011, 2014, 2017, modern, and the releases go1\.3, go1\.9, go1\.21 to"):
        golang.era(name)


# -- the stack check -----------------------------------------------------------------------------------------

FORMS = [
    # era, arches, the forms of frames of 0, 127, 128, 129, 4095, 4096, 4097 bytes
    ("2011", X86, "small small small medium medium huge huge"),
    ("2011", ("arm",), "small small medium medium medium huge huge"),
    ("2014", ARCHES, "small small small medium medium medium huge"),
    ("2017", ARCHES, "small small small medium medium medium huge"),
    ("modern", ARCHES, "small small small medium medium medium huge"),
]


@pytest.mark.parametrize(("era", "name", "forms"), [(e, a, f) for e, arches, f in FORMS for a in arches])
def test_which_form_a_frame_gets(era: str, name: str, forms: str) -> None:
    found = [golang.ERAS[era].check_form(arch.get(name), f) for f in (0, 127, 128, 129, 4095, 4096, 4097)]
    assert found == forms.split()


ALWAYS = {-0x40000: True, -4096: True, -1: True, 0: True, 1: True}
BORDERS = [
    # era, arches, frame, guard word minus SP: does it call morestack
    ("2011", X86, 127, {-1: False, 0: True, 1: True}),
    ("2011", X86, 128, {-1: False, 0: True, 1: True}),
    ("2011", X86, 129, {-2: False, -1: True, 0: True, 1: True}),
    ("2011", X86, 4095, {-3968: False, -3967: True, -1: True, 0: True, 1: True}),
    ("2011", ARCHES, 4096, ALWAYS),
    ("2011", ARCHES, 4097, ALWAYS),
    ("2011", ("arm",), 127, {-1: False, 0: False, 1: True}),
    ("2011", ("arm",), 128, {-129: False, -128: False, -127: True, -1: True, 0: True, 1: True}),
    ("2011", ("arm",), 129, {-130: False, -129: False, -128: True, -1: True, 0: True, 1: True}),
    ("2011", ("arm",), 4095, {-4095: False, -4094: True, -1: True, 0: True, 1: True}),
    ("2014", ARCHES, 127, {-1: False, 0: True, 1: True}),
    ("2014", ARCHES, 128, {-1: False, 0: True, 1: True}),
    ("2014", X86, 129, {-2: False, -1: True, 0: True, 1: True}),
    ("2014", X86, 4095, {-3968: False, -3967: True, -1: True, 0: True, 1: True}),
    ("2014", X86, 4096, {-3969: False, -3968: True, -1: True, 0: True, 1: True}),
    ("2014", ("arm",), 129, {-130: False, -129: True, -1: True, 0: True, 1: True}),
    ("2014", ("arm",), 4095, {-4096: False, -4095: True, -1: True, 0: True, 1: True}),
    ("2014", ("arm",), 4096, {-4097: False, -4096: True, -1: True, 0: True, 1: True}),
    # the old huge form looks at most StackGuard above SP
    ("2014", ARCHES, 4097, {-3970: False, -3969: True, -1: True, 0: True, 1: True, 256: True, 257: False}),
    ("2017", ARCHES, 127, {-1: False, 0: True, 1: True}),
    ("2017", ARCHES, 128, {-1: False, 0: True, 1: True}),
    ("2017", ARCHES, 129, {-2: False, -1: True, 0: True, 1: True}),
    ("2017", ARCHES, 4095, {-3968: False, -3967: True, -1: True, 0: True, 1: True}),
    ("2017", ARCHES, 4096, {-3969: False, -3968: True, -1: True, 0: True, 1: True}),
    ("2017", ARCHES, 4097, {-3970: False, -3969: True, -1: True, 0: True, 1: True, 880: True, 881: False}),
    ("modern", ARCHES, 127, {-1: False, 0: True, 1: True}),
    ("modern", ARCHES, 128, {-1: False, 0: True, 1: True}),
    ("modern", ARCHES, 129, {-2: False, -1: True, 0: True, 1: True}),
    ("modern", ARCHES, 4095, {-3968: False, -3967: True, -1: True, 0: True, 1: True}),
    ("modern", ARCHES, 4096, {-3969: False, -3968: True, -1: True, 0: True, 1: True}),
    ("modern", ARCHES, 4097, {-3970: False, -3969: True, -1: True, 0: True, 1: True, 928: True, 65536: True}),
]


@pytest.mark.parametrize(
    ("era", "name", "frame", "rows"), [(e, a, f, r) for e, arches, f, r in BORDERS for a in arches]
)
def test_borders_of_the_check(era: str, name: str, frame: int, rows: dict[int, bool]) -> None:
    sp = 0x40000
    found = {away: golang.ERAS[era].grows(arch.get(name), frame, sp, sp + away) for away in rows}
    assert found == rows


# Special words of the guard: does a small, a medium, a huge frame call morestack.
SPECIAL = [
    ("2014", -1314, (True, True, True)),
    ("2014", -1315, (True, True, False)),  # the hole: fork poison is not seen by huge frames
    ("2017", -1314, (True, True, True)),
    ("2017", -1234, (True, True, False)),  # the same hole
    ("2017", -1, (True, True, False)),
    ("modern", -1314, (True, True, True)),
    ("modern", -1234, (True, True, True)),
    ("modern", -275, (True, True, True)),
    ("modern", -4096, (True, True, True)),
    ("modern", -1, (True, True, True)),
]


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize(("era", "guard", "expected"), SPECIAL)
def test_special_guards_call_morestack_or_are_a_hole(
    era: str, guard: int, expected: tuple[bool, bool, bool], name: str
) -> None:
    one = arch.get(name)
    for sp in (0x40000, 0xBFFF0000, one.mask >> 2):
        for frames, answer in zip(((0, 127), (129, 4095, 4096), (4097, 70000)), expected, strict=True):
            for frame in frames:
                assert golang.ERAS[era].grows(one, frame, sp, guard & one.mask) is answer


@pytest.mark.parametrize("name", ARCHES)
def test_a_frame_larger_than_sp_wraps_where_the_form_lets_it(name: str) -> None:
    one = arch.get(name)
    assert golang.ERAS["modern"].grows(one, 5000, 1000, 0)  # the borrow is seen
    for era in ("2011", "2014", "2017", "modern"):  # the medium form has no such test
        assert not golang.ERAS[era].grows(one, 4095, 100, 2000)
    for era in ("2014", "2017"):  # the old huge form compares distances: SP is too near the guard
        assert golang.ERAS[era].grows(one, 5000, 1000, 100)


# -- constants -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    ("era", "guard", "minimum", "extra", "nosplit", "first_g0", "g0"),
    [
        ("2011", 256, 4096, 1024, 128, (65432, 8088, 8088), 8192),
        ("2014", 256, 4096, 2048, 128, (65432, 65432, 8088), 8192),
        ("2017", 880, 2048, 0, 752, (65432, 65432, 65432), 8192),
        ("modern", 928, 2048, 0, 800, (65432, 65536, 65432), 16384),
    ],
)
def test_constants(
    era: str, guard: int, minimum: int, extra: int, nosplit: int, first_g0: tuple[int, int, int], g0: int
) -> None:
    record = golang.ERAS[era]
    found = record.guards
    assert (found.guard, found.small, found.big, found.minimum) == (guard, 128, 4096, minimum)
    assert (found.extra, found.nosplit) == (extra, nosplit)
    assert tuple(record.first_g0[name] for name in ARCHES) == first_g0
    assert (record.g0_stack, record.gsignal_stack) == (g0, 32768)
