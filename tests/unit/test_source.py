"""Source texts: comments, labels, statements, macros, inherit, and the packaged files."""

import re

import pytest

import arch
from arch import golang
from asm import source
from asm.assembler import assemble
from asm.source import AsmError, Statement, parse

AMD64, ARM = arch.get("amd64"), arch.get("arm")
ERAS = ("2011", "2014", "2017", "modern")
FILES = [
    pytest.param(era, name, id=f"{era}-{name}", marks=getattr(pytest.mark, name))
    for era in ERAS
    for name in arch.ARCHES
]


def texts(text: str, record: arch.Arch = AMD64) -> list[str]:
    return [statement.text for statement in parse(text, "t.s", record)]


def test_statements_know_their_lines() -> None:
    found = parse("nop\n\n  f: ret; ret\n", "t.s", AMD64)
    assert found == [
        Statement("t.s", 1, "nop"),
        Statement("t.s", 3, "f:"),
        Statement("t.s", 3, "ret"),
        Statement("t.s", 3, "ret"),
    ]


@pytest.mark.parametrize(
    ("record", "text", "expected"),
    [
        (AMD64, "nop // to the end ; ret", ["nop"]),
        (AMD64, "nop # to the end", ["nop"]),
        (AMD64, "mov /* here */ eax, 1 /* and\n here */ ; ret", ["mov   eax, 1", "ret"]),
        (AMD64, '.ascii "a//b;#c" # d', ['.ascii "a//b;#c"']),
        (AMD64, '.ascii "\\";" ; ret', ['.ascii "\\";"', "ret"]),
        (AMD64, "nop // caf\u00e9 \u2192", ["nop"]),
        (ARM, "mov r0, #1 @ to the end", ["mov r0, #1"]),
        (ARM, "# whole line\nmov r0, #1 // end", ["mov r0, #1"]),
        (ARM, "mov r0, #1 # not a comment", ["mov r0, #1 # not a comment"]),
        (AMD64, "a: .b: nop", ["a:", ".b:", "nop"]),
        (AMD64, "nop\r\nret\r\n", ["nop", "ret"]),
        (AMD64, "", []),
        (AMD64, " ;; ; ", []),
    ],
)
def test_comments_and_separators(record: arch.Arch, text: str, expected: list[str]) -> None:
    assert texts(text, record) == expected


def test_lines_stay_right_behind_a_block_comment() -> None:
    assert parse("/* one\n two\n*/ nop /* x\n*/\nret", "t.s", AMD64) == [
        Statement("t.s", 3, "nop"),
        Statement("t.s", 5, "ret"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("nop\n/* open", 2, "never closed"),
        ("nop\nmov eax, \u00e9", 2, "printable ASCII"),
        ("nop\x00", 1, "printable ASCII"),
        ("\n" + "a" * 2000, 2, "2000 characters"),
        (".macro m a\nnop\n", 1, r"\.macro without \.endm"),
        ("nop\n.endm", 2, r"\.endm without \.macro"),
        (".macro m\nm\n.endm\nm", 2, "nested more than 32 deep"),
        (".macro m a\nmov eax, \\a\n.endm\nm 1, 2", 4, "2 arguments, but the macro is m a"),
        (".macro m a\nmov eax, \\b\n.endm\nm 1", 2, "no parameter b"),
        (".macro m\n.endm\n.macro m\n.endm", 3, r"already defined at t\.s:1"),
        (".macro m a\nnop\n.endm\nm (1", 4, r"a \) is missing"),
        (".macro 1\n.endm", 1, r"write: \.macro"),
        ("inherit f from 2011", 1, "packaged sources only"),
    ],
)
def test_errors_name_the_place(text: str, line: int, message: str) -> None:
    with pytest.raises(AsmError, match=message) as caught:
        parse(text, "t.s", AMD64)
    assert (caught.value.file, caught.value.line) == ("t.s", line)
    assert str(caught.value) == f"t.s:{line}: {caught.value.message}"


def test_macros_put_their_arguments_in() -> None:
    text = """
    .macro save reg, at
        mov qword ptr [\\at], \\reg
    .endm
    .macro both first, second, at
    .\\first:
        save \\first, \\at
        save \\second, \\at + 8
    .endm
    both rax, rbx, rsp + (1, 2)
    """.replace("(1, 2)", "(16)")
    assert texts(text) == [".rax:", "mov qword ptr [rsp + (16)], rax", "mov qword ptr [rsp + (16) + 8], rbx"]


def test_an_error_in_a_macro_names_the_call() -> None:
    with pytest.raises(AsmError, match=r"t\.s:2: .*in m, used at t\.s:4"):
        assemble(parse(".macro m a\nmov eax, \\a\n.endm\nm nothing", "t.s", AMD64), AMD64, base=0)


def test_macros_that_double_are_stopped() -> None:
    text = "".join(f".macro m{n}\nm{n + 1}\nm{n + 1}\n.endm\n" for n in range(30)) + ".macro m30\n.endm\nm0"
    with pytest.raises(AsmError, match="more than 100000 statements"):
        parse(text, "t.s", AMD64)


def test_inherit_takes_the_owners_text() -> None:
    owned = {("f", "2011"): [Statement("old.s", 7, "f:"), Statement("old.s", 8, "twice")]}

    def inherit(name: str, era: str) -> list[Statement]:
        return owned[name, era]

    text = ".macro twice\nnop\nnop\n.endm\ninherit f from 2011\ng: ret"
    found = parse(text, "new.s", AMD64, inherit=inherit)
    assert [(s.file, s.line, s.text) for s in found] == [
        ("old.s", 7, "f:"), ("new.s", 2, "nop"), ("new.s", 3, "nop"), ("new.s", 6, "g:"), ("new.s", 6, "ret"),
    ]  # fmt: skip


def test_inherit_knows_no_chains() -> None:
    def inherit(name: str, era: str) -> list[Statement]:
        return [Statement(f"{era}.s", 1, f"inherit {name} from 1999")]

    with pytest.raises(AsmError, match=r"2011\.s:1: .*must name the era that owns the text"):
        parse("inherit f from 2011", "new.s", AMD64, inherit=inherit)


@pytest.mark.parametrize(("era", "name"), FILES)
def test_packaged_sources_hold_the_eras_routines(era: str, name: str) -> None:
    labels = {s.text[:-1] for s in source.load(era, name) if s.text.endswith(":") and not s.text.startswith(".")}
    assert set(golang.era(era).routines[name]) <= labels


@pytest.mark.parametrize(("era", "name"), FILES)
def test_packaged_sources_show_themselves(era: str, name: str) -> None:
    opening = source.frame_map(era, name)
    assert opening.count("\n") >= 3
    for routine in golang.era(era).routines[name]:
        text = source.routine_text(era, name, routine)
        assert text.count(f"\n{routine}:") + text.startswith(f"{routine}:") == 1
        assert "inherit" not in text
        labels = [line for line in text.splitlines() if re.match(r"[A-Za-z_]\w*:", line)]
        assert len(labels) == 1


def test_there_are_no_other_sources() -> None:
    with pytest.raises(LookupError, match="no source of era 1999 for 386"):
        source.load("1999", "386")
    with pytest.raises(LookupError, match="has no nothing"):
        source.routine_text("2011", "386", "nothing")
