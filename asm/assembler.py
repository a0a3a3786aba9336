"""Statements -> Program. The only place that imports Keystone, which sees one instruction at a time.

Labels, names, data, macros and pools are ours; an instruction reaches Keystone as canonical text with numbers only,
and its bytes are read back through Capstone and compared with what was written before anyone may use them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arch.model import Arch
from asm import arm_meaning, arm_syntax, data, readback, x86_meaning, x86_syntax
from asm.expr import ExprError
from asm.names import Mark, Names, Pool
from asm.operands import Instruction, Refused
from asm.program import Line, Program, Segment, Symbol
from asm.statement import NAME, AsmError, Statement

__all__ = ["AsmError", "assemble"]

MOST_PASSES = 50
MOST_BYTES = 16 << 20

_SYNTAX: dict[str, Any] = {"x86": (x86_syntax, x86_meaning), "arm": (arm_syntax, arm_meaning)}
_SET = re.compile(rf"\.set\s+({NAME})\s*,\s*(.+)")


class _Engine:
    """Keystone and Capstone for one instruction set, and every encoding that was found good (or not)."""

    def __init__(self, arch: Arch) -> None:
        import keystone

        kinds = {"x86": keystone.KS_ARCH_X86, "arm": keystone.KS_ARCH_ARM}
        modes = {("x86", 32): keystone.KS_MODE_32, ("x86", 64): keystone.KS_MODE_64, ("arm", 32): keystone.KS_MODE_ARM}
        self.keystone = keystone.Ks(kinds[arch.isa], modes[arch.isa, arch.bits])
        self.failure = keystone.KsError
        self.reader = readback.reader(arch)
        self.known = self.reader.mnemonics().__contains__
        self.syntax, self.meaning = _SYNTAX[arch.isa]
        self.word = arch.word
        self.done: dict[tuple[str, int], bytes | str] = {}

    def encode(self, insn: Instruction, address: int) -> bytes:
        """The bytes of an instruction at ``address``; Refused if there are none that mean it."""
        if insn.target is not None:
            length = len(self._checked(insn, address))
            operands = tuple(
                o._replace(displacement=insn.target - address - length) if getattr(o, "base", "") == "rip" else o for o in insn.operands
            )
            insn = Instruction(insn.mnemonic, operands, self.syntax.canonical(insn.mnemonic, operands, self.word))
        return self._checked(insn, address)

    def _checked(self, insn: Instruction, address: int) -> bytes:
        key = (insn.text, address if insn.relative else -1)
        found = self.done.get(key)
        if found is None:
            try:
                found = self._encode(insn, address)
            except Refused as problem:
                found = str(problem)
            self.done[key] = found
        if isinstance(found, str):
            raise Refused(found)
        return found

    def _encode(self, insn: Instruction, address: int) -> bytes:
        fixed = self.syntax.FIXED.get((self.word, insn.text))
        if fixed:
            code = bytes.fromhex(fixed)
        else:
            try:
                code, _ = self.keystone.asm(insn.text, address, True)
            except self.failure as problem:
                raise Refused(f"no such instruction: {str(problem).split(' (KS_')[0].lower()}") from None
        if not code:
            raise Refused("no such instruction")
        read = self.reader.read(code, address)
        if read is None:
            raise Refused(f"its encoding {code.hex(' ')} is not one instruction")
        why = self.meaning.differences(insn, read, self.word)
        if why:
            raise Refused(f"it would be encoded as {read.text!r}: {why}")
        return bytes(code)


_ENGINES: dict[str, _Engine] = {}


def _engine(arch: Arch) -> _Engine:
    if arch.name not in _ENGINES:
        _ENGINES[arch.name] = _Engine(arch)
    return _ENGINES[arch.name]


class _Piece:
    """A statement that makes bytes, with the routine and the pool it belongs to."""

    __slots__ = ("address", "data", "error", "insn", "moving", "pool", "routine", "statement")

    def __init__(self, statement: Statement, routine: str, pool: Pool | None) -> None:
        self.statement, self.routine, self.pool = statement, routine, pool
        self.address = -1
        self.data = b""
        self.moving = True
        self.insn: Instruction | None = None
        self.error: AsmError | None = None


class _Assembly:
    """One call of `assemble`: collects pieces, then lays them out until nothing moves."""

    def __init__(self, arch: Arch, names: Names, watch: Callable[[Statement], None] | None) -> None:
        self.arch, self.names, self.watch = arch, names, watch
        self.engine = _engine(arch)
        self.items: list[_Piece | Mark | Pool] = []

    def collect(self, statements: Sequence[Statement]) -> None:
        """Labels, constants and pieces in order; AsmError for names that clash."""
        names, registers = self.names, self.engine.syntax.registers(self.arch.word)
        pool = Pool(statements[0]) if statements else None
        for statement in statements:
            text = statement.text
            if text.endswith(":"):
                name = text[:-1]
                if not name.startswith(".") and pool is not None:
                    self.items.append(pool)
                    pool = Pool(statement)
                self.items.append(names.define(name, statement, registers))
            elif text.startswith(".set"):
                match = _SET.fullmatch(text)
                if not match:
                    raise statement.error("write: .set NAME, EXPRESSION")
                names.constant(match.group(1), match.group(2), statement, registers)
            elif text in (".pool", ".ltorg") and pool is not None:
                self.items.append(pool)
                pool = Pool(statement)
            else:
                self.items.append(_Piece(statement, names.routine, pool))
        if pool is not None:
            self.items.append(pool)

    def lay_out(self, base: int) -> None:
        """Give every item its address and bytes. AsmError for the first statement that has none."""
        for _ in range(MOST_PASSES):
            address, moved = base, False
            for item in self.items:
                if isinstance(item, Pool) and item.slots:
                    address += -address % 4
                moved = moved or item.address != address
                item.address = address
                if isinstance(item, _Piece):
                    size = len(item.data)
                    if item.moving:
                        self._make(item)
                    moved = moved or len(item.data) != size
                    address += len(item.data)
                elif isinstance(item, Pool):
                    address += 4 * len(item.slots)
            if address - base > MOST_BYTES:
                raise AsmError(self.items[0].statement.file, 0, f"more than {MOST_BYTES} bytes")
            if not moved:
                break
        else:
            raise AsmError(self.items[0].statement.file, 0, "the layout does not settle: a size depends on itself")
        for item in self.items:
            if isinstance(item, _Piece) and item.error:
                raise item.error

    def _make(self, piece: _Piece) -> None:
        """The bytes of a piece where it stands; an error that a later pass may cure is kept."""
        names, statement = self.names, piece.statement
        names.address, names.routine, names.statement, names.literals = piece.address, piece.routine, statement, piece.pool
        names.moving = False
        piece.error = None
        try:
            piece.data = self._bytes(piece, statement)
        except (Refused, ExprError) as problem:
            piece.error = statement.error(f"{statement.text!r}: {problem}")
            if not names.moving:
                raise piece.error from None
        piece.moving = names.moving

    def _bytes(self, piece: _Piece, statement: Statement) -> bytes:
        names = self.names
        if statement.text.startswith("."):
            word, _, rest = statement.text.partition(" ")
            names.moving = word == ".align"
            return data.make(word.lower(), rest.strip(), names, self.arch)
        if self.watch:
            self.watch(statement)
        piece.insn = self.engine.syntax.parse(statement.text, names, self.arch.word, self.engine.known)
        names.moving = names.moving or piece.insn.relative or piece.insn.target is not None
        if piece.address % self.arch.alignment:
            raise Refused(f"at {piece.address:#x} an instruction must be aligned: put .align {self.arch.alignment} before it")
        return self.engine.encode(piece.insn, piece.address)

    def finish(self, base: int) -> tuple[bytes, dict[int, Line], dict[int, Line]]:
        """The image, the lines of instructions and those of data."""
        image, lines, other = bytearray(), {}, {}
        for item in self.items:
            if isinstance(item, Mark):
                continue
            image += bytes(item.address - base - len(image))
            if isinstance(item, Pool):
                self._finish_pool(item, image, other)
            elif item.data:
                place = Line(item.statement.file, item.statement.line, item.statement.text)
                (lines if item.insn else other)[item.address] = place
                image += item.data
        return bytes(image), lines, other

    def _finish_pool(self, pool: Pool, image: bytearray, other: dict[int, Line]) -> None:
        for text, (slot, statement) in pool.slots.items():
            address = pool.address + 4 * slot
            self.names.routine = next(i.routine for i in self.items if isinstance(i, _Piece) and i.statement is statement)
            try:
                image += data.make(".word", text, self.names, self.arch)
            except (Refused, ExprError) as problem:
                raise statement.error(f"{statement.text!r}: {problem}") from None
            other[address] = Line(statement.file, statement.line, f".word {text}")

    def symbols(self, end: int) -> dict[str, Symbol]:
        """Global labels; each reaches to the next one, the last to ``end``."""
        found: dict[str, Symbol] = {}
        for item in reversed(self.items):
            if isinstance(item, Mark) and not item.name.startswith("."):
                start = item.address or 0
                found[item.name] = Symbol(item.name, start, end - start)
                end = start
        return dict(reversed(found.items()))


def assemble(
    statements: Sequence[Statement],
    arch: Arch,
    *,
    base: int,
    names: Mapping[str, int] | None = None,
    gates: Mapping[str, int] | None = None,
    watch: Callable[[Statement], None] | None = None,
) -> Program:
    """A program at ``base`` out of statements.

    ``names``: what names in operands stand for (offsets, sizes, constants). ``gates``: addresses outside, used
    as labels; the program carries them all. ``watch`` is called with each statement before Keystone sees it.
    Raises AsmError.
    """
    gates = gates or {}
    assembly = _Assembly(arch, Names(names or {}, gates), watch)
    assembly.collect(statements)
    assembly.lay_out(base)
    image, lines, other = assembly.finish(base)
    segment = Segment(base, image, len(image), writable=False, executable=True)
    return Program(arch.name, (segment,) if image else (), assembly.symbols(base + len(image)), dict(gates), lines, other)
