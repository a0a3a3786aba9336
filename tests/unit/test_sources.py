"""The packaged sources: complete, in one order, explained, and assembling everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from assembled import ARCHES

import arch as arches
from arch import golang
from asm import source
from emu import target as targets

ROOT = Path(__file__).parents[2]
every = pytest.mark.parametrize(
    ("era", "arch"),
    [pytest.param(e, a, id=f"{e}-{a}", marks=getattr(pytest.mark, a)) for e in golang.ERAS for a in ARCHES],
)
MACROS = ("setg", "store_sizes", "argument_words", "without_context")
INHERITED = re.compile(r"^inherit (\S+) from (\S+)", re.MULTILINE)


def _path(era: str, arch: str) -> Path:
    return ROOT / "asm" / (f"e{era}" if era.isdigit() else era) / f"{arch}.s"


def _text(era: str, arch: str) -> str:
    return _path(era, arch).read_text(encoding="utf-8")


def _code(line: str) -> str:
    return line.split("//")[0].strip()


def _heads(era: str, arch: str) -> list[str]:
    """Routines in the order of the file: global labels, and the names of inherited routines. Macros are left out."""
    inside, found = False, []
    for line in _text(era, arch).splitlines():
        code = _code(line)
        inside = (inside or code.startswith(".macro")) and code != ".endm"
        match = re.match(r"(?:inherit (\w+) from|(\w+):)", code)
        if match and not inside:
            found.append(match[1] or match[2])
    return found


def test_every_era_and_architecture_has_its_file_and_no_other_lies_there() -> None:
    wanted = {_path(era, arch) for era in golang.ERAS for arch in ARCHES}
    assert {file for path in wanted for file in path.parent.iterdir() if file.name != "__pycache__"} == wanted


@every
def test_file_opens_with_a_frame_map(era: str, arch: str) -> None:
    frame_map = source.frame_map(era, arch)
    title = " ".join(line.removeprefix("//").strip() for line in frame_map.splitlines()[:2])
    assert re.search(rf"Era: {era}\b.*Architecture: {arch}\.", title)
    drawn = [line for line in frame_map.splitlines() if line.count("|") >= 2]
    assert len(drawn) >= 10, "stacks are drawn"
    sp = {"386": "esp|sp", "amd64": "rsp|sp", "arm": "sp"}[arch]
    assert len(re.findall(rf"(?:<-|\b(?:{sp})\b)", frame_map)) >= 5, "with SP in them"
    for name in ("mcall", "morestack"):
        assert name in frame_map


@every
def test_routines_come_in_the_order_of_the_record(era: str, arch: str) -> None:
    heads = _heads(era, arch)
    routines = golang.ERAS[era].routines[arch]
    assert len(set(heads)) == len(heads)
    assert [name for name in heads if name in routines] == list(routines)


@pytest.mark.parametrize("era", golang.ERAS)
def test_the_same_order_in_every_file_of_an_era(era: str) -> None:
    """A reader who compares two architectures finds everything in the same place, what only one has left aside."""
    heads = {arch: _heads(era, arch) for arch in ARCHES}
    common = [name for name in heads["arm"] if all(name in names for names in heads.values())]
    for names in heads.values():
        assert [name for name in names if name in common] == common


@every
def test_every_routine_has_a_comment_above_it(era: str, arch: str) -> None:
    for name in golang.ERAS[era].routines[arch]:
        assert source.routine_text(era, arch, name).startswith("//"), name


@every
def test_every_instruction_has_a_comment(era: str, arch: str) -> None:
    """On its own line; labels and directives speak for themselves."""
    bare = []
    for number, line in enumerate(_text(era, arch).splitlines(), 1):
        code = _code(line)
        if code and not re.match(r"(?:\.|inherit )|[\w.]+:$", code) and "//" not in line:
            bare.append(f"{number}: {code}")
    assert bare == []


@every
def test_lines_fit(era: str, arch: str) -> None:
    lines = _text(era, arch).splitlines()
    assert [line for line in lines if len(line) > 120 or line != line.rstrip() or "\t" in line] == []
    assert len(lines) <= 400


_BASE = r"\[\s*(?!esp\b|rsp\b|sp\b|pc\b)(\w+)\s*"  # any register but those of the stack


@every
def test_offsets_are_named_not_counted(era: str, arch: str) -> None:
    """A field of g, m or a gobuf is reached by its name. One word below a stack's top is the place of a push."""
    counted = re.compile(_BASE + (r",\s*#-?\d" if arch == "arm" else r"[+-]\s*\d"))
    found = [_code(line) for line in _text(era, arch).splitlines() if counted.search(_code(line))]
    assert [code for code in found if not re.search(r"\[eax - 4\]|\[rax - 8\]", code)] == []


