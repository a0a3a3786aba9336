"""The words a contract is written in: places, what is carried to them, and the moments they are judged at.

A contract is a function from an `Entry` (the state a routine is entered in) to an `Effect`: everything that
must be written, everything that may be, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from arch.golang import Era
from arch.habits import Habits
from arch.layout import Layout
from arch.model import Arch
from asm.program import Program


class Place(NamedTuple):
    """A register (by name) or ``size`` bytes of memory. ``name`` is how it is shown (``g.sched.sp``)."""

    name: str
    register: str | None = None
    address: int | None = None
    size: int = 0


class Carry(NamedTuple):
    """A value that must be at ``place`` when a moment comes; ``role`` and ``source`` say what it is.

    ``low`` <= value <= ``value`` is accepted when ``low`` is given (a depth that is the callee's choice);
    with ``mask`` only those bits count (flags). ``among``: the values that are legal, where there are several.
    """

    role: str
    source: str
    place: Place
    value: int
    low: int | None = None
    mask: int | None = None
    among: tuple[int, ...] = ()


class Span(NamedTuple):
    """Memory a routine may write besides what it must: ``size`` bytes from ``address``."""

    address: int
    size: int
    why: str


class Moment(NamedTuple):
    """A point where Python looks: control reaches ``stop``, and every carry holds there.

    ``stop``: a gate's name, ``trap`` (a system call), ``abort`` or ``fault:ADDRESS`` (hex). A gate that comes
    back has destroyed what its ABI lets it; ``spoils`` narrows that to some roles, for callees of a private ABI.
    One that does not (``comes_back``) leaves the CPU as the scene's ``meanwhile`` put it.
    """

    stop: str
    carries: tuple[Carry, ...] = ()
    spoils: tuple[str, ...] | None = None
    comes_back: bool = True


class Effect(NamedTuple):
    """The whole effect of a routine: its moments in order, and what it may write on the way.

    Memory places of the carries may be written too, whatever the moment. ``hole`` says why an outcome that
    nobody would want is nevertheless what this era does.
    """

    moments: tuple[Moment, ...]
    may_write: tuple[Span, ...] = ()
    hole: str = ""


_NOTHING: Mapping[str, int] = {}


class Entry(NamedTuple):
    """The state in which a routine is entered: registers, and memory through ``word``.

    ``answers``: what the kernel will answer to the traps on the way (signed). ``vfork_inputs``: words that this
    program's rawVforkSyscall takes.
    """

    arch: Arch
    era: Era
    habits: Habits
    layout: Layout
    program: Program
    registers: Mapping[str, int]
    word: Callable[[int], int]
    tls_base: int
    answers: tuple[int, ...] = ()
    vfork_inputs: int = 0
    facts: Mapping[str, int] = _NOTHING

    def role(self, role: str) -> int:
        """The register in ``role``."""
        return self.registers[self.arch.roles[role]]

    def has(self, name: str) -> bool:
        """Whether the layout has a field."""
        return name in self.layout

    # the call

    @property
    def sp(self) -> int:
        return self.role("sp")

    @property
    def return_pc(self) -> int:
        """Where the routine would return to."""
        return self.word(self.sp) if self.arch.call.return_on_stack else self.role("link")

    @property
    def caller_sp(self) -> int:
        """SP as the caller has it after the routine returned."""
        return self.sp + self.pushed

    @property
    def pushed(self) -> int:
        """Bytes that a call pushes."""
        return self.arch.word if self.arch.call.return_on_stack else 0

    def argument_at(self, index: int) -> int:
        """Address of a stack argument word, results counted on."""
        return self.sp + self.arch.call.first_argument + index * self.arch.word

    def internal(self, routine: str) -> bool:
        """Whether ``routine`` takes its arguments in registers."""
        return routine in self.era.internal.get(self.arch.name, ())

    def argument(self, routine: str, index: int) -> int:
        """An argument of ``routine``, wherever its ABI puts it."""
        if self.internal(routine):
            assert self.arch.internal is not None
            return self.registers[self.arch.internal.arguments[index]]
        return self.word(self.argument_at(index))

    # places

    def at(self, base: int, field: str, owner: str) -> Place:
        """A field of the struct at ``base``; ``field`` with its kind (``g.sched.sp``), ``owner`` is shown."""
        rest = field.split(".", 1)[1]
        return Place(f"{owner}.{rest}", address=base + self.layout[field], size=self.arch.word)

    def field(self, base: int, field: str) -> int:
        """The word in a field of the struct at ``base``."""
        return self.word(base + self.layout[field])

    def register(self, role: str) -> Place:
        """The register in ``role``, as a place."""
        return Place(role, register=self.arch.roles[role])

    @property
    def g_place(self) -> Place:
        """Where the thread keeps the running g."""
        if self.arch.tls.g_register:
            return Place("g", register=self.arch.tls.g_register)
        offset = (len(self.era.tls_slots) - self.era.tls_slots.index("g")) * self.arch.word
        return Place("TLS.g", address=self.tls_base - offset, size=self.arch.word)

    @property
    def g_mirror(self) -> Place | None:
        """The register that repeats g under the register ABI, where the era uses it."""
        if self.arch.internal is None or not self.era.internal.get(self.arch.name):
            return None
        return Place("g register", register=self.arch.internal.g)

    @property
    def g(self) -> int:
        """The running g."""
        place = self.g_place
        if place.register:
            return self.registers[place.register]
        assert place.address is not None
        return self.word(place.address)

    @property
    def m(self) -> int:
        """The thread's m: from its own slot, or through g."""
        tls = self.arch.tls
        if "m" not in self.era.tls_slots:
            return self.field(self.g, "g.m")
        if tls.m_register:
            return self.registers[tls.m_register]
        return self.word(self.tls_base - self.arch.word)

    @property
    def g0(self) -> int:
        """The g of the thread's scheduler stack."""
        return self.field(self.m, "m.g0")

    @property
    def g0_sp(self) -> int:
        """Where every switch to g0 starts."""
        return self.field(self.g0, "g.sched.sp")


def carry(role: str, source: str, place: Place, value: int) -> Carry:
    """A plain carry; short for the contracts' sake."""
    return Carry(role, source, place, value)


def mirrored(entry: Entry, g: int, source: str) -> list[Carry]:
    """Under cgo, where g lives in a register, a word of the thread repeats it."""
    if not entry.facts.get("cgo") or entry.habits.cgo != "mirror":
        return []
    place = Place("TLS mirror of g", address=entry.facts["cgo"], size=entry.arch.word)
    return [carry("g under cgo", source, place, g)]
