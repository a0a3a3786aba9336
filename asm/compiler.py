"""A small compiler for guests: functions with named locals, which it puts into as few slots as it can.

    noinline func twice(n) (sum):
        half = n            # n and sum are words of the caller's frame, half one of this function's
        sum, _ = add(half, n)

Statements, one a line: ``x = a``, ``x = a + b`` (b a local or a constant), ``x, y = f(a, b)``, ``if a goto .label``,
``unless a goto .label``, ``goto .label``, ``.label:``, ``return``, ``var x[bytes]``. Operands: names of locals,
arguments or results; ``&x``, the address of a local; ``x[i]``, its i-th C int; anything else is a constant.

As a compiler that knows nothing of system calls that return twice, it follows the flow of control: a local has a
slot from where it is set to its last use, and whoever comes later may have the slot. ``reuse`` off gives every local a
slot of its own. A function that is called from one place is merged into its caller, unless it is ``noinline`` or the
text's first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from arch.model import Arch
from asm.guests import Function
from asm.statement import AsmError

_HEAD = re.compile(r"((?:(?:noinline|nosplit)\s+)*)func (\w+)\(([\w, ]*)\)(?:\s+\(([\w, ]*)\))?:")
_OPERAND = r"(?:-?\d\w*|&?[A-Za-z_][\w.]*(?:\[\d+\])?)"
_FORMS = {
    "label": re.compile(r"(?P<label>\.\w+):"),
    "goto": re.compile(r"goto (?P<label>\.\w+)"),
    "if": re.compile(rf"if (?P<a>{_OPERAND}) goto (?P<label>\.\w+)"),
    "unless": re.compile(rf"unless (?P<a>{_OPERAND}) goto (?P<label>\.\w+)"),
    "return": re.compile(r"return"),
    "var": re.compile(r"var (?P<x>\w+)\[(?P<a>\d+)\]"),
    "call": re.compile(rf"(?:(?P<x>[\w, ]+?)\s*=\s*)?(?P<label>[A-Za-z_]\w*)\((?P<a>{_OPERAND}(?:, *{_OPERAND})*)?\)"),
    "plus": re.compile(rf"(?P<x>\w+)\s*=\s*(?P<a>{_OPERAND})\s*\+\s*(?P<b>{_OPERAND})"),
    "set": re.compile(rf"(?P<x>\w+)\s*=\s*(?P<a>{_OPERAND})"),
}
_JUMPS = ("goto", "if", "unless")
_BASE = re.compile(r"&?([A-Za-z_][\w.]*)(?:\[\d+\])?")


@dataclass(frozen=True)
class _Op:
    """One statement: what it sets, its operands, and the label or function that it names."""

    kind: str
    sets: tuple[str, ...] = ()
    operands: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class _Source:
    """A function. ``words``: arguments and results, which are words of its caller's frame. ``sizes``: of locals that
    are declared, in bytes."""

    name: str
    marks: frozenset[str]
    arguments: tuple[str, ...]
    results: tuple[str, ...]
    ops: tuple[_Op, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        return self.arguments + self.results


def compile_text(text: str, arch: Arch, *, reuse: bool = True) -> tuple[Function, ...]:
    """The functions of a text, for `asm.guests.build`. Raises AsmError for what is no statement."""
    sources = {source.name: source for source in _parse(text)}
    for name in _merged(sources):
        callee = sources.pop(name)
        sources = {n: _inlined(s, callee) if name in _called(s) else s for n, s in sources.items()}
    return tuple(_Frame(source, arch, reuse).function() for source in sources.values())


# reading


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _parse(text: str) -> Iterator[_Source]:
    current: _Source | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if head := _HEAD.fullmatch(line):
            if current is not None:
                yield current
            marks, name, arguments, results = head.groups()
            current = _Source(name, frozenset(marks.split()), _names(arguments), _names(results), ())
        elif line:
            op = _statement(line)
            if op is None or current is None:
                raise AsmError("guest", number, f"this is no statement: {line}")
            if op.kind == "var":
                current = replace(current, sizes={**current.sizes, op.sets[0]: int(op.operands[0])})
            else:
                current = replace(current, ops=(*current.ops, op))
    if current is not None:
        yield current


def _statement(line: str) -> _Op | None:
    for kind, form in _FORMS.items():
        if match := form.fullmatch(line):
            found = match.groupdict()
            if kind == "return":
                return _Op("goto", label=".return")
            operands = _names(found.get("a")) + _names(found.get("b"))
            return _Op(kind, _names(found.get("x")), operands, found.get("label") or "")
    return None


# merging


def _merged(sources: Mapping[str, _Source]) -> list[str]:
    """The functions that are called from one place, and that nothing keeps whole."""
    first = next(iter(sources), "")
    calls = [name for source in sources.values() for name in _called(source)]
    return [
        name for name, source in sources.items()
        if calls.count(name) == 1 and "noinline" not in source.marks and name not in (first, *_called(source))
    ]


def _called(source: _Source) -> list[str]:
    return [op.label for op in source.ops if op.kind == "call"]


def _inlined(caller: _Source, callee: _Source) -> _Source:
    sizes = {f"{callee.name}.{local}": size for local, size in callee.sizes.items()}
    return replace(caller, ops=tuple(_inline(caller.ops, callee)), sizes={**caller.sizes, **sizes})


def _inline(ops: Iterable[_Op], callee: _Source) -> Iterator[_Op]:
    """``ops`` with the callee's own in the place of its call; what was its own is then named CALLEE.NAME."""
    mine = {*callee.words, *callee.sizes, *(name for op in callee.ops for name in op.sets)} - {"_"}

    def own(operand: str) -> str:
        match = _BASE.fullmatch(operand)
        return operand.replace(match[1], f"{callee.name}.{match[1]}") if match and match[1] in mine else operand

    for op in ops:
        if op.kind != "call" or op.label != callee.name:
            yield op
            continue
        if len(op.operands) != len(callee.arguments) or len(op.sets) not in (0, len(callee.results)):
            raise AsmError(callee.name, 0, f"called with {len(op.operands)} arguments for {len(op.sets)} results")
        for name, operand in zip(callee.arguments, op.operands, strict=True):
            yield _Op("set", (own(name),), (operand,))
        for inner in callee.ops:
            label = inner.label if inner.kind == "call" else inner.label and f".{callee.name}_{inner.label[1:]}"
            yield _Op(inner.kind, tuple(map(own, inner.sets)), tuple(map(own, inner.operands)), label)
        yield _Op("label", label=f".{callee.name}_return")
        for name, result in zip(op.sets, callee.results, strict=False):
            if name != "_":
                yield _Op("set", (name,), (own(result),))