@every
def test_file_assembles_and_has_all_routines(era: str, arch: str) -> None:
    target = targets.of_era(era, arch)
    record = arches.get(arch)
    assert target.program.segments[0].data
    ends = 0
    for name in golang.ERAS[era].routines[arch]:
        symbol = target.routines[name]
        assert symbol is not None
        assert symbol.size >= len(record.nop)
        assert symbol.address % record.alignment == 0
        assert symbol.address >= ends, "in the order of the file, and apart"
        ends = symbol.address + symbol.size


@every
def test_every_line_of_code_can_be_traced_to_its_source(era: str, arch: str) -> None:
    program = targets.of_era(era, arch).program
    texts = {path.relative_to(ROOT).as_posix(): path.read_text().splitlines() for path in (ROOT / "asm").rglob("*.s")}
    assert program.lines
    for line in program.lines.values():
        written = texts[line.file][line.number - 1]
        mnemonic = line.text.split()[0]
        assert mnemonic in written or "\\" in written, f"{line.file}:{line.number}: {line.text}"


# inherited texts


def _inherited() -> list[tuple[str, str, str, str]]:
    files = [(era, arch) for era in golang.ERAS for arch in ARCHES]
    return [(era, arch, *found) for era, arch in files for found in INHERITED.findall(_text(era, arch))]


def test_some_texts_are_inherited_and_owners_hold_them() -> None:
    """No chains: the era that is named holds the text itself."""
    assert len(_inherited()) > 10
    for era, arch, name, owner in _inherited():
        assert owner != era
        assert re.search(rf"^(?:{name}:|\.macro {name}\b)", _text(owner, arch), re.MULTILINE), f"{era} {arch}: {name}"


@pytest.mark.parametrize(("era", "arch", "name", "owner"), _inherited(), ids=lambda value: value)
def test_inherited_text_is_shown_resolved(era: str, arch: str, name: str, owner: str) -> None:
    text = source.routine_text(era, arch, name)
    assert text == source.routine_text(owner, arch, name)
    assert not INHERITED.search(text)
    assert re.search(rf"^(?:{name}:|\.macro {name}\b)", text, re.MULTILINE)


@every
def test_shown_text_holds_the_whole_routine_and_no_other(era: str, arch: str) -> None:
    """Every instruction of the routine comes from a line of the text that `show` prints, or from a macro used there."""
    target = targets.of_era(era, arch)
    for name in golang.ERAS[era].routines[arch]:
        lines = [_code(line) for line in source.routine_text(era, arch, name).splitlines()]
        assert [line for line in lines if re.fullmatch(r"\w+:", line)] == [f"{name}:"]
        symbol = target.program.symbols[name]
        inside = range(symbol.address, symbol.address + symbol.size)
        made = [line for address, line in target.program.lines.items() if address in inside]
        file = made[-1].file
        head = (ROOT / file).read_text().splitlines().index(f"{name}:") + 1
        direct = [line.text for line in made if line.file == file and head < line.number < head + len(lines)]
        assert direct == [line for line in lines if line in direct]
        assert len(direct) == len(made) or any(line.split(" ")[0] in MACROS for line in lines)


@pytest.mark.amd64
def test_command_shows_an_inherited_routine_resolved() -> None:
    command = [sys.executable, "-m", "emu.cli", "show", "RawSyscall", "--era", "2011", "--arch", "amd64", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "inherit" not in done.stdout
    assert source.routine_text("2014", "amd64", "RawSyscall") in done.stdout
    assert source.frame_map("2011", "amd64") in done.stdout
    assert re.search(r"^ +[0-9a-f]+  RawSyscall\+0x[0-9a-f]+ +0f05 +syscall$", done.stdout, re.MULTILINE)
