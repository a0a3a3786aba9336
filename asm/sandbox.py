"""Assembly of text that is not ours, in a child process with a time limit.

Keystone can hang, crash or end the process. Whatever it does there becomes an AsmError that names the statement.
The child is this module run as a script; requests, progress and results travel as JSON lines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arch.model import Arch
from asm.program import Line, Program, Segment, Symbol
from asm.statement import AsmError, Statement

COMMAND = (sys.executable, "-P", "-m", "asm.sandbox")
MOST_MEMORY = 2 << 30
"""Bytes of address space that the child may use."""


def assemble_untrusted(
    text: str,
    file: str,
    arch: Arch,
    base: int,
    names: Mapping[str, int] | None = None,
    gates: Mapping[str, int] | None = None,
    seconds: float = 10.0,
) -> Program:
    """`asm.source.parse` and `asm.assembler.assemble` in a child process, for at most ``seconds``.

    Raises AsmError: for what is wrong with the text, and for a text on which the assembler hangs or dies.
    """
    request = {"text": text, "file": file, "arch": arch.name, "base": base, "names": dict(names or {})}
    request["gates"] = dict(gates or {})
    try:
        done = subprocess.run(
            COMMAND, input=json.dumps(request), capture_output=True, encoding="utf-8", timeout=seconds, check=False,
            cwd="/", env=_environment(),
        )  # fmt: skip
        output, how = done.stdout, f"the assembler died (exit code {done.returncode})"
    except subprocess.TimeoutExpired as stuck:
        output = stuck.stdout.decode("utf-8", "replace") if isinstance(stuck.stdout, bytes) else stuck.stdout or ""
        how = f"the assembler was not done after {seconds:g} seconds"
    place: dict[str, Any] = {"file": file, "line": 0, "text": ""}
    for row in output.splitlines():
        try:
            answer = json.loads(row)
        except ValueError:  # cut off by the end of the child
            continue
        if answer["kind"] == "program":
            return _program(answer)
        if answer["kind"] == "error":
            raise AsmError(answer["file"], answer["line"], answer["message"])
        place = answer
    raise AsmError(place["file"], place["line"], f"{place['text']!r}: {how}" if place["text"] else how)


def _environment() -> dict[str, str]:
    """The child's: it finds the modules that this process finds."""
    here = str(Path(__file__).resolve().parent.parent)
    paths = [here, *(str(Path(p).resolve()) for p in sys.path if p != here)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def _answer(program: Program) -> dict[str, Any]:
    """A program as JSON can carry it."""
    return {
        "kind": "program",
        "arch": program.arch,
        "segments": [[s.address, s.data.hex(), s.size, s.writable, s.executable] for s in program.segments],
        "symbols": [[s.name, s.address, s.size] for s in program.symbols.values()],
        "gates": dict(program.gates),
        "lines": [[at, line.file, line.number, line.text] for at, line in program.lines.items()],
        "data": [[at, line.file, line.number, line.text] for at, line in program.data.items()],
    }


def _program(answer: dict[str, Any]) -> Program:
    segments = tuple(Segment(at, bytes.fromhex(code), *rest) for at, code, *rest in answer["segments"])
    symbols = {name: Symbol(name, at, size) for name, at, size in answer["symbols"]}
    lines, data = ({at: Line(*line) for at, *line in answer[kind]} for kind in ("lines", "data"))
    return Program(answer["arch"], segments, symbols, answer["gates"], lines, data)


def _say(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


def _watch(statement: Statement) -> None:
    _say({"kind": "at", "file": statement.file, "line": statement.line, "text": statement.text})


def _limit() -> None:
    """No core file, and no more memory than `MOST_MEMORY`, where the system knows such limits."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = MOST_MEMORY if hard == resource.RLIM_INFINITY else min(hard, MOST_MEMORY)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def main() -> None:
    """The child: one request from the standard input, answers to the standard output."""
    _limit()
    import arch
    from asm import assembler, source

    request = json.load(sys.stdin)
    record = arch.get(request["arch"])
    try:
        statements = source.parse(request["text"], request["file"], record)
        names, gates = request["names"], request["gates"]
        program = assembler.assemble(statements, record, base=request["base"], names=names, gates=gates, watch=_watch)
    except AsmError as problem:
        _say({"kind": "error", "file": problem.file, "line": problem.line, "message": problem.message})
    else:
        _say(_answer(program))


if __name__ == "__main__":
    main()
