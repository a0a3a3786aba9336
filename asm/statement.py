"""Text -> raw statements: comments removed, lines split, labels set apart. Nothing is interpreted yet."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = r"[A-Za-z_.$][\w.$]*"
LONGEST = 1000
"""Characters a statement may have; far more than any instruction needs."""

_STRING = r'"(?:\\.|[^"\\\n])*"'
_COMMENTS = {
    isa: re.compile(rf"({_STRING})|/\*.*?\*/|//[^\n]*|^[ \t]*\#[^\n]*|{mark}[^\n]*|(/\*)", re.DOTALL | re.MULTILINE)
    for isa, mark in (("x86", r"\#"), ("arm", "@"))
}
_LABEL = re.compile(rf"\s*((?:{NAME}|\\\w+)(?:[\w.$]|\\\w+)*)\s*:")
_PIECE = re.compile(rf'(?:{_STRING}|[^;"]|")+')


class AsmError(ValueError):
    """Assembly text that is refused: ``file``, ``line`` (0: the whole file) and ``message``."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}:{line}: {message}")
        self.file, self.line, self.message = file, line, message


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, or one label with its colon. ``origin``: the macro call it came from, if any."""

    file: str
    line: int
    text: str
    origin: str = ""

    def error(self, message: str) -> AsmError:
        """An AsmError about this statement."""
        return AsmError(self.file, self.line, f"{message} ({self.origin})" if self.origin else message)


def strip(text: str, file: str, isa: str) -> str:
    """``text`` with comments made blank and every line where it was. AsmError for a ``/*`` without end."""

    def blank(match: re.Match[str]) -> str:
        if match.group(1):
            return match.group(1)
        if match.group(2):
            raise AsmError(file, text.count("\n", 0, match.start()) + 1, "this /* is never closed")
        return " " + "\n" * match.group().count("\n")

    return _COMMENTS[isa].sub(blank, text)


def scan(text: str, file: str, isa: str) -> list[Statement]:
    """The statements of ``text`` in order; labels (``name:``) are statements of their own.

    ``isa`` is ``x86`` or ``arm``: it decides which sign starts a comment. Raises AsmError.
    """
    found: list[Statement] = []
    for number, line in enumerate(strip(text.replace("\r\n", "\n"), file, isa).split("\n"), 1):
        if not line or line.isspace():
            continue
        if not line.isascii() or not line.replace("\t", " ").isprintable():
            raise AsmError(file, number, "only printable ASCII may stand outside comments")
        pieces = _PIECE.findall(line) if ";" in line else (line,)
        for piece in pieces:
            if len(piece) > LONGEST:
                raise AsmError(file, number, f"a statement of {len(piece)} characters; the longest is {LONGEST}")
            while match := _LABEL.match(piece):
                found.append(Statement(file, number, match.group(1) + ":"))
                piece = piece[match.end() :]
            if piece := piece.strip():
                found.append(Statement(file, number, piece))
    return found
