"""From what was asked for on the command line to targets and their rows."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import arch as arches
from arch import golang
from arch.model import Arch
from asm.goelf import ElfError
from asm.program import Program
from asm.statement import AsmError
from emu import target as targets
from emu.errors import BadInput
from emu.routines import ROUTINES
from emu.rows import EXPERIMENTS, rows
from emu.target import Target

MODERN = "modern"
_MOST_TEXT = 4 << 20  # bytes of a text that `asm` takes


def routine_names() -> list[str]:
    """Every row that any target can have."""
    return [*ROUTINES, *EXPERIMENTS]


def routine_name(given: str) -> str:
    """The row's name for what a user typed: ``runtime.mcall`` is ``mcall``. Raises BadInput."""
    name = _short(given)
    if name in ROUTINES or name in EXPERIMENTS:
        return name
    near = difflib.get_close_matches(name, routine_names(), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `stackcarry list` shows what exists"
    raise BadInput(f"no routine {given!r}{hint}")


def _short(given: str) -> str:
    return given.removeprefix("runtime.").removeprefix("syscall.")


def era_name(given: str) -> str:
    """An era by its name or by a Go release. Raises BadInput."""
    try:
        return golang.era(given).name
    except KeyError as error:
        raise BadInput(error.args[0]) from None


def arch_name(given: str) -> str:
    """An arch by its Go name. Raises BadInput."""
    try:
        return arches.get(given).name
    except KeyError as error:
        raise BadInput(error.args[0]) from None


def needed_arch(given: str | None) -> str:
    """An arch where one must be named. Raises BadInput."""
    if given is None:
        raise BadInput("say which architecture: --arch 386, amd64 or arm")
    return arch_name(given)


def binary(path: str, wanted: Sequence[str] = ()) -> Target:
    """The target in a Go binary; BadInput if it can't be used or is of none of the ``wanted`` arches."""
    try:
        found = targets.of_binary(path)
    except ElfError as error:
        raise BadInput(str(error)) from None
    if wanted and found.arch.name not in wanted:
        raise BadInput(f"{path}: a program for {found.arch.name}, not for {' or '.join(wanted)}; leave --arch out")
    return found


def select(
    eras: Iterable[str], arch_names: Iterable[str], files: Iterable[str], routines: Iterable[str]
) -> list[tuple[Target, list[str]]]:
    """Targets in order of era and arch, each with the rows to check; with ``files`` only those binaries.

    ``routines`` may then be functions of theirs, too.
    """
    wanted_arches = [arch_name(name) for name in arch_names]
    wanted_eras = [era_name(name) for name in eras]
    given, paths = list(routines), list(files)
    functions = [name for name in given if paths and _short(name) not in routine_names()]
    names = [routine_name(name) for name in given if name not in functions]
    chosen: list[Target] = []
    for path in paths:
        found = binary(path, wanted_arches)
        if wanted_eras and found.era.name not in wanted_eras:
            raise BadInput(f"{path}: of era {found.era.name}; leave --era out")
        chosen.append(found)
    if not chosen:
        chosen = [
            targets.of_era(era, arch)
            for era in golang.ERAS if era in wanted_eras or not wanted_eras
            for arch in arches.ARCHES if arch in wanted_arches or not wanted_arches
        ]
    picked = []
    for target in chosen:
        kept = [row for row in rows(target) if row in names or not given]
        picked.append((target, kept + [_code_name(target, function) for function in functions]))
    return [(target, kept) for target, kept in picked if kept]


def _elf_or_era(arch: str | None, era: str | None, file: str | None) -> Target:
    if file is not None:
        _refuse_era(era)
        return binary(file, [arch_name(arch)] if arch else [])
    return targets.of_era(era_name(era or MODERN), needed_arch(arch))


def _refuse_era(era: str | None) -> None:
    if era is not None:
        raise BadInput("a binary says itself of which era it is; leave --era out")


def traced(routine: str, arch: str | None, era: str | None, file: str | None) -> tuple[Target, str]:
    """What `trace` runs: a target, and a routine's name or (in a binary) a symbol's. Raises BadInput."""
    target = _elf_or_era(arch, era, file)
    return target, _code_name(target, routine)


def shown(routine: str, arch_names: Sequence[str], era: str | None, file: str | None) -> list[tuple[Target, str]]:
    """What `show` lists: each arch that has the routine. Raises BadInput when none has."""
    if file is not None:
        _refuse_era(era)
        target = binary(file, [arch_name(name) for name in arch_names])
        return [(target, _code_name(target, routine))]
    chosen = [targets.of_era(era_name(era or MODERN), arch_name(name)) for name in arch_names or arches.ARCHES]
    name = routine.removeprefix("runtime.").removeprefix("syscall.")
    having = [(target, name) for target in chosen if name in target.program]
    return having or [(chosen[0], _code_name(chosen[0], routine))]


def _code_name(target: Target, given: str) -> str:
    """A routine's name, or the symbol as it stands. Raises BadInput, naming what is near."""
    short = given.removeprefix("runtime.").removeprefix("syscall.")
    if target.routines.get(short) is not None:
        return short
    for symbol in (given, f"{given}.abi0"):
        if symbol in target.program:
            return _code(target, symbol)
    if given in EXPERIMENTS:
        raise BadInput(f"{given} is an experiment with many runs; only `check` takes it")
    if short in target.routines:
        raise BadInput(f"{target.title}: {given} is absent, the linker dropped it")
    near = difflib.get_close_matches(given, {*target.routines, *target.program.symbols}, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise BadInput(f"{target.title} has no function {given!r} on {target.arch.name}{hint}")


def _code(target: Target, name: str) -> str:
    """The name of a symbol that is code all through. Raises BadInput."""
    symbol = target.program.symbol(name)
    end = symbol.address + symbol.size
    if not any(s.executable and s.address <= symbol.address and end <= s.address + s.size
               for s in target.program.segments):
        raise BadInput(f"{target.title}: {name} is data, not a function")
    return name


def assembled(file: str, arch: str, era: str | None, base: str) -> Program:
    """A user's assembly text, assembled in a child process. Raises BadInput."""
    from asm.sandbox import assemble_untrusted  # only here: the other commands have no need of it

    record = arches.get(arch_name(arch))
    names = golang.era(era_name(era)).names(record) if era else {}
    address = _address(base, record)
    try:
        return assemble_untrusted(_text(file), "<stdin>" if file == "-" else file, record, address, names, {})
    except AsmError as error:
        raise BadInput(str(error)) from None


def _address(base: str, record: Arch) -> int:
    try:
        address = int(base, 0)
    except ValueError:
        raise BadInput(f"--base {base}: not a number") from None
    if not 0 <= address <= record.mask - 0x100_0000:
        raise BadInput(f"--base {base}: no address of {record.name} with room for a program")
    if address % record.alignment:
        raise BadInput(f"--base {base}: an instruction of {record.name} stands at a multiple of {record.alignment}")
    return address


def _text(file: str) -> str:
    """What is in a text file, or on standard input. Raises BadInput."""
    try:
        if file == "-":
            if sys.stdin is None:
                raise BadInput("standard input is closed")
            text = sys.stdin.read(_MOST_TEXT + 1)
        else:
            with Path(file).open(encoding="utf-8") as stream:
                text = stream.read(_MOST_TEXT + 1)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: not a text file") from None
    if len(text) > _MOST_TEXT:
        raise BadInput(f"{file}: more than {_MOST_TEXT >> 20} MiB of text")
    return text
