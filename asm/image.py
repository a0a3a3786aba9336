"""Laying out statements: labels, data, pools and instructions get their addresses, until nothing moves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from arch.model import Arch
from asm import data
from asm.expr import ExprError
from asm.isa import Isa
from asm.names import Mark, Names, Pool
from asm.operands import Instruction, Refused
from asm.program import Line, Symbol
from asm.statement import NAME, AsmError, Statement

MOST_PASSES = 50
MOST_BYTES = 16 << 20

_SET = re.compile(rf"\.set\s+({NAME})\s*,\s*(.+)", re.IGNORECASE)


class Piece:
    """A statement that makes bytes, with the routine and the pool it belongs to."""

    __slots__ = ("address", "data", "error", "insn", "moving", "pool", "routine", "statement")

    def __init__(self, statement: Statement, routine: str, pool: Pool) -> None:
        self.statement, self.routine, self.pool = statement, routine, pool
        self.address = -1
        self.data = b""
        self.moving = True
        self.insn: Instruction | None = None
        self.error: AsmError | None = None


class Image:
    """Collects pieces, labels and pools, then lays them out.

    ``encode`` gives the bytes of an instruction at an address, or raises Refused. ``watch`` sees each
    statement before that.
    """

    def __init__(
        self,
        arch: Arch,
        isa: Isa,
        names: Names,
        encode: Callable[[Instruction, int], bytes],
        watch: Callable[[Statement], None],
    ) -> None:
        self.arch, self.isa, self.names, self.encode, self.watch = arch, isa, names, encode, watch
        self.items: list[Piece | Mark | Pool] = []
        self.end = 0

    def collect(self, statements: Sequence[Statement]) -> None:
        """Labels, constants and pieces in order. AsmError for names that clash."""
        names, registers = self.names, self.isa.registers
        pool: Pool | None = None
        for statement in statements:
            text = statement.text
            word = text.split(None, 1)[0].lower() if text.startswith(".") else ""
            routine_starts = text.endswith(":") and not word
            if pool is None:
                pool = Pool(statement)
            if routine_starts or word in (".pool", ".ltorg"):
                self.items.append(pool)
                pool = Pool(statement)
            if text.endswith(":"):
                self.items.append(names.define(text[:-1], statement, registers))
            elif word == ".set":
                match = _SET.fullmatch(text)
                if not match:
                    raise statement.error("write: .set NAME, EXPRESSION")
                names.constant(match.group(1), match.group(2), statement, registers)
            elif word not in (".pool", ".ltorg"):
                self.items.append(Piece(statement, names.routine, pool))
        if pool is not None:
            self.items.append(pool)

    def lay_out(self, base: int) -> None:
        """Give every item its address and bytes. AsmError for the first statement that has none."""
        for _ in range(MOST_PASSES):
            if not self._pass(base):
                break
            if self.end - base > MOST_BYTES or self.end > 1 << self.arch.bits:
                raise AsmError(self.items[0].statement.file, 0, f"{self.end - base} bytes at {base:#x} are too many")
        else:
            raise AsmError(self.items[0].statement.file, 0, "the layout does not settle: a size depends on itself")
        for item in self.items:
            if isinstance(item, Piece) and item.error:
                raise item.error
        self._refuse_running_into_pools()

    def _pass(self, base: int) -> bool:
        """Place every item once; whether anything moved."""
        address, moved = base, False
        for item in self.items:
            if isinstance(item, Pool) and item.slots:
                address += -address % 4
            moved = moved or item.address != address
            item.address = address
            if isinstance(item, Piece):
                size = len(item.data)
                if item.moving:
                    self._make(item)
                moved = moved or len(item.data) != size
                address += len(item.data)
            elif isinstance(item, Pool):
                address += 4 * len(item.slots)
        self.end = address
        return moved

    def _make(self, piece: Piece) -> None:
        """The bytes of a piece where it stands; an error that a later pass may cure is kept."""
        names, statement = self.names, piece.statement
        names.stand(piece.address, piece.routine, statement, piece.pool)
        piece.error = None
        try:
            piece.data = self._data(piece) if statement.text.startswith(".") else self._instruction(piece)
        except (Refused, ExprError) as problem:
            piece.error = statement.error(f"{statement.text!r}: {problem}")
            if not names.moving:
                raise piece.error from None
        piece.moving = names.moving

    def _data(self, piece: Piece) -> bytes:
        word, _, rest = piece.statement.text.replace("\t", " ").partition(" ")
        self.names.moving = word.lower() == ".align"
        return data.make(word.lower(), rest.strip(), self.names, self.arch)

    def _instruction(self, piece: Piece) -> bytes:
        self.watch(piece.statement)
        insn = piece.insn = self.isa.parse(piece.statement.text, self.names)
        if insn.relative or insn.reach:
            self.names.moving = True
        if piece.address % self.arch.alignment:
            self.names.moving = True
            raise Refused(f"an instruction at {piece.address:#x}: put .align {self.arch.alignment} before it")
        code = self.encode(insn, piece.address)
        if insn.relative and len(code) < len(piece.data):  # shrinking again, it might grow and shrink for ever
            code = self.encode(self.isa.wide(insn, piece.address), piece.address)
        return code

    def _refuse_running_into_pools(self) -> None:
        """A routine that falls into its pool would execute the numbers."""
        last: Piece | None = None
        for item in self.items:
            if isinstance(item, Piece) and item.data:
                last = item
            elif isinstance(item, Pool) and item.slots and last and last.insn and not last.insn.ends:
                raise last.statement.error(
                    f"{last.statement.text!r}: the literal pool follows and would be executed; "
                    "end the routine with a branch or place .pool elsewhere"
                )

    def finish(self, base: int) -> tuple[bytes, dict[int, Line], dict[int, Line]]:
        """The bytes, the lines of instructions, and those of data."""
        image = bytearray()
        lines: dict[int, Line] = {}
        other: dict[int, Line] = {}
        for item in self.items:
            if isinstance(item, Pool) and item.slots:
                image += bytes(-(base + len(image)) % 4)
                self._finish_pool(item, image, other)
            elif isinstance(item, Piece) and item.data:
                where = Line(item.statement.file, item.statement.line, item.statement.text)
                (lines if item.insn else other)[item.address] = where
                image += item.data
        return bytes(image), lines, other

    def _finish_pool(self, pool: Pool, image: bytearray, other: dict[int, Line]) -> None:
        for text, (slot, statement, routine) in pool.slots.items():
            address = pool.address + 4 * slot
            self.names.stand(address, routine, statement, pool)
            try:
                image += data.make(".word", text, self.names, self.arch)
            except (Refused, ExprError) as problem:
                raise statement.error(f"{statement.text!r}: {problem}") from None
            other[address] = Line(statement.file, statement.line, f".word {text}")

    def symbols(self) -> dict[str, Symbol]:
        """Global labels; each reaches to the next one, the last to the end."""
        found: dict[str, Symbol] = {}
        end = self.end
        for item in reversed(self.items):
            if isinstance(item, Mark) and not item.name.startswith("."):
                start = item.address or 0
                found[item.name] = Symbol(item.name, start, end - start)
                end = start
        return dict(reversed(found.items()))
