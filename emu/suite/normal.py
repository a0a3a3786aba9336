"""A recorded run as text that stays the same when code, stacks and data lie elsewhere: the text of the goldens.

One instruction a line: ``symbol+offset  Δsp  instruction  changed registers  memory``. Values that are addresses are
shown as name+offset, on stacks by the distance from their high end (``main-0x10``); values that a register was
filled with before the run by that register's name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from arch.model import Arch
from asm.program import Program
from asm.readback import disassemble
from emu.process import Process, Region, poison
from emu.recorder import Access
from emu.views.names import with_target

_SMALL = 1 << 12  # below it a value is a number, never an address
_SHOWN = {"sp": "sp", "link": "link"}  # roles whose register goes by the role's name
_LINE = "{where:<22} {moved:>6}  {text:<38} "


class Namer:
    """Names for addresses and values.

    ``describe`` names an address, ``pointee`` (the same by default) what a pointer leads to. ``stacks``: name -> where
    it lies. ``known``: value -> name. ``regions``: memory that was filled with poison before the run.
    """

    def __init__(
        self, word: int, describe: Callable[[int], str], stacks: Mapping[str, Region], known: Mapping[int, str],
        regions: Iterable[Region], pointee: Callable[[int], str] | None = None,
    ) -> None:
        self._describe, self._pointee, self._stacks = describe, pointee or describe, stacks
        self.known = dict(known)
        self._old = {poison(at, word): at for r in regions for at in range(r.address, r.end, word)}

    def place(self, address: int) -> str:
        """An address as name+offset."""
        return self._on_stack(address) or self._describe(address)

    def _on_stack(self, address: int) -> str:
        for name, stack in self._stacks.items():
            if stack.address <= address <= stack.end:
                return f"{name}-{stack.end - address:#x}" if address < stack.end else f"{name}'s end"
        return ""

    def value(self, value: int, touched: Container[int] = ()) -> str:
        """A word: a number, what it points to, or where it was before (``old``: where ``touched`` says anyway)."""
        if value in self.known:
            return self.known[value]
        if value in self._old:
            at = self._old[value]
            return "old" if at in touched else f"old [{self.place(at)}]"
        return hex(value) if value < _SMALL else self._on_stack(value) or self._pointee(value)


@dataclass
class Record:
    """Rows and accesses of a run, taken out of a recorder. ``after``: step -> registers as they were when it stopped.

    ``notes``: step -> what happened behind it, before the next; -1: before the first.
    """

    rows: list[dict[str, int]]
    accesses: list[Access]
    last: Mapping[str, int]
    after: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    notes: Mapping[int, list[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, process: Process, after: Mapping[int, Mapping[str, int]], notes: Mapping[int, list[str]]
    ) -> Record:
        """What the recorder of a process holds now."""
        recorder, names = process.machine.recorder, process.arch.registers
        rows = [dict(zip(names, row, strict=True)) for row in recorder.rows]
        return cls(rows, list(recorder.accesses), process.machine.registers(), after, notes)

    def then(self, step: int) -> Mapping[str, int]:
        """The registers right after a step, before Python changed any."""
        if step in self.after:
            return self.after[step]
        return self.rows[step + 1] if step + 1 < len(self.rows) else self.last

    def changed(self, step: int) -> dict[str, int]:
        """Register -> new value, for a step."""
        then, before = self.then(step), self.rows[step]
        return {name: value for name, value in then.items() if value != before[name]}

    def last_change(self, register: str) -> int | None:
        """The last step that changed a register; None if none did."""
        steps = range(len(self.rows) - 1, -1, -1)
        return next((step for step in steps if self.then(step)[register] != self.rows[step][register]), None)


def instruction(arch: Arch, program: Program, pc: int) -> str:
    """The instruction at an address: as it was written, or, out of a binary, as it is read."""
    line = program.lines.get(pc)
    if line is not None and line.text:
        return " ".join(line.text.split())
    for size in (16, 8, 4, 2, 1):
        try:
            code = program.read(pc, size)
        except ValueError:
            continue
        return with_target(program, next(disassemble(arch, code, pc), (0, b"", "?"))[2])
    return "?"


def lines(arch: Arch, program: Program, namer: Namer, record: Record, steps: Iterable[int]) -> Iterator[str]:
    """The text of some steps."""
    by_step: dict[int, list[Access]] = {}
    for access in record.accesses:
        by_step.setdefault(access.step, []).append(access)
    for step in steps:
        if step >= 0:
            yield _line(arch, program, namer, record, step, by_step.get(step, []))
        yield from (f"-- {note}" for note in record.notes.get(step, ()))


def _line(
    arch: Arch, program: Program, namer: Namer, record: Record, step: int, accesses: list[Access]
) -> str:
    sp, pc, flags = (arch.roles[role] for role in ("sp", "pc", "flags"))
    at, changed = record.rows[step][pc], record.changed(step)
    moved = changed[sp] - record.rows[step][sp] if sp in changed else 0
    touched = {access.address for access in accesses}
    shown = {arch.roles[role]: name for role, name in _SHOWN.items() if role in arch.roles}
    parts = [
        f"{shown.get(name, name)}={namer.value(value, touched)}"
        for name, value in changed.items() if name not in (pc, flags) and not (name == sp and _near(moved))
    ]
    if flags in changed:
        parts += _flags(arch, changed[flags], record.rows[step][flags])
    parts += [f"[{namer.place(a.address)}]" + (f"={namer.value(a.value)}" if a.write else "") for a in accesses]
    near = f"{moved:+}" if moved and _near(moved) else ""
    head = _LINE.format(where=program.describe(at), moved=near, text=instruction(arch, program, at))
    return (head + "  ".join(parts)).rstrip()


def _near(moved: int) -> bool:
    """Whether SP moved within a stack: then how far is what counts; else where to is."""
    return abs(moved) < _SMALL


def _flags(arch: Arch, now: int, before: int) -> list[str]:
    """The condition flags that are set now, if any of them changed."""
    bits = arch.flag_bits
    if all((now ^ before) >> bit & 1 == 0 for bit in bits.values()):
        return []
    return ["flags=" + ("".join(name for name, bit in bits.items() if now >> bit & 1) or "none")]
