"""Our .s files: macros, ``inherit``, and the packaged sources of every era and architecture."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from itertools import takewhile

import arch as arches
from arch.model import Arch
from asm.expr import ExprError
from asm.operands import split
from asm.statement import AsmError, Statement, scan, strip

__all__ = ["AsmError", "Inherit", "Macro", "Statement", "frame_map", "load", "macros", "parse", "routine_text"]

Inherit = Callable[[str, str], list[Statement]]
"""(routine or macro, era) -> the owner's raw statements, its label or ``.macro`` line first."""

MOST = 100_000
"""Statements a file may expand to, macro calls counted."""
DEEPEST = 32
"""Macros within macros."""

_MACRO = re.compile(r"\.macro\s+([A-Za-z_][\w.]*)\s*(.*)", re.IGNORECASE)
_INHERIT = re.compile(r"inherit\s+(\S+)\s+from\s+(\S+)")
_ARGUMENT = re.compile(r"\\([A-Za-z_]\w*)")


class Macro:
    """A macro: its name, parameters and body; ``head`` is its ``.macro`` line."""

    def __init__(self, head: Statement, body: list[Statement]) -> None:
        match = _MACRO.fullmatch(head.text)
        if not match:
            raise head.error("write: .macro NAME parameter, parameter")
        self.head, self.body, self.name = head, body, match.group(1)
        self.parameters = re.split(r"[\s,]+", match.group(2).strip()) if match.group(2).strip() else []
        if bad := [p for p in self.parameters if not re.fullmatch(r"[A-Za-z_]\w*", p)]:
            raise head.error(f"{bad[0]} is no name for a macro parameter")

    @property
    def definition(self) -> list[Statement]:
        """The macro as it was written, with its ``.endm``."""
        return [self.head, *self.body, Statement(self.head.file, self.head.line, ".endm")]

    def expand(self, call: Statement, arguments: list[str]) -> Iterator[Statement]:
        """The body with the arguments put in; AsmError if their number is wrong."""
        if len(arguments) != len(self.parameters):
            wanted = f"{self.name} {', '.join(self.parameters)}".strip()
            raise call.error(f"{len(arguments)} arguments, but the macro is {wanted}")
        values = dict(zip(self.parameters, arguments, strict=True))
        origin = f"in {self.name}, used at {call.file}:{call.line}" + (f", {call.origin}" if call.origin else "")
        for line in self.body:

            def put(match: re.Match[str], line: Statement = line) -> str:
                if match.group(1) not in values:
                    raise line.error(f"macro {self.name} has no parameter {match.group(1)}")
                return values[match.group(1)]

            text = _ARGUMENT.sub(put, line.text) if "\\" in line.text else line.text
            yield Statement(line.file, line.line, text, origin)


def _body(statements: list[Statement], start: int) -> int:
    """The index of the ``.endm`` that closes the macro opened at ``start``."""
    for index in range(start + 1, len(statements)):
        word = statements[index].text.lower()
        if word == ".endm":
            return index
        if word.startswith(".macro"):
            break
    raise statements[start].error(".macro without .endm")


class _Expander:
    """Replaces macro calls and ``inherit`` lines, in one pass from top to bottom."""

    def __init__(self, inherit: Inherit | None) -> None:
        self.inherit = inherit
        self.macros: dict[str, Macro] = {}
        self.out: list[Statement] = []
        self.seen = 0

    def run(self, statements: list[Statement], depth: int = 0, inherited: bool = False) -> None:
        """Append what ``statements`` stand for to ``out``."""
        index = 0
        while index < len(statements):
            statement = statements[index]
            self.seen += 1
            if self.seen > MOST:
                raise statement.error(f"more than {MOST} statements")
            word = statement.text.split(None, 1)[0]
            if word == ".macro":
                end = _body(statements, index)
                self._define(Macro(statement, statements[index + 1 : end]))
                index = end
            elif word == ".endm":
                raise statement.error(".endm without .macro")
            elif word == "inherit":
                self._inherit(statement, inherited)
            elif macro := self.macros.get(word):
                if depth >= DEEPEST:
                    raise statement.error(f"macros are nested more than {DEEPEST} deep")
                self.run(self._call(macro, statement), depth + 1)
            else:
                self.out.append(statement)
            index += 1

    def _call(self, macro: Macro, call: Statement) -> list[Statement]:
        try:
            return list(macro.expand(call, split(call.text[len(macro.name) :].strip())))
        except ExprError as problem:
            raise call.error(str(problem)) from None

    def _define(self, macro: Macro) -> None:
        if macro.name in self.macros:
            first = self.macros[macro.name].head
            raise macro.head.error(f"macro {macro.name} is already defined at {first.file}:{first.line}")
        self.macros[macro.name] = macro

    def _inherit(self, statement: Statement, inherited: bool) -> None:
        match = _INHERIT.fullmatch(statement.text)
        if not match:
            raise statement.error("write: inherit ROUTINE from ERA")
        if self.inherit is None:
            raise statement.error("inherit works in the packaged sources only")
        if inherited:
            raise statement.error("inherit must name the era that owns the text")
        try:
            block = self.inherit(match.group(1), match.group(2))
        except LookupError as problem:
            raise statement.error(str(problem.args[0])) from None
        self.run(block, inherited=True)


