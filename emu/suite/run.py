"""One call and what came of it, and the words for what must hold: `returned`, `carried`, `unchanged`, `writes_only`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from emu.contracts.effect import Carry, Effect, Moment, Place, Span
from emu.contracts.judge import Check, judge_moment, name_of, nothing_else
from emu.errors import BadInput
from emu.machine import Stop
from emu.suite import stack
from emu.suite.normal import Record, lines
from emu.suite.report import explain

if TYPE_CHECKING:
    from emu.suite.bench import Bench

STEPS = 100_000  # budget of one call, in instructions
_TROUBLE = ("fault", "trap", "budget")
_WORDS = {"trap": "a breakpoint", "budget": "the end of the budget", "syscall": "a system call", "fault": "a fault"}
Value = int | str | range


class Entry(NamedTuple):
    """The state right before the first instruction of a call. ``caller_sp``: SP as the caller has it afterwards."""

    registers: Mapping[str, int]
    floats: Mapping[str, int]
    data: Mapping[str, bytes]
    caller_sp: int


class Run:
    """A call, from its entry to where it has come. The methods that say what must hold raise AssertionError.

    ``routine``: what was called. ``caller``: the gate that it returns to. ``entry``: the state before it.
    ``stop``: where it is: the name of a gate (its caller's or another), ``syscall``, ``trap`` (a breakpoint),
    ``fault`` or ``budget``.
    """

    def __init__(self, bench: Bench, routine: str, arguments: Sequence[int | str], caller: str) -> None:
        self.bench, self.routine, self.caller = bench, routine, caller
        self._arguments = arguments
        process, arch = bench.process, bench.arch
        registers = process.machine.registers()
        floats = {name: process.machine.vector(name) for name in arch.c.kept_floats}
        data = {name: process.machine.read(region.address, region.size) for name, region in bench.data.items()}
        pushed = arch.word if arch.call.return_on_stack else 0
        self.entry = Entry(registers, floats, data, registers[arch.roles["sp"]] + pushed)
        recorder = process.machine.recorder
        recorder.clear()
        recorder.rows_wanted = recorder.reads_wanted = True
        self._after: dict[int, Mapping[str, int]] = {}
        self._notes: dict[int, list[str]] = {}
        self._passed: list[Check] = []
        self._accepted = False  # that the run is where it is
        self.stop, self._why = "", Stop("budget", 0)

    # running

    def advance(self, steps: int) -> Run:
        """Run on for at most ``steps`` instructions, Python's gates answered on the way."""
        recorder = self.bench.process.machine.recorder
        end = recorder.steps + steps
        while True:
            self._why = self.bench.process.run(end - recorder.steps)
            self.stop = name_of(self.bench, self._why) if self._why.kind == "exit" else self._why.kind
            self._after[recorder.steps - 1] = self.bench.process.machine.registers()
            function = self.bench.outside.get(self.stop)
            if function is None:
                break
            self._answer(function)
        self._note(self._ending())
        self.bench.closed(self.stop)
        self.record = Record.of(self.bench.process, self._after, self._notes)
        self.steps = len(self.record.rows)
        return self

    def _answer(self, function: Callable[..., int | None]) -> None:
        """Let Python's function do its part; what C lets a callee destroy is destroyed."""
        self._passed += self._aligned()
        arguments = [self.bench.argument(index) for index in range(len(inspect.signature(function).parameters))]
        result = function(*arguments)
        words = ", ".join(self.bench.namer.value(argument) for argument in arguments)
        answer = "" if result is None else f" = {self.bench.namer.value(result & self.bench.arch.mask)}"
        self._note(f"{self.stop}({words}){answer}")
        self._come_back(result)

    def _come_back(self, result: int | None) -> None:
        arch, process = self.bench.arch, self.bench.process
        process.return_from_call({*arch.c.kept})
        if result is not None:
            process.set_role("result", result)

    def go_on(self, result: int | None = None, *, steps: int = STEPS) -> Run:
        """Return from the gate that the run is at, or answer the system call; then run on."""
        self._refuse_old()
        if self.stop == "syscall":
            self.bench.process.answer(result or 0)
        elif self._why.kind == "exit":
            self._come_back(result)
        else:
            raise BadInput(f"{self.routine} is at {self._place()}: there is no going on")
        return self.advance(steps)

    def _note(self, text: str) -> None:
        self._notes.setdefault(self.bench.process.machine.recorder.steps - 1, []).append(text)

    def _ending(self) -> str:
        sp = self.bench.process.role("sp")
        return f"{self._place()}, sp {self.bench.namer.place(sp)}"

    def _place(self) -> str:
        """Where the run is, in words."""
        if self._why.kind == "exit":
            return self.stop
        behind = self._why.kind in ("trap", "syscall")  # PC has moved on
        at = self.bench.program.describe(self._last_pc() if behind else self._why.pc)
        if self._why.kind == "fault" and self._why.address is not None:
            return f"a fault in {at}: {self._why.access} of {self.bench.describe(self._why.address)}"
        return f"{_WORDS[self._why.kind]} at {at}"

    def _last_pc(self) -> int:
        arch = self.bench.arch
        pc: int = self.bench.process.machine.recorder.rows[-1][arch.registers.index(arch.roles["pc"])]
        return pc

    # what must hold

    def reached(self, name: str) -> Run:
        """Control is at the gate ``name``, with SP as C wants it at the entry of a function; or in this trouble."""
        __tracebackhide__ = True
        self._stands_at(name)
        return self._hold(self._aligned() if name in self.bench.outside else ())

    def returned(self, call: Run | None = None, *, floats: bool = True) -> Run:
        """``call`` (this one by default) has come back: SP, and the registers that C keeps, are as they were.

        ``floats``: floating-point registers and control words, too.
        """
        __tracebackhide__ = True
        call = call or self
        self._stands_at(call.caller)
        sp = self.bench.arch.roles["sp"]
        what = "SP before the call"
        return self._hold(self._judged([
            Carry("SP", what, Place(sp, sp), call.entry.caller_sp), *call.kept("kept"),
            *(call.kept("floats") if floats else ()),
        ]))

    def carried(self, words: Mapping[int | str, Value] | None = None, /, **values: Value) -> Run:
        """Each register (by role or name) or datum holds its value; ``words``: the same for addresses or data.

        A value is a number, a name (its address; of a stack: SP anywhere on it), or a range.
        """
        __tracebackhide__ = True
        wanted = [*(words or {}).items(), *values.items()]
        return self._hold(self._judged([self._carry(place, value) for place, value in wanted]))

    def unchanged(self, *names: str) -> Run:
        """Registers (by role or name), data, ``guard``, ``kept`` and ``floats`` (what C keeps) are as at the entry."""
        __tracebackhide__ = True
        return self._hold(self._judged([carry for name in names for carry in self.kept(name)]))

    def writes_only(self, *places: str | range) -> Run:
        """Nothing else was written than these data and stacks, or ranges of addresses (see `frame`)."""
        __tracebackhide__ = True
        return self._hold([nothing_else(self.bench, Effect((), tuple(self._span(place) for place in places)))])

    def stacks(self, *names: str) -> Run:
        """SP was on these stacks, in this order, and never anywhere else."""
        __tracebackhide__ = True
        return self._hold([stack.visits(self.bench, self.record, names)])

    def signal_safe(self) -> Run:
        """A signal handler on the stack that SP is on destroys nothing: what lies below SP is not used."""
        __tracebackhide__ = True
        return self._hold([stack.below_sp(self.bench, self.record)])

    # evidence

    @property
    def sp_low(self) -> dict[str, int]:
        """Stack -> the lowest SP on it, for the stacks that SP was on."""
        return stack.lowest(self.bench, self.record)

    def frame(self, words: int) -> range:
        """So many words below SP at the entry: where the call may push."""
        sp = self.entry.registers[self.bench.arch.roles["sp"]]
        return range(sp - words * self.bench.arch.word, sp)

    def kept(self, name: str) -> list[Carry]:
        """What must stay for ``name`` (as in `unchanged`) to be as at the entry of this call."""
        arch, source = self.bench.arch, f"at the entry of {self.routine}"
        if name == "kept":
            return [carry for register in arch.c.kept for carry in self.kept(register)]
        if name == "floats":
            return [
                Carry(register, source, Place(register, register), self.entry.floats[register], mask=mask)
                for register, mask in arch.c.kept_floats.items()
            ]
        register = arch.roles.get(name, name)
        if register in self.entry.registers:
            return [Carry(name, source, Place(name, register), self.entry.registers[register])]
        return [
            Carry(name, source, Place(self.bench.describe(at), None, at, arch.word), value)
            for at, value in self._words_of(name)
        ]

    def text(self) -> str:
        """The run as normalised text, for goldens."""
        name = self.bench.namer.value
        words = ", ".join(value if isinstance(value, str) else name(value) for value in self._arguments)
        head = f"-- {self.routine}({words}), sp {self.bench.namer.place(self.entry.caller_sp)}"
        return "\n".join([head, *self.lines(range(-1, self.steps))]) + "\n"

    def lines(self, steps: range) -> Iterator[str]:
        """The normalised text of some steps."""
        return lines(self.bench.arch, self.bench.program, self.bench.namer, self.record, steps)

    # judging

    def _refuse_old(self) -> None:
        if self.bench.run is not self:
            raise BadInput(f"another call was made since {self.routine}: say what must hold before the next call")

    def _stands_at(self, name: str) -> None:
        __tracebackhide__ = True
        self._refuse_old()
        if self.stop != name:
            failed = Check(f"reaches {name}", False, name, self._place(), self.steps, "control")
            raise AssertionError(explain(self, [failed], 1))
        self._accepted = True

    def _hold(self, checks: Sequence[Check]) -> Run:
        """Raise AssertionError if a check failed, now or at a gate on the way; or if the run is in unasked trouble."""
        __tracebackhide__ = True
        self._refuse_old()
        if self._why.kind in _TROUBLE and not self._accepted:
            self._stands_at(self.caller)
        checks = [*self._passed, *checks]
        self._passed = []
        failed = [check for check in checks if not check.ok]
        if failed:
            raise AssertionError(explain(self, failed, len(checks)))
        return self

    def _judged(self, carries: Sequence[Carry]) -> list[Check]:
        return list(judge_moment(self.bench, Moment(self.stop, tuple(carries)), self.steps))

    def _aligned(self) -> list[Check]:
        """SP at the entry of a C function: what is left of the alignment once a return PC is pushed."""
        arch = self.bench.arch
        sp, bits = arch.roles["sp"], arch.c.alignment - 1
        rest = -arch.word & bits if arch.call.return_on_stack else 0
        carry = Carry("alignment", "C convention", Place(f"{sp} mod {arch.c.alignment}", sp), rest, mask=bits)
        step = self.bench.process.machine.recorder.steps
        return list(judge_moment(self.bench, Moment(self.stop, (carry,)), step))

    def _carry(self, place: int | str, value: Value) -> Carry:
        arch = self.bench.arch
        low: int | None = None
        if isinstance(value, str) and value in self.bench.stacks:
            region = self.bench.stacks[value]
            value = range(region.address, region.end + 1)
        if isinstance(value, range):
            low, value = value[0], value[-1]
        wanted = self.bench.address(value) & arch.mask
        register = arch.roles.get(place, place) if isinstance(place, str) else ""
        if register in arch.registers or register in arch.c.kept_floats:
            return Carry(str(place), "", Place(str(place), register), wanted, low)
        at = self.bench.address(place)
        return Carry(self.bench.describe(at), "", Place(self.bench.describe(at), None, at, arch.word), wanted, low)

    def _words_of(self, name: str) -> Iterator[tuple[int, int]]:
        """Address and value at the entry of each word of a datum."""
        word = self.bench.arch.word
        name = self.bench.guard if name == "guard" and self.bench.guard else name
        if name not in self.bench.data:
            known = ", ".join([*self.bench.arch.roles, "kept", "floats", *self.bench.data])
            raise BadInput(f"{name!r} is no register and no datum; there are {known}")
        for offset in range(0, self.bench.data[name].size, word):
            value = self.bench.arch.unpack(self.entry.data[name][offset : offset + word])
            yield self.bench.data[name].address + offset, value

    def _span(self, place: str | range) -> Span:
        if isinstance(place, range):
            return Span(place.start, len(place), "given")
        name = self.bench.guard if place == "guard" and self.bench.guard else place
        region = self.bench.data.get(name) or self.bench.stacks.get(name)
        if region is None:
            raise BadInput(f"{name!r} is no datum and no stack")
        return Span(region.address, region.size, name)
