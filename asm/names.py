"""Names of one assembly: labels, ``.set`` constants, gates, and what the caller gives."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from asm import expr
from asm.expr import ExprError
from asm.statement import Statement


class Mark:
    """A label. ``address`` is None until the first layout has come by."""

    __slots__ = ("address", "name", "statement")

    def __init__(self, name: str, statement: Statement) -> None:
        self.name, self.statement = name, statement
        self.address: int | None = None


class Pool:
    """Words that ``ldr rX, =EXPR`` loads; equal expressions share one."""

    __slots__ = ("address", "slots", "statement")

    def __init__(self, statement: Statement) -> None:
        self.statement, self.address = statement, 0
        self.slots: dict[str, tuple[int, Statement, str]] = {}
        """Expression -> (number of its word, the statement that first asked for it, that one's routine)."""


class Names:
    """Resolves names for the statement that is being assembled.

    The layout calls `stand` before each statement; ``moving`` then tells whether an address was asked for
    that the layout may still move.
    """

    def __init__(self, given: Mapping[str, int], gates: Mapping[str, int]) -> None:
        self.given, self.gates = given, gates
        self.marks: dict[str, Mark] = {}
        self.sets: dict[str, tuple[Statement, str, str]] = {}
        self.routine = ""
        self.address = 0
        self.statement: Statement | None = None
        self.literals: Pool | None = None
        self.moving = False
        self._open: list[str] = []

    def stand(self, address: int, routine: str, statement: Statement, literals: Pool) -> None:
        """What follows is resolved for this statement, at this address."""
        self.address, self.routine, self.statement, self.literals = address, routine, statement, literals
        self.moving = False

    def define(self, name: str, statement: Statement, reserved: Iterable[str]) -> Mark:
        """A new label; AsmError if the name is taken."""
        key = self.routine + name if name.startswith(".") else name
        self._refuse_taken(key, name, statement, reserved)
        if not name.startswith("."):
            self.routine = name
        mark = self.marks[key] = Mark(name, statement)
        return mark

    def constant(self, name: str, text: str, statement: Statement, reserved: Iterable[str]) -> None:
        """``.set name, text``; saying the same twice is allowed."""
        if name in self.sets and self.sets[name][1] == text:
            return
        self._refuse_taken(name, name, statement, reserved)
        self.sets[name] = (statement, text, self.routine)

    def _refuse_taken(self, key: str, name: str, statement: Statement, reserved: Iterable[str]) -> None:
        first = self.marks[key].statement if key in self.marks else self.sets[key][0] if key in self.sets else None
        if first:
            raise statement.error(f"{name} is already defined at {first.file}:{first.line}")
        if key in self.gates:
            raise statement.error(f"{name} is a gate and cannot be defined here")
        if key in self.given:
            raise statement.error(f"{name} is a layout name or constant and cannot be defined here")
        if name.lower() in reserved:
            raise statement.error(f"{name} is a register and cannot be a name")

    def value(self, text: str) -> int:
        """The value of an expression. ExprError if it has none."""
        return expr.evaluate(expr.parse(text), self.lookup)

    def lookup(self, name: str) -> int:
        """The value of a name. ExprError, with the nearest names there are, if it has none."""
        mark = self.marks.get(self.routine + name if name[0] == "." else name)
        if mark:
            self.moving = True
            return self.address if mark.address is None else mark.address
        if name in self.sets:
            return self._constant(name)
        if name in self.gates:
            return self.gates[name]
        if name in self.given:
            return self.given[name]
        raise ExprError(f"there is no name {name}{self._nearest(name)}")

    def _constant(self, name: str) -> int:
        if name in self._open:
            raise ExprError(f"{name} is defined by itself")
        _, text, routine = self.sets[name]
        here, self.routine = self.routine, routine
        self._open.append(name)
        try:
            return self.value(text)
        finally:
            self._open.pop()
            self.routine = here

    def _nearest(self, name: str) -> str:
        local = self.routine + "."
        known = [*self.sets, *self.gates, *self.given, *(k for k in self.marks if "." not in k)]
        known += [k[len(self.routine) :] for k in self.marks if k.startswith(local)]
        close = difflib.get_close_matches(name, known, 3, 0.6)
        return f"; did you mean {' or '.join(close)}?" if close else ""

    def weight(self, name: str) -> int:
        """1 if the name is an address (a label or a gate), else 0."""
        if (self.routine + name if name[0] == "." else name) in self.marks or name in self.gates:
            return 1
        if name in self.sets and name not in self._open:
            self._open.append(name)
            try:
                return expr.weight(expr.parse(self.sets[name][1]), self.weight)
            finally:
                self._open.pop()
        return 0

    def pool(self, text: str) -> int:
        """The address of the literal pool's word that holds an expression."""
        if self.literals is None or self.statement is None:
            raise ExprError("a literal needs a pool")
        self.moving = True
        slots = self.literals.slots
        return self.literals.address + 4 * slots.setdefault(text, (len(slots), self.statement, self.routine))[0]
