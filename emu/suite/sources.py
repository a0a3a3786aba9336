"""The sources of a suite: texts or files, one per arch, with the directives that other assemblers want put aside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from arch.model import Arch
from asm import source
from asm.statement import Statement
from emu.errors import BadInput

_NO_BYTES = frozenset(
    ".arm .code .cpu .eabi_attribute .endfunc .file .fnend .fnstart .fpu .func .global .globl .hidden .ident "
    ".intel_syntax .local .protected .size .syntax .text .type .weak".split()
)
"""Directives for linkers, debuggers and the choice of a dialect: the bytes are the same without them."""

_PREPROCESSED = re.compile(r"^[ \t]*#[ \t]*(define|elif|else|endif|if|ifdef|ifndef|include|undef)\b", re.MULTILINE)
_ATT = re.compile(r"%(?:[er]?(?:[abcd]x|[sd]i|[sb]p)|r\d+)\b")
_SECTION = re.compile(r"\.section\s+(\.text|\.note)\b.*")
_ALIGN = re.compile(r"\.(p2align|balign)\s+(\w+)\s*(?:,.*)?")


def from_text(arch: Arch, text: str, file: str) -> list[Statement]:
    """The statements of a text. Raises AsmError, BadInput for a dialect that is not read."""
    found = _PREPROCESSED.search(text)
    if found:
        where = f"{file}:{text.count(chr(10), 0, found.start()) + 1}"
        raise BadInput(f"{where}: #{found[1]} is the C preprocessor's; run it first: cpp -P {file}")
    kept = (_plain(statement) for statement in source.parse(text, file, arch))
    statements = [statement for statement in kept if statement is not None]
    for statement in statements:
        if arch.isa == "x86" and _ATT.search(statement.text):
            raise statement.error("this is AT&T syntax; Intel's is read here, or a linked program: see `binary`")
    return statements


def _plain(statement: Statement) -> Statement | None:
    """A statement as `asm` takes it; None for one that makes no bytes."""
    word = statement.text.split(None, 1)[0].lower()
    if word in _NO_BYTES or word.startswith(".cfi_") or _SECTION.fullmatch(statement.text):
        return None
    match = _ALIGN.fullmatch(statement.text)
    if match is None:
        return statement
    return replace(statement, text=f".align {f'{1 << int(match[2], 0)}' if match[1] == 'p2align' else match[2]}")


def from_texts(arch: Arch, texts: str | Mapping[str, str], file: str) -> list[Statement]:
    """One text for every arch, or one each. Raises BadInput if there is none for ``arch``."""
    if isinstance(texts, str):
        return from_text(arch, texts, file)
    if arch.name not in texts:
        raise BadInput(f"no text for {arch.name}; there are {', '.join(texts)}{_narrower(texts)}")
    return from_text(arch, texts[arch.name], f"{file} ({arch.name})")


def from_files(arch: Arch, folder: Path, names: tuple[str, ...]) -> list[Statement]:
    """Files in ``folder``, one after the other; ``{arch}`` in a name is the arch's. Raises BadInput, AsmError."""
    statements: list[Statement] = []
    for name in names:
        path = folder / name.replace("{arch}", arch.name)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}{_narrower(())}") from None
        statements += from_text(arch, text, path.name)
    return statements


def _narrower(names: Mapping[str, str] | tuple[str, ...]) -> str:
    given = ", ".join(f'"{name}"' for name in names) or '"386", …'
    return f" (a test for some arches only is marked so: @pytest.mark.stackcarry({given}))"