# slots


class _Frame:
    """The frame of one function: which of its locals has which slot, and the words that its statements become."""

    def __init__(self, source: _Source, arch: Arch, reuse: bool) -> None:
        self._source, self._arch = source, arch
        self._ops = (*source.ops, _Op("label", label=".return"))
        named = dict.fromkeys(name for op in self._ops for name in op.sets if name not in (*source.words, "_"))
        self.locals = [*source.sizes, *(name for name in named if name not in source.sizes)]
        self._outgoing = max((len(op.operands) + len(op.sets) for op in self._ops if op.kind == "call"), default=0)
        self.slots = self._allot(self._conflicts() if reuse else None)

    def _local(self, operand: str) -> str | None:
        match = _BASE.fullmatch(operand)
        return match[1] if match and match[1] in self.locals else None

    def _pinned(self) -> set[str]:
        """The locals whose address is taken: nobody knows when they are last used."""
        taken = {name for op in self._ops for o in op.operands if o[0] == "&" and (name := self._local(o))}
        return taken | set(self._source.sizes)

    def _live(self) -> list[set[str]]:
        """For each statement the locals whose value is needed after it."""
        labels = {op.label: index for index, op in enumerate(self._ops) if op.kind == "label"}
        for op in self._ops:
            if op.kind in _JUMPS and op.label not in labels:
                raise AsmError(self._source.name, 0, f"there is no label {op.label}")
        after: list[set[str]] = [set() for _ in self._ops]
        before: list[set[str]] = [set() for _ in (*self._ops, None)]
        changed = True
        while changed:
            changed = False
            for index in reversed(range(len(self._ops))):
                op = self._ops[index]
                after[index] = set() if op.kind == "goto" else set(before[index + 1])
                if op.kind in _JUMPS:
                    after[index] |= before[labels[op.label]]
                uses = {name for operand in op.operands if (name := self._local(operand))}
                needed = after[index] - set(op.sets) | uses
                changed, before[index] = changed or needed != before[index], needed
        return after

    def _conflicts(self) -> dict[str, set[str]]:
        """local -> those that must not have its slot."""
        pinned = self._pinned()
        found = {name: set(self.locals if name in pinned else pinned) for name in self.locals}
        for op, live in zip(self._ops, self._live(), strict=True):
            for name in op.sets:
                for other in (live | set(op.sets)) & found.keys() if name in found else ():
                    found[name].add(other)
                    found[other].add(name)
        return found

    def _allot(self, conflicts: Mapping[str, set[str]] | None) -> dict[str, int]:
        """Each local's first slot: the lowest that no local has with which it is in conflict."""
        found: dict[str, int] = {}
        for name in self.locals:
            others = found if conflicts is None else [other for other in found if other in conflicts[name]]
            taken = {slot for other in others for slot in self._range(other, found[other])}
            found[name] = next(
                slot for slot in range(self._outgoing, self._outgoing + 1000) if not taken & {*self._range(name, slot)}
            )
        return found

    def _range(self, name: str, slot: int) -> range:
        return range(slot, slot + -(-self._source.sizes.get(name, 1) // self._arch.word))

    # words

    def function(self) -> Function:
        """The function in the words of the guests."""
        source = self._source
        body = [line for index, op in enumerate(self._ops) for line in self._words(op, index)]
        size = max([self._outgoing, *(r.stop for r in (self._range(n, s) for n, s in self.slots.items()))])
        return Function(
            source.name, "\n".join(body), len(source.words), size, nosplit="nosplit" in source.marks,
            locals=tuple(self.slots.items()),
        )

    def _load(self, operand: str) -> str:
        name = self._local(operand)
        if operand in self._source.words:
            return f"argument {self._source.words.index(operand)}"
        if name is None:
            return f"constant {operand}"
        if operand[0] == "&":
            return f"address {self.slots[name]}"
        if "[" in operand:
            return f"address {self.slots[name]}; int_at {4 * int(operand.partition('[')[2][:-1])}"
        return f"get {self.slots[name]}"

    def _store(self, name: str) -> str:
        words = self._source.words
        return f"set_argument {words.index(name)}" if name in words else f"put {self.slots[name]}"

    def _words(self, op: _Op, index: int) -> Sequence[str]:
        if op.kind == "label":
            return [f"{op.label}:"]
        if op.kind == "goto":
            return [f"goto {op.label}"]
        if op.kind == "unless":
            return [f"{self._load(op.operands[0])}; if_zero {op.label}"]
        if op.kind == "if":
            return [f"{self._load(op.operands[0])}; if_zero .on{index}; goto {op.label}", f".on{index}:"]
        if op.kind == "call":
            passed = [f"{self._load(operand)}; put {slot}" for slot, operand in enumerate(op.operands)]
            results = enumerate(op.sets, len(op.operands))
            taken = [f"get {slot}; {self._store(name)}" for slot, name in results if name != "_"]
            return [*passed, f"invoke {op.label}", *taken]
        added = []
        if op.kind == "plus":
            other = self._local(op.operands[1])
            added = [f"plus {self.slots[other]}" if other else f"plus_constant {op.operands[1]}"]
        return ["; ".join([self._load(op.operands[0]), *added, self._store(op.sets[0])])]