def parse(
    text: str, file: str, arch: Arch, inherit: Inherit | None = None, macros: list[Statement] | None = None
) -> list[Statement]:
    """The statements of a source text, macros expanded and inherited routines put in. Raises AsmError.

    An inherited text is taken over as it stands: macros and ``.set`` names in it are those of the file
    that inherits. ``inherit`` raises LookupError for what it does not find. ``macros``: what the text may use
    beside its own (from the function `macros`).
    """
    expander = _Expander(inherit)
    expander.run(macros or [])
    expander.run(scan(text, file, arch.isa))
    return expander.out


# The packaged sources.


def _folder(era: str) -> str:
    return f"e{era}" if era.isdigit() else era


@cache
def _text(era: str, arch: str) -> str:
    path = resources.files("asm").joinpath(_folder(era), f"{arch}.s")
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise LookupError(f"there is no source of era {era} for {arch}") from None


def _file(era: str, arch: str) -> str:
    return f"asm/{_folder(era)}/{arch}.s"


@cache
def _raw(era: str, arch: str) -> tuple[Statement, ...]:
    return tuple(scan(_text(era, arch), _file(era, arch), arches.get(arch).isa))


def _span(raw: tuple[Statement, ...], name: str) -> tuple[int, int] | None:
    """Where the routine or macro ``name`` starts and ends in ``raw``."""
    inside = False
    for index, statement in enumerate(raw):
        words = statement.text.replace(",", " ").split()
        if words[0] == ".macro":
            inside = True
            if words[1:2] == [name]:
                return index, _body(list(raw), index) + 1
        elif words[0] == ".endm":
            inside = False
        elif not inside and statement.text == f"{name}:":
            return index, _routine_end(raw, index)
    return None


def _routine_end(raw: tuple[Statement, ...], start: int) -> int:
    for index in range(start + 1, len(raw)):
        text = raw[index].text
        if text.startswith((".macro ", "inherit ")) or (text.endswith(":") and not text.startswith(".")):
            return index
    return len(raw)


def _owner(era: str, arch: str, name: str) -> str:
    """The era whose file of ``arch`` holds the text of ``name``; LookupError if there is none."""
    raw = _raw(era, arch)
    if _span(raw, name):
        return era
    for statement in raw:
        match = _INHERIT.fullmatch(statement.text)
        if match and match.group(1) == name:
            return match.group(2)
    raise LookupError(f"{_file(era, arch)} has no {name}")


def _block(era: str, arch: str, name: str) -> list[Statement]:
    raw = _raw(era, arch)
    span = _span(raw, name)
    if span is None:
        raise LookupError(f"{_file(era, arch)} does not hold the text of {name}")
    return list(raw[span[0] : span[1]])


def load(era_name: str, arch_name: str) -> list[Statement]:
    """The statements of the packaged source of an era (``2011`` … ``modern``) for an architecture.

    LookupError if there is no such file, AsmError if it is wrong.
    """
    expander = _Expander(lambda name, era: _block(era, arch_name, name))
    expander.run(list(_raw(era_name, arch_name)))
    return expander.out


def macros(era_name: str, arch_name: str) -> list[Statement]:
    """The definitions of an era's macros, inherited ones included, for `parse`. LookupError, AsmError as for `load`."""
    expander = _Expander(lambda name, era: _block(era, arch_name, name))
    expander.run(list(_raw(era_name, arch_name)))
    return [line for macro in expander.macros.values() for line in macro.definition]


@cache
def _comment_lines(era: str, arch: str) -> tuple[tuple[str, bool], ...]:
    """Every line of a source, and whether it holds nothing but comment."""
    text = _text(era, arch)
    bare = strip(text, _file(era, arch), arches.get(arch).isa).split("\n")
    rows = zip(text.split("\n"), bare, strict=True)
    return tuple((line, bool(line.strip()) and not rest.strip()) for line, rest in rows)


def routine_text(era: str, arch: str, name: str) -> str:
    """The source of a routine (or macro) as its owner wrote it, the comment right above it included.

    ``inherit`` is resolved. LookupError if the era has no such routine.
    """
    owner = _owner(era, arch, name)
    raw = _raw(owner, arch)
    span = _span(raw, name)
    if span is None:
        raise LookupError(f"{_file(owner, arch)} does not hold the text of {name}")
    lines = _comment_lines(owner, arch)
    first = raw[span[0]].line - 1
    while first > 0 and lines[first - 1][1]:
        first -= 1
    last = raw[span[1] - 1].line
    end = raw[span[1]].line - 1 if span[1] < len(raw) else len(lines)
    remark = last
    while remark < end and lines[remark][1]:
        remark += 1
    if remark < end or end == len(lines):  # otherwise it stands right above the next routine and is that one's
        last = remark
    return "\n".join(line for line, _ in lines[first:last]) + "\n"


def frame_map(era: str, arch: str) -> str:
    """The comment block that opens the source of an era for an architecture."""
    return "".join(line + "\n" for line, _ in takewhile(lambda row: row[1], _comment_lines(era, arch)))
