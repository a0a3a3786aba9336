"""Names by role for what a routine writes, where to and where from, so that runs of other arches and eras compare.

Where a value came from is found by comparing it with what is known, in this order: 0; the running g, its m, g0 and
gsignal; SP, PCs and registers with a role as the routine was entered; words that it has read since, by the place they
stood at; the other registers at entry; a few words above or below one of the stack pointers among these; a place in
code. Equal values of different origin take the first name.
"""

from __future__ import annotations

from emu.trace.conventions import Name, abi_of, carried_roles
from emu.trace.model import Header, Stack, State
from emu.trace.spans import Span, bare

_NEAR = 16  # words from a stack pointer at which a value is still named by it
_HANDED = {"frame": "f's frame size", "arg": "f's argument size", "return": "f's return PC", "m": "m"}


class Roles:
    """What is known of one crossing, from the state that its routine was entered in."""

    def __init__(self, header: Header, state: State, span: Span) -> None:
        self.header, self.arch, self.layout = header, header.arch, header.layout
        self.f = span.routine.startswith("morestack")  # called by the stack check of a function f
        self.internal, self.mirrored, self.hands = abi_of(header, span.routine)
        self.entry = state.registers
        self.sp = self.register("sp")
        self.return_pc = state.memory.word(self.sp) if self.arch.call.return_on_stack else self.register("link")
        self.caller_sp = self.sp + (self.arch.word if self.arch.call.return_on_stack else 0)
        inner = sorted(self.layout.offsets.items(), key=lambda item: (item[0].count("."), item))
        self._fields = {(name.split(".")[0], offset): name for name, offset in inner}  # the inmost at an offset
        self._strong: dict[int, Name] = {0: Name("0")}
        self._weak: dict[int, Name] = {}
        self._pointers: list[tuple[int, Name]] = []
        self._aliases: dict[int, str] = {}
        self._buf = 0
        self.go_on(state)
        self._learn_structs(state)
        self._learn_entry(state)

    def go_on(self, state: State) -> None:
        """The crossing goes on in another state: stacks and structs may have come and gone."""
        self._state = state
        self.stacks = sorted(state.standing.stacks.values(), key=lambda stack: stack.lo)
        self._structs = list(state.standing.structs.values())

    def register(self, role: str) -> int:
        """What the register of a role held at entry; 0 if the arch has none, or the trace does not say."""
        return self.entry.get(self.arch.roles.get(role, ""), 0)

    def stack(self, address: int) -> Stack | None:
        """The stack that an address (or SP at its upper end) lies in."""
        return next((stack for stack in self.stacks if stack.lo <= address <= stack.hi), None)

    def _learn_structs(self, state: State) -> None:
        register, thread = self.header.g_register, state.standing.threads.get(state.thread)
        word = thread.g_word if thread else self.header.g_word
        self.g = self.entry.get(register, 0) if register else (state.memory.word(word) or 0) if word else 0
        self.g_word = None if register else word
        m = self._follow(self.g, "g.m")
        found = {self.g: "g", m: "m", self._follow(m, "m.g0"): "g0", self._follow(m, "m.gsignal"): "gsignal"}
        for address, name in reversed(found.items()):
            if address:
                self._aliases[address] = name
        self._strong |= {address: Name(name) for address, name in self._aliases.items()}

    def _follow(self, struct: int, field: str) -> int:
        if not struct or field not in self.layout:
            return 0
        return self._state.memory.word(struct + self.layout[field]) or 0

    def _learn_entry(self, state: State) -> None:
        self._learn(self.caller_sp, Name("SP of f" if self.f else "caller's SP"), pointer=True)
        if self.return_pc is not None:
            self._learn(self.return_pc, Name("PC in f" if self.f else "return PC"))
        if self.f:
            returns = self.hands.get("return")
            pc = self.entry.get(returns) if returns else state.memory.word(self.caller_sp)
            self._learn(pc, Name(_HANDED["return"]))
            for what, register in self.hands.items():
                self._learn(self.entry.get(register), Name(_HANDED[what]))
        for role, name in (("fp", "frame pointer"), ("ctxt", "closure context")):
            if role in carried_roles(self.header):
                self._learn(self.register(role), Name(name, role=role))
        for number, register in enumerate(self.internal):
            self._weak.setdefault(self.entry.get(register, 0), Name(f"own argument {number}"))
        self._weak.setdefault(self.register("result"), Name("result register"))
        for register, value in self.entry.items():
            self._weak.setdefault(value, Name(f"{register} at entry"))
        argument = self._state.memory.word(self.sp + self.arch.call.first_argument) or 0
        self._buf = argument if argument in self._gobufs() else 0

    def _gobufs(self) -> list[int]:
        """Where each g keeps its gobuf."""
        if "g.sched.sp" not in self.layout or "gobuf" not in self.layout.sizes:
            return []
        return [struct.address + self.layout["g.sched.sp"] for struct in self._structs if struct.kind == "g"]

    def _learn(self, value: int | None, name: Name, *, pointer: bool = False) -> None:
        if value is not None:
            self._strong.setdefault(value, name)
            if pointer:
                self._pointers.append((value, name))

    def answered(self, state: State) -> None:
        """The kernel has answered a system call."""
        value = state.registers.get(self.arch.syscall.result, 0)
        if value:
            self._strong[value] = Name("result of the call")

    def read(self, address: int, loaded: int | None) -> None:
        """The routine reads a word that it has not written itself; ``loaded``: what a register has from it, where the
        trace does not say what the word held."""
        value = self._state.memory.word(address)
        if value is None:
            value = loaded
        name = self._field(address) or self._own(address)
        if name is None and address in self.header.exact:
            name = Name(self.header.exact[address])
        if name is None and address in self._strong | self._weak:
            name = Name(f"[{self.source(address).text}]")
        if name is not None:
            self._learn(value, name, pointer=value is not None and self.stack(value) is not None)

    def source(self, value: int, place: Name | None = None) -> Name:
        """Where a value came from; ``place``: where it is written to."""
        told = place.field if place and self.f and place.field.startswith("m.more") else ""
        if told == "m.moreargp" and value == self._f_arguments:
            return Name("f's arguments")
        if told and value == self._f_caller_sp:
            return Name("SP of f's caller")
        found = self._strong.get(value) or self._weak.get(value) or self._near(value)
        returns = place is not None and place.text == "return PC"  # behind a call, which may be a function's last
        return found or Name(self.code(value - 1 if returns else value) or self.header.names.pointee(value))

    @property
    def _f_caller_sp(self) -> int:
        return self.caller_sp + (self.arch.word if self.arch.call.return_on_stack else 0)

    @property
    def _f_arguments(self) -> int:
        return self.caller_sp + self.arch.call.first_argument

    def _near(self, value: int) -> Name | None:
        limit = _NEAR * self.arch.word
        near = [(abs(value - at), number) for number, (at, _) in enumerate(self._pointers) if abs(value - at) <= limit]
        if not near:
            return None
        at, name = self._pointers[min(near)[1]]
        count, unit = abs(value - at), "bytes"
        if count % self.arch.word == 0:
            count, unit = count // self.arch.word, "word" if count == self.arch.word else "words"
        return name._replace(text=f"{name.text} {'-' if value < at else '+'} {count} {unit}")

    def code(self, value: int) -> str:
        """A place in code: a gate, a function, or somewhere in one; empty for others."""
        program = self.header.program
        gate = next((name for name, address in program.gates.items() if address == value), "")
        symbol = program.at(value)
        if gate or symbol is None:
            return gate
        return bare(symbol.name) if value == symbol.address else f"a PC in {bare(symbol.name)}"

    def place(self, address: int, then_sp: int) -> Name | None:
        """What a word of memory is, for whoever runs next with SP at ``then_sp``; None for words of a dead frame."""
        if address == self.g_word:
            return Name("running g")
        if address in self.header.exact:
            return Name(self.header.exact[address])
        return self._field(address) or self._own(address) or self._stacked(address, then_sp)

    def _field(self, address: int) -> Name | None:
        if self._buf and 0 <= address - self._buf < self.layout.sizes["gobuf"]:
            return self._named("gobuf", address - self._buf, "buf")
        for struct in self._structs:
            if 0 <= address - struct.address < self.layout.sizes[struct.kind]:
                label = self._aliases.get(struct.address, struct.label)
                return self._named(struct.kind, address - struct.address, label)
        return None

    def _named(self, kind: str, offset: int, label: str) -> Name:
        field = self._fields.get((kind, offset))
        if field is None:
            return Name(f"{label}+{offset:#x}")
        return Name(f"{label}.{field.split('.', 1)[1]}", field, {"bp": "fp", "lr": "link"}.get(bare(field), ""))

    def _own(self, address: int) -> Name | None:
        """A word at or above SP at entry, on that stack."""
        stack = self.stack(self.sp)
        if stack is None or not self.sp <= address < stack.hi:
            return None
        above = address - self.sp - self.arch.call.first_argument
        if above < 0:
            pushed = self.arch.call.return_on_stack
            return Name("own return PC", role="pushed") if pushed else Name("own link word", role="link")
        return Name(f"own argument {above // self.arch.word}")

    def _stacked(self, address: int, then_sp: int) -> Name | None:
        """A word of a stack, as the code that runs next finds it."""
        here, there = self.stack(address), self.stack(then_sp)
        if here is None:
            return Name(self.header.names.describe(address))
        if here is not there or address < then_sp:
            return None
        above = address - then_sp - self.arch.call.first_argument
        if above >= 0:
            return Name(f"argument {above // self.arch.word}")
        return Name("return PC") if self.arch.call.return_on_stack else Name("link word", role="link")
